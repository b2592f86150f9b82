-- The last reading of keys that were read in another row before, where they were replaced since: what was counted there is not new here.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 hashes text[]
SELECT DISTINCT ON (wanted.key_id)
    wanted.key_id, r.day, r.taken_at, r.cost_total, r.cost_today, r.byok_total, r.byok_today
FROM unnest($2::bigint[], $3::text[]) AS wanted (key_id, hash)
INNER JOIN usage_readings AS r ON r.user_id = $1 AND r.hash = wanted.hash
INNER JOIN openrouter_keys AS k ON k.id = r.key_id
WHERE k.history_deleted_at IS NULL
ORDER BY wanted.key_id, r.day DESC
