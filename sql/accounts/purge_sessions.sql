-- Removes sessions a day after their absolute end, once their refresh tokens are gone.
-- $1 limit bigint
DELETE FROM sessions
WHERE id IN (
    SELECT s.id
    FROM sessions AS s
    WHERE
        s.expires_at < now() - interval '1 day'
        AND NOT EXISTS (SELECT FROM refresh_tokens AS r WHERE r.session_id = s.id)
    ORDER BY s.expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
