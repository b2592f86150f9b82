-- Notes the days of which activity has told all about some keys.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 first_day date
-- $4 last_day date
UPDATE openrouter_keys
SET activity_days = activity_days + datemultirange(daterange($3, $4, '[]'))
WHERE user_id = $1 AND id = ANY($2)
