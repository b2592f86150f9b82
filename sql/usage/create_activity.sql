-- Books what activity says about keys.
-- $1 user_id bigint
-- $2 key_ids bigint[]
-- $3 days date[]
-- $4 model_ids bigint[]
-- $5 provider_ids bigint[]
-- $6 requests bigint[]
-- $7 costs numeric[]
-- $8 byok_costs numeric[]
-- $9 tokens_input bigint[]
-- $10 tokens_output bigint[]
-- $11 tokens_reasoning bigint[]
-- $12 tokens_cached bigint[]
INSERT INTO usage_facts (
    user_id, key_id, day, model_id, provider_id, source, requests, cost, byok_cost, tokens_input, tokens_output,
    tokens_reasoning, tokens_cached
)
SELECT
    $1, a.key_id, a.day, a.model_id, a.provider_id, 'activity', a.requests, a.cost, a.byok_cost, a.tokens_input,
    a.tokens_output, a.tokens_reasoning, a.tokens_cached
FROM unnest(
    $2::bigint[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::numeric[], $8::numeric[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[]
) AS a (
    key_id, day, model_id, provider_id, requests, cost, byok_cost, tokens_input, tokens_output,
    tokens_reasoning, tokens_cached
)
