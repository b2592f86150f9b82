-- Whom a session cookie speaks for, if its session and its user are alive at this moment. That it was used is noted once a
-- minute: idle sessions end.
-- $1 cookie_hash bytea
-- $2 idle_lifetime interval
WITH live AS (
    SELECT u.id AS user_id, s.id AS session_id, u.email, u.created_at, s.last_used_at
    FROM sessions AS s
    INNER JOIN users AS u ON u.id = s.user_id
    WHERE
        s.cookie_hash = $1
        AND s.revoked_at IS NULL
        AND s.expires_at > now()
        AND s.last_used_at > now() - $2::interval
        AND u.disabled_at IS NULL
        AND u.deleted_at IS NULL
),

noted AS (
    UPDATE sessions AS s SET last_used_at = now()
    FROM live
    WHERE s.id = live.session_id AND live.last_used_at < now() - interval '1 minute'
)

SELECT user_id, session_id, email, created_at FROM live
