-- Makes an account. A taken address violates users_email_key_unique.
-- $1 email text
-- $2 email_key text
-- $3 password_hash text
INSERT INTO users (email, email_key, password_hash) VALUES ($1, $2, $3)
RETURNING id, email, created_at
