-- Begins a change of a user's usage: moves its version, and holds it, so that changes of one user follow one another. No row: the
-- account is gone.
-- $1 user_id bigint
INSERT INTO usage_versions AS v (user_id, version)
SELECT id, 1 FROM (SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE) AS owner
ON CONFLICT (user_id) DO UPDATE SET version = v.version + 1
RETURNING version
