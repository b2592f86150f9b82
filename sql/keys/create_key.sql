-- Makes a key, whose secret follows in the same transaction: it is bound to the row's id.
-- $1 user_id bigint
-- $2 name text
-- $3 kind text
-- $4 hash text
INSERT INTO openrouter_keys (user_id, name, kind, hash) VALUES ($1, $2, $3, $4) RETURNING id
