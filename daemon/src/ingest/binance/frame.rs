//! The frames of Binance's market-data streams, and how they are read.

use std::borrow::Cow;

use bellwether_core::{tick::DayStats, time::Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ingest::{
    codes::Quote,
    scan::{Scan, once},
    supervise::clean,
    wire::{Malformed, Text, millis, ordinary, positive, price, text},
};

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// `{"stream":"btcusdt@miniTicker","data":{"e":"24hrMiniTicker","E":1749183266025,"s":"BTCUSDT","c":"102492.27000000",
    /// "o":"105121.06000000","h":"105909.71000000","l":"100372.26000000","v":"24032.63625000","q":"2472261593.19821790"}}`,
    /// each second; without the envelope on a raw stream. Numbers are strings, times are milliseconds.
    MiniTicker { symbol: Cow<'a, str>, quote: Quote },
    /// `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`, minutes before the server closes.
    Shutdown,
    /// `{"result":null,"id":1}`
    Subscribed,
    /// `{"code":2,"msg":"Invalid request: unknown variant `subscribe`, …"}`, also inside `"error":{…}`
    Refused { code: i64, message: String },
    /// Another stream: none that was asked for, and no harm.
    Other,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    data: Option<Event<'a>>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
    /// Those of an event or a refusal without an envelope.
    #[serde(borrow)]
    e: Option<&'a RawValue>,
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    id: Option<i64>,
}

/// The fields that events of several streams have.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    e: Option<Text<'a>>,
    #[serde(rename = "E", borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow)]
    c: Option<&'a RawValue>,
    #[serde(borrow)]
    o: Option<&'a RawValue>,
    #[serde(borrow)]
    h: Option<&'a RawValue>,
    #[serde(borrow)]
    l: Option<&'a RawValue>,
    #[serde(borrow)]
    v: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
}

/// Reads a frame of Binance.
pub(crate) fn parse(frame: &str) -> Result<Frame<'_>, Malformed> {
    quick(frame).map_or_else(|| full(frame), Ok)
}

/// A ticker in its usual shape.
fn quick(frame: &str) -> Option<Frame<'_>> {
    let mut found = None;
    let mut scan = Scan::new(frame);
    scan.object(|key, scan| match key {
        "stream" => scan.scalar().map(|_| ()),
        "data" => once(&mut found, quick_event(scan)?),
        _ => None,
    })?;
    scan.end()?;
    found
}

fn quick_event<'a>(scan: &mut Scan<'a>) -> Option<Frame<'a>> {
    let (mut kind, mut symbol, mut time) = (None, None, None);
    let (mut close, mut open, mut high, mut low, mut volume) = (None, None, None, None, None);
    scan.object(|key, scan| {
        let value = scan.scalar()?;
        match key {
            "e" => once(&mut kind, value.text()?),
            "E" => once(&mut time, value.either()?),
            "s" => once(&mut symbol, value.text()?),
            "c" => once(&mut close, value.either()?),
            "o" => once(&mut open, value.either()?),
            "h" => once(&mut high, value.either()?),
            "l" => once(&mut low, value.either()?),
            "v" => once(&mut volume, value.either()?),
            _ => Some(()),
        }
    })?;
    if kind? != "24hrMiniTicker" {
        return None;
    }
    let positive = |text: Option<&str>| ordinary(text?).filter(|p| p.is_positive());
    let day =
        DayStats { reference: positive(open), high: positive(high), low: positive(low), volume: positive(volume) };
    let quote = Quote {
        price: Some(ordinary(close?)?),
        time: time.and_then(|time| time.parse().ok()).map(Timestamp::from_millis),
        day,
    };
    Some(Frame::MiniTicker { symbol: Cow::Borrowed(symbol?), quote })
}

/// Any frame.
fn full(frame: &str) -> Result<Frame<'_>, Malformed> {
    let wire: Wire<'_> = serde_json::from_str(frame).map_err(|_| Malformed)?;
    if let Some(event) = wire.data {
        return meaning(&event);
    }
    if wire.e.is_some() {
        return meaning(&serde_json::from_str(frame).map_err(|_| Malformed)?);
    }
    let refusal = wire.error.or(wire.code.map(|code| Refusal { code: Some(code), msg: wire.msg }));
    match refusal {
        Some(Refusal { code, msg }) => {
            let message = msg.map_or_else(String::new, |msg| clean(msg.as_str()));
            Ok(Frame::Refused { code: code.unwrap_or_default(), message })
        }
        // `null` is what a subscription is answered with, and `RawValue` keeps it only behind an `Option` that is there.
        None if wire.id.is_some() => Ok(Frame::Subscribed),
        None if wire.result.is_some() => Ok(Frame::Other),
        None => Err(Malformed),
    }
}

fn meaning<'a>(event: &Event<'a>) -> Result<Frame<'a>, Malformed> {
    match event.e.as_ref().map(Text::as_str) {
        Some("24hrMiniTicker") => {
            let symbol = text(event.s).ok_or(Malformed)?;
            let day = DayStats {
                reference: positive(event.o),
                high: positive(event.h),
                low: positive(event.l),
                volume: positive(event.v),
            };
            Ok(Frame::MiniTicker { symbol, quote: Quote { price: price(event.c), time: millis(event.time), day } })
        }
        Some("serverShutdown") => Ok(Frame::Shutdown),
        _ => Ok(Frame::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::test_support::read_both_ways;

    const FRAMES: &str = concat!(
        include_str!("../../../../tests/data/captures/binance/frames.jsonl"),
        include_str!("../../../../tests/data/captures/binance/frames-2025.jsonl"),
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
