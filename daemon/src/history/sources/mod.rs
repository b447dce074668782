//! What each provider gives of the past: how far back, how much at once, and how it writes it. Parsers are pure.

pub(super) mod binance;
pub(super) mod coinbase;
pub(super) mod coingecko;
pub(super) mod kraken;
pub(super) mod yahoo;

use bellwether_core::{
    instrument::{FeedId, Instrument},
    price::Price,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};
use serde_json::value::RawValue;

use super::{DAY, FIVE, HOUR, MINUTE, QUARTER};
use crate::{
    provider::{Priority, Provider, Trouble},
    store::Stretch,
};

/// What one request brought.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The bars as they came.
    pub(super) candles: Vec<Candle>,
    /// For which time these are all: from then to the end of what was asked for.
    pub(super) from: Timestamp,
    /// When the instrument was split, and its older prices with it.
    pub(super) splits: Vec<Timestamp>,
}

/// From when on this provider has bars of this length of this instrument; nothing where it has none.
pub(super) fn reach(feed: FeedId, instrument: &Instrument, length: Span, now: Timestamp) -> Option<Timestamp> {
    let code = instrument.code_at(feed)?;
    let back = |days: i64| Some(now.minus(DAY.times(days)));
    match feed {
        FeedId::Coinbase => (instrument.currency == code.rsplit_once('-')?.1).then_some(Timestamp::default()),
        FeedId::Kraken => {
            let of_currency = instrument.currency == code.rsplit_once('/')?.1;
            of_currency.then(|| now.minus(length.times(kraken::ROWS)))
        }
        // USDT is not USD: its prices judge and picture only what is quoted in it.
        FeedId::Binance => {
            (instrument.currency != "USD" && code.ends_with(&instrument.currency)).then_some(Timestamp::default())
        }
        FeedId::Coingecko => match length {
            FIVE | QUARTER => back(1),
            HOUR => back(90),
            DAY => back(365),
            _ => None,
        },
        FeedId::Yahoo => match length {
            MINUTE => back(29),
            FIVE | QUARTER => back(59),
            HOUR => back(729),
            _ => Some(Timestamp::default()),
        },
        FeedId::Finnhub | FeedId::Twelvedata | FeedId::Simulated | FeedId::Tape => None,
    }
}

/// Whether this provider's bars say how much was traded. `CoinGecko` tells only what was traded in the 24 hours before a point.
pub(super) const fn tells_volume(feed: FeedId) -> bool {
    matches!(feed, FeedId::Coinbase | FeedId::Kraken | FeedId::Binance | FeedId::Yahoo)
}

/// Asks for the end of `wanted`, as much as one request gives.
pub(super) async fn page(
    provider: &Provider,
    instrument: &Instrument,
    length: Span,
    wanted: Stretch,
    priority: Priority,
    now: Timestamp,
) -> Result<Page, Trouble> {
    let code = instrument.code_at(provider.feed()).unwrap_or_default();
    match provider.feed() {
        FeedId::Coinbase => coinbase::page(provider, code, length, wanted, priority).await,
        FeedId::Kraken => kraken::page(provider, code, length, wanted, priority).await,
        FeedId::Binance => binance::page(provider, code, length, wanted, priority).await,
        FeedId::Coingecko => coingecko::page(provider, code, instrument, length, wanted, priority, now).await,
        FeedId::Yahoo => yahoo::page(provider, code, instrument, length, wanted, priority).await,
        FeedId::Finnhub | FeedId::Twelvedata | FeedId::Simulated | FeedId::Tape => {
            Err(Trouble::refused("it keeps no history", None))
        }
    }
}

/// A bar of the regular session of which no volume is told.
fn candle(from: Timestamp, length: Span, [open, high, low, close]: [Price; 4]) -> Candle {
    Candle { from, to: from.plus(length), open, high, low, close, session: Session::Regular, volume: None }
}

/// What was traded, where a number stands there that can be one.
fn volume(raw: Option<&&RawValue>) -> Option<Price> {
    number(raw?).filter(|volume| !volume.decimal().is_sign_negative())
}

/// A number or a text that is one.
fn number(raw: &RawValue) -> Option<Price> {
    Price::from_json(raw.get()).ok()
}

/// An integer, also where it is written as a text or with a fraction.
fn integer(raw: &RawValue) -> Option<i64> {
    raw.get().trim_matches('"').split('.').next()?.parse().ok()
}

/// Rows of numbers, some of them perhaps something else: those are left out.
fn rows(raw: Vec<&RawValue>) -> impl Iterator<Item = Vec<&RawValue>> {
    raw.into_iter().filter_map(|row| serde_json::from_str::<Vec<&RawValue>>(row.get()).ok())
}
