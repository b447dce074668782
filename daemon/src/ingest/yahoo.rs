//! Yahoo Finance: everything that is not traded on a crypto exchange, polled by `spark` calls of up to 20 symbols.
//!
//! Unofficial, and easily annoyed: the calls are spread over the interval, never more than 300 an hour with all others to it, and
//! after a refusal the next one comes a minute or more later, under the next user agent. A price whose time stands still is no news and is never
//! repeated as such: while its market is open that means a halt or a stuck source, and it has to turn stale.

use std::{borrow::Cow, collections::BTreeSet, convert::Infallible, time::Duration};

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::{DayStats, Session, Tick},
    time::{Span, Timestamp},
};
use reqwest::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::supervise::{Link, Trouble, believable, clean};
use crate::provider::{Priority, Provider};

/// The most symbols a call may ask for.
const PER_CALL: usize = 20;
/// The gap between the calls of the first round, so that a new start shows all prices soon.
const FIRST_ROUND: Duration = Duration::from_secs(2);
/// Seconds after the closing in which the closing price itself may still come.
const CLOSING: i64 = 15 * 60;
/// More significant digits than this are a binary float in disguise.
const HONEST_DIGITS: u32 = 9;

/// The feed.
#[derive(Debug)]
pub(super) struct Yahoo {
    provider: Provider,
    interval: Duration,
    instruments: Vec<Instrument>,
    /// Which part of the instruments is next. It outlives a failure.
    part: usize,
    /// Whether each part has been asked for once.
    spread: bool,
    /// What had no price when it was last asked for.
    silent: BTreeSet<Symbol>,
}

impl Yahoo {
    pub(super) fn new(interval: Span, instruments: Vec<Instrument>, provider: Provider) -> Self {
        Self { provider, interval: interval.into(), instruments, part: 0, spread: false, silent: BTreeSet::new() }
    }

    /// Polls until a call fails.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        loop {
            let wanted = link.wanted(&self.instruments);
            if wanted.is_empty() {
                link.wanted_changed().await?;
                continue;
            }
            let parts = wanted.len().div_ceil(PER_CALL).max(1);
            let gap = self.interval / u32::try_from(parts).unwrap_or(1);
            let begun = Instant::now();
            // Moved on before the call: a part that always fails must not starve the others.
            let part = self.part % parts;
            self.part = part + 1;
            self.spread |= self.part == parts;
            let from = part * PER_CALL;
            let asked = &wanted[from..wanted.len().min(from + PER_CALL)];
            let rows = ask(&self.provider, asked, link).await?;
            for instrument in asked {
                if rows.ticks.iter().any(|t| t.symbol == instrument.symbol) {
                    self.silent.remove(&instrument.symbol);
                } else {
                    self.silent.insert(instrument.symbol);
                }
            }
            for reason in rows.rejected {
                link.rejected(reason);
            }
            link.batch(rows.ticks).await?;
            let names: Vec<&str> = self.silent.iter().map(Symbol::as_str).collect();
            link.live((!names.is_empty()).then(|| clean(&format!("no price of {}", names.join(", "))))).await?;
            tokio::time::sleep_until(begun + if self.spread { gap } else { gap.min(FIRST_ROUND) }).await;
        }
    }
}

/// One call.
async fn ask(provider: &Provider, asked: &[Instrument], link: &Link) -> Result<Rows, Trouble> {
    let codes: Vec<&str> = asked.iter().filter_map(|i| i.code_at(FeedId::Yahoo)).collect();
    // The last parameter only makes the address a new one: known addresses may be answered from a cache.
    let query = [
        ("symbols", codes.join(",")),
        ("range", "1d".to_owned()),
        ("interval", "5m".to_owned()),
        ("_", link.now().as_seconds().to_string()),
    ];
    let query: Vec<(&str, &str)> = query.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
    let begun = Instant::now();
    let answer = provider.get("v7/finance/spark", &query, headers, Priority::Live).await?;
    let rows = parse(&answer.body, asked, link.now()).ok_or_else(|| answer.not_understood())?;
    link.answered(begun.elapsed());
    Ok(rows)
}

/// `{"spark":{"result":[{"symbol":"PTT.BK","response":[{"meta":{…},"timestamp":[…],"indicators":{…}}]}],"error":null}}`
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    spark: Spark<'a>,
}

#[derive(Deserialize)]
struct Spark<'a> {
    #[serde(borrow)]
    result: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    response: Vec<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    meta: Meta<'a>,
}

