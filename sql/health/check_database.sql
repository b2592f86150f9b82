-- Is the database there, and does it take writes? A standby does not, nor one whose transactions are read-only by default.
SELECT current_setting('transaction_read_only') = 'off' AS is_writable
