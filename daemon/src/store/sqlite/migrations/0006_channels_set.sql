-- Channels that were set up while the daemon ran, beside those of the configuration file.
CREATE TABLE channels_set (
    name     TEXT    NOT NULL PRIMARY KEY,
    settings TEXT    NOT NULL, -- JSON, secrets included
    changed  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
