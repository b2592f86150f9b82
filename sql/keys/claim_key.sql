-- Takes one key, due or not, unless somebody has it. For a watched key without a secret, the management key that reads it.
-- $1 key_id bigint
-- $2 lease_seconds double precision
UPDATE openrouter_keys AS k
SET lease_until = now() + make_interval(secs => $2), fence = k.fence + 1
FROM openrouter_keys AS asked
WHERE
    asked.id = $1
    AND k.id = CASE WHEN asked.secret IS NULL THEN asked.managed_by ELSE asked.id END
    AND k.secret IS NOT NULL
    AND (k.lease_until IS NULL OR k.lease_until <= now())
RETURNING k.id AS key_id, k.user_id, k.kind, k.hash, k.secret, k.fence, k.failures
