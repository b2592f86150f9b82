-- One registration at a time, until the end of the transaction: "is this the first account" is a question about rows that are
-- not there, which no row lock can guard. The number is only a name.
SELECT pg_advisory_xact_lock(7265616380)
