-- The schema as all migrations leave it, for people to read. Written by `make schema`; nothing runs it.

CREATE TABLE api_token_meters (
    token_id bigint NOT NULL,
    last_used_at timestamp with time zone,
    request_count bigint DEFAULT 0 NOT NULL,
    window_bucket bigint,
    window_seconds bigint,
    window_marks bigint[],
    CONSTRAINT api_token_meters_pkey PRIMARY KEY (token_id),
    CONSTRAINT api_token_meters_token_fkey FOREIGN KEY (token_id) REFERENCES api_tokens(id) ON DELETE CASCADE
) WITH (fillfactor=50, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.1, autovacuum_vacuum_cost_delay=0, vacuum_truncate=off);

CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    name text NOT NULL,
    hint text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    form_id uuid,
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_hash_unique UNIQUE (token_hash),
    CONSTRAINT api_tokens_user_fkey FOREIGN KEY (user_id) REFERENCES users(id),
    CONSTRAINT api_tokens_hash_is_sha256 CHECK ((octet_length(token_hash) = 32)),
    CONSTRAINT api_tokens_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100)))
);

CREATE INDEX api_tokens_by_user ON public.api_tokens USING btree (user_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX api_tokens_form_unique ON public.api_tokens USING btree (user_id, form_id) WHERE (form_id IS NOT NULL);
CREATE INDEX api_tokens_not_revoked ON public.api_tokens USING btree (user_id) WHERE (revoked_at IS NULL);

CREATE TABLE attempts (
    key bytea NOT NULL,
    attempted_at timestamp with time zone[] NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT attempts_pkey PRIMARY KEY (key)
);

CREATE INDEX attempts_by_expiry ON public.attempts USING btree (expires_at);

CREATE OR REPLACE FUNCTION public.count_into_totals()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
$function$;

CREATE TABLE encryption_canaries (
    key_id text NOT NULL,
    canary bytea NOT NULL,
    CONSTRAINT encryption_canaries_pkey PRIMARY KEY (key_id),
    CONSTRAINT encryption_canaries_key_id_is_hex CHECK ((key_id ~ '^[0-9a-f]{8}$'::text))
);

CREATE TABLE events (
    user_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    kind text NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    client_address text,
    client_agent text NOT NULL,
    object_id bigint,
    object_name text,
    CONSTRAINT events_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT events_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
    CONSTRAINT events_client_length CHECK (((char_length(client_address) <= 100) AND (char_length(client_agent) <= 200))),
    CONSTRAINT events_kind_length CHECK (((char_length(kind) >= 1) AND (char_length(kind) <= 50))),
    CONSTRAINT events_object_name_length CHECK ((char_length(object_name) <= 200))
);

CREATE INDEX events_by_age ON public.events USING btree (occurred_at);

CREATE TRIGGER events_stay BEFORE DELETE OR UPDATE ON public.events FOR EACH ROW EXECUTE FUNCTION refuse_change_of_event();
CREATE TRIGGER events_stay_all BEFORE TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_event();

CREATE TABLE generations (
    user_id bigint NOT NULL,
    generation_id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    key_id bigint NOT NULL,
    model_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    cost numeric NOT NULL,
    byok_cost numeric,
    tokens_input bigint,
    tokens_output bigint,
    tokens_reasoning bigint,
    tokens_cached bigint,
    CONSTRAINT generations_pkey PRIMARY KEY (user_id, generation_id),
    CONSTRAINT generations_money_bounded CHECK (((cost >= (0)::numeric) AND (cost < '1000000000'::numeric) AND (byok_cost >= (0)::numeric) AND (byok_cost < '1000000000'::numeric))),
    CONSTRAINT generations_tokens_bounded CHECK (((GREATEST(tokens_input, tokens_output, tokens_reasoning, tokens_cached) <= '10000000000'::bigint) AND (LEAST(tokens_input, tokens_output, tokens_reasoning, tokens_cached) >= 0)))
);

CREATE TABLE models (
    id bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL,
    slug text NOT NULL,
    CONSTRAINT models_pkey PRIMARY KEY (id),
    CONSTRAINT models_slug_unique UNIQUE (slug)
);

CREATE TABLE openrouter_keys (
    id bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL,
    user_id bigint,
    name text NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_synced_at timestamp with time zone,
    secret bytea,
    hash text,
    label text,
    managed_by bigint,
    workspace text,
    listed_name text,
    has_own_name boolean DEFAULT false NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    deleted_at timestamp with time zone,
    is_ignored boolean DEFAULT false NOT NULL,
    history_deleted_at timestamp with time zone,
    history_purged_at timestamp with time zone,
    is_disabled boolean DEFAULT false NOT NULL,
    limit_usd numeric,
    limit_remaining numeric,
    limit_reset text,
    expires_at timestamp with time zone,
    next_sync_at timestamp with time zone,
    lease_until timestamp with time zone,
    fence bigint DEFAULT 0 NOT NULL,
    sync_status text DEFAULT 'pending'::text NOT NULL,
    sync_error text,
    failures bigint DEFAULT 0 NOT NULL,
    activity_days datemultirange DEFAULT '{}'::datemultirange NOT NULL,
    workspaces text[] DEFAULT '{}'::text[] NOT NULL,
    activity_digest bytea,
    credits_bought numeric,
    credits_used numeric,
    credits_as_of timestamp with time zone,
    CONSTRAINT openrouter_keys_pkey PRIMARY KEY (id),
    CONSTRAINT openrouter_keys_managed_by_fkey FOREIGN KEY (managed_by) REFERENCES openrouter_keys(id) ON DELETE SET NULL,
    CONSTRAINT openrouter_keys_user_fkey FOREIGN KEY (user_id) REFERENCES users(id),
    CONSTRAINT openrouter_keys_kind_known CHECK ((kind = ANY (ARRAY['none'::text, 'inference'::text, 'management'::text, 'imported'::text]))),
    CONSTRAINT openrouter_keys_owned_but_zero CHECK (((id = 0) = (user_id IS NULL))),
    CONSTRAINT openrouter_keys_secret_is_record CHECK ((((octet_length(secret) >= 33) AND (octet_length(secret) <= 1024)) AND (substr(secret, 1, 1) = '\x01'::bytea))),
    CONSTRAINT openrouter_keys_sync_status_known CHECK ((sync_status = ANY (ARRAY['pending'::text, 'ok'::text, 'unauthorized'::text, 'error'::text])))
);

CREATE INDEX openrouter_keys_by_manager ON public.openrouter_keys USING btree (managed_by);
CREATE INDEX openrouter_keys_by_user ON public.openrouter_keys USING btree (user_id, name, id);
CREATE INDEX openrouter_keys_due ON public.openrouter_keys USING btree (next_sync_at) WHERE (next_sync_at IS NOT NULL);
CREATE UNIQUE INDEX openrouter_keys_hash_unique ON public.openrouter_keys USING btree (user_id, hash) WHERE (history_deleted_at IS NULL);
CREATE UNIQUE INDEX openrouter_keys_imported_unique ON public.openrouter_keys USING btree (user_id, name) WHERE (kind = 'imported'::text);
CREATE INDEX openrouter_keys_to_purge ON public.openrouter_keys USING btree (id) WHERE ((history_deleted_at IS NOT NULL) AND (history_purged_at IS NULL));

CREATE TABLE providers (
    id bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL,
    name text NOT NULL,
    CONSTRAINT providers_pkey PRIMARY KEY (id),
    CONSTRAINT providers_name_unique UNIQUE (name)
);

CREATE TABLE refresh_tokens (
    token_hash bytea NOT NULL,
    session_id bigint NOT NULL,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT refresh_tokens_session_fkey FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE,
    CONSTRAINT refresh_tokens_hash_is_sha256 CHECK ((octet_length(token_hash) = 32))
);

CREATE INDEX refresh_tokens_by_session ON public.refresh_tokens USING btree (session_id);

CREATE OR REPLACE FUNCTION public.refuse_change_of_event()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.occurred_at < now() - interval '7 days'
            OR NOT EXISTS (SELECT FROM users WHERE id = OLD.user_id AND deleted_at IS NULL)
        THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are only ever added' USING ERRCODE = 'restrict_violation';
END
$function$;

CREATE TABLE schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);

