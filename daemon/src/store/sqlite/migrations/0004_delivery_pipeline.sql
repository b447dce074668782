-- Digests, steps of an escalation, and what a delivery waits for. The table is made anew, because its constraints change.

CREATE TABLE deliveries_new (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    firing       INTEGER NOT NULL REFERENCES firings (place) ON DELETE CASCADE,
    alert        INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    channel      TEXT    NOT NULL,
    step         INTEGER NOT NULL DEFAULT 0, -- of the escalation; 0 goes at once
    state        TEXT    NOT NULL
                 CHECK (state IN ('queued', 'sending', 'sent', 'retry', 'dead', 'unknown', 'merged', 'cancelled')),
    lane         INTEGER NOT NULL, -- 0 urgent, 1 tried before or sent again by hand, 2 may be collected into a digest
    attempts     INTEGER NOT NULL DEFAULT 0,
    created      INTEGER NOT NULL,
    offered      INTEGER NOT NULL, -- from when on its time runs
    next_attempt INTEGER,
    finished     INTEGER, -- NULL exactly while it is open; a merged one is open as long as its digest
    answer       TEXT,
    waits        TEXT CHECK (waits IN ('digest', 'quiet_hours', 'escalation', 'target_down', 'limit')),
    merged_into  INTEGER,
    merged       INTEGER NOT NULL DEFAULT 0, -- how many others are part of its digest
    storm        INTEGER NOT NULL DEFAULT 0, -- whether its digest was made in a storm
    resent       INTEGER NOT NULL DEFAULT 0,
    UNIQUE (firing, channel, step)
) STRICT;
INSERT INTO deliveries_new
    (id, firing, alert, owner, channel, state, lane, attempts, created, offered, next_attempt, finished, answer)
    SELECT id, firing, alert, owner, channel, state, CASE WHEN attempts > 0 THEN 1 ELSE 2 END, attempts, created, created,
           next_attempt, CASE WHEN state IN ('queued', 'sending', 'retry') THEN NULL ELSE ifnull(finished, created) END, answer
    FROM deliveries ORDER BY id;
-- Numbers are never given twice, also those of rows that are gone.
DELETE FROM sqlite_sequence WHERE name = 'deliveries_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'deliveries_new', seq FROM sqlite_sequence WHERE name = 'deliveries';
DROP TABLE deliveries;
ALTER TABLE deliveries_new RENAME TO deliveries;
CREATE INDEX deliveries_by_owner ON deliveries (owner, id);
CREATE INDEX deliveries_by_state ON deliveries (owner, state, id);
CREATE INDEX deliveries_due ON deliveries (channel, lane, next_attempt, id) WHERE state IN ('queued', 'retry');
CREATE INDEX deliveries_open ON deliveries (channel, alert, id, state, step, lane, offered) WHERE finished IS NULL;
CREATE INDEX deliveries_ahead ON deliveries (channel, alert, id)
    WHERE finished IS NULL AND NOT (state = 'queued' AND (step > 0 OR lane = 2));
CREATE INDEX deliveries_merged ON deliveries (merged_into, alert, id) WHERE merged_into IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (channel) WHERE state = 'dead';
CREATE INDEX deliveries_of_alert ON deliveries (alert, id) WHERE finished IS NULL;

-- What a restart must not forget of a channel: how much it has sent, how it is doing, and what fired of late. JSON.
CREATE TABLE channel_states (
    channel TEXT PRIMARY KEY,
    flow    TEXT,
    memory  TEXT
) STRICT, WITHOUT ROWID;
