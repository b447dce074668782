//! `CoinGecko`: `GET /coins/{id}/market_chart` (points), and `/coins/{id}/ohlc` (bars of four hours) for the last 30 days.
//!
//! It chooses the distance of points by the days asked for: 5 minutes for one day, an hour to 90 days, a day beyond; without a paid
//! plan at most 365 days. A bar made of points has no extremes between them.

use bellwether_core::{
    instrument::Instrument,
    price::Price,
    tick::Candle,
    time::{Span, Timestamp},
};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Page, candle, integer, number, rows};
use crate::{
    history::{DAY, FIVE, HOUR, QUARTER, fold::fold, stretch::floor},
    provider::{Priority, Provider, Trouble},
    store::Stretch,
};

pub(super) async fn page(
    provider: &Provider,
    code: &str,
    instrument: &Instrument,
    length: Span,
    (from, _): Stretch,
    priority: Priority,
    now: Timestamp,
) -> Result<Page, Trouble> {
    let currency = instrument.currency.to_lowercase();
    let back = (now.since(from).as_seconds() + DAY.as_seconds() - 1) / DAY.as_seconds();
    let bars = length == DAY && back <= 29;
    let days = match length {
        FIVE | QUARTER => 1,
        HOUR => back.clamp(2, 90),
        _ if bars => 30,
        _ => 365,
    };
    let days = days.to_string();
    let query = [("vs_currency", currency.as_str()), ("days", &days), ("precision", "full")];
    let path = format!("coins/{code}/{}", if bars { "ohlc" } else { "market_chart" });
    let answer = provider.get(&path, &query, HeaderMap::new(), priority).await?;
    let read = if bars { bars_of_four_hours(&answer.body) } else { points(&answer.body) };
    let candles = read.ok_or_else(|| answer.not_understood())?;
    // Where it begins, a bar is made of what was left of it.
    let first = candles.first().map(|first| floor(first.from, length).plus(length));
    let candles = fold(candles, length).into_iter().filter(|bar| first.is_none_or(|first| bar.from >= first)).collect();
    Ok(Page { candles, from, splits: Vec::new() })
}

/// `[[1779199200000,76769.0,76889.0,76744.0,76818.0],…]`: the END of the bar in milliseconds, open, high, low, close.
pub(in crate::history) fn bars_of_four_hours(body: &str) -> Option<Vec<Candle>> {
    let four = HOUR.times(4);
    let list: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    let read = |row: Vec<&RawValue>| {
        let prices = [number(row.get(1)?)?, number(row.get(2)?)?, number(row.get(3)?)?, number(row.get(4)?)?];
        let end = Timestamp::from_millis(integer(row.first()?)?);
        Some(candle(end.minus(four), four, prices))
    };
    let mut bars: Vec<Candle> = rows(list).filter_map(read).collect();
    bars.sort_by_key(|bar| bar.from);
    Some(bars)
}

/// `{"prices":[[1779027899041,77953.82550382407],[1779028199661,78052.87543398788]],…}`: milliseconds and the price then. Each
/// point closes a bar that the one before opened.
pub(in crate::history) fn points(body: &str) -> Option<Vec<Candle>> {
    #[derive(Deserialize)]
    struct Chart<'a> {
        #[serde(borrow)]
        prices: Vec<&'a RawValue>,
    }
    let chart: Chart<'_> = serde_json::from_str(body).ok()?;
    let read = |row: Vec<&RawValue>| {
        Some((Timestamp::from_millis(integer(row.first()?)?), number(row.get(1)?)?)).filter(|(_, p)| p.is_positive())
    };
    let mut points: Vec<(Timestamp, Price)> = rows(chart.prices).filter_map(read).collect();
    points.sort_unstable();
    let bar = |pair: &[(Timestamp, Price)]| {
        let ((_, before), (at, price)) = (pair[0], pair[1]);
        // It stands for the moment before it, so that a point at midnight closes the old day.
        let at = at.minus(Span::from_millis(1));
        candle(at, Span::from_millis(1), [before, before.max(price), before.min(price), price])
    };
    Some(points.windows(2).map(bar).collect())
}
