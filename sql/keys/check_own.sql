-- Is this key the user's? Deleted ones keep their history and count. No row: there is no such key.
-- $1 key_id bigint
-- $2 user_id bigint
SELECT k.user_id = $2 AS is_own
FROM openrouter_keys AS k
INNER JOIN users AS u ON u.id = k.user_id
WHERE k.id = $1 AND k.history_deleted_at IS NULL AND u.deleted_at IS NULL
