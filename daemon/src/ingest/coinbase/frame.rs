//! The frames of the exchange, and how they are read.

use std::borrow::Cow;

use bellwether_core::{price::Price, tick::DayStats, time::Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ingest::supervise::clean;

/// A frame that is none of this exchange's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// `{"type":"ticker","sequence":137212619516,"product_id":"BTC-USD","price":"84737.58","open_24h":"84430.55",
    /// "volume_24h":"1836.96781750","low_24h":"84400","high_24h":"85021.57",…,"time":"2026-10-03T20:58:31.127510Z",
    /// "trade_id":1102042811,"last_size":"0.00000025"}`
    Ticker { product: String, price: Option<Price>, time: Option<Timestamp>, day: DayStats },
    /// `{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`
    Heartbeat { product: String, time: Option<Timestamp>, last_trade: Option<u64> },
    /// `{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD"],"account_ids":null}]}`
    Subscriptions { tickers: Vec<String> },
    /// `{"type":"error","message":"Failed to subscribe","reason":"XYZ-USD is not a valid product"}`
    Refused { message: String, reason: String },
    /// Another type: none that was asked for, and no harm.
    Other,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    product_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    open_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    high_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    low_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    volume_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    last_trade_id: Option<u64>,
    #[serde(borrow)]
    channels: Option<Vec<WireChannel<'a>>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireChannel<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    product_ids: Vec<String>,
}

/// Reads a frame of the exchange.
pub(super) fn parse(text: &str) -> Result<Frame, Malformed> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| Malformed)?;
    let product = || wire.product_id.as_deref().map(str::to_owned).ok_or(Malformed);
    let price = |raw: Option<&RawValue>| raw.and_then(|raw| Price::from_json(raw.get()).ok());
    let positive = |raw| price(raw).filter(|p| p.is_positive());
    let time = wire.time.as_deref().and_then(|text| text.parse().ok());
    Ok(match wire.kind.as_ref() {
        "ticker" => Frame::Ticker {
            product: product()?,
            price: price(wire.price),
            time,
            day: DayStats {
                reference: positive(wire.open_24h),
                high: positive(wire.high_24h),
                low: positive(wire.low_24h),
                volume: positive(wire.volume_24h),
            },
        },
        "heartbeat" => Frame::Heartbeat { product: product()?, time, last_trade: wire.last_trade_id },
        "subscriptions" => Frame::Subscriptions {
            tickers: (wire.channels.ok_or(Malformed)?.into_iter())
                .filter(|channel| channel.name.starts_with("ticker"))
                .flat_map(|channel| channel.product_ids)
                .collect(),
        },
        "error" => Frame::Refused {
            message: clean(&wire.message.unwrap_or_default()),
            reason: clean(&wire.reason.unwrap_or_default()),
        },
        _ => Frame::Other,
    })
}
