-- What a login needs to know; of disabled accounts too, because they must cost the same work.
-- $1 email_key text
SELECT id, email, password_hash, disabled_at IS NULL AS is_enabled
FROM users
WHERE email_key = $1 AND deleted_at IS NULL
