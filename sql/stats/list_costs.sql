-- What a selection of key and model has cost on each day from the first of this month or the last `days` completed days on, today
-- included, but not before anything was known of it. Null: not known.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 today date
-- $5 days integer
WITH first AS (
    SELECT day
    FROM usage_rollups
    WHERE user_id = $1 AND key_id = $2 AND model_id = $3
    ORDER BY day
    LIMIT 1
),

series AS (
    SELECT
        GREATEST(f.day, LEAST($4::date - (EXTRACT(DAY FROM $4::date)::integer - 1), $4::date - $5::integer)) AS start_date
    FROM first AS f
)

SELECT d.day, CASE WHEN r.day IS NULL THEN 0 ELSE r.cost END AS cost
FROM series AS s
CROSS JOIN LATERAL (SELECT s.start_date + n AS day FROM generate_series(0, $4::date - s.start_date) AS n) AS d
LEFT JOIN usage_rollups AS r
    ON
        r.user_id = $1 AND r.key_id = $2 AND r.model_id = $3 AND r.day = d.day
        -- a month's first day is at most so far away: bounds that are known before the series is
        AND r.day BETWEEN LEAST($4::date - 30, $4::date - $5::integer) AND $4
ORDER BY d.day
