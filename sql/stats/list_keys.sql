-- The figures of each key in a selection, the dearest first. Key 0 stands for usage without a key.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date

-- deleted keys too: their history stays under their name
WITH used AS (
    SELECT id, id AS api_key_id, name AS api_key_name
    FROM openrouter_keys
    WHERE user_id = $1 AND ($2::bigint = -1 OR id = $2)
    UNION ALL
    SELECT 0, NULL, NULL WHERE $2 = -1
)

SELECT
    k.api_key_id, k.api_key_name,
    s.requests,
    s.cost,
    s.byok_cost,
    s.tokens_input,
    s.tokens_output,
    s.tokens_reasoning,
    s.tokens_cached
FROM used AS k
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
    WHERE r.user_id = $1 AND r.key_id = k.id AND r.model_id = $3 AND r.day BETWEEN $4 AND $5
) AS s
WHERE s.days > 0
ORDER BY s.cost DESC NULLS LAST, k.id
