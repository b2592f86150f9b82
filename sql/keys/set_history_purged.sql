-- Notes that nothing of a key's history is left.
-- $1 key_id bigint
UPDATE openrouter_keys SET history_purged_at = now() WHERE id = $1
