//! The frames of Kraken's WebSocket v2, and how they are read.

use std::borrow::Cow;

use bellwether_core::{price::Price, tick::DayStats, time::Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ingest::{
    codes::Quote,
    scan::{Scan, once},
    supervise::clean,
    wire::{Malformed, Text, ordinary, positive, price, rfc3339, text},
};

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// `{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,"ask":83744.3,
    /// "ask_qty":0.00044780,"last":83744.3,"volume":3156.84782110,"vwap":84174.6,"low":83163.6,"high":85247.4,"change":-429.3,
    /// "change_pct":-0.51,"trades":135262,"timestamp":"2026-09-25T17:48:26.844359Z"}]}`; the first one of each symbol has type
    /// `snapshot` and holds its last trade. The numbers are JSON numbers with trailing zeros.
    Ticker { rows: Vec<Row<'a>> },
    /// `{"channel":"heartbeat"}`, about each second while anything is subscribed.
    Heartbeat,
    /// `{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",
    /// "connection_id":3364750901719990046,…}]}`; also `maintenance`, `cancel_only`, `post_only`.
    Status { system: Option<String> },
    /// `{"method":"subscribe","result":{"channel":"ticker","event_trigger":"trades","snapshot":true,"symbol":"BTC/USD"},
    /// "success":true,"time_in":"2026-10-03T20:58:30.560234Z","time_out":"2026-10-03T20:58:30.560271Z"}`, one for each symbol.
    Subscribed { symbol: Cow<'a, str>, time: Option<Timestamp> },
    /// `{"error":"Currency pair not supported XBT/USD","method":"subscribe","success":false,"symbol":"XBT/USD",
    /// "time_in":"2026-09-25T17:48:54.701041Z","time_out":"2026-09-25T17:48:54.701062Z"}`
    Refused { symbol: Option<Cow<'a, str>>, error: String },
    /// `{"method":"pong","req_id":42,"time_in":"2023-09-25T09:05:00.123456Z","time_out":"2023-09-25T09:05:00.123500Z"}`
    Pong { time: Option<Timestamp> },
    /// Another channel: none that was asked for, and no harm.
    Other,
}

/// One symbol's part of a ticker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) symbol: Cow<'a, str>,
    pub(crate) quote: Quote,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    channel: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Vec<WireRow<'a>>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
    #[serde(borrow)]
    result: Option<WireResult<'a>>,
    #[serde(borrow)]
    time_out: Option<&'a RawValue>,
}

/// The fields of rows of several channels.
#[derive(Deserialize)]
struct WireRow<'a> {
    #[serde(borrow)]
    symbol: Option<&'a RawValue>,
    #[serde(borrow)]
    last: Option<&'a RawValue>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
    #[serde(borrow)]
    low: Option<&'a RawValue>,
    #[serde(borrow)]
    high: Option<&'a RawValue>,
    #[serde(borrow)]
    change: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireResult<'a> {
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
}

/// Reads a frame of Kraken.
pub(crate) fn parse(frame: &str) -> Result<Frame<'_>, Malformed> {
    quick(frame).map_or_else(|| full(frame), Ok)
}

/// A ticker in its usual shape.
fn quick(frame: &str) -> Option<Frame<'_>> {
    let (mut channel, mut rows) = (None, Vec::with_capacity(1));
    let mut scan = Scan::new(frame);
    scan.object(|key, scan| match key {
        "channel" => once(&mut channel, scan.scalar()?.text()?),
        "data" if channel == Some("ticker") && rows.is_empty() => scan.list(|scan| {
            rows.push(quick_row(scan)?);
            Some(())
        }),
        "type" => scan.scalar().map(|_| ()),
        _ => None,
    })?;
    scan.end()?;
    (!rows.is_empty()).then_some(Frame::Ticker { rows })
}

fn quick_row<'a>(scan: &mut Scan<'a>) -> Option<Row<'a>> {
    let (mut symbol, mut last, mut change, mut time) = (None, None, None, None);
    let (mut high, mut low, mut volume) = (None, None, None);
    scan.object(|key, scan| {
        let value = scan.scalar()?;
        match key {
            "symbol" => once(&mut symbol, value.text()?),
            "last" => once(&mut last, value.either()?),
            "change" => once(&mut change, value.either()?),
            "timestamp" => once(&mut time, value.text()?),
            "high" => once(&mut high, value.either()?),
            "low" => once(&mut low, value.either()?),
            "volume" => once(&mut volume, value.either()?),
            "system" => None,
            _ => Some(()),
        }
    })?;
    let positive = |text: Option<&str>| ordinary(text?).filter(|p| p.is_positive());
    let price = ordinary(last?)?;
    let day = DayStats {
        reference: a_day_ago(Some(price), change.and_then(ordinary)),
        high: positive(high),
        low: positive(low),
        volume: positive(volume),
    };
    let time = time.and_then(|time| time.parse().ok());
    Some(Row { symbol: Cow::Borrowed(symbol?), quote: Quote { price: Some(price), time, day } })
}

/// What the price was a day ago is not said, but by how much it has changed since.
fn a_day_ago(last: Option<Price>, change: Option<Price>) -> Option<Price> {
    let reference = last?.decimal().checked_sub(change?.decimal())?;
    Some(Price::new(reference)).filter(|p| p.is_positive())
}

/// Any frame.
fn full(frame: &str) -> Result<Frame<'_>, Malformed> {
    let wire: Wire<'_> = serde_json::from_str(frame).map_err(|_| Malformed)?;
    if let Some(channel) = wire.channel {
        return match channel.as_str() {
            "ticker" => Ok(Frame::Ticker { rows: wire.data.ok_or(Malformed)?.iter().filter_map(row).collect() }),
            "heartbeat" => Ok(Frame::Heartbeat),
            "status" => {
                let system = wire.data.ok_or(Malformed)?.iter().find_map(|row| text(row.system));
                Ok(Frame::Status { system: system.map(|system| clean(&system)) })
            }
            _ => Ok(Frame::Other),
        };
    }
    let time = rfc3339(wire.time_out);
    match (wire.method.as_ref().map(Text::as_str), wire.success, wire.error) {
        (Some("pong"), ..) => Ok(Frame::Pong { time }),
        (_, Some(false), error) | (_, None, error @ Some(_)) => Ok(Frame::Refused {
            symbol: wire.symbol.map(|symbol| symbol.0),
            error: error.map_or_else(|| "refused without a reason".to_owned(), |error| clean(error.as_str())),
        }),
        (Some("subscribe"), ..) => {
            let symbol = wire.result.and_then(|result| result.symbol).ok_or(Malformed)?.0;
            Ok(Frame::Subscribed { symbol, time })
        }
        (Some(_), ..) => Ok(Frame::Other),
        (None, ..) => Err(Malformed),
    }
}

fn row<'a>(wire: &WireRow<'a>) -> Option<Row<'a>> {
    let last = price(wire.last);
    let day = DayStats {
        reference: a_day_ago(last, price(wire.change)),
        high: positive(wire.high),
        low: positive(wire.low),
        volume: positive(wire.volume),
    };
    Some(Row { symbol: text(wire.symbol)?, quote: Quote { price: last, time: rfc3339(wire.timestamp), day } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::test_support::read_both_ways;

    const FRAMES: &str = concat!(
        include_str!("../../../../tests/data/captures/kraken/frames.jsonl"),
        include_str!("../../../../tests/data/captures/kraken/frames-2026.jsonl"),
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
