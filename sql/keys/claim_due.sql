-- Takes keys that are due, for as long as the lease lasts: whoever asks next finds them taken. The fence tells a holder from an earlier one.
-- $1 limit bigint
-- $2 lease_seconds double precision
WITH due AS MATERIALIZED (
    SELECT k.id
    FROM openrouter_keys AS k
    INNER JOIN users AS u ON u.id = k.user_id
    WHERE k.next_sync_at <= now() AND (k.lease_until IS NULL OR k.lease_until <= now()) AND u.deleted_at IS NULL
    ORDER BY k.next_sync_at
    LIMIT $1
    FOR UPDATE OF k SKIP LOCKED
)

UPDATE openrouter_keys AS k
SET lease_until = now() + make_interval(secs => $2), fence = k.fence + 1
FROM due
WHERE k.id = due.id
RETURNING k.id AS key_id, k.user_id, k.kind, k.hash, k.secret, k.fence, k.failures
