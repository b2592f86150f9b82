-- Under which encryption keys are secrets stored, and how many? The key's name stands in the record: app/keys/vault.py.
SELECT encode(substr(secret, 2, 4), 'hex') AS key_id, count(*) AS secrets
FROM openrouter_keys
WHERE secret IS NOT NULL
GROUP BY substr(secret, 2, 4)
ORDER BY key_id
