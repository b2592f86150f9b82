-- Whom a token speaks for, if it is alive at this moment, and one more request on its meter: verdict and count are one.
-- $1 token_hash bytea
WITH live AS (
    SELECT t.id, t.user_id
    FROM api_tokens AS t
    INNER JOIN users AS u ON u.id = t.user_id
    WHERE
        t.token_hash = $1
        AND t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
        AND u.disabled_at IS NULL
        AND u.deleted_at IS NULL
),

-- a request that waited behind another one must not move the time back
counted AS (
    UPDATE api_token_meters AS m
    SET last_used_at = GREATEST(m.last_used_at, now()), request_count = m.request_count + 1
    FROM live
    WHERE m.token_id = live.id
)

SELECT id AS token_id, user_id FROM live
