-- Has a key's account read anew, at once: who is reading it at this moment still counts what has just been deleted.
-- $1 key_id bigint
UPDATE openrouter_keys AS m
SET
    fence = m.fence + 1,
    lease_until = NULL,
    activity_digest = NULL,
    next_sync_at = CASE WHEN m.next_sync_at IS NOT NULL THEN now() END
FROM openrouter_keys AS k
WHERE
    k.id = $1
    AND m.user_id = k.user_id
    AND m.kind = 'management'
    AND m.deleted_at IS NULL
    AND (m.id = k.managed_by OR k.workspace = ANY(m.workspaces))
