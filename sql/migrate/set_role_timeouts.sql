-- The bounds that hold on every connection of this role to this database. Kept in the database, not sent by the client,
-- because PgBouncer refuses such parameters at start-up.
DO $$
DECLARE
    setting text;
BEGIN
    FOREACH setting IN ARRAY ARRAY[
        'statement_timeout = ''5s''',
        'lock_timeout = ''2s''',
        'idle_in_transaction_session_timeout = ''10s''',
        'timezone = ''UTC'''
    ] LOOP
        EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET %s', current_database(), setting);
    END LOOP;
END
$$
