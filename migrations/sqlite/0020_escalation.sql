-- The steps of a hold's route as they were when it was made, and where it stands among them. Empty: from before
-- routes had steps.
ALTER TABLE hold ADD COLUMN escalation TEXT NOT NULL DEFAULT '';
-- When the next step is due; NULL when none is.
ALTER TABLE hold ADD COLUMN step_at INTEGER;

CREATE INDEX hold_by_step ON hold (step_at) WHERE step_at IS NOT NULL;

-- What is said to people beside the cards, until it is said.
CREATE TABLE notice (
    id           TEXT    NOT NULL PRIMARY KEY,
    chat         TEXT    NOT NULL,
    kind         TEXT    NOT NULL CHECK (kind IN ('thread', 'channel', 'group')),
    -- A channel, or a group of the chat.
    place        TEXT    NOT NULL,
    -- Nobody is told of a hold that is over.
    hold         TEXT    REFERENCES hold (id),
    body         TEXT    NOT NULL,
    made_at      INTEGER NOT NULL,
    begun        INTEGER NOT NULL DEFAULT 0 CHECK (begun IN (0, 1)),
    failures     INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT,
    next_try_at  INTEGER NOT NULL,
    leased_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX notice_due ON notice (chat, next_try_at);

-- Who stands in on a schedule. Half-open spans; of two that cover a moment the one made last counts.
CREATE TABLE oncall_override (
    id         TEXT    NOT NULL PRIMARY KEY,
    -- The order they were made in.
    seq        INTEGER NOT NULL UNIQUE,
    schedule   TEXT    NOT NULL,
    from_at    INTEGER NOT NULL,
    until_at   INTEGER NOT NULL CHECK (until_at > from_at),
    people     TEXT    NOT NULL,
    author     TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    made_at    INTEGER NOT NULL,
    removed_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX oncall_override_by_end ON oncall_override (until_at) WHERE removed_at IS NULL;

-- Who was on call when it was last looked, so that a change is told once.
CREATE TABLE oncall_duty (
    schedule   TEXT    NOT NULL PRIMARY KEY,
    people     TEXT    NOT NULL,
    -- The group of a chat that was last made to follow; another one is made to follow anew.
    slack_group TEXT,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
