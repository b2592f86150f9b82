-- Every encryption key that is in use here, with something that only it decrypts.
SELECT key_id, canary FROM encryption_canaries ORDER BY key_id
