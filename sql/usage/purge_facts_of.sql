-- Removes a part of the facts of a key whose history was deleted. Waits for rows that are being written: none may be left.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 limit bigint
DELETE FROM usage_facts
WHERE (user_id, day, key_id, model_id, provider_id, source) IN (
    SELECT x.user_id, x.day, x.key_id, x.model_id, x.provider_id, x.source
    FROM usage_facts AS x
    WHERE x.user_id = $1 AND x.key_id = $2
    LIMIT $3
)
