-- How many secrets a user has stored. In a transaction that holds the user's usage, because what is counted is held in no row.
-- $1 user_id bigint
SELECT count(*) AS secrets FROM openrouter_keys WHERE user_id = $1 AND secret IS NOT NULL
