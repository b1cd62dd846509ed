-- Holds, the votes on them, the record of every step, and the cards that show them in chat.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Requests arrive redacted: no literal is stored.

CREATE TABLE hold (
    id              TEXT    NOT NULL PRIMARY KEY,
    -- Given by the caller, so that a repeated open finds the hold it made.
    request_key     TEXT    NOT NULL UNIQUE,
    version         BIGINT  NOT NULL CHECK (version >= 1),
    state           TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'claimed', 'denied', 'expired',
                                                      'withdrawn', 'lapsed', 'executed', 'failed', 'rolled_back')),
    route           TEXT    NOT NULL,
    quorum          BIGINT  NOT NULL CHECK (quorum >= 1),
    binding         TEXT    NOT NULL CHECK (length(binding) = 64),
    request         TEXT    NOT NULL,
    asked           TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    claimable_until BIGINT,
    -- When time alone changes the hold; NULL when it never does.
    deadline_at     BIGINT,
    resolution      TEXT,
    resolved_at     BIGINT,
    outcome         TEXT,
    -- Given by the claimant, so that a claim whose answer was lost can be repeated by its owner alone.
    claim_key       TEXT
);

CREATE INDEX hold_by_deadline ON hold (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX hold_by_age ON hold (created_at DESC, id);
CREATE INDEX hold_pending ON hold (created_at DESC, id) WHERE state = 'pending';
CREATE INDEX hold_open ON hold (state) WHERE state IN ('pending', 'approved', 'claimed');

CREATE TABLE vote (
    hold         TEXT    NOT NULL REFERENCES hold (id),
    person       TEXT    NOT NULL,
    -- The order of first votes.
    seat         BIGINT  NOT NULL,
    body         TEXT    NOT NULL,
    PRIMARY KEY (hold, person)
);

-- Append-only. Each row's hash covers the row before it, so that a changed, missing or
-- reordered row shows.
CREATE TABLE hold_event (
    seq       BIGINT  NOT NULL PRIMARY KEY,
    hold      TEXT    NOT NULL REFERENCES hold (id),
    version   BIGINT  NOT NULL,
    at        BIGINT  NOT NULL,
    name      TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    prev_hash BYTEA   NOT NULL CHECK (length(prev_hash) = 32),
    hash      BYTEA   NOT NULL CHECK (length(hash) = 32)
);

CREATE INDEX hold_event_by_hold ON hold_event (hold, seq);

CREATE FUNCTION hold_event_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'hold_event is append-only';
END
$$;

CREATE TRIGGER hold_event_is_never_changed BEFORE UPDATE OR DELETE ON hold_event
    FOR EACH ROW EXECUTE FUNCTION hold_event_refuses();
CREATE TRIGGER hold_event_is_never_emptied BEFORE TRUNCATE ON hold_event
    FOR EACH STATEMENT EXECUTE FUNCTION hold_event_refuses();

-- The outbox: a card is a projection of its hold and is stale while rendered_version is behind.
CREATE TABLE card (
    hold             TEXT    NOT NULL REFERENCES hold (id),
    chat             TEXT    NOT NULL,
    channel          TEXT    NOT NULL,
    message          TEXT,
    rendered_version BIGINT  NOT NULL DEFAULT 0,
    -- The hold's version, kept here so that stale cards are found by an index.
    wanted_version   BIGINT  NOT NULL,
    -- A first post was begun and never confirmed.
    posting_begun    BOOLEAN NOT NULL DEFAULT FALSE,
    failures         BIGINT  NOT NULL DEFAULT 0,
    last_error       TEXT,
    -- NULL once delivery was given up.
    next_try_at      BIGINT,
    leased_until     BIGINT  NOT NULL DEFAULT 0,
    PRIMARY KEY (hold, chat, channel)
);

CREATE INDEX card_stale ON card (chat, next_try_at) WHERE rendered_version < wanted_version;

-- Written to find out whether the store takes writes the size of a hold.
CREATE TABLE probe (
    id   BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    beat BIGINT  NOT NULL,
    room BYTEA   NOT NULL
);

INSERT INTO probe (id, beat, room) VALUES (1, 0, '');
