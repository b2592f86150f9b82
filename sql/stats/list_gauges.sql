-- The figures of each key and model that was ever used: of today, of this month, and of all time. Days and months are UTC. What
-- was known before and has had no use since is 0.
-- $1 user_id bigint
WITH clock AS (
    SELECT today, today - (EXTRACT(DAY FROM today)::integer - 1) AS month_start
    FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS now_is
)

SELECT
    NULLIF(k.id, 0) AS api_key_id,
    k.name AS api_key_name,
    m.slug AS model,
    r.period,
    CASE WHEN t.requests_known > 0 THEN r.requests END AS requests,
    CASE WHEN t.cost_known > 0 THEN r.cost END AS cost,
    CASE WHEN t.byok_cost_known > 0 THEN r.byok_cost END AS byok_cost,
    CASE WHEN t.tokens_input_known > 0 THEN r.tokens_input END AS tokens_input,
    CASE WHEN t.tokens_output_known > 0 THEN r.tokens_output END AS tokens_output,
    CASE WHEN t.tokens_reasoning_known > 0 THEN r.tokens_reasoning END AS tokens_reasoning,
    CASE WHEN t.tokens_cached_known > 0 THEN r.tokens_cached END AS tokens_cached
FROM usage_totals AS t
INNER JOIN openrouter_keys AS k ON k.id = t.key_id
INNER JOIN models AS m ON m.id = t.model_id
CROSS JOIN clock AS c
CROSS JOIN LATERAL (
    SELECT
        'all_time' AS period,
        t.requests, t.cost, t.byok_cost, t.tokens_input, t.tokens_output, t.tokens_reasoning, t.tokens_cached

    UNION ALL

    SELECT
        'month',
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.requests) END)::bigint,
        CASE count(*) WHEN 0 THEN 0 ELSE sum(u.cost) END,
        CASE count(*) WHEN 0 THEN 0 ELSE sum(u.byok_cost) END,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_input) END)::bigint,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_output) END)::bigint,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_reasoning) END)::bigint,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_cached) END)::bigint
    FROM usage_rollups AS u
    WHERE u.user_id = $1 AND u.key_id = t.key_id AND u.model_id = t.model_id AND u.day BETWEEN c.month_start AND c.today

    UNION ALL

    -- one row at most, summed so that there is one
    SELECT
        'today',
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.requests) END)::bigint,
        CASE count(*) WHEN 0 THEN 0 ELSE sum(u.cost) END,
        CASE count(*) WHEN 0 THEN 0 ELSE sum(u.byok_cost) END,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_input) END)::bigint,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_output) END)::bigint,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_reasoning) END)::bigint,
        (CASE count(*) WHEN 0 THEN 0 ELSE sum(u.tokens_cached) END)::bigint
    FROM usage_rollups AS u
    WHERE u.user_id = $1 AND u.key_id = t.key_id AND u.model_id = t.model_id AND u.day = c.today
) AS r
WHERE t.user_id = $1 AND t.key_id >= 0 AND t.model_id >= 0 AND t.facts > 0
ORDER BY r.period, k.id, m.slug
