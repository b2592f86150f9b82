-- Books as usage without a key what the workspaces have used on some days and nothing explains: no key's activity, and no export of
-- the web chat or of keys that are known by an export only.
-- $1 user_id bigint
-- $2 days date[]

-- materialized: fresh tables have no statistics, by which one would be worked out once for each row of the other
WITH told AS MATERIALIZED (
    SELECT
        w.day, w.model_id, w.provider_id,
        sum(w.requests) AS requests,
        sum(w.cost) AS cost,
        sum(w.byok_cost) AS byok_cost,
        sum(w.tokens_input) AS tokens_input,
        sum(w.tokens_output) AS tokens_output,
        sum(w.tokens_reasoning) AS tokens_reasoning,
        sum(w.tokens_cached) AS tokens_cached
    FROM workspace_usage AS w
    WHERE w.user_id = $1 AND w.day = ANY($2)
    GROUP BY w.day, w.model_id, w.provider_id
),

explained AS MATERIALIZED (
    SELECT
        f.day, f.model_id, f.provider_id,
        sum(f.requests) AS requests,
        sum(f.cost) AS cost,
        sum(f.byok_cost) AS byok_cost,
        sum(f.tokens_input) AS tokens_input,
        sum(f.tokens_output) AS tokens_output,
        sum(f.tokens_reasoning) AS tokens_reasoning,
        sum(f.tokens_cached) AS tokens_cached
    FROM usage_facts AS f
    INNER JOIN openrouter_keys AS k ON k.id = f.key_id
    WHERE
        f.user_id = $1 AND f.day = ANY($2) AND f.is_counted
        AND (f.source = 'activity' OR (f.source = 'export' AND k.kind IN ('none', 'imported')))
    GROUP BY f.day, f.model_id, f.provider_id
),

-- never below 0: the two were not read at the same moment. Times 0, so that what is not known stays so.
unexplained AS (
    SELECT
        t.day, t.model_id, t.provider_id,
        GREATEST(t.requests - COALESCE(e.requests, 0), t.requests * 0) AS requests,
        GREATEST(t.cost - COALESCE(e.cost, 0), t.cost * 0) AS cost,
        GREATEST(t.byok_cost - COALESCE(e.byok_cost, 0), t.byok_cost * 0) AS byok_cost,
        GREATEST(t.tokens_input - COALESCE(e.tokens_input, 0), t.tokens_input * 0) AS tokens_input,
        GREATEST(t.tokens_output - COALESCE(e.tokens_output, 0), t.tokens_output * 0) AS tokens_output,
        GREATEST(t.tokens_reasoning - COALESCE(e.tokens_reasoning, 0), t.tokens_reasoning * 0) AS tokens_reasoning,
        GREATEST(t.tokens_cached - COALESCE(e.tokens_cached, 0), t.tokens_cached * 0) AS tokens_cached
    FROM told AS t
    LEFT JOIN explained AS e ON e.day = t.day AND e.model_id = t.model_id AND e.provider_id = t.provider_id
)

INSERT INTO usage_facts (
    user_id, key_id, day, model_id, provider_id, source, requests, cost, byok_cost, tokens_input, tokens_output,
    tokens_reasoning, tokens_cached
)
SELECT
    $1, 0, u.day, u.model_id, u.provider_id, 'activity', u.requests, u.cost, u.byok_cost, u.tokens_input, u.tokens_output,
    u.tokens_reasoning, u.tokens_cached
FROM unexplained AS u
WHERE u.requests > 0 OR u.cost > 0 OR u.byok_cost > 0 OR u.tokens_input > 0 OR u.tokens_output > 0
