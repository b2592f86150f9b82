-- Shuts an account out or lets it in again; the first moment of shutting out is kept.
-- $1 email_key text
-- $2 is_disabled boolean
UPDATE users SET disabled_at = CASE WHEN $2 THEN COALESCE(disabled_at, now()) END
WHERE email_key = $1 AND deleted_at IS NULL
RETURNING id
