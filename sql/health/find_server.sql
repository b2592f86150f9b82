-- What the server is and what time it has, and the bounds that its role's sessions have on this database.
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    clock_timestamp() AS clock,
    pg_is_in_recovery() AS is_replica,
    pg_last_xact_replay_timestamp() AS replayed_at,
    current_setting('statement_timeout') AS statement_timeout,
    current_setting('lock_timeout') AS lock_timeout,
    current_setting('idle_in_transaction_session_timeout') AS idle_timeout,
    current_setting('timezone') AS timezone
