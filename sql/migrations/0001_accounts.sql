-- Accounts: who may use the service, their sessions, and the attempts that limits count.

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY,
    email text NOT NULL,
    -- the casefolded address; null once the account is deleted, so that the address is free again
    email_key text,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key_unique UNIQUE (email_key),
    CONSTRAINT users_email_key_until_deleted CHECK ((email_key IS NULL) = (deleted_at IS NOT NULL))
);

-- serves the purge of deleted accounts
CREATE INDEX users_deleted ON users (id) WHERE deleted_at IS NOT NULL;

-- One row for each login: a family of refresh tokens. What decides about it is held in the row itself, so that one
-- statement that locks the row decides.
CREATE TABLE sessions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- the login or the last refresh
    last_used_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    refresh_hash bytea NOT NULL,
    previous_refresh_hash bytea,
    client_address text NOT NULL,
    client_agent text NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);

-- serves the list of a user's sessions, newest first, and ending them
CREATE INDEX sessions_by_user ON sessions (user_id, id);

-- serves the purge of expired sessions
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Every refresh token ever given out for a session: an old one that comes back must be recognised.
CREATE TABLE refresh_tokens (
    token_hash bytea NOT NULL,
    session_id bigint NOT NULL,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT refresh_tokens_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT refresh_tokens_session_fkey FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
);

-- serves the cascade from sessions
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- Sliding windows of login and registration attempts. The key is a hash: what was attempted need not be readable.
CREATE TABLE attempts (
    key bytea NOT NULL,
    attempted_at timestamptz[] NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT attempts_pkey PRIMARY KEY (key)
);

-- serves the purge of windows that have passed
CREATE INDEX attempts_by_expiry ON attempts (expires_at);
