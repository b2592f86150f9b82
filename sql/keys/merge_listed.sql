-- Takes up the keys that a management key lists. What the user deleted from it stays deleted; what the user named keeps its name.
-- $1 user_id bigint
-- $2 manager_id bigint
-- $3 hashes text[]
-- $4 names text[]
-- $5 labels text[]
-- $6 workspaces text[]
-- $7 disabled boolean[]
-- $8 limits numeric[]
-- $9 remaining numeric[]
-- $10 resets text[]
-- $11 expiries timestamptz[]
WITH listed AS (
    SELECT
        l.hash, l.name, l.label, l.workspace, l.is_disabled, l.limit_usd, l.limit_remaining, l.limit_reset, l.expires_at
    FROM unnest(
        $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::numeric[], $9::numeric[], $10::text[],
        $11::timestamptz[]
    ) AS l (hash, name, label, workspace, is_disabled, limit_usd, limit_remaining, limit_reset, expires_at)
)

INSERT INTO openrouter_keys AS k (
    user_id, kind, managed_by, hash, name, listed_name, label, workspace, is_disabled, limit_usd, limit_remaining, limit_reset,
    expires_at, sync_status, last_synced_at
)
SELECT
    $1, 'inference', $2, l.hash, l.name, l.name, l.label, l.workspace, l.is_disabled, l.limit_usd, l.limit_remaining,
    l.limit_reset, l.expires_at, 'ok', now()
FROM listed AS l
WHERE NOT EXISTS (SELECT FROM openrouter_keys AS i WHERE i.user_id = $1 AND i.hash = l.hash AND i.is_ignored)
ORDER BY l.hash
ON CONFLICT (user_id, hash) WHERE history_deleted_at IS NULL DO UPDATE
SET
    name = CASE WHEN k.has_own_name THEN k.name ELSE excluded.name END,
    listed_name = excluded.listed_name,
    -- of two management keys of an account, the one that came first
    managed_by = COALESCE(
        (SELECT m.id FROM openrouter_keys AS m WHERE m.id = k.managed_by AND m.deleted_at IS NULL), excluded.managed_by
    ),
    label = excluded.label,
    workspace = excluded.workspace,
    is_disabled = excluded.is_disabled,
    limit_usd = excluded.limit_usd,
    limit_remaining = excluded.limit_remaining,
    limit_reset = excluded.limit_reset,
    expires_at = excluded.expires_at,
    deleted_at = NULL,
    -- a secret of its own tells for itself how it fares
    sync_status = CASE WHEN k.secret IS NULL THEN 'ok' ELSE k.sync_status END,
    sync_error = CASE WHEN k.secret IS NULL THEN NULL ELSE k.sync_error END,
    last_synced_at = now()
WHERE k.kind = 'inference'
