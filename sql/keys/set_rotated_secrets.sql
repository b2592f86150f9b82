-- Puts secrets under another encryption key, in rows that are held since they were read.
-- $1 ids bigint[]
-- $2 records bytea[]
UPDATE openrouter_keys AS k
SET secret = r.record
FROM unnest($1::bigint[], $2::bytea[]) AS r (id, record)
WHERE k.id = r.id
