-- no transaction
-- what an earlier attempt may have left half built
DROP INDEX CONCURRENTLY IF EXISTS usage_rollups_by_cell;

-- serves the rebuilding of a day's roll-ups, and the models of a key day by day
-- squawk-ignore ban-concurrent-index-creation-in-transaction, prefer-robust-stmts
CREATE INDEX CONCURRENTLY usage_rollups_by_cell ON usage_rollups (user_id, day, key_id, model_id);

-- which the one above does too
DROP INDEX CONCURRENTLY IF EXISTS usage_rollups_by_day;
