-- Removes readings of deleted accounts.
-- $1 limit bigint
DELETE FROM usage_readings
WHERE (user_id, key_id, hash, day) IN (
    SELECT r.user_id, r.key_id, r.hash, r.day
    FROM users AS u
    INNER JOIN usage_readings AS r ON r.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF r SKIP LOCKED
)
