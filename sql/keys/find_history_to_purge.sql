-- A key whose history was deleted and is not removed yet.
SELECT id AS key_id, user_id
FROM openrouter_keys
WHERE history_deleted_at IS NOT NULL AND history_purged_at IS NULL
ORDER BY id
LIMIT 1
