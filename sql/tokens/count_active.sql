-- How many tokens of a user are neither revoked nor expired.
-- $1 user_id bigint
SELECT count(*) AS active
FROM api_tokens
WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
