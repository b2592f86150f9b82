-- One migration run at a time on this database, until the end of this transaction: a row for who has it. The number is only a name.
SELECT TRUE AS is_locked WHERE pg_try_advisory_xact_lock(7265616379)
