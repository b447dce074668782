//! What was missed, and the live prices that wait until it is known: pure, at most one [`Gap`] an instrument
//! (docs/alerts.md, B16.4).

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    instrument::Instrument,
    tick::{Candle, Tick},
    time::{Span, Timestamp},
};

use super::Now;
use crate::links::Observation;

/// How long live prices wait for what was missed, and how many.
const PATIENCE: Span = Span::from_seconds(10);
const MOST: usize = 512;
/// How far back what was missed is asked for.
const FARTHEST: Span = Span::from_seconds(7 * 86_400);

/// A stretch of time that nobody watched.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    since: Timestamp,
    waiting: Vec<Observation>,
}

impl Gap {
    /// The gap between the last price and this one at `ts`, which waits, if the market was open in it for longer than a price
    /// may age.
    pub(super) fn before(
        tick: &Tick,
        ts: Timestamp,
        last: Timestamp,
        stale_after: Span,
        instrument: &Instrument,
        now: Now,
    ) -> Option<Self> {
        let open = |at| {
            matches!(
                market_hours(&instrument.session, &instrument.timezone, at),
                MarketHours::Open | MarketHours::Unknown
            )
        };
        if ts.since(last) <= stale_after || !open_for(stale_after, last, ts, open) {
            return None;
        }
        let from = last.max(ts.minus(FARTHEST));
        Some(Self { from, to: ts, since: now.steady, waiting: vec![Observation::Tick(tick.clone())] })
    }

    /// Something more waits; false where no more may, and the gap has to be given up.
    pub(super) fn hold(&mut self, observation: Observation) -> bool {
        self.waiting.push(observation);
        self.waiting.len() < MOST
    }

    pub(super) fn is_overdue(&self, now: Now) -> bool {
        now.steady.since(self.since) >= PATIENCE
    }

    /// What waited, in its order.
    pub(super) fn waiting(self) -> Vec<Observation> {
        self.waiting
    }

    /// Of what was fetched, what belongs into the gap: closed before the first price that waits, in order, without overlaps.
    pub(super) fn fitting(&self, mut candles: Vec<Candle>) -> Vec<Candle> {
        candles.retain(|candle| candle.from < candle.to && candle.to > self.from && candle.to <= self.to);
        candles.sort_by_key(|candle| (candle.from, candle.to));
        let mut end = Timestamp::from_micros(i64::MIN);
        candles.retain(|candle| {
            let next = candle.from >= end;
            if next {
                end = candle.to;
            }
            next
        });
        candles
    }
}

/// Whether the market was open for longer than `enough` between two times, looked at every minute, or every five over days.
fn open_for(enough: Span, from: Timestamp, to: Timestamp, open: impl Fn(Timestamp) -> bool) -> bool {
    let from = from.max(to.minus(FARTHEST));
    let step = if to.since(from) > Span::from_seconds(6 * 3600) { 300 } else { 60 };
    let step = Span::from_seconds(step).min(Span::from_micros(enough.as_micros().max(2) / 2));
    let (mut at, mut seen) = (from, Span::ZERO);
    while at < to && seen <= enough {
        let next = at.plus(step).min(to);
        if open(at) {
            seen = Span::from_micros(seen.as_micros() + next.since(at).as_micros());
        }
        at = next;
    }
    seen > enough
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_core::{catalog::Catalog, instrument::FeedId, tick::Session};

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn gap(symbol: &str, last: &str, next: &str) -> Option<Gap> {
        let catalog = Catalog::builtin();
        let instrument = catalog.resolve(symbol).expect("in the catalogue");
        let price = "100".parse().expect("a price");
        let tick = Tick::new(instrument.symbol, price, FeedId::Yahoo, time(next));
        let now = Now { wall: time(next), steady: time(next) };
        Gap::before(&tick, time(next), time(last), Span::from_seconds(360), instrument, now)
    }

    #[test]
    fn only_time_in_which_the_market_was_open_is_missed() {
        for (symbol, last, next, missed) in [
            ("BTC", "2026-11-21T10:00:00Z", "2026-11-21T10:06:00Z", false),
            ("BTC", "2026-11-21T10:00:00Z", "2026-11-21T10:06:01Z", true),
            ("BTC", "2026-11-21T10:00:00Z", "2026-11-21T20:00:00Z", true),
            // Friday's close to Monday's opening in New York.
            ("AAPL", "2026-11-20T21:00:00Z", "2026-11-23T14:30:05Z", false),
            ("AAPL", "2026-11-20T20:50:00Z", "2026-11-23T14:30:05Z", true),
            ("AAPL", "2026-11-20T21:00:00Z", "2026-11-23T14:40:00Z", true),
        ] {
            assert_eq!(gap(symbol, last, next).is_some(), missed, "{symbol} {last} .. {next}");
        }
        let long = gap("BTC", "2026-01-01T00:00:00Z", "2026-11-21T00:00:00Z").expect("months");
        assert_eq!(long.from, time("2026-11-14T00:00:00Z"), "a week at most");
    }

    #[test]
    fn only_what_closed_inside_is_taken_in_order_and_once() {
        let gap = gap("BTC", "2026-11-21T10:00:30Z", "2026-11-21T10:10:30Z").expect("ten minutes");
        let price = "1".parse().expect("a price");
        let candle = |minute: i64| Candle {
            from: time("2026-11-21T10:00:00Z").plus(Span::from_seconds(60 * minute)),
            to: time("2026-11-21T10:00:00Z").plus(Span::from_seconds(60 * minute + 60)),
            open: price,
            high: price,
            low: price,
            close: price,
            session: Session::Regular,
            volume: None,
        };
        let fetched = [3, 0, 10, 1, 1, -1, 2, 9].map(candle).to_vec();
        let fitting: Vec<i64> =
            gap.fitting(fetched).iter().map(|c| c.from.since(time("2026-11-21T10:00:00Z")).as_seconds() / 60).collect();
        assert_eq!(fitting, [0, 1, 2, 3, 9], "the running minute is the live prices' own");
    }
}
