-- Which of the user's keys is this one, deleted ones included? In a transaction that holds the user's usage.
-- $1 user_id bigint
-- $2 hash text
SELECT id AS key_id, kind, deleted_at IS NULL AS is_live, secret IS NOT NULL AS has_secret
FROM openrouter_keys
WHERE user_id = $1 AND hash = $2 AND history_deleted_at IS NULL
