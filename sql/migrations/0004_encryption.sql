-- Secrets that only the service can read, and how a start knows that it was given the right keys.

ALTER TABLE openrouter_keys
    -- A record of app/keys/vault.py: version, id of the encryption key, nonce, and what AES-256-GCM made of the OpenRouter key.
    -- Null when there is none (any more).
    ADD COLUMN secret bytea,
    -- What is no record does not come in, so that bytes 2 to 5 always name a key. Holds already: the column is new.
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT openrouter_keys_secret_is_record CHECK (
        octet_length(secret) BETWEEN 33 AND 1024 AND substr(secret, 1, 1) = '\x01'
    );

-- Something known under each encryption key in use. The key's name is the first 8 hex digits of its SHA-256.
CREATE TABLE encryption_canaries (
    key_id text NOT NULL,
    canary bytea NOT NULL,
    CONSTRAINT encryption_canaries_pkey PRIMARY KEY (key_id),
    CONSTRAINT encryption_canaries_key_id_is_hex CHECK (key_id ~ '^[0-9a-f]{8}$')
);
