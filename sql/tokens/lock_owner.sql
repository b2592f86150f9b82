-- Makes the creations of one user's tokens queue up, because what they count is not held in any row.
-- $1 user_id bigint
SELECT id FROM users WHERE id = $1 AND disabled_at IS NULL AND deleted_at IS NULL FOR NO KEY UPDATE
