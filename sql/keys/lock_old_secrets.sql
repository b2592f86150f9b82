-- The next secrets that are not under the current encryption key, held until the end of the transaction. Whatever somebody else holds
-- is left for later: nobody is waited for, so there is no deadlock.
-- $1 key_id bytea
-- $2 after_id bigint
-- $3 limit bigint
SELECT id, user_id, secret
FROM openrouter_keys
WHERE secret IS NOT NULL AND substr(secret, 2, 4) <> $1 AND id > $2
ORDER BY id
LIMIT $3
FOR NO KEY UPDATE SKIP LOCKED
