-- Which other keys have been read in the rows of a user's keys from a day on, and until when? They were replaced since.
-- $1 user_id bigint
-- $2 first_day date
SELECT k.id AS key_id, r.hash, max(r.day) AS last_day
FROM openrouter_keys AS k
INNER JOIN usage_readings AS r ON r.key_id = k.id AND r.hash <> k.hash
WHERE k.user_id = $1 AND k.history_deleted_at IS NULL AND r.user_id = $1 AND r.day >= $2
GROUP BY k.id, r.hash
ORDER BY k.id, r.hash
