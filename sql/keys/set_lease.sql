-- Keeps a claimed key for another while; no row when it is somebody else's by now.
-- $1 key_id bigint
-- $2 fence bigint
-- $3 lease_seconds double precision
UPDATE openrouter_keys
SET lease_until = now() + make_interval(secs => $3)
WHERE id = $1 AND fence = $2 AND lease_until > now()
