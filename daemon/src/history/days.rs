//! The trading day of instruments whose feed does not tell of it: open, high, low, and the price that changes are measured from.
//!
//! What trades around the clock has the last 24 hours for its day, everything else the date of its exchange.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwether_core::{
    catalog::Catalog,
    event::Ticker,
    instrument::{Instrument, Symbol},
    price::Price,
    tick::Candle,
    time::Timestamp,
};
use tokio_util::sync::CancellationToken;

use super::{DAY, History, QUARTER};
use crate::{clock::Clock, provider::Priority};

/// How often days are computed anew.
const EVERY: Duration = Duration::from_mins(1);

/// What the bars say of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    open: Price,
    high: Price,
    low: Price,
    /// The last price before it, or that of 24 hours ago.
    reference: Option<Price>,
}

/// The days of all instruments that need one. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Days {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    days: HashMap<Symbol, Day>,
    wanted: BTreeSet<Symbol>,
}

impl Days {
    /// Completes what the feed left out, as far as it is known.
    pub(crate) fn complete(&self, row: &mut Ticker) {
        if row.high.is_some() && row.low.is_some() && row.reference.is_some() {
            return;
        }
        let mut inner = self.inner();
        inner.wanted.insert(row.symbol);
        let Some(day) = inner.days.get(&row.symbol) else { return };
        row.high = row.high.or(Some(day.high.max(row.price)));
        row.low = row.low.or(Some(day.low.min(row.price)));
        row.reference = row.reference.or(day.reference);
    }

    /// The first price of the day, where it is known.
    pub(crate) fn open(&self, symbol: Symbol) -> Option<Price> {
        self.inner().days.get(&symbol).map(|day| day.open)
    }

    /// From now on the day of this instrument is computed: somebody looks at it.
    pub(crate) fn want(&self, symbol: Symbol) {
        self.inner().wanted.insert(symbol);
    }

    /// Keeps the days up to date until told to stop.
    pub(crate) async fn run(self, history: History, catalog: Arc<Catalog>, clock: Clock, stop: CancellationToken) {
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            let wanted: Vec<Symbol> = self.inner().wanted.iter().copied().collect();
            for symbol in wanted {
                let Some(instrument) = catalog.get(symbol) else { continue };
                let now = clock.now();
                let back = if instrument.session == "24x7" { DAY } else { DAY.times(5) };
                let bars = history.candles(symbol, QUARTER, now.minus(back), now, u32::MAX, Priority::Background);
                let bars = tokio::select! {
                    () = stop.cancelled() => return,
                    bars = bars => bars,
                };
                if let Some(day) = bars.ok().and_then(|bars| day_of(instrument, &bars, now)) {
                    self.inner().days.insert(symbol, day);
                }
            }
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last day in these bars, which come oldest first.
fn day_of(instrument: &Instrument, bars: &[Candle], now: Timestamp) -> Option<Day> {
    let date = |at: Timestamp| at.to_jiff().in_tz(&instrument.timezone).ok().map(|local| local.date());
    let around = instrument.session == "24x7";
    let last = date(bars.last()?.from);
    let belongs = |bar: &&Candle| if around { bar.to > now.minus(DAY) } else { date(bar.from) == last };
    let begins = bars.iter().position(|bar| belongs(&bar))?;
    let (before, day) = bars.split_at(begins);
    let first = day.first()?;
    let earlier = before.last().map(|bar| bar.close);
    Some(Day {
        open: first.open,
        high: day.iter().map(|bar| bar.high).max()?,
        low: day.iter().map(|bar| bar.low).min()?,
        reference: if around { Some(first.open) } else { earlier },
    })
}

#[cfg(test)]
mod tests {
    use bellwether_core::tick::Session;

    use super::*;

    #[test]
    fn a_day_is_the_last_24_hours_or_the_date_of_the_exchange() {
        let catalog = Catalog::builtin();
        let bar = |time: &str, prices: [&str; 4]| {
            let [open, high, low, close] = prices.map(|p| p.parse().expect("a price"));
            let from: Timestamp = time.parse().expect(time);
            Candle { from, to: from.plus(QUARTER), open, high, low, close, session: Session::Regular, volume: None }
        };
        let now = "2026-11-24T20:00:00Z".parse().expect("a time");
        let bars = [
            bar("2026-11-20T20:45:00Z", ["90", "99", "80", "95"]),
            bar("2026-11-24T14:30:00Z", ["96", "97", "94", "94.5"]),
            bar("2026-11-24T19:30:00Z", ["94.5", "98", "94", "96"]),
        ];
        let of = |symbol: &str| day_of(catalog.resolve(symbol).expect("listed"), &bars, now).expect("a day");
        let price = |text: &str| text.parse::<Price>().expect("a price");
        let day = |reference| Day { open: price("96"), high: price("98"), low: price("94"), reference };
        assert_eq!(of("AAPL"), day(Some(price("95"))), "measured from Friday's close");
        assert_eq!(of("BTC"), day(Some(price("96"))), "measured from 24 hours ago");
        assert_eq!(day_of(catalog.resolve("BTC").expect("listed"), &bars[..1], now), None);
    }
}
