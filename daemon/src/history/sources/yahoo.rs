//! Yahoo Finance: `GET /v8/finance/chart/{symbol}?period1=&period2=&interval=`, a week of minutes at once, otherwise everything.

use std::{borrow::Cow, collections::BTreeMap};

use bellwether_core::{
    instrument::Instrument,
    price::Price,
    tick::Candle,
    time::{Span, Timestamp},
};
use reqwest::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Page, candle, integer, volume as volume_of};
use crate::{
    history::{DAY, HOUR, MINUTE},
    provider::{Priority, Provider, Trouble, undisguised},
    store::Stretch,
};

/// How much one answer holds of bars of a minute.
const MINUTES: Span = DAY.times(7);

pub(super) async fn page(
    provider: &Provider,
    code: &str,
    instrument: &Instrument,
    length: Span,
    (from, to): Stretch,
    priority: Priority,
) -> Result<Page, Trouble> {
    let from = if length == MINUTE { from.max(to.minus(MINUTES)) } else { from };
    let interval = match length {
        DAY => "1d".to_owned(),
        HOUR => "1h".to_owned(),
        _ => format!("{}m", length.as_seconds() / 60),
    };
    let (start, end) = (from.as_seconds().to_string(), to.as_seconds().to_string());
    let query = [
        ("period1", start.as_str()),
        ("period2", &end),
        ("interval", &interval),
        ("includePrePost", "false"),
        ("events", "div,splits"),
    ];
    let code: String = url::form_urlencoded::byte_serialize(code.as_bytes()).collect();
    let path = format!("v8/finance/chart/{code}");
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
    let answer = provider.get(&path, &query, headers, priority).await?;
    let chart = parse(&answer.body, length).ok_or_else(|| answer.not_understood())?;
    let currency = chart.currency.as_deref();
    let Some(candles) = in_currency(chart.candles, currency, &instrument.currency) else {
        let text = format!("quoted in {}, not in {}", currency.unwrap_or("nothing"), instrument.currency);
        return Err(Trouble::refused(text, Some(200)));
    };
    Ok(Page { candles, from, splits: chart.splits })
}

/// What a chart holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::history) struct Chart {
    /// As Yahoo writes it; `GBp`, `ZAc` and `ILA` are hundredths.
    pub(in crate::history) currency: Option<String>,
    /// The bars.
    pub(in crate::history) candles: Vec<Candle>,
    /// When it was split: older prices are given in new units.
    pub(in crate::history) splits: Vec<Timestamp>,
}

/// ```text
/// {"chart":{"result":[{"meta":{"currency":"INR",…,"exchangeTimezoneName":"Asia/Kolkata","priceHint":2,…},"timestamp":[s,…],
///   "events":{"splits":{"1598880600":{"date":1598880600,"numerator":4,"denominator":1,"splitRatio":"4:1"}}},
///   "indicators":{"quote":[{"open":[…],"high":[…],"low":[…],"close":[…],"volume":[…]}],…}}],"error":null}}
/// ```
/// Any number may be null, or the text "NaN"; without a trade there is no `timestamp`, and `quote` is `[{}]`. The last bar may be the
/// running one, or an extra one at the closing with volume 0: its start fits no bar, and it is left out.
pub(in crate::history) fn parse(body: &str, length: Span) -> Option<Chart> {
    let wrapped: Wrapped<'_> = serde_json::from_str(body).ok()?;
    let entry = wrapped.chart.result.into_iter().next()?;
    let mut chart = Chart { currency: entry.meta.currency.map(Cow::into_owned), ..Chart::default() };
    let splits = entry.events.and_then(|events| events.splits).unwrap_or_default();
    chart.splits = splits.values().filter_map(|split| Some(Timestamp::from_seconds(split.date?))).collect();
    let (Some(times), Some(quote)) = (entry.timestamp, entry.indicators.quote.into_iter().next()) else {
        return Some(chart);
    };
    let hint = entry.meta.price_hint.and_then(|raw| raw.get().parse().ok());
    let zone = entry.meta.exchange_timezone_name.unwrap_or(Cow::Borrowed("UTC"));
    let columns = [quote.open, quote.high, quote.low, quote.close].map(Option::unwrap_or_default);
    let volume = quote.volume.unwrap_or_default();
    let closing = extra_closing(&times, &volume, length);
    // For currencies and most indices the volume is always 0: that is nothing told, and not that nothing was traded.
    let tells = volume.iter().flatten().any(|raw| integer(raw).is_some_and(|v| v > 0));
    for (row, time) in times.iter().enumerate() {
        let Some(time) = *time else { continue };
        let read = |column: usize| undisguised(columns[column].get(row).copied().flatten()?.get(), hint);
        let (Some(open), Some(high), Some(low), Some(close)) = (read(0), read(1), read(2), read(3)) else { continue };
        if closing == Some(row) {
            continue;
        }
        let from = Timestamp::from_seconds(time);
        let from = if length >= DAY { day_of(from, &zone) } else { from };
        let traded = if tells { volume_of(volume.get(row).and_then(Option::as_ref)) } else { None };
        chart.candles.push(Candle { volume: traded, ..candle(from, length, [open, high, low, close]) });
    }
    Some(chart)
}

