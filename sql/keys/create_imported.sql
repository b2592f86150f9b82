-- Makes keys that stand for the names of an export, unless the account is gone. In order, so that two imports at once cannot wait
-- for each other.
-- $1 user_id bigint
-- $2 names text[]
INSERT INTO openrouter_keys (user_id, name, kind)
SELECT owner.id, name, 'imported'
FROM (SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE) AS owner, unnest($2::text[]) AS name
ORDER BY name
ON CONFLICT (user_id, name) WHERE kind = 'imported' DO NOTHING
