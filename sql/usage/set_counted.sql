-- Believes one source for each key and day: activity where it has told of the day, else the larger of export and counters, because
-- both can only miss something. Nothing of a deleted history counts. Usage without a key is what is left over, and always counts.
-- $1 user_id bigint
-- $2 days date[]
WITH sources AS (
    SELECT
        f.key_id, f.day, f.source,
        COALESCE(sum(f.cost), 0) + COALESCE(sum(f.byok_cost), 0) AS total
    FROM usage_facts AS f
    WHERE f.user_id = $1 AND f.day = ANY($2) AND f.key_id <> 0
    GROUP BY f.key_id, f.day, f.source
),

believed AS (
    SELECT DISTINCT ON (s.key_id, s.day)
        s.key_id,
        s.day,
        CASE
            WHEN k.history_deleted_at IS NOT NULL THEN ''
            WHEN s.day <@ k.activity_days THEN 'activity'
            ELSE s.source
        END AS source
    FROM sources AS s
    INNER JOIN openrouter_keys AS k ON k.id = s.key_id
    -- of two that say the same, the export: it tells the models too
    ORDER BY s.key_id ASC, s.day ASC, s.total DESC, s.source DESC
)

UPDATE usage_facts AS f
SET is_counted = (f.source = b.source)
FROM believed AS b
WHERE
    f.user_id = $1 AND f.day = ANY($2) AND f.day = b.day AND f.key_id = b.key_id AND f.is_counted <> (f.source = b.source)
