-- Removes a part of the generations of a key whose history was deleted. Waits for rows that are being written: none may be left.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 limit bigint
DELETE FROM generations
WHERE (user_id, generation_id) IN (
    SELECT x.user_id, x.generation_id
    FROM generations AS x
    WHERE x.user_id = $1 AND x.key_id = $2
    LIMIT $3
)
