-- Opens a session that lives in a browser's cookie; for whom and when not, as accounts/create_session.
-- $1 user_id bigint
-- $2 password_hash text
-- $3 cookie_hash bytea
-- $4 lifetime interval
-- $5 client_address text
-- $6 client_agent text

-- FOR SHARE: a change of the password waits for this session to exist, and then ends it
WITH owner AS (
    SELECT id FROM users
    WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL AND deleted_at IS NULL
    FOR SHARE
)

INSERT INTO sessions (user_id, expires_at, cookie_hash, client_address, client_agent)
SELECT id, now() + $4::interval, $3, $5, $6 FROM owner
RETURNING id
