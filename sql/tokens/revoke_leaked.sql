-- Revokes the tokens with these digests, whoever's they are, for good; one that was revoked before keeps its time.
-- $1 digests bytea[]
WITH revoked AS (
    UPDATE api_tokens SET revoked_at = now() WHERE token_hash = ANY($1) AND revoked_at IS NULL
    RETURNING id
)

SELECT t.id, t.name, t.hint, u.id AS user_id, u.email, r.id IS NOT NULL AS is_revoked_now
FROM api_tokens AS t
INNER JOIN users AS u ON u.id = t.user_id
LEFT JOIN revoked AS r ON r.id = t.id
WHERE t.token_hash = ANY($1) AND u.deleted_at IS NULL
ORDER BY t.id
