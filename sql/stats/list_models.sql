-- The figures of each model in a selection, the dearest first.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date

-- only days on which something was used, and each looked up by its place in the index (OFFSET 0 keeps it so); -1 is not a model
WITH used AS MATERIALIZED (
    SELECT day
    FROM usage_rollups
    WHERE user_id = $1 AND key_id = $2 AND model_id = $3 AND day BETWEEN $4 AND $5
),

sums AS (
    SELECT
        r.model_id,
        sum(r.requests)::bigint AS requests,
        sum(r.cost) AS cost,
        sum(r.byok_cost) AS byok_cost,
        sum(r.tokens_input)::bigint AS tokens_input,
        sum(r.tokens_output)::bigint AS tokens_output,
        sum(r.tokens_reasoning)::bigint AS tokens_reasoning,
        sum(r.tokens_cached)::bigint AS tokens_cached
    FROM used AS d
    CROSS JOIN LATERAL (
        SELECT
            u.model_id, u.requests, u.cost, u.byok_cost, u.tokens_input, u.tokens_output, u.tokens_reasoning, u.tokens_cached
        FROM usage_rollups AS u
        WHERE
            u.user_id = $1 AND u.day = d.day AND u.key_id = $2
            AND u.model_id BETWEEN GREATEST($3, 0) AND CASE $3 WHEN -1 THEN 9223372036854775807 ELSE $3 END
        OFFSET 0
    ) AS r
    GROUP BY r.model_id
)

SELECT
    NULLIF(m.slug, '') AS model,
    s.requests,
    s.cost,
    s.byok_cost,
    s.tokens_input,
    s.tokens_output,
    s.tokens_reasoning,
    s.tokens_cached
FROM sums AS s
INNER JOIN models AS m ON m.id = s.model_id
ORDER BY s.cost DESC NULLS LAST, m.slug
