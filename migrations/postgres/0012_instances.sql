-- Whoever holds were opened for, and how long it is believed to live. When its lease has run out, its holds are over.

CREATE TABLE instance (
    id          TEXT    NOT NULL PRIMARY KEY,
    -- Proxy and approver are one process.
    inside      BOOLEAN NOT NULL,
    lease_until BIGINT  NOT NULL
);

CREATE INDEX instance_by_lease ON instance (lease_until);

-- NULL: nobody said so, as in holds from before there were leases.
ALTER TABLE hold ADD COLUMN instance TEXT;

CREATE INDEX hold_by_instance ON hold (instance) WHERE state IN ('pending', 'approved', 'claimed');