CREATE TABLE sessions (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    user_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    refresh_hash bytea,
    previous_refresh_hash bytea,
    client_address text NOT NULL,
    client_agent text NOT NULL,
    cookie_hash bytea,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users(id),
    CONSTRAINT sessions_cookie_is_sha256 CHECK ((octet_length(cookie_hash) = 32)),
    CONSTRAINT sessions_one_credential CHECK ((num_nonnulls(refresh_hash, cookie_hash) = 1))
);

CREATE INDEX sessions_by_expiry ON public.sessions USING btree (expires_at);
CREATE INDEX sessions_by_user ON public.sessions USING btree (user_id, id);
CREATE UNIQUE INDEX sessions_cookie_unique ON public.sessions USING btree (cookie_hash) WHERE (cookie_hash IS NOT NULL);

CREATE TABLE usage_facts (
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    day date NOT NULL,
    model_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    source text NOT NULL,
    requests bigint,
    cost numeric,
    byok_cost numeric,
    tokens_input bigint,
    tokens_output bigint,
    tokens_reasoning bigint,
    tokens_cached bigint,
    is_counted boolean DEFAULT true NOT NULL,
    is_estimated boolean DEFAULT false NOT NULL,
    CONSTRAINT usage_facts_pkey PRIMARY KEY (user_id, day, key_id, model_id, provider_id, source),
    CONSTRAINT usage_facts_money_finite CHECK (((abs(cost) < '1000000000000000000000000000000'::numeric) AND (abs(byok_cost) < '1000000000000000000000000000000'::numeric))),
    CONSTRAINT usage_facts_source_known CHECK ((source = ANY (ARRAY['export'::text, 'counters'::text, 'activity'::text])))
) WITH (fillfactor=80);

