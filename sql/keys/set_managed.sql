-- A key that nobody lists any more turns out to be one of an account.
-- $1 key_id bigint
-- $2 manager_id bigint
UPDATE openrouter_keys SET managed_by = $2 WHERE id = $1 AND managed_by IS NULL
