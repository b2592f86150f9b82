-- The figures of each key and model: of today, of this month, and of all time. Days and months are UTC.
-- $1 user_id bigint
WITH clock AS (
    SELECT today, today - (EXTRACT(DAY FROM today)::integer - 1) AS month_start
    FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS now_is
),

-- only days on which something was used, and each looked up by its place in the index (OFFSET 0 keeps it so)
used AS MATERIALIZED (
    SELECT r.day, r.day = c.today AS is_today
    FROM clock AS c
    INNER JOIN usage_rollups AS r
        ON r.user_id = $1 AND r.key_id = -1 AND r.model_id = -1 AND r.day BETWEEN c.month_start AND c.today
),

of_days AS (
    SELECT
        r.key_id, r.model_id, 'month' AS period,
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
            u.key_id, u.model_id, u.requests, u.cost, u.byok_cost, u.tokens_input, u.tokens_output, u.tokens_reasoning,
            u.tokens_cached
        FROM usage_rollups AS u
        WHERE u.user_id = $1 AND u.day = d.day AND u.key_id >= 0 AND u.model_id >= 0
        OFFSET 0
    ) AS r
    GROUP BY r.key_id, r.model_id

    UNION ALL

    SELECT
        r.key_id, r.model_id, 'today',
        r.requests, r.cost, r.byok_cost, r.tokens_input, r.tokens_output, r.tokens_reasoning, r.tokens_cached
    FROM used AS d
    CROSS JOIN LATERAL (
        SELECT
            u.key_id, u.model_id, u.requests, u.cost, u.byok_cost, u.tokens_input, u.tokens_output, u.tokens_reasoning,
            u.tokens_cached
        FROM usage_rollups AS u
        WHERE u.user_id = $1 AND u.day = d.day AND u.key_id >= 0 AND u.model_id >= 0
        OFFSET 0
    ) AS r
    WHERE d.is_today

    UNION ALL

    SELECT
        t.key_id, t.model_id, 'all_time',
        CASE WHEN t.requests_known > 0 THEN t.requests END AS requests,
        CASE WHEN t.cost_known > 0 THEN t.cost END AS cost,
        CASE WHEN t.byok_cost_known > 0 THEN t.byok_cost END AS byok_cost,
        CASE WHEN t.tokens_input_known > 0 THEN t.tokens_input END AS tokens_input,
        CASE WHEN t.tokens_output_known > 0 THEN t.tokens_output END AS tokens_output,
        CASE WHEN t.tokens_reasoning_known > 0 THEN t.tokens_reasoning END AS tokens_reasoning,
        CASE WHEN t.tokens_cached_known > 0 THEN t.tokens_cached END AS tokens_cached
    FROM usage_totals AS t
    WHERE t.user_id = $1 AND t.key_id >= 0 AND t.model_id >= 0 AND t.facts > 0
)

SELECT
    NULLIF(k.id, 0) AS api_key_id,
    k.name AS api_key_name,
    m.slug AS model,
    o.period,
    o.requests, o.cost, o.byok_cost, o.tokens_input, o.tokens_output, o.tokens_reasoning, o.tokens_cached
FROM of_days AS o
INNER JOIN openrouter_keys AS k ON k.id = o.key_id
INNER JOIN models AS m ON m.id = o.model_id
ORDER BY o.period, k.id, m.slug
