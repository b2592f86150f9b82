-- Which keys have usage on days of a window of which activity has not told, though the workspaces' activity is about to tell the same
-- once more? Those of these workspaces, and those that nobody reads and no account has listed: whose they are, activity will say.
-- $1 user_id bigint
-- $2 workspaces text[]
-- $3 first_day date
-- $4 last_day date
SELECT
    k.id AS key_id,
    k.hash,
    k.workspace IS NOT NULL AS is_of_account,
    min(f.day) AS first_day,
    max(f.day) AS last_day
FROM openrouter_keys AS k
INNER JOIN usage_facts AS f ON f.key_id = k.id
WHERE
    k.user_id = $1
    AND k.kind = 'inference'
    AND k.history_deleted_at IS NULL
    AND CASE
        WHEN k.workspace IS NULL THEN k.secret IS NULL OR k.sync_status = 'unauthorized'
        ELSE k.workspace = ANY($2)
    END
    AND f.user_id = $1
    AND f.day BETWEEN $3 AND $4
    AND f.is_counted
    AND f.source <> 'activity'
GROUP BY k.id
ORDER BY k.id
