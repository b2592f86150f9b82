-- For this transaction, or for the session where a migration cannot have one: wait for another run as long as a migration may
-- take, and sit idle while it is applied elsewhere.
-- $1 lock_timeout text
-- $2 is_local boolean
SELECT
    set_config('lock_timeout', $1, $2) AS lock_timeout,
    set_config('statement_timeout', '900s', $2) AS statement_timeout,
    set_config('idle_in_transaction_session_timeout', '0', $2) AS idle_timeout
