-- Which rows have a secret that is not under the current encryption key?
-- $1 key_id bytea
SELECT id FROM openrouter_keys WHERE secret IS NOT NULL AND substr(secret, 2, 4) <> $1 ORDER BY id
