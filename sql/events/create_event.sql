-- Notes what happened to an account that is there.
-- $1 user_id bigint
-- $2 kind text
-- $3 client_address text
-- $4 client_agent text
-- $5 object_id bigint
-- $6 object_name text
INSERT INTO events (user_id, kind, client_address, client_agent, object_id, object_name)
SELECT id, $2, $3, $4, $5, $6 FROM users WHERE id = $1 AND deleted_at IS NULL
