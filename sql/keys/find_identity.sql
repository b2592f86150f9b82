-- Who a key is, for one that is to be changed; held until the end of the transaction.
-- $1 key_id bigint
-- $2 user_id bigint
SELECT
    k.name,
    k.kind,
    k.hash,
    k.workspaces,
    k.deleted_at IS NULL AS is_live,
    k.secret IS NOT NULL AS has_secret,
    EXISTS (SELECT FROM openrouter_keys AS m WHERE m.id = k.managed_by AND m.deleted_at IS NULL) AS is_managed
FROM openrouter_keys AS k
WHERE k.id = $1 AND k.user_id = $2 AND k.history_deleted_at IS NULL AND k.kind <> 'none'
FOR NO KEY UPDATE
