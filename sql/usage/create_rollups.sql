-- Sums the facts that count of some days: for each key and model, each key, each model, and all (-1 stands for "all").
-- $1 user_id bigint
-- $2 days date[]
INSERT INTO usage_rollups (
    user_id, key_id, model_id, day, facts, requests, requests_known, cost, cost_known, byok_cost, byok_cost_known, tokens_input,
    tokens_input_known, tokens_output, tokens_output_known, tokens_reasoning, tokens_reasoning_known, tokens_cached,
    tokens_cached_known
)
SELECT
    $1, COALESCE(key_id, -1), COALESCE(model_id, -1), day, count(*),
    sum(requests), count(requests),
    sum(cost), count(cost),
    sum(byok_cost), count(byok_cost),
    sum(tokens_input), count(tokens_input),
    sum(tokens_output), count(tokens_output),
    sum(tokens_reasoning), count(tokens_reasoning),
    sum(tokens_cached), count(tokens_cached)
FROM usage_facts
WHERE user_id = $1 AND day = ANY($2) AND is_counted
GROUP BY day, CUBE (key_id, model_id)
