-- How many keys a user has, and all that the list of them depends on beside the rows that change with the user's figures: failures
-- are noted without them, and figures grow old by themselves.
-- $1 user_id bigint
-- $2 stale_seconds double precision
SELECT
    (now() AT TIME ZONE 'UTC')::date AS today,
    COALESCE((SELECT v.version FROM usage_versions AS v WHERE v.user_id = $1), 0) AS usage_version,
    count(*) AS total,
    COALESCE(sum(failures), 0)::bigint AS failures,
    count(*) FILTER (WHERE last_synced_at < now() - make_interval(secs => $2)) AS stale
FROM openrouter_keys
WHERE user_id = $1 AND deleted_at IS NULL AND kind <> 'none'
