-- Makes the providers that are not there yet. In order, so that two imports at once cannot wait for each other.
-- $1 names text[]
INSERT INTO providers (name) SELECT name FROM unnest($1::text[]) AS name ORDER BY name ON CONFLICT (name) DO NOTHING
