-- Stores a new token's hash, and the meter that will count its requests.
-- $1 user_id bigint
-- $2 token_hash bytea
-- $3 name text
-- $4 hint text
-- $5 expires_in_days integer
-- $6 form_id uuid

-- one reading of the clock, after the owner's lock was had, so that times follow the order of ids
WITH moment AS (
    SELECT clock_timestamp() AS now
),

created AS (
    INSERT INTO api_tokens (user_id, token_hash, name, hint, created_at, expires_at, form_id)
    SELECT $1, $2, $3, $4, moment.now, moment.now + make_interval(days => $5::integer), $6 FROM moment
    RETURNING id, created_at, expires_at
),

metered AS (
    INSERT INTO api_token_meters (token_id) SELECT id FROM created
)

SELECT id, created_at, expires_at FROM created
