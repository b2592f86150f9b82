-- Counts an attempt against a sliding window, if there is room for it. The row's lock makes attempts at once queue up, so never
-- more than the limit pass.
-- $1 key bytea
-- $2 limit integer
-- $3 window interval
WITH taken AS (
    INSERT INTO attempts AS a (key, attempted_at, expires_at)
    VALUES ($1, ARRAY[clock_timestamp()], now() + $3::interval)
    ON CONFLICT (key) DO UPDATE
    SET
        attempted_at = ARRAY(SELECT t FROM unnest(a.attempted_at) AS t WHERE t > now() - $3::interval)
            -- read with the row locked, so later than all before: what is given back is this attempt and no other
            || clock_timestamp(),
        expires_at = excluded.expires_at
    WHERE (SELECT count(*) FROM unnest(a.attempted_at) AS t WHERE t > now() - $3::interval) < $2::integer
    RETURNING attempted_at[cardinality(attempted_at)] AS attempted_at
)

SELECT
    (SELECT attempted_at FROM taken) AS attempted_at,
    -- until the oldest attempt that counts has left the window
    COALESCE(
        (
            SELECT ceil(extract(EPOCH FROM min(t) + $3::interval - now()))::integer
            FROM attempts AS a, unnest(a.attempted_at) AS t
            WHERE a.key = $1 AND t > now() - $3::interval
        ),
        1
    ) AS retry_after_seconds
