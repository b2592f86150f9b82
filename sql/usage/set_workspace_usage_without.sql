-- Takes some keys out of what their workspaces have used, so that a deleted history does not come back as usage without a key.
-- $1 user_id bigint
-- $2 key_ids bigint[]
UPDATE workspace_usage AS w
SET
    requests = w.requests - COALESCE(gone.requests, 0),
    cost = w.cost - COALESCE(gone.cost, 0),
    byok_cost = w.byok_cost - COALESCE(gone.byok_cost, 0),
    tokens_input = w.tokens_input - COALESCE(gone.tokens_input, 0),
    tokens_output = w.tokens_output - COALESCE(gone.tokens_output, 0),
    tokens_reasoning = w.tokens_reasoning - COALESCE(gone.tokens_reasoning, 0),
    tokens_cached = w.tokens_cached - COALESCE(gone.tokens_cached, 0)
FROM (
    SELECT
        f.day, k.managed_by, f.model_id, f.provider_id,
        sum(f.requests) AS requests,
        sum(f.cost) AS cost,
        sum(f.byok_cost) AS byok_cost,
        sum(f.tokens_input) AS tokens_input,
        sum(f.tokens_output) AS tokens_output,
        sum(f.tokens_reasoning) AS tokens_reasoning,
        sum(f.tokens_cached) AS tokens_cached
    FROM usage_facts AS f
    INNER JOIN openrouter_keys AS k ON k.id = f.key_id
    WHERE f.user_id = $1 AND f.key_id = ANY($2) AND f.source = 'activity'
    GROUP BY f.day, k.managed_by, f.model_id, f.provider_id
) AS gone
WHERE
    w.user_id = $1
    AND w.day = gone.day
    AND w.model_id = gone.model_id
    AND w.provider_id = gone.provider_id
    -- a key's usage may stand in several workspaces of its account; only their sum counts
    AND w.workspace = (
        SELECT u.workspace
        FROM openrouter_keys AS m
        INNER JOIN workspace_usage AS u ON u.workspace = ANY(m.workspaces)
        WHERE
            m.id = gone.managed_by
            AND u.user_id = $1
            AND u.day = gone.day
            AND u.model_id = gone.model_id
            AND u.provider_id = gone.provider_id
        ORDER BY u.cost DESC
        LIMIT 1
    )
