-- Gives a user another password. Takes the row's lock, so that sessions opened with the old one are there to be ended by the
-- next statement of the transaction. $3 is the one that was verified before (null: none was), unless it was replaced meanwhile.
-- $1 user_id bigint
-- $2 password_hash text
-- $3 verified_hash text
UPDATE users SET password_hash = $2
WHERE id = $1 AND deleted_at IS NULL AND ($3::text IS NULL OR password_hash = $3)
