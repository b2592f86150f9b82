-- Removes windows that have passed.
-- $1 limit bigint
DELETE FROM attempts
WHERE key IN (SELECT key FROM attempts WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
