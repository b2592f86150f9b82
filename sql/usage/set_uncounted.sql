-- Takes some keys' facts out of everything that is shown; they are removed in batches.
-- $1 user_id bigint
-- $2 key_ids bigint[]
UPDATE usage_facts SET is_counted = FALSE WHERE user_id = $1 AND key_id = ANY($2) AND is_counted
