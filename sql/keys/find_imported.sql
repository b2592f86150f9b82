-- The key that imports have made for a name, unless another key has that name too.
-- $1 user_id bigint
-- $2 name text
SELECT CASE WHEN bool_and(kind = 'imported') THEN min(id) END AS id
FROM openrouter_keys
WHERE user_id = $1 AND COALESCE(listed_name, name) = $2 AND history_deleted_at IS NULL
