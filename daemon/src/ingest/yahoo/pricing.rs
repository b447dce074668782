//! The streamer's frames: a protobuf message in base64, wrapped in JSON or bare. Reading one is a pure function.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bellwether_core::{instrument::Instrument, price::Price, tick::DayStats, time::Timestamp};
use prost::Message;
use serde::Deserialize;

use crate::ingest::supervise::believable;

/// Base64 with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// `market_hours` of a price of the regular session. Its 0 means "before the opening" or nothing at all.
const REGULAR: i32 = 1;

/// A frame that is none of the streamer's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A frame.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// `{"type":"pricing","message":"CgdCVEMtVVNEFYoMuUcYwLCVgIplIgNVU0Qq…"}`, or the base64 text alone where the address lacks
    /// `?version=2`.
    Pricing(Box<PricingData>),
    /// Of another type: none that was asked for, and no harm.
    Other,
}

/// What the streamer says of a symbol (proto3; names and numbers as in yfinance's `pricing.proto`, Apache-2.0). What was left out
/// is 0 or empty: a share of September 2026 has no more than `id`, `price`, `time`, `exchange`, `quote_type`, `market_hours`,
/// `change_percent`, `day_volume`, `change` and `price_hint`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PricingData {
    /// The symbol, `BTC-USD`.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(float, tag = "2")]
    pub(super) price: f32,
    /// The price's own time in milliseconds.
    #[prost(sint64, tag = "3")]
    pub(super) time: i64,
    #[prost(string, tag = "4")]
    pub(super) currency: String,
    #[prost(string, tag = "5")]
    pub(super) exchange: String,
    /// 8 a share, 9 an index, 14 a currency, 18 a future, 20 an ETF, 41 a coin.
    #[prost(int32, tag = "6")]
    pub(super) quote_type: i32,
    /// 1 regular, 2 after the closing, 3 extended; 0 is before the opening and "not said".
    #[prost(int32, tag = "7")]
    pub(super) market_hours: i32,
    #[prost(float, tag = "8")]
    pub(super) change_percent: f32,
    #[prost(sint64, tag = "9")]
    pub(super) day_volume: i64,
    #[prost(float, tag = "10")]
    pub(super) day_high: f32,
    #[prost(float, tag = "11")]
    pub(super) day_low: f32,
    /// Since the previous close.
    #[prost(float, tag = "12")]
    pub(super) change: f32,
    #[prost(string, tag = "13")]
    pub(super) short_name: String,
    #[prost(sint64, tag = "14")]
    pub(super) expire_date: i64,
    #[prost(float, tag = "15")]
    pub(super) open_price: f32,
    #[prost(float, tag = "16")]
    pub(super) previous_close: f32,
    #[prost(float, tag = "17")]
    pub(super) strike_price: f32,
    #[prost(string, tag = "18")]
    pub(super) underlying_symbol: String,
    #[prost(sint64, tag = "19")]
    pub(super) open_interest: i64,
    #[prost(sint64, tag = "20")]
    pub(super) options_type: i64,
    #[prost(sint64, tag = "21")]
    pub(super) mini_option: i64,
    #[prost(sint64, tag = "22")]
    pub(super) last_size: i64,
    #[prost(float, tag = "23")]
    pub(super) bid: f32,
    #[prost(sint64, tag = "24")]
    pub(super) bid_size: i64,
    #[prost(float, tag = "25")]
    pub(super) ask: f32,
    #[prost(sint64, tag = "26")]
    pub(super) ask_size: i64,
    #[prost(sint64, tag = "27")]
    pub(super) price_hint: i64,
    #[prost(sint64, tag = "28")]
    pub(super) vol_24hr: i64,
    #[prost(sint64, tag = "29")]
    pub(super) vol_all_currencies: i64,
    #[prost(string, tag = "30")]
    pub(super) from_currency: String,
    #[prost(string, tag = "31")]
    pub(super) last_market: String,
    #[prost(double, tag = "32")]
    pub(super) circulating_supply: f64,
    #[prost(double, tag = "33")]
    pub(super) market_cap: f64,
}

/// Reads a frame of the streamer in either shape.
pub(super) fn parse(text: &str) -> Result<Frame, Malformed> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        message: Option<Cow<'a, str>>,
    }
    let text = text.trim();
    let message = if text.starts_with('{') {
        let wrapped: Wrapped<'_> = serde_json::from_str(text).map_err(|_| Malformed)?;
        if wrapped.kind != "pricing" {
            return Ok(Frame::Other);
        }
        wrapped.message.ok_or(Malformed)?
    } else {
        Cow::Borrowed(text)
    };
    let bytes = BASE64.decode(message.as_bytes()).map_err(|_| Malformed)?;
    let data = PricingData::decode(bytes.as_slice()).map_err(|_| Malformed)?;
    if data.id.is_empty() { Err(Malformed) } else { Ok(Frame::Pricing(Box::new(data))) }
}

/// What a frame says of an instrument, as far as it can be believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) price: Price,
    pub(super) time: Timestamp,
    /// Whether the frame itself calls it a price of the regular session.
    pub(super) regular: bool,
    pub(super) day: DayStats,
}

/// Reads the price of `instrument`, or says why there is none.
pub(super) fn read(data: &PricingData, instrument: &Instrument) -> Result<Quote, &'static str> {
    // Shares come without a currency; then the poll's answer has to do.
    if !data.currency.is_empty() && data.currency != instrument.currency {
        return Err("currency");
    }
    let price = shortest(data.price).filter(|&p| believable(instrument, p)).ok_or("price")?;
    // Without a time the last price of a closed market would pass for news.
    if data.time <= 0 {
        return Err("time");
    }
    let positive = |value| shortest(value).filter(|p| p.is_positive());
    let before = || {
        let change = shortest(data.change).filter(|_| data.change != 0.0)?;
        let before = price.decimal().checked_sub(change.decimal())?;
        // The digits of a difference of two rounded numbers end where the price's do.
        Some(Price::new(before.round_dp(price.decimal().scale().max(2)))).filter(|p| p.is_positive())
    };
    Ok(Quote {
        price,
        time: Timestamp::from_millis(data.time),
        regular: data.market_hours == REGULAR,
        day: DayStats {
            reference: positive(data.previous_close).or_else(before),
            high: positive(data.day_high),
            low: positive(data.day_low),
            volume: Some(data.day_volume)
                .filter(|&volume| volume > 0)
                .map(|volume| Price::new(rust_decimal::Decimal::from(volume))),
        },
    })
}

/// The shortest decimal that gives the same 32-bit float: 24.535, not 24.53499984741211. Nothing for what is no number.
pub(super) fn shortest(value: f32) -> Option<Price> {
    // The standard library prints exactly that, without an exponent; "NaN" and "inf" are no prices.
    Price::from_feed(&value.to_string()).ok()
}
