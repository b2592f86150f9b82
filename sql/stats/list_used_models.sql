-- The models of which a user has any usage, the dearest of all time first: what a person may choose from.
-- $1 user_id bigint
-- $2 limit bigint
SELECT m.slug AS model
FROM usage_totals AS t
INNER JOIN models AS m ON m.id = t.model_id
WHERE t.user_id = $1 AND t.key_id = -1 AND t.model_id > 0 AND t.facts > 0
ORDER BY t.cost DESC, m.slug
LIMIT $2
