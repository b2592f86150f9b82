-- What the dashboard needs: sessions that live in a browser's cookie, and forms that do their work once.

ALTER TABLE sessions
    -- SHA-256 of what the cookie holds; such a session has no refresh tokens
    ADD COLUMN cookie_hash bytea,
    -- for the version that runs meanwhile as well: it looks for sessions by refresh tokens that are there
    -- squawk-ignore ban-drop-not-null
    ALTER COLUMN refresh_hash DROP NOT NULL,
    ADD CONSTRAINT sessions_cookie_is_sha256 CHECK (octet_length(cookie_hash) = 32) NOT VALID,
    ADD CONSTRAINT sessions_one_credential CHECK (num_nonnulls(refresh_hash, cookie_hash) = 1) NOT VALID;

-- Serves the reading of the cookie. Empty when it is made, so the table is locked for one look through it.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX sessions_cookie_unique ON sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;

ALTER TABLE api_tokens
    -- the form that made it: sent a second time it makes no second token
    ADD COLUMN form_id uuid;

-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX api_tokens_form_unique ON api_tokens (user_id, form_id) WHERE form_id IS NOT NULL;
