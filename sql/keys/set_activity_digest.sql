-- Notes which activity of the account has been booked for some keys, so that the same is not asked for again.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 digest bytea
UPDATE openrouter_keys SET activity_digest = $3 WHERE user_id = $1 AND id = ANY($2)
