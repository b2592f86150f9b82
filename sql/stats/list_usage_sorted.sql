-- A page of usage in any order, and how many rows there are on all pages. Reads the whole selection, which the caller bounds.
-- $1 user_id bigint
-- $2 key_id bigint
-- $3 model_id bigint
-- $4 start_date date
-- $5 end_date date
-- $6 sort text
-- $7 descending boolean
-- $8 offset bigint
-- $9 limit bigint

-- only days on which something was used
WITH used AS (
    SELECT day
    FROM usage_rollups
    WHERE user_id = $1 AND key_id = $2 AND model_id = $3 AND day BETWEEN $4 AND $5
),

-- As in stats/list_usage: several sources of one cell are one row. Each day is looked up by its place in the index (OFFSET 0 keeps it
-- so): what is not selected is not read.
cells AS (
    SELECT
        d.day, u.key_id, u.model_id, u.provider_id,
        sum(u.requests)::bigint AS requests,
        sum(u.cost) AS cost,
        sum(u.byok_cost) AS byok_cost,
        sum(u.tokens_input)::bigint AS tokens_input,
        sum(u.tokens_output)::bigint AS tokens_output,
        sum(u.tokens_reasoning)::bigint AS tokens_reasoning,
        sum(u.tokens_cached)::bigint AS tokens_cached
    FROM used AS d
    CROSS JOIN LATERAL (
        SELECT
            f.key_id, f.model_id, f.provider_id, f.requests, f.cost, f.byok_cost, f.tokens_input, f.tokens_output,
            f.tokens_reasoning, f.tokens_cached
        FROM usage_facts AS f
        WHERE
            f.user_id = $1 AND f.day = d.day AND f.is_counted
            AND f.key_id BETWEEN GREATEST($2, 0) AND CASE $2 WHEN -1 THEN 9223372036854775807 ELSE $2 END
            AND f.model_id BETWEEN GREATEST($3, 0) AND CASE $3 WHEN -1 THEN 9223372036854775807 ELSE $3 END
        OFFSET 0
    ) AS u
    GROUP BY d.day, u.key_id, u.model_id, u.provider_id
),

named AS (
    SELECT
        c.day, c.requests, c.tokens_input, c.tokens_output, c.tokens_reasoning, c.tokens_cached, c.cost, c.byok_cost,
        c.key_id, c.model_id, c.provider_id,
        CASE c.key_id WHEN 0 THEN NULL ELSE k.name END AS key_name,
        NULLIF(m.slug, '') AS model,
        NULLIF(v.name, '') AS provider
    FROM cells AS c
    INNER JOIN openrouter_keys AS k ON k.id = c.key_id
    INNER JOIN models AS m ON m.id = c.model_id
    INNER JOIN providers AS v ON v.id = c.provider_id
),

-- what is sorted by, as a number or as a text; what is not known comes last, in whichever direction
sorted AS (
    SELECT
        n.day, n.requests, n.tokens_input, n.tokens_output, n.tokens_reasoning, n.tokens_cached, n.cost, n.byok_cost,
        n.key_id, n.model_id, n.provider_id, n.key_name, n.model, n.provider,
        CASE $6
            WHEN 'date' THEN n.day - $5::date
            WHEN 'requests' THEN n.requests
            WHEN 'tokens_input' THEN n.tokens_input
            WHEN 'tokens_output' THEN n.tokens_output
            WHEN 'tokens_reasoning' THEN n.tokens_reasoning
            WHEN 'tokens_cached' THEN n.tokens_cached
            WHEN 'cost' THEN n.cost
            WHEN 'byok_cost' THEN n.byok_cost
        END AS number,
        CASE $6 WHEN 'key' THEN n.key_name WHEN 'model' THEN n.model WHEN 'provider' THEN n.provider END AS label
    FROM named AS n
)

SELECT
    s.day AS date, NULLIF(s.key_id, 0) AS api_key_id, s.key_name AS api_key_name, s.model, s.provider,
    s.requests, s.tokens_input, s.tokens_output, s.tokens_reasoning, s.tokens_cached, s.cost, s.byok_cost,
    s.key_id, s.model_id, s.provider_id,
    count(*) OVER () AS total
FROM sorted AS s
ORDER BY
    CASE WHEN $7::boolean THEN -s.number ELSE s.number END ASC NULLS LAST,
    CASE WHEN $7 THEN s.label END DESC NULLS LAST,
    CASE WHEN NOT $7 THEN s.label END ASC NULLS LAST,
    s.day DESC, s.key_id DESC, s.model_id DESC, s.provider_id DESC
OFFSET $8
LIMIT $9
