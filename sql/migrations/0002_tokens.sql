-- Personal API tokens and, apart from them because it changes with every request, what they were used for.

CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    name text NOT NULL,
    hint text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_user_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT api_tokens_hash_unique UNIQUE (token_hash),
    CONSTRAINT api_tokens_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT api_tokens_name_length CHECK (char_length(name) BETWEEN 1 AND 100)
);

-- serves the list, newest first
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, created_at DESC, id DESC);

-- serves counting the active ones at creation, however many were revoked before
CREATE INDEX api_tokens_not_revoked ON api_tokens (user_id) WHERE revoked_at IS NULL;

-- Updated in place with every accepted request: room in each page for the next version of a row, no index on what changes.
CREATE TABLE api_token_meters (
    token_id bigint NOT NULL,
    last_used_at timestamptz,
    request_count bigint NOT NULL DEFAULT 0,
    CONSTRAINT api_token_meters_pkey PRIMARY KEY (token_id),
    CONSTRAINT api_token_meters_token_fkey FOREIGN KEY (token_id) REFERENCES api_tokens (id) ON DELETE CASCADE
) WITH (fillfactor = 50);
