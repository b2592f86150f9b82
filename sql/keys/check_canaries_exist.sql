-- Is there a table of canaries? Before the migration that makes it there is nothing that could be under a wrong key.
SELECT to_regclass('encryption_canaries') IS NOT NULL AS exist
