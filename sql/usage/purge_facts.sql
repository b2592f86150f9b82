-- Removes facts of deleted accounts.
-- $1 limit bigint
DELETE FROM usage_facts
WHERE (user_id, day, key_id, model_id, provider_id, source) IN (
    SELECT f.user_id, f.day, f.key_id, f.model_id, f.provider_id, f.source
    FROM users AS u
    INNER JOIN usage_facts AS f ON f.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF f SKIP LOCKED
)
