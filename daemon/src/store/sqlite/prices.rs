//! One-minute bars and last prices, in SQL. Prices are compared here in Rust, as decimals: to SQL they are texts.

use std::collections::HashMap;

use bellwether_core::{
    event::Ticker,
    instrument::Symbol,
    price::Price,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};
use rusqlite::{
    Connection, OptionalExtension as _, Row, params,
    types::{Type, ValueRef},
};

use super::{Result, count, from_json, to_json};

/// A minute in microseconds.
const MINUTE: i64 = 60_000_000;

/// Writes bars and last prices over what was there.
pub(in crate::store) fn record(db: &Connection, bars: &[(Symbol, Candle)], last: &[Ticker]) -> Result<()> {
    let mut known: HashMap<Symbol, i64> = HashMap::new();
    let mut put = db.prepare_cached(
        "INSERT INTO bars (instrument, minute, session, open, high, low, close, volume) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (instrument, minute) DO UPDATE SET session = excluded.session, open = excluded.open, \
         high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume",
    )?;
    for (symbol, bar) in bars {
        let id = if let Some(id) = known.get(symbol) {
            *id
        } else {
            let id = instrument_for(db, *symbol)?;
            known.insert(*symbol, id);
            id
        };
        let [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(|price| price.to_string());
        let volume = bar.volume.map(|volume| volume.to_string());
        put.execute(params![id, minute(bar.from), session_number(bar.session), open, high, low, close, volume])?;
    }
    let mut put = db.prepare_cached(
        "INSERT INTO last_prices (symbol, as_of, received, ticker) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (symbol) DO UPDATE SET as_of = excluded.as_of, received = excluded.received, ticker = excluded.ticker",
    )?;
    for ticker in last {
        let (as_of, received) = (ticker.as_of.as_micros(), ticker.received.as_micros());
        put.execute(params![ticker.symbol.as_str(), as_of, received, to_json(ticker)?])?;
    }
    Ok(())
}

/// The number of an instrument, given now if need be.
pub(super) fn instrument_for(db: &Connection, symbol: Symbol) -> Result<i64> {
    if let Some(id) = instrument(db, symbol)? {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO instruments (symbol) VALUES (?1)")?.execute([symbol.as_str()])?;
    Ok(db.last_insert_rowid())
}

pub(super) fn instrument(db: &Connection, symbol: Symbol) -> Result<Option<i64>> {
    let mut statement = db.prepare_cached("SELECT id FROM instruments WHERE symbol = ?1")?;
    Ok(statement.query_row([symbol.as_str()], |row| row.get(0)).optional()?)
}

/// Every last price.
pub(in crate::store) fn last(db: &Connection) -> Result<Vec<Ticker>> {
    let mut statement = db.prepare("SELECT ticker, as_of, received FROM last_prices ORDER BY symbol")?;
    let mut rows = statement.query(())?;
    let mut tickers = Vec::new();
    while let Some(row) = rows.next()? {
        let mut ticker: Ticker = from_json("a last price", row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
        ticker.as_of = Timestamp::from_micros(row.get(1)?);
        ticker.received = Timestamp::from_micros(row.get(2)?);
        tickers.push(ticker);
    }
    Ok(tickers)
}

/// Bars of any length, made of one-minute bars.
pub(in crate::store) fn candles(
    db: &Connection,
    symbol: Symbol,
    interval: Span,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<Candle>> {
    let Some(id) = instrument(db, symbol)? else { return Ok(Vec::new()) };
    let length = interval.as_micros().max(MINUTE);
    // Newest first, so that reading ends with the limit, however long the history is.
    let mut statement = db.prepare_cached(
        "SELECT minute, session, open, high, low, close, volume FROM bars \
         WHERE instrument = ?1 AND minute >= ?2 AND minute < ?3 ORDER BY minute DESC",
    )?;
    let mut rows = statement.query(params![id, first_minute(from), first_minute(to)])?;
    let mut candles: Vec<Candle> = Vec::new();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut full = limit == 0;
    while let Some(row) = rows.next()? {
        let start = row.get::<_, i64>(0)?.saturating_mul(MINUTE);
        let start = Timestamp::from_micros(start - start.rem_euclid(length));
        let bar = read_bar(row, start, start.plus(Span::from_micros(length)))?;
        match candles.last_mut() {
            Some(candle) if candle.from == start => {
                candle.volume = candle.volume_with(&bar);
                candle.open = bar.open;
                candle.high = candle.high.max(bar.high);
                candle.low = candle.low.min(bar.low);
                if bar.session == Session::Regular {
                    candle.session = Session::Regular;
                }
            }
            _ if full => break,
            _ => {
                candles.push(bar);
                full = candles.len() == limit;
            }
        }
    }
    candles.reverse();
    Ok(candles)
}

/// The one-minute bars of several instruments, by time, then by instrument in the order of `symbols`.
pub(in crate::store) fn bars(
    db: &Connection,
    symbols: &[Symbol],
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Symbol, Candle)>> {
    let mut statement = db.prepare_cached(
        "SELECT minute, session, open, high, low, close, volume FROM bars \
         WHERE instrument = ?1 AND minute >= ?2 AND minute < ?3 ORDER BY minute",
    )?;
    let mut bars = Vec::new();
    for symbol in symbols {
        let Some(id) = instrument(db, *symbol)? else { continue };
        let mut rows = statement.query(params![id, first_minute(from), first_minute(to)])?;
        while let Some(row) = rows.next()? {
            let start = Timestamp::from_micros(row.get::<_, i64>(0)?.saturating_mul(MINUTE));
            bars.push((*symbol, read_bar(row, start, start.plus(Span::from_micros(MINUTE)))?));
        }
    }
    bars.sort_by_key(|(_, bar)| bar.from);
    Ok(bars)
}

/// A row of `minute, session, open, high, low, close, volume`.
fn read_bar(row: &Row<'_>, from: Timestamp, to: Timestamp) -> rusqlite::Result<Candle> {
    Ok(Candle {
        from,
        to,
        open: price(row, 2)?,
        high: price(row, 3)?,
        low: price(row, 4)?,
        close: price(row, 5)?,
        session: match row.get(1)? {
            0 => Session::Pre,
            2 => Session::Post,
            _ => Session::Regular,
        },
        volume: volume(row, 6)?,
    })
}

pub(super) fn price(row: &Row<'_>, column: usize) -> rusqlite::Result<Price> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

/// What was traded in a bar, where that is known.
pub(super) fn volume(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Price>> {
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { price(row, column).map(Some) }
}

const fn session_number(session: Session) -> i64 {
    match session {
        Session::Pre => 0,
        Session::Regular => 1,
        Session::Post => 2,
    }
}

/// The last closes of equal parts of a time, for every instrument.
pub(in crate::store) fn sparklines(
    db: &Connection,
    from: Timestamp,
    to: Timestamp,
    steps: u32,
) -> Result<HashMap<Symbol, Vec<Price>>> {
    let mut lines = HashMap::new();
    let instruments = db
        .prepare_cached("SELECT id, symbol FROM instruments")?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let mut newest = db.prepare_cached(
        "SELECT close FROM bars WHERE instrument = ?1 AND minute >= ?2 AND minute < ?3 ORDER BY minute DESC LIMIT 1",
    )?;
    let (first, last, steps) = (first_minute(from), first_minute(to), i64::from(steps));
    for (id, symbol) in instruments {
        let Ok(symbol) = symbol.parse::<Symbol>() else { continue };
        let mut closes = Vec::new();
        for step in 0..steps {
            let part = |n: i64| first + (last - first).saturating_mul(n) / steps;
            let close = newest.query_row(params![id, part(step), part(step + 1)], |row| price(row, 0)).optional()?;
            closes.extend(close);
        }
        if !closes.is_empty() {
            lines.insert(symbol, closes);
        }
    }
    Ok(lines)
}

/// When the oldest bar begins.
pub(in crate::store) fn oldest(db: &Connection) -> Result<Option<Timestamp>> {
    let sql = "SELECT min((SELECT min(minute) FROM bars WHERE instrument = i.id)) FROM instruments i";
    let minute: Option<i64> = db.prepare_cached(sql)?.query_row((), |row| row.get(0))?;
    Ok(minute.map(|minute| Timestamp::from_micros(minute.saturating_mul(MINUTE))))
}

/// Deletes old bars, instrument by instrument: that is how they lie.
pub(in crate::store) fn prune(db: &Connection, before: Timestamp) -> Result<u64> {
    let ids = db
        .prepare("SELECT id FROM instruments")?
        .query_map((), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut delete = db.prepare_cached("DELETE FROM bars WHERE instrument = ?1 AND minute < ?2")?;
    let mut gone = 0;
    for id in ids {
        gone += delete.execute(params![id, first_minute(before)])?;
    }
    Ok(count(gone))
}

/// The minute an instant lies in.
fn minute(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(MINUTE)
}

/// The first minute that starts at or after an instant.
pub(super) fn first_minute(at: Timestamp) -> i64 {
    at.as_micros().saturating_add(MINUTE - 1).div_euclid(MINUTE)
}
