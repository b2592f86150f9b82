-- What should be done about a user's OpenRouter keys: the first so many of each kind of finding, and how many there are.
-- $1 user_id bigint
-- $2 idle_days integer
-- $3 full_share numeric
-- $4 limit bigint

-- A key that OpenRouter has disabled, or that has expired, spends nothing more.
WITH watched AS (
    SELECT
        k.id, k.name, k.sync_status, k.last_synced_at, k.limit_usd, k.limit_remaining, k.expires_at,
        k.kind = 'inference' AS is_spending,
        k.last_synced_at IS NOT NULL AND NOT k.is_disabled AND (k.expires_at IS NULL OR k.expires_at > now()) AS is_usable,
        COALESCE(u.day, (k.created_at AT TIME ZONE 'UTC')::date) AS idle_since,
        u.day AS last_used_on
    FROM openrouter_keys AS k
    LEFT JOIN LATERAL (
        SELECT r.day
        FROM usage_rollups AS r
        WHERE
            r.user_id = $1 AND r.key_id = k.id AND r.model_id = -1 AND (r.cost > 0 OR r.byok_cost > 0 OR r.requests > 0)
        ORDER BY r.day DESC
        LIMIT 1
    ) AS u ON TRUE
    WHERE k.user_id = $1 AND k.deleted_at IS NULL AND k.kind IN ('inference', 'management')
),

found AS (
    SELECT
        f.code, k.id, k.name, f.day, f.share,
        row_number() OVER of_code AS place,
        count(*) OVER (PARTITION BY f.code) AS total
    FROM watched AS k
    CROSS JOIN LATERAL (
        VALUES
        ('refused', k.sync_status = 'unauthorized', (k.last_synced_at AT TIME ZONE 'UTC')::date, NULL::numeric),
        (
            'over_limit',
            k.is_usable AND k.limit_usd > 0 AND k.limit_remaining < k.limit_usd * (1 - $3::numeric),
            NULL,
            1 - k.limit_remaining / NULLIF(k.limit_usd, 0)
        ),
        ('no_limit', k.is_usable AND k.is_spending AND k.limit_usd IS NULL, NULL, NULL),
        ('no_expiry', k.is_usable AND k.expires_at IS NULL, NULL, NULL),
        (
            'idle',
            k.is_usable AND k.is_spending AND k.idle_since < (now() AT TIME ZONE 'UTC')::date - $2::integer,
            k.last_used_on,
            NULL
        )
    ) AS f (code, is_so, day, share)
    WHERE f.is_so
    WINDOW of_code AS (PARTITION BY f.code ORDER BY k.name, k.id)
)

SELECT code, id, name, day, share, total
FROM found
WHERE place <= $4
ORDER BY code, place
