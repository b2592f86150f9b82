-- Whom an access token speaks for, if its session and its user are still alive at this moment.
-- $1 session_id bigint
-- $2 user_id bigint
SELECT u.id AS user_id, s.id AS session_id, u.email, u.created_at
FROM sessions AS s
INNER JOIN users AS u ON u.id = s.user_id
WHERE
    s.id = $1
    AND s.user_id = $2
    AND s.revoked_at IS NULL
    AND s.expires_at > now()
    AND u.disabled_at IS NULL
    AND u.deleted_at IS NULL
