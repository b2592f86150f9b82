-- Is the database there, and does it take writes?
SELECT NOT pg_is_in_recovery() AS is_writable
