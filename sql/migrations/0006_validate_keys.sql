-- The constraints of 0005, checked against what is there without keeping anybody from writing meanwhile.
ALTER TABLE openrouter_keys VALIDATE CONSTRAINT openrouter_keys_sync_status_known;

ALTER TABLE openrouter_keys VALIDATE CONSTRAINT openrouter_keys_managed_by_fkey;

ALTER TABLE usage_facts VALIDATE CONSTRAINT usage_facts_source_known;
