-- Moves the staged generations into the store and adds those that are new to the facts. Each counts once: the first one wins.
-- $1 user_id bigint
WITH added AS (
    INSERT INTO generations (
        user_id, generation_id, created_at, key_id, model_id, provider_id, cost, byok_cost, tokens_input, tokens_output,
        tokens_reasoning, tokens_cached
    )
    SELECT DISTINCT ON (generation_id)
        $1, generation_id, created_at, key_id, model_id, provider_id, cost, byok_cost, tokens_input, tokens_output,
        tokens_reasoning, tokens_cached
    FROM staged_generations
    ORDER BY generation_id, line
    ON CONFLICT (user_id, generation_id) DO NOTHING
    RETURNING
        (created_at AT TIME ZONE 'UTC')::date AS day, key_id, model_id, provider_id, cost, byok_cost, tokens_input,
        tokens_output, tokens_reasoning, tokens_cached
),

-- sums skip what is not known, and are not known where nothing is
counted AS (
    INSERT INTO usage_facts AS f (
        user_id, key_id, day, model_id, provider_id, source, requests, cost, byok_cost, tokens_input, tokens_output,
        tokens_reasoning, tokens_cached
    )
    SELECT
        $1, key_id, day, model_id, provider_id, 'export', count(*), sum(cost), sum(byok_cost), sum(tokens_input),
        sum(tokens_output), sum(tokens_reasoning), sum(tokens_cached)
    FROM added
    GROUP BY day, key_id, model_id, provider_id
    ON CONFLICT (user_id, day, key_id, model_id, provider_id, source) DO UPDATE
    SET
        requests = f.requests + excluded.requests,
        cost = f.cost + excluded.cost,
        byok_cost = COALESCE(f.byok_cost + excluded.byok_cost, f.byok_cost, excluded.byok_cost),
        tokens_input = COALESCE(f.tokens_input + excluded.tokens_input, f.tokens_input, excluded.tokens_input),
        tokens_output = COALESCE(f.tokens_output + excluded.tokens_output, f.tokens_output, excluded.tokens_output),
        tokens_reasoning
            = COALESCE(f.tokens_reasoning + excluded.tokens_reasoning, f.tokens_reasoning, excluded.tokens_reasoning),
        tokens_cached = COALESCE(f.tokens_cached + excluded.tokens_cached, f.tokens_cached, excluded.tokens_cached)
)

SELECT count(*) AS imported, COALESCE(sum(cost), 0) AS cost, COALESCE(array_agg(DISTINCT day), '{}') AS days FROM added
