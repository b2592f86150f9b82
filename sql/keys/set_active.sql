-- Pauses a key, or makes it due at once.
-- $1 key_id bigint
-- $2 is_active boolean
UPDATE openrouter_keys
SET
    is_active = $2,
    next_sync_at = CASE WHEN $2 THEN now() END,
    lease_until = NULL,
    fence = fence + 1,
    failures = 0
WHERE id = $1 AND is_active <> $2
