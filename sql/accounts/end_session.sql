-- Ends one session of a user. Tells whose it is, so that the caller can answer 403 or 404, and whether it had not ended before.
-- $1 session_id bigint
-- $2 user_id bigint
WITH ended AS (
    UPDATE sessions SET revoked_at = now() WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
    RETURNING id
)

SELECT s.user_id = $2 AS is_own, EXISTS (SELECT FROM ended) AS is_new
FROM sessions AS s
INNER JOIN users AS u ON u.id = s.user_id
WHERE s.id = $1 AND u.deleted_at IS NULL
