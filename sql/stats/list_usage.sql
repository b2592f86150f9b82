-- A page of usage, newest day first, from a place in that order on. Several sources of one cell are one row.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date
-- $6 before_day date
-- $7 before_key_id bigint
-- $8 before_model_id bigint
-- $9 before_provider_id bigint
-- $10 limit bigint

-- only days on which something was used; on the day where the last page ended, only what comes after its last row
WITH used AS (
    SELECT
        day,
        CASE day WHEN $6 THEN $7 ELSE 9223372036854775807 END AS before_key_id,
        CASE day WHEN $6 THEN $8 ELSE 9223372036854775807 END AS before_model_id,
        CASE day WHEN $6 THEN $9 ELSE 9223372036854775807 END AS before_provider_id
    FROM usage_rollups
    WHERE
        user_id = $1 AND key_id = $2 AND model_id = $3 AND day BETWEEN $4 AND LEAST($5, COALESCE($6, $5))
    ORDER BY day DESC
    LIMIT $10::bigint + 1
),

-- Day after day until there are enough. Ordered by nothing else, so that nobody sorts what is in this order already, for which all
-- days would have to be read; the last day is in there with all that may be wanted of it.
enough AS (
    SELECT
        d.day, f.key_id, f.model_id, f.provider_id, f.requests, f.cost, f.byok_cost, f.tokens_input, f.tokens_output,
        f.tokens_reasoning, f.tokens_cached
    FROM used AS d
    CROSS JOIN LATERAL (
        SELECT
            u.key_id, u.model_id, u.provider_id,
            sum(u.requests)::bigint AS requests,
            sum(u.cost) AS cost,
            sum(u.byok_cost) AS byok_cost,
            sum(u.tokens_input)::bigint AS tokens_input,
            sum(u.tokens_output)::bigint AS tokens_output,
            sum(u.tokens_reasoning)::bigint AS tokens_reasoning,
            sum(u.tokens_cached)::bigint AS tokens_cached
        FROM usage_facts AS u
        WHERE
            u.user_id = $1 AND u.day = d.day AND u.is_counted
            AND u.key_id BETWEEN GREATEST($2, 0) AND CASE $2 WHEN -1 THEN 9223372036854775807 ELSE $2 END
            AND u.model_id BETWEEN GREATEST($3, 0) AND CASE $3 WHEN -1 THEN 9223372036854775807 ELSE $3 END
            AND (u.key_id, u.model_id, u.provider_id) < (d.before_key_id, d.before_model_id, d.before_provider_id)
        GROUP BY u.key_id, u.model_id, u.provider_id
        ORDER BY u.key_id DESC, u.model_id DESC, u.provider_id DESC
        LIMIT $10
    ) AS f
    ORDER BY d.day DESC
    FETCH FIRST $10 ROWS WITH TIES
),

page AS (
    SELECT
        day, key_id, model_id, provider_id, requests, cost, byok_cost, tokens_input, tokens_output, tokens_reasoning,
        tokens_cached
    FROM enough
    ORDER BY day DESC, key_id DESC, model_id DESC, provider_id DESC
    LIMIT $10
)

SELECT
    p.day AS date,
    NULLIF(p.key_id, 0) AS api_key_id,
    CASE p.key_id WHEN 0 THEN NULL ELSE k.name END AS api_key_name,
    NULLIF(m.slug, '') AS model,
    NULLIF(v.name, '') AS provider,
    p.requests, p.tokens_input, p.tokens_output, p.tokens_reasoning, p.tokens_cached, p.cost, p.byok_cost,
    p.key_id, p.model_id, p.provider_id
FROM page AS p
INNER JOIN openrouter_keys AS k ON k.id = p.key_id
INNER JOIN models AS m ON m.id = p.model_id
INNER JOIN providers AS v ON v.id = p.provider_id
ORDER BY p.day DESC, p.key_id DESC, p.model_id DESC, p.provider_id DESC
