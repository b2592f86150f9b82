-- Which of the listed keys are read through this management key, and which keys of its account were deleted here together with their
-- history: those are still part of what the workspaces have used, listed or not.
-- $1 user_id bigint
-- $2 manager_id bigint
-- $3 hashes text[]
-- $4 workspaces text[]
SELECT k.id AS key_id, k.hash, k.activity_digest, k.history_deleted_at IS NOT NULL AS is_forgotten
FROM openrouter_keys AS k
WHERE
    k.user_id = $1
    AND (
        (k.managed_by = $2 AND k.deleted_at IS NULL AND k.hash = ANY($3))
        OR (
            k.is_ignored
            AND k.history_deleted_at IS NOT NULL
            AND (k.managed_by = $2 OR k.hash = ANY($3) OR k.workspace = ANY($4))
        )
    )
