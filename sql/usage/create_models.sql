-- Makes the models that are not there yet. In order, so that two imports at once cannot wait for each other.
-- $1 slugs text[]
INSERT INTO models (slug) SELECT slug FROM unnest($1::text[]) AS slug ORDER BY slug ON CONFLICT (slug) DO NOTHING
