-- Removes sessions of deleted accounts, once their refresh tokens are gone.
-- $1 limit bigint
DELETE FROM sessions
WHERE id IN (
    SELECT s.id
    FROM users AS u
    INNER JOIN sessions AS s ON s.user_id = u.id
    WHERE u.deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM refresh_tokens AS r WHERE r.session_id = s.id)
    LIMIT $1
    FOR UPDATE OF s SKIP LOCKED
)
