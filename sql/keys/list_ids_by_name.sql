-- Which key an export means by a name: the user's only key of that name, else the one that stands for imports.
-- $1 user_id bigint
-- $2 names text[]
SELECT name, id
FROM (
    SELECT
        COALESCE(listed_name, name) AS name,
        CASE WHEN count(*) = 1 THEN min(id) ELSE min(id) FILTER (WHERE kind = 'imported') END AS id
    FROM openrouter_keys
    WHERE
        user_id = $1
        AND COALESCE(listed_name, name) = ANY($2)
        AND kind IN ('inference', 'imported')
        AND history_deleted_at IS NULL
    GROUP BY COALESCE(listed_name, name)
) AS named
WHERE id IS NOT NULL
