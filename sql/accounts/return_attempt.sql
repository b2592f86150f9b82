-- Gives one attempt back: it was no failure.
-- $1 key bytea
-- $2 attempted_at timestamptz
UPDATE attempts SET attempted_at = array_remove(attempted_at, $2) WHERE key = $1
