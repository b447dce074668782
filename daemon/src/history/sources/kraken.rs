//! Kraken: `GET /0/public/OHLC?pair=&interval=&since=`, the last 720 bars and no others, the last one still running.

use std::collections::BTreeMap;

use bellwether_core::{
    tick::Candle,
    time::{Span, Timestamp},
};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Page, candle, integer, number, rows, volume};
use crate::{
    provider::{Priority, Provider, Trouble},
    store::Stretch,
};

/// How many bars back it knows, less some that pass while it is asked.
pub(super) const ROWS: i64 = 715;

pub(super) async fn page(
    provider: &Provider,
    code: &str,
    length: Span,
    (from, _): Stretch,
    priority: Priority,
) -> Result<Page, Trouble> {
    let interval = (length.as_seconds() / 60).to_string();
    let since = (from.as_seconds() - 1).to_string();
    let query = [("pair", code), ("interval", interval.as_str()), ("since", &since)];
    let answer = provider.get("0/public/OHLC", &query, HeaderMap::new(), priority).await?;
    let candles = parse(&answer.body, length).ok_or_else(|| answer.not_understood())?;
    Ok(Page { candles, from, splits: Vec::new() })
}

/// `{"error":[],"result":{"XXBTZUSD":[[1790348400,"84001.9","84075.9","83351.5","83777.5","83714.6","159.04484404",9205],…],
/// "last":1790355600}}`: time in seconds, open, high, low, close, vwap, volume, count. The pair may be called `XXBTZUSD`,
/// `XBTUSDT` or `BTC/USD`: it is what is not `last`. A stretch without trades may be present with volume 0.
pub(in crate::history) fn parse(body: &str, length: Span) -> Option<Vec<Candle>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        error: Vec<String>,
        #[serde(borrow)]
        result: BTreeMap<String, &'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_str(body).ok().filter(|answer: &Answer<'_>| answer.error.is_empty())?;
    let (_, list) = answer.result.into_iter().find(|(name, _)| name != "last")?;
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let read = |row: Vec<&RawValue>| {
        let prices = [number(row.get(1)?)?, number(row.get(2)?)?, number(row.get(3)?)?, number(row.get(4)?)?];
        let bar = candle(Timestamp::from_seconds(integer(row.first()?)?), length, prices);
        Some(Candle { volume: volume(row.get(6)), ..bar })
    };
    Some(rows(list).filter_map(read).collect())
}
