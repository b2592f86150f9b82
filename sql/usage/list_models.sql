-- The ids of models by their slugs.
-- $1 slugs text[]
SELECT slug AS name, id FROM models WHERE slug = ANY($1)
