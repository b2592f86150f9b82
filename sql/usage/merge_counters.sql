-- Adds what the counters have grown by to the days' facts. They tell money only: of which model, and in how many requests, is not known.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 days date[]
-- $4 costs numeric[]
-- $5 byok_costs numeric[]
-- $6 estimated boolean[]
INSERT INTO usage_facts AS f (user_id, key_id, day, model_id, provider_id, source, cost, byok_cost, is_estimated)
SELECT $1, g.key_id, g.day, 0, 0, 'counters', g.cost, g.byok_cost, g.is_estimated
FROM unnest($2::bigint[], $3::date[], $4::numeric[], $5::numeric[], $6::boolean[])
    AS g (key_id, day, cost, byok_cost, is_estimated)
ON CONFLICT (user_id, day, key_id, model_id, provider_id, source) DO UPDATE
SET
    cost = f.cost + excluded.cost,
    byok_cost = f.byok_cost + excluded.byok_cost,
    is_estimated = f.is_estimated OR excluded.is_estimated
