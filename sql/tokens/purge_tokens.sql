-- Removes tokens of deleted accounts, with their meters.
-- $1 limit bigint
DELETE FROM api_tokens
WHERE id IN (
    SELECT t.id FROM api_tokens AS t
    INNER JOIN users AS u ON u.id = t.user_id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF t SKIP LOCKED
)
