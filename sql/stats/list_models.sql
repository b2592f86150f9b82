-- The figures of each model in a selection, the dearest first.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date
SELECT
    NULLIF(m.slug, '') AS model,
    s.requests, s.cost, s.byok_cost, s.tokens_input, s.tokens_output, s.tokens_reasoning, s.tokens_cached
-- the models that were ever used; -1 is not one
FROM usage_totals AS t
INNER JOIN models AS m ON m.id = t.model_id
CROSS JOIN LATERAL (
    SELECT
        count(*) AS days,
        sum(r.requests)::bigint AS requests,
        sum(r.cost) AS cost,
        sum(r.byok_cost) AS byok_cost,
        sum(r.tokens_input)::bigint AS tokens_input,
        sum(r.tokens_output)::bigint AS tokens_output,
        sum(r.tokens_reasoning)::bigint AS tokens_reasoning,
        sum(r.tokens_cached)::bigint AS tokens_cached
    FROM usage_rollups AS r
    WHERE r.user_id = $1 AND r.key_id = $2 AND r.model_id = t.model_id AND r.day BETWEEN $4 AND $5
) AS s
WHERE
    t.user_id = $1 AND t.key_id = $2
    AND t.model_id BETWEEN GREATEST($3::bigint, 0) AND CASE $3 WHEN -1 THEN 9223372036854775807 ELSE $3 END
    AND s.days > 0
ORDER BY s.cost DESC NULLS LAST, m.slug
