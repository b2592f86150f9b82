-- How many OpenRouter keys are in which state, and how many seconds ago the most overdue of them was due (0: none is).
-- One scan of all keys of live accounts, for a scrape every now and then.
SELECT
    k.sync_status,
    count(*) AS total,
    GREATEST(COALESCE(max(EXTRACT(EPOCH FROM now() - k.next_sync_at)), 0), 0)::double precision AS lag_seconds
FROM openrouter_keys AS k
INNER JOIN users AS u ON u.id = k.user_id
WHERE k.deleted_at IS NULL AND k.secret IS NOT NULL AND k.is_active AND u.deleted_at IS NULL
GROUP BY k.sync_status
