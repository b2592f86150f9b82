-- What some models have cost on each day of a selection on which they were used.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 models text[]
-- $4 start_date date
-- $5 end_date date
SELECT r.day AS date, NULLIF(m.slug, '') AS model, r.cost
FROM models AS m
-- each model looked up by its place in the index (OFFSET 0 keeps it so)
CROSS JOIN LATERAL (
    SELECT u.day, u.cost
    FROM usage_rollups AS u
    WHERE u.user_id = $1 AND u.key_id = $2 AND u.model_id = m.id AND u.day BETWEEN $4 AND $5
    OFFSET 0
) AS r
WHERE m.slug = ANY($3)
ORDER BY r.day, m.slug
