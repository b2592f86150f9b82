-- Forgets what workspaces have used, unless another management key reads them too, and tells on which days they had.
-- $1 user_id bigint
-- $2 workspaces text[]
WITH deleted AS (
    DELETE FROM workspace_usage AS w
    WHERE
        w.user_id = $1
        AND w.workspace = ANY($2)
        AND NOT EXISTS (
            SELECT FROM openrouter_keys AS m
            WHERE m.user_id = $1 AND m.deleted_at IS NULL AND w.workspace = ANY(m.workspaces)
        )
    RETURNING w.day
)

SELECT DISTINCT day FROM deleted ORDER BY day
