-- Whom tokens speak for at this moment, how many of the requests that carry them pass the rate limit, and those on their meters:
-- verdict and count are one. A token that is not alive has no row. Nothing in here waits for another session. With it comes in which
-- state the owner's figures are, as in stats/find_selection, for those who know them already.
-- $1 digests bytea[]
-- $2 requests bigint[]
-- $3 limit bigint
-- $4 window_seconds bigint

-- which sixtieth of the window it is, by the database's clock
WITH clock AS MATERIALIZED (
    SELECT
        EXTRACT(EPOCH FROM now())::double precision AS epoch,
        (now() AT TIME ZONE 'UTC')::date AS today,
        floor(EXTRACT(EPOCH FROM now())::double precision * 60 / $4::bigint)::bigint AS bucket,
        -- a crash of the server may forget the last counts; waiting for its disk would be most of the time of a batch
        set_config('synchronous_commit', 'off', TRUE) AS synchronous_commit
),

live AS MATERIALIZED (
    SELECT t.id AS token_id, t.user_id, a.digest, a.requests
    FROM unnest($1::bytea [], $2::bigint []) AS a (digest, requests)
    INNER JOIN api_tokens AS t ON t.token_hash = a.digest
    INNER JOIN users AS u ON u.id = t.user_id
    WHERE
        t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
        AND u.disabled_at IS NULL
        AND u.deleted_at IS NULL
),

-- only meters are locked, in one order; one that another session holds is passed over, and found missing at the end
held AS MATERIALIZED (
    SELECT m.token_id, m.request_count, m.window_bucket, m.window_seconds, m.window_marks
    FROM api_token_meters AS m
    WHERE m.token_id IN (SELECT token_id FROM live)
    ORDER BY m.token_id
    FOR NO KEY UPDATE SKIP LOCKED
),

-- How many sub-buckets have begun since the meter's last; all 61 where it is of another window. If the clock was put back, the
-- meter stays where it is, but not for longer than a window.
aged AS (
    SELECT
        h.token_id, h.request_count, h.window_bucket, h.window_seconds, h.window_marks, c.bucket,
        CASE
            WHEN $3::bigint IS NULL THEN 0
            WHEN h.window_seconds = $4 AND c.bucket - h.window_bucket BETWEEN -60 AND 60
                THEN GREATEST(c.bucket - h.window_bucket, 0)
            ELSE 61
        END::integer AS age
    FROM held AS h
    CROSS JOIN clock AS c
),

-- the meter as it is now: for each new sub-bucket a mark comes at the end, and one goes at the beginning
moved AS (
    SELECT
        token_id, request_count,
        CASE age WHEN 0 THEN window_bucket ELSE bucket END AS window_bucket,
        CASE age WHEN 0 THEN window_seconds ELSE $4 END AS window_seconds,
        CASE age WHEN 0 THEN window_marks ELSE window_marks[age + 1:] || array_fill(request_count, ARRAY[age]) END AS window_marks
    FROM aged
),

-- the oldest sub-bucket counts whole though only a part of it is in the window: none of its length may see more than the limit
judged AS (
    SELECT
        l.digest, l.token_id, l.user_id, m.token_id IS NULL AS is_locked,
        m.request_count, m.window_bucket, m.window_seconds, m.window_marks,
        $3 - LEAST(m.request_count - m.window_marks[1], $3) AS free,
        LEAST(l.requests, $3 - LEAST(m.request_count - m.window_marks[1], $3)) AS passes
    FROM live AS l
    LEFT JOIN moved AS m ON m.token_id = l.token_id
),

-- what is refused writes nothing; what waited behind another session must not move the time back
counted AS (
    UPDATE api_token_meters AS m
    SET
        last_used_at = GREATEST(m.last_used_at, now()),
        request_count = m.request_count + j.passes,
        window_bucket = j.window_bucket,
        window_seconds = j.window_seconds,
        window_marks = j.window_marks
    FROM judged AS j
    WHERE m.token_id = j.token_id AND NOT j.is_locked AND j.passes > 0
)

-- more is free when the oldest sub-bucket in which a request passed has left the window; without a limit all are free, always
SELECT
    j.digest, j.token_id, j.user_id, COALESCE(v.version, 0) AS usage_version, c.today, j.is_locked,
    COALESCE(j.free, j.passes) AS free,
    COALESCE(ceil(r.epoch), 0)::bigint AS renewed_at,
    GREATEST(ceil(r.epoch - c.epoch), 1)::bigint AS renewed_in_seconds
FROM judged AS j
LEFT JOIN usage_versions AS v ON v.user_id = j.user_id
CROSS JOIN clock AS c
CROSS JOIN LATERAL (
    SELECT
        (j.window_bucket + width_bucket(GREATEST(j.request_count + j.passes - $3, j.window_marks[1]), j.window_marks))
        * $4::double precision / 60 AS epoch
) AS r
