-- Statements that were judged, held or not, by shape: for trying out another policy on them. Not an audit record.
-- Facts and text arrive without literals. Instants are microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE statement (
    agent          TEXT    NOT NULL,
    target         TEXT    NOT NULL,
    fingerprint    TEXT    NOT NULL,
    rule           TEXT    NOT NULL,
    decision       TEXT    NOT NULL CHECK (decision IN ('allow', 'hold', 'deny')),
    policy_version TEXT    NOT NULL,
    text           TEXT    NOT NULL,
    facts          TEXT    NOT NULL,
    shadow         TEXT    NOT NULL,
    count          BIGINT  NOT NULL CHECK (count >= 1),
    first_seen     BIGINT  NOT NULL,
    last_seen      BIGINT  NOT NULL,
    PRIMARY KEY (agent, target, fingerprint, rule, decision, policy_version)
);

CREATE INDEX statement_by_age ON statement (last_seen);
