-- Removes the usage versions of deleted accounts.
-- $1 limit bigint
DELETE FROM usage_versions
WHERE user_id IN (
    SELECT v.user_id
    FROM users AS u
    INNER JOIN usage_versions AS v ON v.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF v SKIP LOCKED
)
