-- Says of the keys that can only be read through a management key that it does not list them any more. Nothing of them is missing.
-- $1 user_id bigint
-- $2 manager_id bigint
-- $3 hashes text[]
-- $4 error text
UPDATE openrouter_keys
SET sync_status = 'unauthorized', sync_error = $4, last_synced_at = now()
WHERE user_id = $1 AND managed_by = $2 AND secret IS NULL AND deleted_at IS NULL AND hash <> ALL($3)
