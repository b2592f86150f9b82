-- What should be done about a user's active API tokens: the first so many of each kind of finding, and how many there are.
-- $1 user_id bigint
-- $2 idle_days integer
-- $3 expiring_days integer
-- $4 limit bigint
WITH active AS (
    SELECT t.id, t.name, t.expires_at, m.last_used_at
    FROM api_tokens AS t
    INNER JOIN api_token_meters AS m ON m.token_id = t.id
    WHERE t.user_id = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
),

found AS (
    SELECT
        f.code, t.id, t.name, (f.moment AT TIME ZONE 'UTC')::date AS day,
        row_number() OVER (PARTITION BY f.code ORDER BY t.name, t.id) AS place,
        count(*) OVER (PARTITION BY f.code) AS total
    FROM active AS t
    CROSS JOIN LATERAL (
        VALUES
        ('never_used', t.last_used_at IS NULL, NULL::timestamptz),
        ('idle', t.last_used_at < now() - make_interval(days => $2::integer), t.last_used_at),
        ('expiring', t.expires_at < now() + make_interval(days => $3::integer), t.expires_at),
        ('no_expiry', t.expires_at IS NULL, NULL)
    ) AS f (code, is_so, moment)
    WHERE f.is_so
)

SELECT code, id, name, day, NULL::numeric AS share, total
FROM found
WHERE place <= $4
ORDER BY code, place
