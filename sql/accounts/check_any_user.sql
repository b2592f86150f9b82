-- Is there an account at all?
SELECT EXISTS (SELECT FROM users WHERE deleted_at IS NULL) AS exists
