-- Makes room for what activity says now about some keys and days.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 first_day date
-- $4 last_day date
DELETE FROM usage_facts
WHERE user_id = $1 AND day BETWEEN $3 AND $4 AND key_id = ANY($2) AND source = 'activity'
