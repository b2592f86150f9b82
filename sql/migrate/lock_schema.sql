-- One migration run at a time on this database; the others wait for this transaction. The number is only a name.
SELECT pg_advisory_xact_lock(7265616379)
