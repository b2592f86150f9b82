-- Ends all sessions of a user, but for one of them (null: for none).
-- $1 user_id bigint
-- $2 except_session_id bigint
UPDATE sessions SET revoked_at = now()
WHERE user_id = $1 AND revoked_at IS NULL AND ($2::bigint IS NULL OR id <> $2)
