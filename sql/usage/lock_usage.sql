-- Begins a change of a user's usage: moves its version, and holds it, so that changes of one user follow one another. No row: the
-- account is gone.
-- $1 user_id bigint

-- The version is the time in microseconds, or one more than the last. A count would come back to the same number with other figures
-- when the database itself has gone back: put back from a backup, or failed over to a standby that had not heard of the last change.
INSERT INTO usage_versions AS v (user_id, version)
SELECT owner.id, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint
FROM (SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE) AS owner
ON CONFLICT (user_id) DO UPDATE SET version = GREATEST(v.version + 1, excluded.version)
RETURNING version
