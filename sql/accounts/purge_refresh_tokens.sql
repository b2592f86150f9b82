-- Removes refresh tokens of sessions that nobody can use any more: a session may have had very many.
-- $1 limit bigint
DELETE FROM refresh_tokens
WHERE token_hash IN (
    (
        SELECT r.token_hash
        FROM sessions AS s
        INNER JOIN refresh_tokens AS r ON r.session_id = s.id
        WHERE s.expires_at < now() - interval '1 day'
        LIMIT $1
    )
    UNION ALL
    (
        SELECT r.token_hash
        FROM users AS u
        INNER JOIN sessions AS s ON s.user_id = u.id
        INNER JOIN refresh_tokens AS r ON r.session_id = s.id
        WHERE u.deleted_at IS NOT NULL
        LIMIT $1
    )
    LIMIT $1
)
