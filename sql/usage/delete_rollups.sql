-- Clears the roll-ups of some days, which are made anew from the facts in the same transaction.
-- $1 user_id bigint
-- $2 days date[]
DELETE FROM usage_rollups WHERE user_id = $1 AND day = ANY($2)
