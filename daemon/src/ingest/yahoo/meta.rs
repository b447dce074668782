//! What Yahoo says of a symbol beside its prices, and how its numbers are written.

use std::borrow::Cow;

use bellwether_core::{
    instrument::{FeedId, Instrument},
    price::Price,
    tick::{DayStats, Tick},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::hours::Hours;
use crate::{ingest::supervise::believable, provider::undisguised};

/// The most candles of an answer that are looked at, from the last one back: a longer gap is not for a poll to fill.
const MOST_CLOSES: usize = 60;

/// What an answer says of a symbol:
/// `{"currency":"THB","symbol":"PTT.BK",…,"regularMarketTime":1790826793,"hasPrePostMarketData":false,
/// "regularMarketPrice":40.75,…,"regularMarketDayHigh":41.0,"regularMarketDayLow":40.0,"regularMarketVolume":120302611,…,
/// "chartPreviousClose":40.75,"priceHint":2,"currentTradingPeriod":{"pre":{…},"regular":{"start":…,"end":…},"post":{…}},
/// "tradingPeriods":[[{"timezone":"IST","start":1775792700,"end":1775815200,"gmtoffset":19800}]],"dataGranularity":"1m",
/// "range":"1d",…}`. Any of it may be missing, null, or the text "NaN".
///
/// The other shape of the answer is a map `{"AAPL":{"symbol":"AAPL","timestamp":[…],"close":[…],"previousClose":…}}`, which
/// has the price among these fields or not at all.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta<'a> {
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
    #[serde(borrow)]
    data_granularity: Option<Cow<'a, str>>,
    has_pre_post_market_data: Option<bool>,
    #[serde(borrow)]
    current_trading_period: Option<&'a RawValue>,
    #[serde(borrow)]
    trading_periods: Option<&'a RawValue>,
    /// Of the other shape only.
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    close: Option<&'a RawValue>,
}

/// The arrays beside [`Meta`] in the usual shape: `"timestamp":[1790826723],"indicators":{"quote":[{"close":[10.33]}]}`. Without
/// a trade there is no `timestamp`, and `quote` is `[{}]`.
#[derive(Clone, Copy, Default)]
pub(super) struct Arrays<'a> {
    pub(super) timestamp: Option<&'a RawValue>,
    pub(super) indicators: Option<&'a RawValue>,
}

/// The price at the end of a minute in which there was trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Close {
    /// When the minute began, in seconds.
    pub(super) from: i64,
    pub(super) price: Price,
}

/// What an answer says of one instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) tick: Tick,
    pub(super) hours: Hours,
    /// The minutes' last prices, oldest first, the running minute perhaps among them; none unless they are of one minute each.
    pub(super) closes: Vec<Close>,
}

/// Reads what is said of `instrument`, or says why that is no price.
pub(super) fn read(
    meta: &Meta<'_>,
    arrays: Arrays<'_>,
    instrument: &Instrument,
    now: Timestamp,
) -> Result<Found, &'static str> {
    let hint = meta.price_hint.and_then(|raw| raw.get().parse().ok());
    let number = |raw: Option<&RawValue>| raw.and_then(|raw| undisguised(raw.get(), hint));
    let positive = |raw| number(raw).filter(|p| p.is_positive());
    let series = Series::read(meta, arrays);
    let (value, seconds) = match (meta.regular_market_price, series.last()) {
        // The price is this one, at its own time; candles may be years old beside it.
        (Some(raw), _) => (raw, meta.regular_market_time.and_then(|raw| unix_seconds(raw.get()))),
        // All that the other shape may have. Its time is rather too old than too new.
        (None, Some((seconds, raw))) if meta.close.is_some() => (raw, Some(seconds)),
        (None, _) => return Err("price"),
    };
    let value = undisguised(value.get(), hint).filter(|&p| believable(instrument, p)).ok_or("price")?;
    // Without a time the price of a closed market would pass for news.
    let seconds = seconds.ok_or("time")?;
    let day_only = meta.range.as_deref().is_none_or(|range| range == "1d");
    let hours = Hours::stated(meta.current_trading_period, meta.trading_periods, meta.has_pre_post_market_data, now);
    let closes = if meta.data_granularity.as_deref() == Some("1m") {
        series.closes(|raw| undisguised(raw, hint).filter(|&p| believable(instrument, p)))
    } else {
        Vec::new()
    };
    let tick = Tick {
        exchange_time: Some(Timestamp::from_seconds(seconds)),
        session: hours.session(instrument, seconds, true),
        day: DayStats {
            reference: positive(meta.previous_close)
                // The close before the chart: yesterday's only where the chart is of today.
                .or_else(|| positive(meta.chart_previous_close).filter(|_| day_only)),
            high: positive(meta.regular_market_day_high),
            low: positive(meta.regular_market_day_low),
            volume: positive(meta.regular_market_volume),
        },
        ..Tick::new(instrument.symbol, value, FeedId::Yahoo, now)
    };
    Ok(Found { tick, hours, closes })
}

