-- The keys of which a user has any usage, deleted ones too, the dearest of all time first: what a person may choose from.
-- $1 user_id bigint
-- $2 limit bigint
SELECT k.id, k.name, k.deleted_at IS NOT NULL AS is_deleted
FROM usage_totals AS t
INNER JOIN openrouter_keys AS k ON k.id = t.key_id
WHERE t.user_id = $1 AND t.key_id > 0 AND t.model_id = -1 AND t.facts > 0 AND k.history_deleted_at IS NULL
ORDER BY t.cost DESC, k.id
LIMIT $2
