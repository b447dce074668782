-- What a user has added to the built-in instruments.
CREATE TABLE instruments_added (
    symbol     TEXT    NOT NULL PRIMARY KEY,
    instrument TEXT    NOT NULL, -- JSON
    added      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
