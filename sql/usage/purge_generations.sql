-- Removes generations of deleted accounts.
-- $1 limit bigint
DELETE FROM generations
WHERE (user_id, generation_id) IN (
    SELECT g.user_id, g.generation_id
    FROM users AS u
    INNER JOIN generations AS g ON g.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF g SKIP LOCKED
)
