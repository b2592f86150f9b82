-- Sums over all days, for each key and model, so that what was ever spent needs no reading of years.
--
-- A trigger keeps them, because they are right only if every change of a roll-up finds its way here, also one that an older version
-- of the service makes while a newer one starts.

-- As usage_rollups, without the day. A sum of nothing known is 0 here: *_known tells.
CREATE TABLE usage_totals (
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    model_id bigint NOT NULL,
    facts bigint NOT NULL,
    requests bigint NOT NULL,
    requests_known bigint NOT NULL,
    cost numeric NOT NULL,
    cost_known bigint NOT NULL,
    byok_cost numeric NOT NULL,
    byok_cost_known bigint NOT NULL,
    tokens_input bigint NOT NULL,
    tokens_input_known bigint NOT NULL,
    tokens_output bigint NOT NULL,
    tokens_output_known bigint NOT NULL,
    tokens_reasoning bigint NOT NULL,
    tokens_reasoning_known bigint NOT NULL,
    tokens_cached bigint NOT NULL,
    tokens_cached_known bigint NOT NULL,
    CONSTRAINT usage_totals_pkey PRIMARY KEY (user_id, key_id, model_id)
) WITH (fillfactor = 60); -- every change updates in place

-- Adds the changed roll-ups (1) or takes them away (-1), by the trigger's argument.
CREATE FUNCTION count_into_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_totals AS t (
        user_id, key_id, model_id, facts, requests, requests_known, cost, cost_known, byok_cost, byok_cost_known,
        tokens_input, tokens_input_known, tokens_output, tokens_output_known, tokens_reasoning, tokens_reasoning_known,
        tokens_cached, tokens_cached_known
    )
    SELECT
        user_id, key_id, model_id,
        TG_ARGV[0]::integer * sum(facts),
        TG_ARGV[0]::integer * COALESCE(sum(requests), 0), TG_ARGV[0]::integer * sum(requests_known),
        TG_ARGV[0]::integer * COALESCE(sum(cost), 0), TG_ARGV[0]::integer * sum(cost_known),
        TG_ARGV[0]::integer * COALESCE(sum(byok_cost), 0), TG_ARGV[0]::integer * sum(byok_cost_known),
        TG_ARGV[0]::integer * COALESCE(sum(tokens_input), 0), TG_ARGV[0]::integer * sum(tokens_input_known),
        TG_ARGV[0]::integer * COALESCE(sum(tokens_output), 0), TG_ARGV[0]::integer * sum(tokens_output_known),
        TG_ARGV[0]::integer * COALESCE(sum(tokens_reasoning), 0), TG_ARGV[0]::integer * sum(tokens_reasoning_known),
        TG_ARGV[0]::integer * COALESCE(sum(tokens_cached), 0), TG_ARGV[0]::integer * sum(tokens_cached_known)
    FROM changed
    GROUP BY user_id, key_id, model_id
    ON CONFLICT (user_id, key_id, model_id) DO UPDATE
    SET
        facts = t.facts + excluded.facts,
        requests = t.requests + excluded.requests, requests_known = t.requests_known + excluded.requests_known,
        cost = t.cost + excluded.cost, cost_known = t.cost_known + excluded.cost_known,
        byok_cost = t.byok_cost + excluded.byok_cost, byok_cost_known = t.byok_cost_known + excluded.byok_cost_known,
        tokens_input = t.tokens_input + excluded.tokens_input,
        tokens_input_known = t.tokens_input_known + excluded.tokens_input_known,
        tokens_output = t.tokens_output + excluded.tokens_output,
        tokens_output_known = t.tokens_output_known + excluded.tokens_output_known,
        tokens_reasoning = t.tokens_reasoning + excluded.tokens_reasoning,
        tokens_reasoning_known = t.tokens_reasoning_known + excluded.tokens_reasoning_known,
        tokens_cached = t.tokens_cached + excluded.tokens_cached,
        tokens_cached_known = t.tokens_cached_known + excluded.tokens_cached_known;
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_rollups_added AFTER INSERT ON usage_rollups
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('1');

CREATE TRIGGER usage_rollups_removed AFTER DELETE ON usage_rollups
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('-1');

CREATE TRIGGER usage_rollups_before AFTER UPDATE ON usage_rollups
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('-1');

CREATE TRIGGER usage_rollups_after AFTER UPDATE ON usage_rollups
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('1');

-- What is there already. The triggers' lock keeps writers out until this is committed.
INSERT INTO usage_totals
SELECT
    user_id, key_id, model_id, sum(facts),
    COALESCE(sum(requests), 0), sum(requests_known),
    COALESCE(sum(cost), 0), sum(cost_known),
    COALESCE(sum(byok_cost), 0), sum(byok_cost_known),
    COALESCE(sum(tokens_input), 0), sum(tokens_input_known),
    COALESCE(sum(tokens_output), 0), sum(tokens_output_known),
    COALESCE(sum(tokens_reasoning), 0), sum(tokens_reasoning_known),
    COALESCE(sum(tokens_cached), 0), sum(tokens_cached_known)
FROM usage_rollups
GROUP BY user_id, key_id, model_id;
