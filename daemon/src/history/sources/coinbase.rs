//! Coinbase Exchange: `GET /products/{id}/candles?granularity=&start=&end=`, at most 300 bars, newest first.

use bellwether_core::{
    tick::Candle,
    time::{Span, Timestamp},
};
use reqwest::header::HeaderMap;
use serde_json::value::RawValue;

use super::{Page, candle, integer, number, rows, volume};
use crate::{
    provider::{Priority, Provider, Trouble},
    store::Stretch,
};

/// The most bars of one answer.
const ROWS: i64 = 300;

pub(super) async fn page(
    provider: &Provider,
    code: &str,
    length: Span,
    (from, to): Stretch,
    priority: Priority,
) -> Result<Page, Trouble> {
    let from = from.max(to.minus(length.times(ROWS)));
    // Both ends are part of the answer.
    let (start, end) = (from.to_string(), to.minus(length).max(from).to_string());
    let granularity = length.as_seconds().to_string();
    let query = [("granularity", granularity.as_str()), ("start", &start), ("end", &end)];
    let path = format!("products/{code}/candles");
    let answer = provider.get(&path, &query, HeaderMap::new(), priority).await?;
    let candles = parse(&answer.body, length).ok_or_else(|| answer.not_understood())?;
    Ok(Page { candles, from, splits: Vec::new() })
}

/// `[[1609977600,29516.98,32900,29818.73,32120.19,5957.46980324],…]`: time in seconds, low, high, open, close, volume; newest first,
/// stretches without a trade are absent.
pub(in crate::history) fn parse(body: &str, length: Span) -> Option<Vec<Candle>> {
    let list: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    let read = |row: Vec<&RawValue>| {
        let [low, high, open, close] =
            [number(row.get(1)?)?, number(row.get(2)?)?, number(row.get(3)?)?, number(row.get(4)?)?];
        let bar = candle(Timestamp::from_seconds(integer(row.first()?)?), length, [open, high, low, close]);
        Some(Candle { volume: volume(row.get(5)), ..bar })
    };
    Some(rows(list).filter_map(read).collect())
}
