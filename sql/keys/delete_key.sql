-- Deletes a key and erases its secret; with a management key go the keys that are read through it and have no secret of their own.
-- Returns all of them. A watched key that goes alone is not taken up again when it is listed.
-- $1 key_id bigint
-- $2 with_history boolean
UPDATE openrouter_keys AS k
SET
    secret = NULL,
    deleted_at = COALESCE(k.deleted_at, now()),
    is_ignored = k.is_ignored OR (k.id = $1 AND EXISTS (
        SELECT FROM openrouter_keys AS m WHERE m.id = k.managed_by AND m.deleted_at IS NULL
    )),
    next_sync_at = NULL,
    lease_until = NULL,
    fence = k.fence + 1,
    history_deleted_at = CASE WHEN $2 THEN now() END,
    -- the name is free for the next import
    kind = CASE WHEN $2 AND k.kind = 'imported' THEN 'none' ELSE k.kind END
WHERE
    k.history_deleted_at IS NULL
    AND (
        k.id = $1
        -- the history of those that went with it before goes too
        OR (k.managed_by = $1 AND k.secret IS NULL AND (k.deleted_at IS NULL OR ($2 AND NOT k.is_ignored)))
    )
RETURNING k.id
