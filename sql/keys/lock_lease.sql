-- Begins to write what was read with a claimed key; no row when the lease has run out or the key was claimed, replaced or deleted.
-- $1 key_id bigint
-- $2 fence bigint
SELECT id
FROM openrouter_keys
WHERE id = $1 AND fence = $2 AND lease_until > clock_timestamp()
FOR NO KEY UPDATE
