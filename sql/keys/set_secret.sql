-- Gives a key its secret, and makes it due at once; whoever is reading it with another one must not write any more.
-- $1 key_id bigint
-- $2 secret bytea
-- $3 hash text
-- $4 kind text
UPDATE openrouter_keys
SET
    secret = $2,
    hash = $3,
    kind = $4,
    is_active = TRUE,
    deleted_at = NULL,
    is_ignored = FALSE,
    next_sync_at = now(),
    lease_until = NULL,
    fence = fence + 1,
    failures = 0,
    activity_digest = NULL,
    sync_status = CASE WHEN last_synced_at IS NOT NULL AND sync_status = 'ok' THEN 'ok' ELSE 'pending' END,
    sync_error = NULL
WHERE id = $1
