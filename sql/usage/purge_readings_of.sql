-- Removes a part of the readings of a key whose history was deleted. Waits for rows that are being written: none may be left.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 limit bigint
DELETE FROM usage_readings
WHERE (user_id, key_id, hash, day) IN (
    SELECT x.user_id, x.key_id, x.hash, x.day
    FROM usage_readings AS x
    WHERE x.user_id = $1 AND x.key_id = $2
    LIMIT $3
)
