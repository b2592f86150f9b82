-- Removes the totals of some keys, and those over all keys that nothing is left of.
-- $1 user_id bigint
-- $2 key_ids bigint[]
DELETE FROM usage_rollups WHERE user_id = $1 AND (key_id = ANY($2) OR (key_id = -1 AND facts = 0))
