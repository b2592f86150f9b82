-- Revokes one of a user's tokens, for good; the first time is the one that is kept. Tells whose it is, if it is there at all, and
-- whether it was not revoked before.
-- $1 token_id bigint
-- $2 user_id bigint
WITH revoked AS (
    UPDATE api_tokens SET revoked_at = now() WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
    RETURNING id
)

SELECT t.user_id = $2 AS is_own, EXISTS (SELECT FROM revoked) AS is_new, t.name
FROM api_tokens AS t
INNER JOIN users AS u ON u.id = t.user_id
WHERE t.id = $1 AND u.deleted_at IS NULL
