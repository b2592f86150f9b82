-- Waits for a token's meter, as long as lock_timeout allows, and keeps it until the end of the transaction.
-- $1 token_hash bytea
SELECT m.token_id
FROM api_token_meters AS m
INNER JOIN api_tokens AS t ON t.id = m.token_id
WHERE t.token_hash = $1
FOR NO KEY UPDATE OF m
