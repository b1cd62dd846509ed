-- What people look holds up by.
ALTER TABLE hold ADD COLUMN agent  TEXT NOT NULL DEFAULT '';
ALTER TABLE hold ADD COLUMN target TEXT NOT NULL DEFAULT '';
UPDATE hold SET agent = json_extract(request, '$.agent.name'), target = json_extract(request, '$.target.name');

-- A digest of agent, target, database, route, rule and shape: holds that have it in common may be decided together.
-- Empty for holds from before; those are decided one by one.
ALTER TABLE hold ADD COLUMN alike_key TEXT NOT NULL DEFAULT '';

CREATE INDEX hold_by_end ON hold (resolved_at DESC, id) WHERE resolved_at IS NOT NULL;
CREATE INDEX hold_alike ON hold (alike_key) WHERE state = 'pending';