/// The row of the extra bar: the last one, nothing was traded in it, and where others start on the minute it may not.
fn extra_closing(times: &[Option<i64>], volume: &[Option<&RawValue>], length: Span) -> Option<usize> {
    let last = times.len().checked_sub(1)?;
    let (time, before) = (times[last]?, last.checked_sub(1).and_then(|before| times[before])?);
    let nothing = volume.get(last).copied().flatten().and_then(integer) == Some(0);
    // For currencies and indices the volume is always 0.
    let usual = volume[..last.min(volume.len())].iter().flatten().any(|raw| integer(raw).is_some_and(|v| v > 0));
    let odd = (time - before) % length.as_seconds() != 0 || time % 60 != 0;
    (length < DAY && (odd || nothing && usual)).then_some(last)
}

/// A day's bar carries the time of its opening: the day is that of the exchange, written as that of UTC.
fn day_of(opening: Timestamp, zone: &str) -> Timestamp {
    let Ok(local) = opening.to_jiff().in_tz(zone) else { return opening };
    let midnight = local.date().to_zoned(jiff::tz::TimeZone::UTC);
    midnight.map_or(opening, |day| Timestamp::from(day.timestamp()))
}

/// The bars in the currency that an instrument is quoted in, where that is the same money.
pub(in crate::history) fn in_currency(bars: Vec<Candle>, given: Option<&str>, wanted: &str) -> Option<Vec<Candle>> {
    let hundredth = |currency: &str| match currency {
        "GBp" => Some("GBP"),
        "ZAc" => Some("ZAR"),
        "ILA" => Some("ILS"),
        "USX" => Some("USD"),
        _ => None,
    };
    let Some(given) = given.filter(|given| *given != wanted) else { return Some(bars) };
    let factor = match (hundredth(given), hundredth(wanted)) {
        (Some(whole), None) if whole == wanted => Decimal::new(1, 2),
        (None, Some(whole)) if whole == given => Decimal::ONE_HUNDRED,
        _ => return None,
    };
    let convert = |price: Price| price.decimal().checked_mul(factor).map(Price::new);
    let bar = |bar: Candle| {
        Some(Candle {
            open: convert(bar.open)?,
            high: convert(bar.high)?,
            low: convert(bar.low)?,
            close: convert(bar.close)?,
            ..bar
        })
    };
    bars.into_iter().map(bar).collect()
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    chart: Inner<'a>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    result: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    meta: Meta<'a>,
    timestamp: Option<Vec<Option<i64>>>,
    events: Option<Events>,
    #[serde(borrow)]
    indicators: Indicators<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    exchange_timezone_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    price_hint: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Events {
    splits: Option<BTreeMap<String, Split>>,
}

#[derive(Deserialize)]
struct Split {
    date: Option<i64>,
}

#[derive(Deserialize)]
struct Indicators<'a> {
    #[serde(borrow)]
    quote: Vec<Quote<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Quote<'a> {
    #[serde(borrow)]
    open: Option<Vec<Option<&'a RawValue>>>,
    #[serde(borrow)]
    high: Option<Vec<Option<&'a RawValue>>>,
    #[serde(borrow)]
    low: Option<Vec<Option<&'a RawValue>>>,
    #[serde(borrow)]
    close: Option<Vec<Option<&'a RawValue>>>,
    #[serde(borrow)]
    volume: Option<Vec<Option<&'a RawValue>>>,
}
