-- The migrations this database has seen, in order.
SELECT version, name, checksum FROM schema_migrations ORDER BY version
