-- One of a user's tokens.
-- $1 token_id bigint
-- $2 user_id bigint
SELECT
    t.id, t.name, t.hint, t.created_at, t.expires_at, m.last_used_at, m.request_count,
    t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AS is_active,
    t.revoked_at
FROM api_tokens AS t
INNER JOIN api_token_meters AS m ON m.token_id = t.id
WHERE t.id = $1 AND t.user_id = $2