CREATE TABLE usage_readings (
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    hash text NOT NULL,
    day date NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    cost_total numeric NOT NULL,
    cost_today numeric NOT NULL,
    byok_total numeric NOT NULL,
    byok_today numeric NOT NULL,
    CONSTRAINT usage_readings_pkey PRIMARY KEY (user_id, key_id, hash, day)
);

CREATE TABLE usage_rollups (
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    model_id bigint NOT NULL,
    day date NOT NULL,
    facts bigint NOT NULL,
    requests bigint,
    requests_known bigint NOT NULL,
    cost numeric,
    cost_known bigint NOT NULL,
    byok_cost numeric,
    byok_cost_known bigint NOT NULL,
    tokens_input bigint,
    tokens_input_known bigint NOT NULL,
    tokens_output bigint,
    tokens_output_known bigint NOT NULL,
    tokens_reasoning bigint,
    tokens_reasoning_known bigint NOT NULL,
    tokens_cached bigint,
    tokens_cached_known bigint NOT NULL,
    CONSTRAINT usage_rollups_pkey PRIMARY KEY (user_id, key_id, model_id, day)
);

CREATE INDEX usage_rollups_by_day ON public.usage_rollups USING btree (user_id, day);

CREATE TRIGGER usage_rollups_added AFTER INSERT ON public.usage_rollups REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('1');
CREATE TRIGGER usage_rollups_after AFTER UPDATE ON public.usage_rollups REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('1');
CREATE TRIGGER usage_rollups_before AFTER UPDATE ON public.usage_rollups REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('-1');
CREATE TRIGGER usage_rollups_removed AFTER DELETE ON public.usage_rollups REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_into_totals('-1');

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
) WITH (fillfactor=60);

CREATE TABLE usage_versions (
    user_id bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT usage_versions_pkey PRIMARY KEY (user_id),
    CONSTRAINT usage_versions_user_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    email text NOT NULL,
    email_key text,
    password_hash text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key_unique UNIQUE (email_key),
    CONSTRAINT users_email_key_until_deleted CHECK (((email_key IS NULL) = (deleted_at IS NOT NULL)))
);

CREATE INDEX users_deleted ON public.users USING btree (id) WHERE (deleted_at IS NOT NULL);

CREATE TABLE workspace_usage (
    user_id bigint NOT NULL,
    day date NOT NULL,
    workspace text NOT NULL,
    model_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    requests bigint,
    cost numeric NOT NULL,
    byok_cost numeric,
    tokens_input bigint,
    tokens_output bigint,
    tokens_reasoning bigint,
    tokens_cached bigint,
    CONSTRAINT workspace_usage_pkey PRIMARY KEY (user_id, day, workspace, model_id, provider_id)
);
