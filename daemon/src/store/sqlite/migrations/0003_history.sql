-- Closed bars that were fetched from providers, and those that the recorded ones of a minute were condensed to.
CREATE TABLE candles (
    instrument INTEGER NOT NULL,
    length     INTEGER NOT NULL, -- seconds
    start      INTEGER NOT NULL, -- seconds since 1970
    source     INTEGER NOT NULL, -- 0 recorded here, 1 coinbase, 2 kraken, 3 binance, 4 coingecko, 5 yahoo
    open       TEXT    NOT NULL,
    high       TEXT    NOT NULL,
    low        TEXT    NOT NULL,
    close      TEXT    NOT NULL,
    PRIMARY KEY (instrument, length, start)
) STRICT, WITHOUT ROWID;

-- For which times a provider has been asked: what has no bar there has none, and is not asked for again.
CREATE TABLE candles_asked (
    instrument INTEGER NOT NULL,
    length     INTEGER NOT NULL,
    begins     INTEGER NOT NULL, -- seconds since 1970, inclusive
    ends       INTEGER NOT NULL, -- exclusive
    asked      INTEGER NOT NULL, -- when, the earliest of what was put together
    PRIMARY KEY (instrument, length, begins)
) STRICT, WITHOUT ROWID;
