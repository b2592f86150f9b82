-- Believes one source for each key and day: activity where it has told of the day, else the larger of export and counters, because
-- both can only miss something. Nothing of a deleted history counts. Usage without a key is what is left over, and always counts.
-- $1 user_id bigint
-- $2 days date[]

-- materialized, here and below: fresh tables have no statistics, by which this would be worked out once for each row
WITH sources AS MATERIALIZED (
    SELECT
        f.key_id, f.day, f.source,
        COALESCE(sum(f.cost), 0) + COALESCE(sum(f.byok_cost), 0) AS total,
        bool_and(f.is_counted) AS is_all_counted,
        bool_or(f.is_counted) AS is_any_counted
    FROM usage_facts AS f
    WHERE f.user_id = $1 AND f.day = ANY($2) AND f.key_id <> 0
    GROUP BY f.key_id, f.day, f.source
),

-- of two that say the same, the export: it tells the models too
ranked AS (
    SELECT
        s.key_id, s.day, s.source, s.is_all_counted, s.is_any_counted,
        first_value(s.source) OVER (PARTITION BY s.key_id, s.day ORDER BY s.total DESC, s.source DESC) AS largest
    FROM sources AS s
),

judged AS (
    SELECT
        r.key_id, r.day, r.source, r.is_all_counted, r.is_any_counted,
        k.history_deleted_at IS NULL
        AND r.source = CASE WHEN r.day <@ k.activity_days THEN 'activity' ELSE r.largest END AS is_believed
    FROM ranked AS r
    INNER JOIN openrouter_keys AS k ON k.id = r.key_id
),

-- mostly nothing
changed AS MATERIALIZED (
    SELECT j.key_id, j.day, j.source, j.is_believed
    FROM judged AS j
    WHERE CASE WHEN j.is_believed THEN NOT j.is_all_counted ELSE j.is_any_counted END
)

UPDATE usage_facts AS f
SET is_counted = c.is_believed
FROM changed AS c
WHERE
    f.user_id = $1 AND f.day = c.day AND f.key_id = c.key_id AND f.source = c.source AND f.is_counted <> c.is_believed
