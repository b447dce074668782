//! The frames of Kraken's WebSocket v2, and how they are read.

use std::borrow::Cow;

use bellwether_core::{price::Price, tick::DayStats, time::Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ingest::{
    codes::Quote,
    supervise::clean,
    wire::{Malformed, Text, positive, price, rfc3339, text},
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
    // What the price was a day ago is not said, but by how much it has changed since.
    let reference =
        last.zip(price(wire.change)).and_then(|(last, change)| last.decimal().checked_sub(change.decimal()));
    let day = DayStats {
        reference: reference.map(Price::new).filter(|p| p.is_positive()),
        high: positive(wire.high),
        low: positive(wire.low),
        volume: positive(wire.volume),
    };
    Some(Row { symbol: text(wire.symbol)?, quote: Quote { price: last, time: rfc3339(wire.timestamp), day } })
}
