-- Takes some keys out of the totals over all keys, on all days at once; their own totals go in the same transaction.
-- $1 user_id bigint
-- $2 key_ids bigint[]
UPDATE usage_rollups AS r
SET
    facts = r.facts - gone.facts,
    requests = CASE WHEN r.requests_known > gone.requests_known THEN r.requests - COALESCE(gone.requests, 0) END,
    requests_known = r.requests_known - gone.requests_known,
    cost = CASE WHEN r.cost_known > gone.cost_known THEN r.cost - COALESCE(gone.cost, 0) END,
    cost_known = r.cost_known - gone.cost_known,
    byok_cost = CASE WHEN r.byok_cost_known > gone.byok_cost_known THEN r.byok_cost - COALESCE(gone.byok_cost, 0) END,
    byok_cost_known = r.byok_cost_known - gone.byok_cost_known,
    tokens_input = CASE WHEN r.tokens_input_known > gone.tokens_input_known THEN r.tokens_input - COALESCE(gone.tokens_input, 0) END,
    tokens_input_known = r.tokens_input_known - gone.tokens_input_known,
    tokens_output = CASE WHEN r.tokens_output_known > gone.tokens_output_known THEN r.tokens_output - COALESCE(gone.tokens_output, 0) END,
    tokens_output_known = r.tokens_output_known - gone.tokens_output_known,
    tokens_reasoning = CASE WHEN r.tokens_reasoning_known > gone.tokens_reasoning_known THEN r.tokens_reasoning - COALESCE(gone.tokens_reasoning, 0) END,
    tokens_reasoning_known = r.tokens_reasoning_known - gone.tokens_reasoning_known,
    tokens_cached = CASE WHEN r.tokens_cached_known > gone.tokens_cached_known THEN r.tokens_cached - COALESCE(gone.tokens_cached, 0) END,
    tokens_cached_known = r.tokens_cached_known - gone.tokens_cached_known
FROM (
    SELECT
        u.model_id, u.day, sum(u.facts) AS facts,
        sum(u.requests) AS requests, sum(u.requests_known) AS requests_known,
        sum(u.cost) AS cost, sum(u.cost_known) AS cost_known,
        sum(u.byok_cost) AS byok_cost, sum(u.byok_cost_known) AS byok_cost_known,
        sum(u.tokens_input) AS tokens_input, sum(u.tokens_input_known) AS tokens_input_known,
        sum(u.tokens_output) AS tokens_output, sum(u.tokens_output_known) AS tokens_output_known,
        sum(u.tokens_reasoning) AS tokens_reasoning, sum(u.tokens_reasoning_known) AS tokens_reasoning_known,
        sum(u.tokens_cached) AS tokens_cached, sum(u.tokens_cached_known) AS tokens_cached_known
    FROM usage_rollups AS u
    WHERE u.user_id = $1 AND u.key_id = ANY($2)
    GROUP BY u.model_id, u.day
) AS gone
WHERE r.user_id = $1 AND r.key_id = -1 AND r.model_id = gone.model_id AND r.day = gone.day
