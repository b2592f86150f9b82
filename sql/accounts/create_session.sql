-- Opens a session, unless the password that was verified has been replaced, or the account ended, in the meantime.
-- $1 user_id bigint
-- $2 password_hash text
-- $3 refresh_hash bytea
-- $4 lifetime interval
-- $5 idle_lifetime interval
-- $6 client_address text
-- $7 client_agent text

-- FOR SHARE: a change of the password waits for this session to exist, and then ends it
WITH owner AS (
    SELECT id FROM users
    WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL AND deleted_at IS NULL
    FOR SHARE
),

opened AS (
    INSERT INTO sessions (user_id, expires_at, refresh_hash, client_address, client_agent)
    SELECT id, now() + $4::interval, $3, $6, $7 FROM owner
    RETURNING id, user_id, expires_at, last_used_at, refresh_hash
),

-- so that the token is recognised when it comes back as an old one
remembered AS (
    INSERT INTO refresh_tokens (token_hash, session_id) SELECT $3, id FROM opened
)

SELECT
    id, user_id,
    floor(extract(EPOCH FROM LEAST(expires_at, last_used_at + $5::interval) - now()))::integer AS refresh_expires_in,
    refresh_hash
FROM opened