impl Meta<'_> {
    /// The currency of its prices where that is not the instrument's. Pence are not pounds: `GBp`, `ZAc`, `ILA` and `USX` are
    /// units of their own, told apart by their spelling.
    pub(super) fn other_currency(&self, instrument: &Instrument) -> Option<&str> {
        self.currency.as_deref().filter(|&currency| currency != instrument.currency)
    }
}

/// Candles as they were sent: when each began, and its last price. Any of them may be null.
struct Series<'a> {
    times: Vec<Option<i64>>,
    closes: Vec<Option<&'a RawValue>>,
}

impl<'a> Series<'a> {
    /// In whichever shape they are there; empty where they cannot be read.
    fn read(meta: &Meta<'a>, arrays: Arrays<'a>) -> Self {
        #[derive(Deserialize)]
        struct Indicators<'a> {
            #[serde(borrow)]
            quote: Vec<Closes<'a>>,
        }
        #[derive(Deserialize)]
        struct Closes<'a> {
            #[serde(borrow)]
            close: Option<&'a RawValue>,
        }
        let within = || {
            let indicators: Indicators<'a> = serde_json::from_str(arrays.indicators?.get()).ok()?;
            indicators.quote.first()?.close
        };
        let parse = || {
            let times = serde_json::from_str(arrays.timestamp.or(meta.timestamp)?.get()).ok()?;
            let closes = serde_json::from_str(within().or(meta.close)?.get()).ok()?;
            Some(Self { times, closes })
        };
        parse().unwrap_or(Self { times: Vec::new(), closes: Vec::new() })
    }

    /// The last candle that has a close, with its start.
    fn last(&self) -> Option<(i64, &'a RawValue)> {
        self.times.iter().zip(&self.closes).rev().find_map(|(time, close)| Some(((*time)?, (*close)?)))
    }

    /// The last ones whose price can be believed, oldest first and each later than the one before.
    fn closes(&self, price: impl Fn(&str) -> Option<Price>) -> Vec<Close> {
        let count = self.times.len().min(self.closes.len());
        let from = count.saturating_sub(MOST_CLOSES);
        let mut out: Vec<Close> = Vec::new();
        for (time, close) in self.times[from..count].iter().zip(&self.closes[from..count]) {
            let (Some(from), Some(price)) = (*time, close.and_then(|raw| price(raw.get()))) else { continue };
            if out.last().is_none_or(|last| last.from < from) {
                out.push(Close { from, price });
            }
        }
        out
    }
}

/// A time in seconds, or in milliseconds where it would lie beyond the year 5138.
pub(super) fn unix_seconds(raw: &str) -> Option<i64> {
    let whole = raw.trim_matches('"').split('.').next()?;
    let value: i64 = whole.parse().ok().filter(|&value| value > 0)?;
    Some(if value > 100_000_000_000 { value / 1_000 } else { value })
}
