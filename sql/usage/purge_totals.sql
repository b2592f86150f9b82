-- Removes totals of deleted accounts.
-- $1 limit bigint
DELETE FROM usage_totals
WHERE (user_id, key_id, model_id) IN (
    SELECT o.user_id, o.key_id, o.model_id
    FROM users AS u
    INNER JOIN usage_totals AS o ON o.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF o SKIP LOCKED
)
