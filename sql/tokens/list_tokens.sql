-- A user's tokens, newest first, from a place in that order on.
-- $1 user_id bigint
-- $2 only_active boolean
-- $3 created_before timestamptz
-- $4 id_before bigint
-- $5 limit bigint
SELECT
    t.id, t.name, t.hint, t.created_at, t.expires_at, m.last_used_at, m.request_count,
    t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AS is_active,
    t.revoked_at
FROM api_tokens AS t
INNER JOIN api_token_meters AS m ON m.token_id = t.id
WHERE
    t.user_id = $1
    AND (NOT $2 OR (t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())))
    AND ($3::timestamptz IS NULL OR (t.created_at, t.id) < ($3, $4::bigint))
ORDER BY t.created_at DESC, t.id DESC
LIMIT $5
