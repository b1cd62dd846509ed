-- What the route said of a hold when it was made, as JSON; holds from before have the defaults.
ALTER TABLE hold ADD COLUMN terms TEXT NOT NULL DEFAULT '{}';

-- The grant that its approval gave: the same shape may run again until then, so often. The key is a digest of agent,
-- target, database, route and shape, so that one look finds what may cover a new hold.
ALTER TABLE hold ADD COLUMN grant_given TEXT;
ALTER TABLE hold ADD COLUMN grant_key   TEXT;
ALTER TABLE hold ADD COLUMN grant_until BIGINT;
ALTER TABLE hold ADD COLUMN grant_left  BIGINT;

CREATE INDEX hold_by_grant ON hold (grant_key) WHERE grant_left > 0;
CREATE INDEX hold_with_grant ON hold (grant_until) WHERE grant_given IS NOT NULL;

-- Tickets are found again by what they are bound to.
CREATE INDEX hold_by_binding ON hold (binding, created_at);
