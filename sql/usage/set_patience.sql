-- For this transaction: a batch may take longer than a request, wait for another import of the same user, and sort in memory.
SELECT
    set_config('lock_timeout', '30s', true) AS lock_timeout,
    set_config('statement_timeout', '60s', true) AS statement_timeout,
    set_config('work_mem', '64MB', true) AS work_mem
