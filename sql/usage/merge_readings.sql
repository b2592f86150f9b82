-- Keeps the last reading of each key and day.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 hashes text[]
-- $4 days date[]
-- $5 taken_at timestamptz[]
-- $6 cost_totals numeric[]
-- $7 cost_today numeric[]
-- $8 byok_totals numeric[]
-- $9 byok_today numeric[]
INSERT INTO usage_readings (user_id, key_id, hash, day, taken_at, cost_total, cost_today, byok_total, byok_today)
SELECT $1, r.key_id, r.hash, r.day, r.taken_at, r.cost_total, r.cost_today, r.byok_total, r.byok_today
FROM unnest(
    $2::bigint[], $3::text[], $4::date[], $5::timestamptz[], $6::numeric[], $7::numeric[], $8::numeric[], $9::numeric[]
) AS r (key_id, hash, day, taken_at, cost_total, cost_today, byok_total, byok_today)
ON CONFLICT (user_id, key_id, hash, day) DO UPDATE
SET
    taken_at = excluded.taken_at,
    cost_total = excluded.cost_total,
    cost_today = excluded.cost_today,
    byok_total = excluded.byok_total,
    byok_today = excluded.byok_today
