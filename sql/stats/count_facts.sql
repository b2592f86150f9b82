-- How many facts a selection has at most: what sorting it would have to read.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date
SELECT COALESCE(sum(facts), 0)::bigint AS facts
FROM usage_rollups
WHERE user_id = $1 AND key_id = $2 AND model_id = $3 AND day BETWEEN $4 AND $5
