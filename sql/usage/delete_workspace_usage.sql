-- Makes room for what activity says now about a whole workspace.
-- $1 user_id bigint
-- $2 workspace text
-- $3 first_day date
-- $4 last_day date
DELETE FROM workspace_usage WHERE user_id = $1 AND day BETWEEN $3 AND $4 AND workspace = $2
