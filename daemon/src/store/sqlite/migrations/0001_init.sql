-- Times are microseconds since 1970 (UTC). Prices are plain decimals in TEXT, never REAL.

-- The people with an account. Number 1 is the owner, who has none.
CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL UNIQUE, -- lower-cased
    password_hash TEXT    NOT NULL,
    generation    INTEGER NOT NULL DEFAULT 1,
    created       INTEGER NOT NULL
) STRICT;
INSERT INTO sqlite_sequence (name, seq) VALUES ('users', 1);

-- Keys that must survive a restart.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The standing wishes. Numbers are never given twice: the ids of firings are made of them.
CREATE TABLE alerts (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    owner           INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    rule            TEXT    NOT NULL, -- JSON
    paused          INTEGER NOT NULL DEFAULT 0,
    snoozed_until   INTEGER,
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    idempotency_key TEXT
) STRICT;
CREATE INDEX alerts_by_owner ON alerts (owner);
CREATE UNIQUE INDEX alerts_by_key ON alerts (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What the evaluator remembers, as JSON of its own.
CREATE TABLE alert_memories (
    alert  INTEGER PRIMARY KEY REFERENCES alerts (id) ON DELETE CASCADE,
    memory TEXT    NOT NULL
) STRICT;
CREATE TABLE instrument_memories (
    symbol TEXT PRIMARY KEY,
    memory TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened, in the order of recording. Stays when its alert goes.
CREATE TABLE firings (
    place    INTEGER PRIMARY KEY,
    alert    INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    owner    INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    firing   TEXT    NOT NULL, -- JSON
    UNIQUE (alert, version, number)
) STRICT;
CREATE INDEX firings_by_owner ON firings (owner, place);
CREATE INDEX firings_by_alert ON firings (owner, alert, place);

-- The outbox. Its numbers are the keys that other sides see: never given twice.
CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    firing       INTEGER NOT NULL REFERENCES firings (place) ON DELETE CASCADE,
    alert        INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    channel      TEXT    NOT NULL,
    state        TEXT    NOT NULL
                 CHECK (state IN ('queued', 'sending', 'sent', 'retry', 'dead', 'unknown', 'merged')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    created      INTEGER NOT NULL,
    next_attempt INTEGER,
    finished     INTEGER,
    answer       TEXT,
    UNIQUE (firing, channel)
) STRICT;
CREATE INDEX deliveries_by_owner ON deliveries (owner, id);
CREATE INDEX deliveries_by_state ON deliveries (owner, state, id);
CREATE INDEX deliveries_due ON deliveries (channel, next_attempt, id) WHERE state IN ('queued', 'retry');
CREATE INDEX deliveries_open ON deliveries (channel, alert, id, created) WHERE state IN ('queued', 'retry', 'sending');

-- Prices for charts: one-minute bars, and the newest of each instrument.
CREATE TABLE instruments (
    id     INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE bars (
    instrument INTEGER NOT NULL,
    minute     INTEGER NOT NULL, -- minutes since 1970
    session    INTEGER NOT NULL, -- 0 pre, 1 regular, 2 post
    open       TEXT    NOT NULL,
    high       TEXT    NOT NULL,
    low        TEXT    NOT NULL,
    close      TEXT    NOT NULL,
    PRIMARY KEY (instrument, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE last_prices (
    symbol   TEXT PRIMARY KEY,
    as_of    INTEGER NOT NULL,
    received INTEGER NOT NULL,
    ticker   TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

-- One number, raised to learn whether the disk still takes anything.
CREATE TABLE pulse (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    beats INTEGER NOT NULL
) STRICT;
INSERT INTO pulse (id, beats) VALUES (1, 0);
