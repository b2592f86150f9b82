-- Removes deleted accounts once nothing of theirs is left.
-- $1 limit bigint
DELETE FROM users
WHERE id IN (
    SELECT u.id
    FROM users AS u
    WHERE
        u.deleted_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM sessions AS s WHERE s.user_id = u.id)
        AND NOT EXISTS (SELECT FROM events AS e WHERE e.user_id = u.id)
        AND NOT EXISTS (SELECT FROM api_tokens AS t WHERE t.user_id = u.id)
        AND NOT EXISTS (SELECT FROM generations AS g WHERE g.user_id = u.id)
        AND NOT EXISTS (SELECT FROM usage_facts AS f WHERE f.user_id = u.id)
        AND NOT EXISTS (SELECT FROM usage_rollups AS r WHERE r.user_id = u.id)
        AND NOT EXISTS (SELECT FROM usage_totals AS o WHERE o.user_id = u.id)
        AND NOT EXISTS (SELECT FROM usage_versions AS v WHERE v.user_id = u.id)
        AND NOT EXISTS (SELECT FROM usage_readings AS d WHERE d.user_id = u.id)
        AND NOT EXISTS (SELECT FROM workspace_usage AS w WHERE w.user_id = u.id)
        AND NOT EXISTS (SELECT FROM openrouter_keys AS k WHERE k.user_id = u.id)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
