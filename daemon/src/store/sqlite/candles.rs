//! Fetched bars, for which times they were asked for, and what remains of recorded ones, in SQL.

use bellwether_core::{
    instrument::{FeedId, Symbol},
    tick::{Candle, Session},
    time::{Span, Timestamp},
};
use rusqlite::{Connection, Row, params};

use super::{
    super::{Fetched, Stretch},
    Result, count,
    prices::{candles as recorded, first_minute, instrument, instrument_for, price, volume},
};

/// An hour, to which recorded minutes are condensed when they go, in seconds.
const HOUR: i64 = 3_600;
/// How much is condensed at a time, in hours.
const AT_A_TIME: u32 = 24 * 31;

/// Writes fetched bars over what was there, and notes for which time they were asked.
pub(in crate::store) fn put(db: &Connection, fetched: &Fetched, now: Timestamp) -> Result<()> {
    let id = instrument_for(db, fetched.symbol)?;
    let length = fetched.length.as_seconds();
    insert(db, id, length, source_number(Some(fetched.source)), &fetched.candles)?;
    let Some((from, to)) = fetched.asked.filter(|(from, to)| from < to) else { return Ok(()) };
    let (mut begins, mut ends, mut asked) = (from.as_seconds(), to.as_seconds(), now.as_seconds());
    // What touches it becomes one with it.
    let touching = "instrument = ?1 AND length = ?2 AND begins <= ?4 AND ends >= ?3";
    let known: (Option<i64>, Option<i64>, Option<i64>) = db
        .prepare_cached(&format!("SELECT MIN(begins), MAX(ends), MIN(asked) FROM candles_asked WHERE {touching}"))?
        .query_row(params![id, length, begins, ends], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    db.prepare_cached(&format!("DELETE FROM candles_asked WHERE {touching}"))?
        .execute(params![id, length, begins, ends])?;
    begins = known.0.map_or(begins, |known| known.min(begins));
    ends = known.1.map_or(ends, |known| known.max(ends));
    asked = known.2.map_or(asked, |known| known.min(asked));
    db.prepare_cached(
        "INSERT INTO candles_asked (instrument, length, begins, ends, asked) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![id, length, begins, ends, asked])?;
    Ok(())
}

fn insert(db: &Connection, id: i64, length: i64, source: i64, candles: &[Candle]) -> Result<()> {
    // What was fetched is better than what is left of our own.
    let mut put = db.prepare_cached(
        "INSERT INTO candles (instrument, length, start, source, open, high, low, close, volume) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (instrument, length, start) DO UPDATE SET source = excluded.source, open = excluded.open, \
         high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume WHERE excluded.source > 0 OR source = 0",
    )?;
    for bar in candles {
        let [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(|price| price.to_string());
        let volume = bar.volume.map(|volume| volume.to_string());
        put.execute(params![id, length, bar.from.as_seconds(), source, open, high, low, close, volume])?;
    }
    Ok(())
}

/// The kept bars of one length that start in `from..to`, oldest first, each with whom it is from (nobody: recorded here).
pub(in crate::store) fn between(
    db: &Connection,
    symbol: Symbol,
    length: Span,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Candle, Option<FeedId>)>> {
    let Some(id) = instrument(db, symbol)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached(
        "SELECT start, source, open, high, low, close, volume FROM candles \
         WHERE instrument = ?1 AND length = ?2 AND start >= ?3 AND start < ?4 ORDER BY start",
    )?;
    let range = params![id, length.as_seconds(), whole_second(from), whole_second(to)];
    let rows = statement.query_map(range, |row| read(row, length))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>, length: Span) -> rusqlite::Result<(Candle, Option<FeedId>)> {
    let from = Timestamp::from_seconds(row.get(0)?);
    let candle = Candle {
        from,
        to: from.plus(length),
        open: price(row, 2)?,
        high: price(row, 3)?,
        low: price(row, 4)?,
        close: price(row, 5)?,
        session: Session::Regular,
        volume: volume(row, 6)?,
    };
    Ok((candle, source(row.get(1)?)))
}

/// For which times within `from..to` a provider has been asked, oldest first.
pub(in crate::store) fn asked(
    db: &Connection,
    symbol: Symbol,
    length: Span,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Stretch>> {
    let Some(id) = instrument(db, symbol)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached(
        "SELECT begins, ends FROM candles_asked \
         WHERE instrument = ?1 AND length = ?2 AND begins < ?4 AND ends > ?3 ORDER BY begins",
    )?;
    let range = params![id, length.as_seconds(), from.as_seconds(), whole_second(to)];
    let rows = statement
        .query_map(range, |row| Ok((Timestamp::from_seconds(row.get(0)?), Timestamp::from_seconds(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The times within `from..to` in which one-minute bars were recorded without a pause of more than `pause`, oldest first; with
/// `volumes` only bars count that say what was traded.
pub(in crate::store) fn runs(
    db: &Connection,
    symbol: Symbol,
    from: Timestamp,
    to: Timestamp,
    pause: Span,
    volumes: bool,
) -> Result<Vec<Stretch>> {
    let Some(id) = instrument(db, symbol)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached(
        "SELECT minute FROM bars WHERE instrument = ?1 AND minute >= ?2 AND minute < ?3 \
         AND (volume IS NOT NULL OR NOT ?4) ORDER BY minute",
    )?;
    let mut rows = statement.query(params![id, first_minute(from), first_minute(to), volumes])?;
    let mut runs: Vec<Stretch> = Vec::new();
    while let Some(row) = rows.next()? {
        let start = Timestamp::from_seconds(row.get::<_, i64>(0)?.saturating_mul(60));
        let end = start.plus(Span::from_seconds(60));
        match runs.last_mut() {
            Some((_, before)) if start.since(*before) <= pause => *before = end,
            _ => runs.push((start, end)),
        }
    }
    Ok(runs)
}

/// Forgets what was fetched of an instrument before `split` and not after it: those prices are in old units.
pub(in crate::store) fn forget_before(db: &Connection, symbol: Symbol, split: Timestamp) -> Result<u64> {
    let Some(id) = instrument(db, symbol)? else { return Ok(0) };
    let split = split.as_seconds();
    let lengths = db
        .prepare("SELECT DISTINCT length FROM candles_asked WHERE instrument = ?1 AND begins < ?2 AND asked < ?2")?
        .query_map(params![id, split], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut gone = 0;
    for length in lengths {
        let of = params![id, length, split];
        gone += db.execute("DELETE FROM candles WHERE instrument = ?1 AND length = ?2 AND start < ?3", of)?;
        db.execute("DELETE FROM candles_asked WHERE instrument = ?1 AND length = ?2 AND begins < ?3", of)?;
    }
    Ok(count(gone))
}

/// Condenses the recorded minutes before then to hours, which are kept on.
pub(in crate::store) fn condense(db: &Connection, before: Timestamp) -> Result<()> {
    let before = before.as_seconds().div_euclid(HOUR) * HOUR;
    for (id, symbol) in instruments(db)? {
        let Ok(symbol) = symbol.parse() else { continue };
        let first: Option<i64> = db
            .prepare_cached("SELECT MIN(minute) FROM bars WHERE instrument = ?1")?
            .query_row([id], |row| row.get(0))?;
        let Some(first) = first.map(|minute| minute.saturating_mul(60)).filter(|first| *first < before) else {
            continue;
        };
        let first = first.max(before - HOUR * i64::from(AT_A_TIME));
        let (from, to) = (Timestamp::from_seconds(first), Timestamp::from_seconds(before));
        let hours = recorded(db, symbol, Span::from_seconds(HOUR), from, to, AT_A_TIME)?;
        insert(db, id, HOUR, source_number(None), &hours)?;
    }
    Ok(())
}

/// Deletes bars of each length that start before its time.
pub(in crate::store) fn prune(db: &Connection, keep: &[(Span, Timestamp)]) -> Result<u64> {
    let mut gone = 0;
    for (id, _) in instruments(db)? {
        for (length, before) in keep {
            let of = params![id, length.as_seconds(), before.as_seconds()];
            gone += db
                .prepare_cached("DELETE FROM candles WHERE instrument = ?1 AND length = ?2 AND start < ?3")?
                .execute(of)?;
            db.prepare_cached("DELETE FROM candles_asked WHERE instrument = ?1 AND length = ?2 AND ends <= ?3")?
                .execute(of)?;
            db.prepare_cached(
                "UPDATE OR REPLACE candles_asked SET begins = ?3 WHERE instrument = ?1 AND length = ?2 AND begins < ?3",
            )?
            .execute(of)?;
        }
    }
    Ok(count(gone))
}

fn instruments(db: &Connection) -> Result<Vec<(i64, String)>> {
    let mut statement = db.prepare_cached("SELECT id, symbol FROM instruments")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The first whole second at or after an instant.
fn whole_second(at: Timestamp) -> i64 {
    at.as_micros().saturating_add(999_999).div_euclid(1_000_000)
}

const fn source_number(source: Option<FeedId>) -> i64 {
    match source {
        None | Some(FeedId::Simulated | FeedId::Tape) => 0,
        Some(FeedId::Coinbase) => 1,
        Some(FeedId::Kraken) => 2,
        Some(FeedId::Binance) => 3,
        Some(FeedId::Coingecko) => 4,
        Some(FeedId::Yahoo) => 5,
        Some(FeedId::Finnhub) => 6,
        Some(FeedId::Twelvedata) => 7,
    }
}

const fn source(number: i64) -> Option<FeedId> {
    match number {
        1 => Some(FeedId::Coinbase),
        2 => Some(FeedId::Kraken),
        3 => Some(FeedId::Binance),
        4 => Some(FeedId::Coingecko),
        5 => Some(FeedId::Yahoo),
        6 => Some(FeedId::Finnhub),
        7 => Some(FeedId::Twelvedata),
        _ => None,
    }
}
