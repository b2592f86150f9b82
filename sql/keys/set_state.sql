-- Notes what OpenRouter says about a key that was asked with its own secret.
-- $1 key_id bigint
-- $2 label text
-- $3 is_disabled boolean
-- $4 limit_usd numeric
-- $5 limit_remaining numeric
-- $6 limit_reset text
-- $7 expires_at timestamptz
UPDATE openrouter_keys
SET label = $2, is_disabled = $3, limit_usd = $4, limit_remaining = $5, limit_reset = $6, expires_at = $7
WHERE id = $1
