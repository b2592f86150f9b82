-- One start at a time decides which keys are the right ones, until the end of the transaction: at the very first start that is a
-- question about rows that are not there, which no row lock can guard. The number is only a name.
SELECT pg_advisory_xact_lock(7265616381)
