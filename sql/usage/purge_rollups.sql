-- Removes roll-ups of deleted accounts.
-- $1 limit bigint
DELETE FROM usage_rollups
WHERE (user_id, key_id, model_id, day) IN (
    SELECT r.user_id, r.key_id, r.model_id, r.day
    FROM users AS u
    INNER JOIN usage_rollups AS r ON r.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF r SKIP LOCKED
)
