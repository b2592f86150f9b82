-- Notes what a management key told of its account; without credits, what was known of them stays.
-- $1 key_id bigint
-- $2 workspaces text[]
-- $3 credits_bought numeric
-- $4 credits_used numeric
-- $5 credits_as_of timestamptz
UPDATE openrouter_keys
SET
    workspaces = $2,
    credits_bought = COALESCE($3, credits_bought),
    credits_used = COALESCE($4, credits_used),
    credits_as_of = COALESCE($5, credits_as_of)
WHERE id = $1
