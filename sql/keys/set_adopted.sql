-- Imported keys that turn out to be keys of the account: the only one of that name there and here. Their history goes on in the same row.
-- $1 user_id bigint
-- $2 hashes text[]
-- $3 names text[]
WITH listed AS (SELECT l.hash, l.name FROM unnest($2::text[], $3::text[]) AS l (hash, name)),

-- names are not unique at OpenRouter
only_there AS (SELECT l.name, min(l.hash) AS hash FROM listed AS l GROUP BY l.name HAVING count(*) = 1)

UPDATE openrouter_keys AS k
SET kind = 'inference', hash = o.hash, deleted_at = NULL
FROM only_there AS o
WHERE
    k.user_id = $1
    AND k.kind = 'imported'
    AND k.name = o.name
    AND NOT EXISTS (
        SELECT FROM openrouter_keys AS other
        WHERE
            other.user_id = $1
            AND (
                (other.hash = o.hash AND (other.history_deleted_at IS NULL OR other.is_ignored))
                OR (
                    COALESCE(other.listed_name, other.name) = o.name
                    AND other.history_deleted_at IS NULL
                    AND other.id <> k.id
                )
            )
    )
