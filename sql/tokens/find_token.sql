-- Tokens by their ids, as far as they belong to whom they should.
-- $1 token_ids bigint[]
-- $2 user_ids bigint[]
SELECT
    t.id, t.name, t.hint, t.created_at, t.expires_at, m.last_used_at, m.request_count,
    t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AS is_active,
    t.revoked_at
FROM unnest($1::bigint [], $2::bigint []) AS a (token_id, user_id)
INNER JOIN api_tokens AS t ON t.id = a.token_id AND t.user_id = a.user_id
INNER JOIN api_token_meters AS m ON m.token_id = t.id
