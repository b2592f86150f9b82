-- Forgets the encryption keys that no secret is under any more, so that they need not be given any more.
-- $1 key_id text
DELETE FROM encryption_canaries AS c
WHERE
    c.key_id <> $1
    AND NOT EXISTS (
        SELECT FROM openrouter_keys AS k WHERE k.secret IS NOT NULL AND substr(k.secret, 2, 4) = decode(c.key_id, 'hex')
    )
