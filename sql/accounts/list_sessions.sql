-- A user's live sessions, newest first.
-- $1 user_id bigint
-- $2 current_session_id bigint
-- $3 idle_lifetime interval
-- $4 before_id bigint
-- $5 limit bigint
SELECT
    id, created_at, last_used_at, LEAST(expires_at, last_used_at + $3::interval) AS expires_at, client_address, client_agent,
    id = $2 AS is_current
FROM sessions
WHERE
    user_id = $1
    AND revoked_at IS NULL
    AND expires_at > now()
    AND last_used_at > now() - $3::interval
    AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC
LIMIT $5
