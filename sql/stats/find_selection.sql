-- What a selection means at this moment, and in which state the user's figures are: all that an entity tag is made of.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model text
-- $4 days integer
-- $5 start_date date
-- $6 end_date date
SELECT
    today,
    -- the last so many days with today, or the days as given
    COALESCE($5::date, today - $4::integer + 1) AS start_date,
    COALESCE($6::date, today) AS end_date,
    COALESCE((SELECT v.version FROM usage_versions AS v WHERE v.user_id = $1), 0) AS usage_version,
    -- null: there is no such key. Deleted ones keep their history.
    CASE
        WHEN $2::bigint IS NULL THEN TRUE
        ELSE (
            SELECT k.user_id = $1
            FROM openrouter_keys AS k
            INNER JOIN users AS u ON u.id = k.user_id
            WHERE k.id = $2 AND k.history_deleted_at IS NULL AND u.deleted_at IS NULL
        )
    END AS is_own_key,
    -- in roll-ups -1 is the row over all keys or models; a model that nobody used has no id and no rows
    COALESCE($2::bigint, -1) AS key_id,
    CASE WHEN $3::text IS NULL THEN -1 ELSE COALESCE((SELECT m.id FROM models AS m WHERE m.slug = $3), -2) END AS model_id
FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS clock
