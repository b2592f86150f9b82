-- The figures of each day of a selection, none left out: a day without usage is 0.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date
SELECT
    d.day AS date,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.requests END AS requests,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.cost END AS cost,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.byok_cost END AS byok_cost,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.tokens_input END AS tokens_input,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.tokens_output END AS tokens_output,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.tokens_reasoning END AS tokens_reasoning,
    CASE WHEN r.day IS NULL THEN 0 ELSE r.tokens_cached END AS tokens_cached
FROM (SELECT $4::date + n AS day FROM generate_series(0, $5::date - $4::date) AS n) AS d
-- the bounds are there for the database's planner, which would rather read the days of all years
LEFT JOIN usage_rollups AS r
    ON r.user_id = $1 AND r.key_id = $2 AND r.model_id = $3 AND r.day = d.day AND r.day BETWEEN $4 AND $5
ORDER BY d.day
