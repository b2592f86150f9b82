-- The password of a user who is logged in, to ask for it again.
-- $1 user_id bigint
SELECT id, email, password_hash, disabled_at IS NULL AS is_enabled
FROM users
WHERE id = $1 AND deleted_at IS NULL
