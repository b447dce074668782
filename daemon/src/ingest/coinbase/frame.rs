//! The frames of the exchange, and how they are read.

use std::borrow::Cow;

use bellwether_core::{tick::DayStats, time::Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ingest::{
    codes::Quote,
    scan::{Scan, once},
    supervise::clean,
    wire::{Malformed, Text, ordinary, positive, price, rfc3339},
};

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// `{"type":"ticker","sequence":137212619516,"product_id":"BTC-USD","price":"84737.58","open_24h":"84430.55",
    /// "volume_24h":"1836.96781750","low_24h":"84400","high_24h":"85021.57",…,"time":"2026-10-03T20:58:31.127510Z",
    /// "trade_id":1102042811,"last_size":"0.00000025"}`
    Ticker { product: Cow<'a, str>, quote: Quote },
    /// `{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`
    Heartbeat { product: Cow<'a, str>, time: Option<Timestamp>, last_trade: Option<u64> },
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
    kind: Text<'a>,
    #[serde(borrow)]
    product_id: Option<Text<'a>>,
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
    time: Option<&'a RawValue>,
    last_trade_id: Option<u64>,
    #[serde(borrow)]
    channels: Option<Vec<WireChannel<'a>>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct WireChannel<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default)]
    product_ids: Vec<String>,
}

/// Reads a frame of the exchange.
pub(crate) fn parse(text: &str) -> Result<Frame<'_>, Malformed> {
    quick(text).map_or_else(|| full(text), Ok)
}

/// A ticker in its usual shape.
fn quick(text: &str) -> Option<Frame<'_>> {
    let (mut kind, mut product, mut price, mut time) = (None, None, None, None);
    let (mut open, mut high, mut low, mut volume) = (None, None, None, None);
    let mut scan = Scan::new(text);
    scan.object(|key, scan| {
        let value = scan.scalar()?;
        match key {
            "type" => once(&mut kind, value.text()?),
            "product_id" => once(&mut product, value.text()?),
            "price" => once(&mut price, value.either()?),
            "time" => once(&mut time, value.text()?),
            "open_24h" => once(&mut open, value.either()?),
            "high_24h" => once(&mut high, value.either()?),
            "low_24h" => once(&mut low, value.either()?),
            "volume_24h" => once(&mut volume, value.either()?),
            "last_trade_id" | "channels" | "message" | "reason" => None,
            _ => Some(()),
        }
    })?;
    scan.end()?;
    if kind? != "ticker" {
        return None;
    }
    let positive = |text: Option<&str>| ordinary(text?).filter(|p| p.is_positive());
    let quote = Quote {
        price: Some(ordinary(price?)?),
        time: time.and_then(|time| time.parse().ok()),
        day: DayStats { reference: positive(open), high: positive(high), low: positive(low), volume: positive(volume) },
    };
    Some(Frame::Ticker { product: Cow::Borrowed(product?), quote })
}

/// Any frame.
fn full(text: &str) -> Result<Frame<'_>, Malformed> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| Malformed)?;
    let time = rfc3339(wire.time);
    let said = |text: Option<Text<'_>>| text.map_or(String::new(), |text| clean(text.as_str()));
    Ok(match wire.kind.as_str() {
        "ticker" => Frame::Ticker {
            product: wire.product_id.ok_or(Malformed)?.0,
            quote: Quote {
                price: price(wire.price),
                time,
                day: DayStats {
                    reference: positive(wire.open_24h),
                    high: positive(wire.high_24h),
                    low: positive(wire.low_24h),
                    volume: positive(wire.volume_24h),
                },
            },
        },
        "heartbeat" => {
            Frame::Heartbeat { product: wire.product_id.ok_or(Malformed)?.0, time, last_trade: wire.last_trade_id }
        }
        "subscriptions" => Frame::Subscriptions {
            tickers: (wire.channels.ok_or(Malformed)?.into_iter())
                .filter(|channel| channel.name.as_str().starts_with("ticker"))
                .flat_map(|channel| channel.product_ids)
                .collect(),
        },
        "error" => Frame::Refused { message: said(wire.message), reason: said(wire.reason) },
        _ => Frame::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::test_support::read_both_ways;

    const FRAMES: &str = concat!(
        include_str!("../../../../tests/data/captures/coinbase/frames.jsonl"),
        include_str!("../../../../tests/data/captures/coinbase/frames-20261003.jsonl"),
    );

    #[test]
    fn what_the_quick_way_reads_the_full_one_reads_too() {
        read_both_ways(FRAMES, |text| {
            let read = quick(text);
            if let Some(read) = &read {
                assert_eq!(Ok(read), full(text).as_ref(), "{text}");
            }
            read.is_some()
        });
    }
}
