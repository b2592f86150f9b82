-- What happened to an account, the latest first, from a place in that order on.
-- $1 user_id bigint
-- $2 id_before bigint
-- $3 limit bigint
SELECT id, kind, occurred_at, client_address, client_agent, object_id, object_name
FROM events
WHERE user_id = $1 AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC
LIMIT $3
