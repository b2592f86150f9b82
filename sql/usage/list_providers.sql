-- The ids of providers by their names.
-- $1 names text[]
SELECT name, id FROM providers WHERE name = ANY($1)
