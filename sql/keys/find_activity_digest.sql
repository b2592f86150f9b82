-- Which activity of its account was booked last.
-- $1 key_id bigint
SELECT activity_digest FROM openrouter_keys WHERE id = $1
