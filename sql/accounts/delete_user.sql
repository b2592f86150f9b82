-- Deletes an account for everybody who looks: its address is free at once, its rows follow in batches.
-- $1 user_id bigint
UPDATE users SET deleted_at = now(), email = '', email_key = NULL, password_hash = ''
WHERE id = $1 AND deleted_at IS NULL
