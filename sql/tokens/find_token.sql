-- Tokens by their ids, as far as they belong to whom they should.
-- $1 token_ids bigint[]
-- $2 user_ids bigint[]

-- the planner must not see how long they are: for short ones it would plan each call anew, which takes longer than the call
WITH given AS MATERIALIZED (
    SELECT $1::bigint [] AS token_ids, $2::bigint [] AS user_ids
)

SELECT
    t.id, t.name, t.hint, t.created_at, t.expires_at, m.last_used_at, m.request_count,
    t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AS is_active,
    t.revoked_at
FROM given AS g
CROSS JOIN LATERAL unnest(g.token_ids, g.user_ids) AS a (token_id, user_id)
INNER JOIN api_tokens AS t ON t.id = a.token_id AND t.user_id = a.user_id
INNER JOIN api_token_meters AS m ON m.token_id = t.id
