-- Notes that an encryption key is in use here.
-- $1 key_id text
-- $2 canary bytea
INSERT INTO encryption_canaries (key_id, canary) VALUES ($1, $2) ON CONFLICT (key_id) DO NOTHING
