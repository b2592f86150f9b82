-- Names a key; OpenRouter's name for it does not replace this one.
-- $1 key_id bigint
-- $2 name text
UPDATE openrouter_keys SET name = $2, has_own_name = TRUE WHERE id = $1
