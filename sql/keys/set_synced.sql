-- Ends a claim that went well; the lease is held in this transaction.
-- $1 key_id bigint
-- $2 next_seconds double precision
UPDATE openrouter_keys
SET
    last_synced_at = now(),
    sync_status = 'ok',
    sync_error = NULL,
    failures = 0,
    lease_until = NULL,
    next_sync_at = CASE WHEN is_active THEN now() + make_interval(secs => $2) END
WHERE id = $1
