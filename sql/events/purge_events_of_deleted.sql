-- Removes events of deleted accounts.
-- $1 limit bigint
DELETE FROM events
WHERE (user_id, id) IN (
    SELECT e.user_id, e.id
    FROM users AS u
    INNER JOIN events AS e ON e.user_id = u.id
    WHERE u.deleted_at IS NOT NULL
    LIMIT $1
    FOR UPDATE OF e SKIP LOCKED
)
