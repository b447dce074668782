//! Binance spot: `GET /api/v3/klines?symbol=&interval=&startTime=&endTime=&limit=`, at most 1,000 bars, the last one still running.

use bellwether_core::{
    tick::Candle,
    time::{Span, Timestamp},
};
use reqwest::header::HeaderMap;
use serde_json::value::RawValue;

use super::{Page, candle, integer, number, rows, volume};
use crate::{
    history::{DAY, HOUR},
    provider::{Priority, Provider, Trouble},
    store::Stretch,
};

/// The most bars of one answer.
const ROWS: i64 = 1_000;

pub(super) async fn page(
    provider: &Provider,
    code: &str,
    length: Span,
    (from, to): Stretch,
    priority: Priority,
) -> Result<Page, Trouble> {
    let from = from.max(to.minus(length.times(ROWS)));
    let interval = match length {
        DAY => "1d".to_owned(),
        HOUR => "1h".to_owned(),
        _ => format!("{}m", length.as_seconds() / 60),
    };
    // The end is part of the answer.
    let (start, end) = (from.as_millis().to_string(), (to.as_millis() - 1).to_string());
    let query =
        [("symbol", code), ("interval", &interval), ("startTime", &start), ("endTime", &end), ("limit", "1000")];
    let answer = provider.get("api/v3/klines", &query, HeaderMap::new(), priority).await?;
    let candles = parse(&answer.body, length).ok_or_else(|| answer.not_understood())?;
    Ok(Page { candles, from, splits: Vec::new() })
}

/// `[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,…],…]`: opening time in
/// milliseconds, open, high, low, close, volume, closing time.
pub(in crate::history) fn parse(body: &str, length: Span) -> Option<Vec<Candle>> {
    let list: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    let read = |row: Vec<&RawValue>| {
        let prices = [number(row.get(1)?)?, number(row.get(2)?)?, number(row.get(3)?)?, number(row.get(4)?)?];
        let bar = candle(Timestamp::from_millis(integer(row.first()?)?), length, prices);
        Some(Candle { volume: volume(row.get(5)), ..bar })
    };
    Some(rows(list).filter_map(read).collect())
}
