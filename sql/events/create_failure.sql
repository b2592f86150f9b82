-- Notes that a password was refused. For an account that is not there (null) it takes the same time and notes nothing: how long
-- a refusal takes must not tell whether there is one.
-- $1 user_id bigint
-- $2 kind text
-- $3 client_address text
-- $4 client_agent text

-- nobody waits for the disk; a crash of the server may forget the last ones
WITH patience AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', TRUE) AS synchronous_commit
)

INSERT INTO events (user_id, kind, client_address, client_agent)
SELECT u.id, $2, $3, $4
FROM users AS u
CROSS JOIN patience AS p
WHERE u.id = $1 AND u.deleted_at IS NULL AND p.synchronous_commit IS NOT NULL
