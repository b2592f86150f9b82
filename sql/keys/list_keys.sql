-- A user's keys, newest first, or one of them; with what OpenRouter counts, what we count since when, and the difference.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 stale_seconds double precision
-- $4 before_created_at timestamptz
-- $5 before_id bigint
-- $6 limit bigint

-- first the page, so that sums are made for what is shown and nothing else
WITH page AS (
    SELECT
        id, name, label, kind, is_active, limit_usd, limit_remaining, limit_reset, expires_at, created_at, last_synced_at, next_sync_at,
        sync_status, sync_error, credits_bought, credits_used, credits_as_of, hash, managed_by, secret IS NOT NULL AS has_secret
    FROM openrouter_keys
    WHERE
        user_id = $1
        AND deleted_at IS NULL
        AND kind <> 'none'
        AND ($2::bigint IS NULL OR id = $2)
        AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::bigint))
    ORDER BY created_at DESC, id DESC
    LIMIT $6
)

SELECT
    k.id, k.name, k.label, k.kind, k.is_active, k.limit_remaining, k.limit_reset, k.expires_at, k.created_at, k.last_synced_at,
    k.sync_error, k.credits_bought, k.credits_used, k.credits_as_of,
    k.credits_bought - k.credits_used AS credits_left,
    k.limit_usd AS "limit",
    m.id AS managed_by,
    k.has_secret,
    COALESCE(k.next_sync_at, m.next_sync_at) AS next_sync_at,
    r.cost_total AS usage_total,
    CASE r.day WHEN (now() AT TIME ZONE 'UTC')::date THEN r.cost_today END AS usage_today,
    -- a management key spends nothing itself
    CASE WHEN k.kind <> 'management' THEN COALESCE(c.cost, 0) END AS counted_cost,
    f.since AS counted_since,
    r.cost_total - COALESCE(c.cost, 0) AS difference,
    CASE
        WHEN k.kind = 'imported' THEN 'ok'
        WHEN k.sync_status = 'ok' AND k.last_synced_at < now() - make_interval(secs => $3) THEN 'stale'
        ELSE k.sync_status
    END AS sync_status
FROM page AS k
LEFT JOIN openrouter_keys AS m ON m.id = k.managed_by AND m.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT u.day, u.cost_total, u.cost_today
    FROM usage_readings AS u
    WHERE u.user_id = $1 AND u.key_id = k.id AND u.hash = k.hash
    ORDER BY u.day DESC
    LIMIT 1
) AS r ON k.kind <> 'management'
LEFT JOIN usage_totals AS c ON c.user_id = $1 AND c.key_id = k.id AND c.model_id = -1
LEFT JOIN LATERAL (
    SELECT u.day AS since
    FROM usage_rollups AS u
    WHERE u.user_id = $1 AND u.key_id = k.id AND u.model_id = -1
    ORDER BY u.day
    LIMIT 1
) AS f ON TRUE
ORDER BY k.created_at DESC, k.id DESC