/// What an answer says of a symbol:
/// `{"currency":"THB","symbol":"PTT.BK",…,"regularMarketTime":1790826793,"hasPrePostMarketData":false,
/// "regularMarketPrice":40.75,…,"regularMarketDayHigh":41.0,"regularMarketDayLow":40.0,"regularMarketVolume":120302611,…,
/// "chartPreviousClose":40.75,"priceHint":2,"currentTradingPeriod":{"pre":{…},"regular":{"start":…,"end":…},"post":{…}},
/// "range":"1d",…}`. Any of it may be missing, null, or the text "NaN".
///
/// The other shape of the answer is a map `{"AAPL":{"symbol":"AAPL","timestamp":[…],"close":[…],"previousClose":…}}`, which
/// has the price among these fields or not at all.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    regular_market_price: Option<&'a RawValue>,
    #[serde(borrow)]
    regular_market_time: Option<&'a RawValue>,
    #[serde(borrow)]
    regular_market_day_high: Option<&'a RawValue>,
    #[serde(borrow)]
    regular_market_day_low: Option<&'a RawValue>,
    #[serde(borrow)]
    regular_market_volume: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_close: Option<&'a RawValue>,
    #[serde(borrow)]
    chart_previous_close: Option<&'a RawValue>,
    #[serde(borrow)]
    price_hint: Option<&'a RawValue>,
    #[serde(borrow)]
    range: Option<Cow<'a, str>>,
    has_pre_post_market_data: Option<bool>,
    #[serde(borrow)]
    current_trading_period: Option<&'a RawValue>,
    /// Of the other shape only.
    timestamp: Option<Vec<Option<i64>>>,
    #[serde(borrow)]
    close: Option<Vec<Option<&'a RawValue>>>,
}

#[derive(Deserialize)]
struct Periods {
    pre: Option<Period>,
    regular: Period,
    post: Option<Period>,
}

#[derive(Deserialize)]
struct Period {
    start: i64,
    end: i64,
}

impl Period {
    fn holds(&self, seconds: i64) -> bool {
        (self.start..self.end).contains(&seconds)
    }
}

/// What one answer held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    ticks: Vec<Tick>,
    /// Why others were not believed.
    rejected: Vec<&'static str>,
}

/// Reads an answer of `spark` in either shape; nothing where it is neither.
fn parse(body: &str, asked: &[Instrument], now: Timestamp) -> Option<Rows> {
    let mut rows = Rows::default();
    let mut add = |tick: Result<Tick, &'static str>| match tick {
        Ok(tick) if rows.ticks.iter().any(|t| t.symbol == tick.symbol) => rows.rejected.push("twice"),
        Ok(tick) => rows.ticks.push(tick),
        Err(reason) => rows.rejected.push(reason),
    };
    if let Ok(wrapped) = serde_json::from_str::<Wrapped<'_>>(body) {
        for raw in wrapped.spark.result {
            let entry = serde_json::from_str::<Entry<'_>>(raw.get()).map_err(|_| "malformed");
            add(entry.and_then(|entry| {
                let response = entry.response.first().ok_or("malformed")?;
                read(&entry.symbol, &response.meta, asked, now)
            }));
        }
        return Some(rows);
    }
    let map: std::collections::BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body).ok()?;
    // Without a single symbol that was asked for it is some other object.
    if !map.keys().any(|code| find(code, asked).is_some()) {
        return None;
    }
    for (code, raw) in map {
        let meta = serde_json::from_str::<Meta<'_>>(raw.get()).map_err(|_| "malformed");
        add(meta.and_then(|meta| read(&code, &meta, asked, now)));
    }
    Some(rows)
}

/// The instrument that was asked for by this code. Dollar pairs may come back under their short name: `INR=X` for `USDINR=X`.
fn find<'a>(code: &str, asked: &'a [Instrument]) -> Option<&'a Instrument> {
    let by = |code: &str| asked.iter().find(|i| i.code_at(FeedId::Yahoo).is_some_and(|c| c.eq_ignore_ascii_case(code)));
    by(code).or_else(|| by(&format!("USD{code}")))
}

