-- Forgets the failures under a key.
-- $1 key bytea
DELETE FROM attempts WHERE key = $1
