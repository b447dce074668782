-- Deleted alerts that can be brought back for a while, each with its version at the end and what the evaluator remembered of it.
CREATE TABLE alerts_deleted (
    id            INTEGER PRIMARY KEY,
    owner         INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    rule          TEXT    NOT NULL, -- JSON
    paused        INTEGER NOT NULL,
    snoozed_until INTEGER,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    memory        TEXT, -- JSON
    deleted       INTEGER NOT NULL
) STRICT;
