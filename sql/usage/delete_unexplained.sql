-- Makes room for what is left over, on some days, when all keys have been subtracted from their workspaces.
-- $1 user_id bigint
-- $2 days date[]
DELETE FROM usage_facts WHERE user_id = $1 AND day = ANY($2) AND key_id = 0 AND source = 'activity'
