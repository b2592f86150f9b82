-- OpenRouter keys that are watched: who they are, what OpenRouter last said of them, and the work of asking it.

ALTER TABLE openrouter_keys
    -- OpenRouter's identity of the key, kept after deletion; none for what only an import has named
    ADD COLUMN hash text,
    ADD COLUMN label text,
    -- the management key through which it is watched
    ADD COLUMN managed_by bigint,
    -- OpenRouter's id of the workspace
    ADD COLUMN workspace text,
    -- what OpenRouter calls it, which exports do too; the user may call it something else
    ADD COLUMN listed_name text,
    ADD COLUMN has_own_name boolean NOT NULL DEFAULT false,
    ADD COLUMN is_active boolean NOT NULL DEFAULT true,
    ADD COLUMN deleted_at timestamptz,
    -- deleted while it was watched through a management key: listed there, it is not taken up again
    ADD COLUMN is_ignored boolean NOT NULL DEFAULT false,
    ADD COLUMN history_deleted_at timestamptz,
    ADD COLUMN history_purged_at timestamptz,

    -- what OpenRouter said last
    ADD COLUMN is_disabled boolean NOT NULL DEFAULT false,
    ADD COLUMN limit_usd numeric,
    ADD COLUMN limit_remaining numeric,
    ADD COLUMN limit_reset text,
    ADD COLUMN expires_at timestamptz,

    -- the work: when it is due, who has it, how it went
    ADD COLUMN next_sync_at timestamptz,
    ADD COLUMN lease_until timestamptz,
    ADD COLUMN fence bigint NOT NULL DEFAULT 0,
    ADD COLUMN sync_status text NOT NULL DEFAULT 'pending',
    ADD COLUMN sync_error text,
    ADD COLUMN failures bigint NOT NULL DEFAULT 0,

    -- the days whose usage OpenRouter's activity has told us whole, the empty ones too
    ADD COLUMN activity_days datemultirange NOT NULL DEFAULT '{}',

    -- a management key's account: its workspaces, what their activity was when it was last booked, and its balance
    ADD COLUMN workspaces text [] NOT NULL DEFAULT '{}',
    ADD COLUMN activity_digest bytea,
    ADD COLUMN credits_bought numeric,
    ADD COLUMN credits_used numeric,
    ADD COLUMN credits_as_of timestamptz,

    ADD CONSTRAINT openrouter_keys_sync_status_known CHECK (
        sync_status IN ('pending', 'ok', 'unauthorized', 'error')
    ) NOT VALID,
    ADD CONSTRAINT openrouter_keys_managed_by_fkey FOREIGN KEY (managed_by)
    REFERENCES openrouter_keys (id) ON DELETE SET NULL NOT VALID;

-- A key is watched once for each user. The table is small: a row a key.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX openrouter_keys_hash_unique ON openrouter_keys (user_id, hash) WHERE history_deleted_at IS NULL;

-- serves the claim of what is due
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX openrouter_keys_due ON openrouter_keys (next_sync_at) WHERE next_sync_at IS NOT NULL;

-- serves the keys of a management key
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX openrouter_keys_by_manager ON openrouter_keys (managed_by);

-- serves the purge of histories
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX openrouter_keys_to_purge ON openrouter_keys (id)
WHERE history_deleted_at IS NOT NULL AND history_purged_at IS NULL;

-- The last reading of a key's counters on each UTC day. By hash, because a key can be replaced by another one: counters go on from
-- the last reading of the same key, or begin anew.
CREATE TABLE usage_readings (
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    hash text NOT NULL,
    day date NOT NULL,
    taken_at timestamptz NOT NULL,
    cost_total numeric NOT NULL,
    cost_today numeric NOT NULL,
    byok_total numeric NOT NULL,
    byok_today numeric NOT NULL,
    CONSTRAINT usage_readings_pkey PRIMARY KEY (user_id, key_id, hash, day)
);

-- What OpenRouter's activity says about a whole workspace. What its keys do not explain is usage without a key.
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

ALTER TABLE usage_facts
    -- one source is believed for each key and day; the others are kept, in case that one goes
    ADD COLUMN is_counted boolean NOT NULL DEFAULT true,
    -- the sum over several days is known, how it fell on them is not
    ADD COLUMN is_estimated boolean NOT NULL DEFAULT false,
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT usage_facts_source_known,
    ADD CONSTRAINT usage_facts_source_known CHECK (source IN ('export', 'counters', 'activity')) NOT VALID;
