-- Removes keys of deleted accounts.
-- $1 limit bigint
DELETE FROM openrouter_keys
WHERE id IN (
    SELECT k.id
    FROM users AS u
    INNER JOIN openrouter_keys AS k ON k.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF k SKIP LOCKED
)
