-- Ends a claim that failed: what was known stays. Without a time to come back the key rests.
-- $1 key_id bigint
-- $2 fence bigint
-- $3 status text
-- $4 error text
-- $5 retry_seconds double precision
UPDATE openrouter_keys
SET
    sync_status = $3,
    sync_error = $4,
    failures = failures + 1,
    lease_until = NULL,
    next_sync_at = CASE WHEN is_active THEN now() + make_interval(secs => $5) END
WHERE id = $1 AND fence = $2 AND lease_until > now()
