-- The last reading of each of some keys, told by row and hash: a row's key may have been replaced.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 hashes text[]
SELECT r.key_id, r.day, r.taken_at, r.cost_total, r.cost_today, r.byok_total, r.byok_today
FROM unnest($2::bigint[], $3::text[]) AS wanted (key_id, hash)
CROSS JOIN LATERAL (
    SELECT u.key_id, u.day, u.taken_at, u.cost_total, u.cost_today, u.byok_total, u.byok_today
    FROM usage_readings AS u
    WHERE u.user_id = $1 AND u.key_id = wanted.key_id AND u.hash = wanted.hash
    ORDER BY u.day DESC
    LIMIT 1
) AS r
