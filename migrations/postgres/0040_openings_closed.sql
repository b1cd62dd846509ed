-- Openings whose caller gave them up: nothing is made under their keys any more. Kept for as long as a call may be late.

CREATE TABLE opening_closed (
    request_key TEXT   NOT NULL PRIMARY KEY,
    closed_at   BIGINT NOT NULL
);

CREATE INDEX opening_closed_by_age ON opening_closed (closed_at);
