-- Removes events that are older than they are kept.
-- $1 limit bigint
-- $2 retention interval
DELETE FROM events
WHERE (user_id, id) IN (
    SELECT user_id, id
    FROM events
    WHERE occurred_at < now() - $2::interval
    ORDER BY occurred_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
