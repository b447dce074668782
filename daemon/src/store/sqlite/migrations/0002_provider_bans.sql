-- Until when a provider is to be left alone, by the host that said so: a restart asks nobody earlier.
CREATE TABLE provider_bans (
    provider TEXT    NOT NULL,
    host     TEXT    NOT NULL,
    until    INTEGER NOT NULL,
    status   INTEGER NOT NULL, -- of HTTP
    failures INTEGER NOT NULL, -- refusals in a row
    reason   TEXT    NOT NULL,
    PRIMARY KEY (provider, host)
) STRICT, WITHOUT ROWID;
