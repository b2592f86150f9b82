-- The totals of selections, a row for each, in their order: one roll-up row a day whatever is selected, and all that
-- stats/find_selection tells. A sum is null where nothing of it is known, 0 where there is nothing to sum.
-- $1 user_ids bigint[]
-- $2 key_ids bigint[]
-- $3 models text[]
-- $4 days integer[]
-- $5 start_dates date[]
-- $6 end_dates date[]

-- the planner must not see how long they are: for short ones it would plan each call anew, which takes longer than the call
WITH given AS MATERIALIZED (
    SELECT
        $1::bigint [] AS user_ids, $2::bigint [] AS key_ids, $3::text [] AS models,
        $4::integer [] AS days, $5::date [] AS start_dates, $6::date [] AS end_dates
),

-- as in stats/find_selection
selection AS (
    SELECT
        a.number, a.user_id, clock.today,
        -- the last so many days with today, or the days as given
        COALESCE(a.start_date, clock.today - a.days + 1) AS start_date,
        COALESCE(a.end_date, clock.today) AS end_date,
        COALESCE((SELECT v.version FROM usage_versions AS v WHERE v.user_id = a.user_id), 0) AS usage_version,
        -- null: there is no such key. Deleted ones keep their history.
        CASE
            WHEN a.key_id IS NULL THEN TRUE
            ELSE (
                SELECT k.user_id = a.user_id
                FROM openrouter_keys AS k
                INNER JOIN users AS u ON u.id = k.user_id
                WHERE k.id = a.key_id AND k.history_deleted_at IS NULL AND u.deleted_at IS NULL
            )
        END AS is_own_key,
        -- in roll-ups -1 is the row over all keys or models; a model that nobody used has no id and no rows
        COALESCE(a.key_id, -1) AS key_id,
        CASE WHEN a.model IS NULL THEN -1 ELSE COALESCE((SELECT m.id FROM models AS m WHERE m.slug = a.model), -2) END
            AS model_id
    FROM given AS g
    CROSS JOIN LATERAL unnest(g.user_ids, g.key_ids, g.models, g.days, g.start_dates, g.end_dates)
        WITH ORDINALITY AS a (user_id, key_id, model, days, start_date, end_date, number)
    CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS clock
)

SELECT
    p.today, p.start_date, p.end_date, p.usage_version, p.is_own_key, p.key_id, p.model_id,
    p.end_date - p.start_date + 1 AS days,
    (CASE s.facts WHEN 0 THEN 0 ELSE s.requests END)::bigint AS total_requests,
    CASE s.facts WHEN 0 THEN 0 ELSE s.cost END AS total_cost,
    CASE s.facts WHEN 0 THEN 0 ELSE s.byok_cost END AS total_byok_cost,
    (CASE s.facts WHEN 0 THEN 0 ELSE s.tokens_input END)::bigint AS total_tokens_input,
    (CASE s.facts WHEN 0 THEN 0 ELSE s.tokens_output END)::bigint AS total_tokens_output,
    (CASE s.facts WHEN 0 THEN 0 ELSE s.tokens_reasoning END)::bigint AS total_tokens_reasoning,
    (CASE s.facts WHEN 0 THEN 0 ELSE s.tokens_cached END)::bigint AS total_tokens_cached,
    array_remove(
        ARRAY[
            CASE WHEN s.requests_known < s.facts THEN 'requests' END,
            CASE WHEN s.cost_known < s.facts THEN 'cost' END,
            CASE WHEN s.byok_cost_known < s.facts THEN 'byok_cost' END,
            CASE WHEN s.tokens_input_known < s.facts THEN 'tokens_input' END,
            CASE WHEN s.tokens_output_known < s.facts THEN 'tokens_output' END,
            CASE WHEN s.tokens_reasoning_known < s.facts THEN 'tokens_reasoning' END,
            CASE WHEN s.tokens_cached_known < s.facts THEN 'tokens_cached' END
        ],
        NULL
    ) AS incomplete,
    (
        SELECT min(k.last_synced_at) FROM openrouter_keys AS k
        WHERE k.user_id = p.user_id AND CASE p.key_id WHEN -1 THEN k.deleted_at IS NULL ELSE k.id = p.key_id END
    ) AS data_as_of
FROM selection AS p
CROSS JOIN LATERAL (
    SELECT
        COALESCE(sum(facts), 0) AS facts,
        sum(requests) AS requests, sum(requests_known) AS requests_known,
        sum(cost) AS cost, sum(cost_known) AS cost_known,
        sum(byok_cost) AS byok_cost, sum(byok_cost_known) AS byok_cost_known,
        sum(tokens_input) AS tokens_input, sum(tokens_input_known) AS tokens_input_known,
        sum(tokens_output) AS tokens_output, sum(tokens_output_known) AS tokens_output_known,
        sum(tokens_reasoning) AS tokens_reasoning, sum(tokens_reasoning_known) AS tokens_reasoning_known,
        sum(tokens_cached) AS tokens_cached, sum(tokens_cached_known) AS tokens_cached_known
    FROM usage_rollups
    WHERE user_id = p.user_id AND key_id = p.key_id AND model_id = p.model_id AND day BETWEEN p.start_date AND p.end_date
) AS s
ORDER BY p.number
