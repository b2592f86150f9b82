-- Where COPY puts a batch of generations before it is merged; gone with the transaction.
CREATE TEMPORARY TABLE staged_generations (
    line bigint NOT NULL,
    generation_id text NOT NULL,
    created_at timestamptz NOT NULL,
    key_id bigint NOT NULL,
    model_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    cost numeric NOT NULL,
    byok_cost numeric,
    tokens_input bigint,
    tokens_output bigint,
    tokens_reasoning bigint,
    tokens_cached bigint
) ON COMMIT DROP
