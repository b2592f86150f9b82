-- Removes the workspaces' usage of deleted accounts.
-- $1 limit bigint
DELETE FROM workspace_usage
WHERE (user_id, day, workspace, model_id, provider_id) IN (
    SELECT w.user_id, w.day, w.workspace, w.model_id, w.provider_id
    FROM users AS u
    INNER JOIN workspace_usage AS w ON w.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF w SKIP LOCKED
)
