//! From a stream's frame to a tick, beside `serde_json`'s untyped `Value` of the same frame (`docs/performance.md`).
//!
//! `cargo bench -p bellwether-daemon --bench parse`. The frames are recorded ones of each exchange, with prices and times that
//! move on; every one of them must become a tick.
#![expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "the numbers of a benchmark are small")]

use std::{hint::black_box, io::Write, time::Instant};

use bellwether_core::{
    catalog::Catalog,
    instrument::FeedId,
    time::{Span, Timestamp},
};
use bellwether_daemon::bench::Reader;
use serde::Deserialize;
use serde_json::Value;

const COINBASE: &str = include_str!("../../tests/data/captures/coinbase/frames-20261003.jsonl");
const KRAKEN: &str = include_str!("../../tests/data/captures/kraken/frames-2026.jsonl");
const BINANCE: &str = include_str!("../../tests/data/captures/binance/frames-2025.jsonl");

/// Frames in one round.
const FRAMES: usize = 2_000;
/// Rounds of each, by turns; the fastest counts, since other work on the machine only adds.
const ROUNDS: usize = 101;

/// A recorded frame, and what in it moves on: its price and its time.
struct Recorded {
    feed: FeedId,
    lines: &'static str,
    name: &'static str,
    price: &'static str,
    time: &'static str,
}

const RECORDED: [Recorded; 3] = [
    Recorded {
        feed: FeedId::Coinbase,
        lines: COINBASE,
        name: "ticker",
        price: "84737.58",
        time: "2026-10-03T20:58:31.127510Z",
    },
    Recorded {
        feed: FeedId::Kraken,
        lines: KRAKEN,
        name: "ticker-update",
        price: "83744.3",
        time: "2026-09-25T17:48:26.844359Z",
    },
    Recorded {
        feed: FeedId::Binance,
        lines: BINANCE,
        name: "miniTicker-combined",
        price: "102492.27",
        time: "1749183266025",
    },
];

#[derive(Deserialize)]
struct Line {
    name: String,
    frame: String,
}

/// Frames as they would have followed, each with its arrival.
fn frames(recorded: &Recorded) -> Vec<(String, Timestamp)> {
    let line = recorded.lines.lines().map(|line| serde_json::from_str::<Line>(line).expect("a line of frames"));
    let frame = line.into_iter().find(|line| line.name == recorded.name).expect("the frame is among them").frame;
    assert!(frame.contains(recorded.price) && frame.contains(recorded.time), "{frame}");
    let millis: Option<i64> = recorded.time.parse().ok();
    let start = millis.map_or_else(|| recorded.time.parse().expect("a time"), Timestamp::from_millis);
    let next = |number: usize| {
        let at = start.plus(Span::from_millis(number as i64));
        let time = if millis.is_some() {
            at.as_millis().to_string()
        } else {
            // With as many digits as they have there.
            at.to_string().replace('Z', &format!("{:03}Z", number % 1_000))
        };
        let (whole, places) = recorded.price.split_once('.').expect("a fraction");
        let last = (number % 100).to_string();
        let price =
            format!("{whole}.{last:0>width$}", last = &last[..last.len().min(places.len())], width = places.len());
        (frame.replace(recorded.price, &price).replace(recorded.time, &time), at.plus(Span::from_millis(40)))
    };
    (0..FRAMES).map(next).collect()
}

/// Nanoseconds a frame.
fn timed(count: usize, mut work: impl FnMut() -> usize) -> f64 {
    let start = Instant::now();
    let done = work();
    let elapsed = start.elapsed();
    assert_eq!(done, count, "every frame is understood");
    elapsed.as_nanos() as f64 / count as f64
}

fn value(frame: &str) -> Option<Value> {
    serde_json::from_str(frame).ok()
}

/// Fills the allocator's lists, and keeps something above them. Without it a `Value` took up to seven times as long, probably since
/// the end of the heap was given back to the system again and again: no fair yardstick.
fn warm_up(frames: &[(String, Timestamp)]) -> Vec<u8> {
    let values: Vec<Option<Value>> = frames.iter().map(|(frame, _)| value(frame)).collect();
    let pin = Vec::with_capacity(4_096);
    assert!(values.iter().all(Option::is_some));
    pin
}

fn main() {
    let catalog = Catalog::builtin();
    let mut out = std::io::stdout().lock();
    writeln!(out, "feed        bytes   ns to a tick   ns to a Value   ratio   ticks/s and core").expect("a reader");
    for recorded in &RECORDED {
        let frames = frames(recorded);
        let pin = warm_up(&frames);
        let (mut ours, mut values) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            let mut reader = Reader::new(recorded.feed, catalog.instruments()).expect("a stream");
            ours = ours.min(timed(FRAMES, || {
                frames.iter().filter(|(frame, now)| black_box(reader.tick(black_box(frame), *now)).is_some()).count()
            }));
            values = values.min(timed(FRAMES, || {
                frames.iter().filter(|(frame, _)| black_box(value(black_box(frame))).is_some()).count()
            }));
        }
        drop(black_box(pin));
        let (ratio, rate, bytes) = (ours / values, 1e9 / ours, frames[0].0.len());
        let feed = recorded.feed.as_str();
        writeln!(out, "{feed:<10} {bytes:>6} {ours:>14.0} {values:>15.0} {ratio:>7.2} {rate:>18.0}").expect("a reader");
    }
}
