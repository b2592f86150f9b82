-- Keeps the same password under today's parameters, unless it was changed in the meantime.
-- $1 user_id bigint
-- $2 old_hash text
-- $3 new_hash text
UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2