fn read(code: &str, meta: &Meta<'_>, asked: &[Instrument], now: Timestamp) -> Result<Tick, &'static str> {
    let instrument = find(code, asked).ok_or("unknown_symbol")?;
    // Pence are not pounds: `GBp`, `ZAc`, `ILA` and `USX` are units of their own, told apart by their spelling.
    if meta.currency.as_deref().is_some_and(|currency| currency != instrument.currency) {
        return Err("currency");
    }
    let hint = meta.price_hint.and_then(|raw| raw.get().parse().ok());
    let number = |raw: Option<&RawValue>| raw.and_then(|raw| price(raw.get(), hint));
    let positive = |raw| number(raw).filter(|p| p.is_positive());
    let (value, seconds) = match (meta.regular_market_price, last_close(meta)) {
        // The price is this one, at its own time; candles may be years old beside it.
        (Some(raw), _) => (raw, meta.regular_market_time.and_then(|raw| unix_seconds(raw.get()))),
        (None, Some((raw, seconds))) => (raw, Some(seconds)),
        (None, None) => return Err("price"),
    };
    let value = price(value.get(), hint).filter(|&p| believable(instrument, p)).ok_or("price")?;
    // Without a time the price of a closed market would pass for news.
    let seconds = seconds.ok_or("time")?;
    let day_only = meta.range.as_deref().is_none_or(|range| range == "1d");
    Ok(Tick {
        exchange_time: Some(Timestamp::from_seconds(seconds)),
        session: session(meta, instrument, seconds),
        day: DayStats {
            reference: positive(meta.previous_close)
                // The close before the chart: yesterday's only where the chart is of today.
                .or_else(|| positive(meta.chart_previous_close).filter(|_| day_only)),
            high: positive(meta.regular_market_day_high),
            low: positive(meta.regular_market_day_low),
            volume: positive(meta.regular_market_volume),
        },
        ..Tick::new(instrument.symbol, value, FeedId::Yahoo, now)
    })
}

/// The last candle that has a close, with its start: all that the other shape may have. Its time is rather too old than too new.
fn last_close<'a>(meta: &Meta<'a>) -> Option<(&'a RawValue, i64)> {
    let (times, closes) = (meta.timestamp.as_ref()?, meta.close.as_ref()?);
    times.iter().zip(closes).rev().find_map(|(time, close)| Some(((*close)?, (*time)?)))
}

/// A time in seconds, or in milliseconds where it would lie beyond the year 5138.
fn unix_seconds(raw: &str) -> Option<i64> {
    let whole = raw.trim_matches('"').split('.').next()?;
    let value: i64 = whole.parse().ok().filter(|&value| value > 0)?;
    Some(if value > 100_000_000_000 { value / 1_000 } else { value })
}

/// A number as Yahoo writes it. Many are 32-bit floats widened to 64 bits: `2284.449951171875` is 2284.45. What has more than
/// nine significant digits is rounded to seven, or to the places of `priceHint` where those are more.
fn price(raw: &str, hint: Option<u32>) -> Option<Price> {
    let price = Price::from_json(raw).ok()?;
    let value = price.decimal();
    // Digits of the number, leading zeros not counted: 0.00001234 has four.
    let digits = value.mantissa().unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
    if digits <= HONEST_DIGITS {
        return Some(price);
    }
    let before_point = i64::from(digits) - i64::from(value.scale());
    let places = u32::try_from((7 - before_point).max(0)).ok()?.max(hint.unwrap_or(0).min(8));
    Some(Price::new(value.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven)))
        .filter(|p| p.decimal() != Decimal::ZERO)
}

/// The part of the trading day: what the source says of its current period, else what the calendar says. Outside trading hours
/// the "current" period is already the next one, and the price is the last of the regular session.
fn session(meta: &Meta<'_>, instrument: &Instrument, seconds: i64) -> Session {
    if meta.has_pre_post_market_data == Some(false) {
        return Session::Regular;
    }
    let periods = meta.current_trading_period.and_then(|raw| serde_json::from_str::<Periods>(raw.get()).ok());
    if let Some(Periods { pre, regular, post }) = periods {
        if regular.holds(seconds) || (regular.end..regular.end.saturating_add(CLOSING)).contains(&seconds) {
            return Session::Regular;
        }
        if pre.is_some_and(|p| p.holds(seconds)) {
            return Session::Pre;
        }
        if post.is_some_and(|p| p.holds(seconds)) {
            return Session::Post;
        }
    }
    // A price of just after the closing is the closing price.
    let at = |seconds| market_hours(&instrument.session, &instrument.timezone, Timestamp::from_seconds(seconds));
    match (at(seconds), at(seconds.saturating_sub(CLOSING))) {
        (MarketHours::Pre, _) => Session::Pre,
        (MarketHours::Post, MarketHours::Post) => Session::Post,
        _ => Session::Regular,
    }
}

#[cfg(test)]
#[path = "yahoo_tests.rs"]
mod tests;
