-- What was answered to calls that came with an `Idempotency-Key`, for the time in which they may be sent again.
CREATE TABLE answers (
    owner    INTEGER NOT NULL, -- 0: nobody yet
    path     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    asked    BLOB    NOT NULL, -- SHA-256 of the request's body
    status   INTEGER NOT NULL,
    location TEXT,
    body     BLOB    NOT NULL,
    made     INTEGER NOT NULL,
    PRIMARY KEY (owner, path, key)
) STRICT, WITHOUT ROWID;
