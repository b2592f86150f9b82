-- For keys that are fed by imports alone, an import is their sync, and brings a deleted one back.
-- $1 user_id bigint
-- $2 key_ids bigint[]
UPDATE openrouter_keys
SET last_synced_at = now(), deleted_at = NULL
WHERE user_id = $1 AND id = ANY($2) AND kind = 'imported'
