//! Turns accepted prices into one-minute bars and last prices, for charts and for the next start.
//!
//! A watcher: it decides nothing, and where the disk stands still it keeps what it has and tries again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use bellwether_core::{
    instrument::{FeedId, Symbol},
    price::Price,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};
use tokio::sync::mpsc;

use crate::{clock::Clock, gateway::Hub, store::Store};

/// Evaluate to record. Full: the price is left out of its bar.
pub(crate) const TRADES: usize = 4_096;
/// How often bars and last prices are written.
const FLUSH: Duration = Duration::from_secs(5);
/// The most bars kept in memory while they cannot be written.
const MOST_BARS: usize = 50_000;

const MINUTE: i64 = 60_000_000;
/// What was traded between two prices belongs to the bar of the second, if they are no further apart.
const LONGEST_COUNT: Span = Span::from_seconds(60);

/// One accepted price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trade {
    /// The instrument.
    pub(crate) symbol: Symbol,
    /// Its price.
    pub(crate) price: Price,
    /// When, by the source.
    pub(crate) time: Timestamp,
    /// How much its source has counted so far, where it counts on and on: who that is, and what was traded until then.
    pub(crate) counted: Option<(FeedId, Price)>,
}

/// The bars that changed since they were last written.
#[derive(Debug, Default)]
struct Bars {
    open: BTreeMap<(Symbol, Timestamp), Candle>,
    latest: HashMap<Symbol, Timestamp>,
    unwritten: BTreeSet<(Symbol, Timestamp)>,
    /// What each source had counted at the last price.
    counts: HashMap<Symbol, (FeedId, Price, Timestamp)>,
}

impl Bars {
    fn add(&mut self, trade: Trade) {
        let from = Timestamp::from_micros(trade.time.as_micros().div_euclid(MINUTE) * MINUTE);
        let key = (trade.symbol, from);
        let traded = self.traded(trade);
        let known = self.open.contains_key(&key);
        let bar = self.open.entry(key).or_insert_with(|| Candle {
            from,
            to: from.plus(Span::from_seconds(60)),
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            session: Session::Regular,
            volume: traded,
        });
        // A bar of which a part is not known has no volume.
        if known {
            let sum = |(a, b): (Price, Price)| a.decimal().checked_add(b.decimal()).map(Price::new);
            bar.volume = bar.volume.zip(traded).and_then(sum);
        }
        bar.high = bar.high.max(trade.price);
        bar.low = bar.low.min(trade.price);
        bar.close = trade.price;
        self.unwritten.insert(key);
        let latest = self.latest.entry(trade.symbol).or_insert(from);
        *latest = from.max(*latest);
    }

    /// What was traded since the last price of the instrument: the difference of what its source counted then and now.
    fn traded(&mut self, trade: Trade) -> Option<Price> {
        let Some((source, now)) = trade.counted else {
            self.counts.remove(&trade.symbol);
            return None;
        };
        let (by, before, at) = self.counts.insert(trade.symbol, (source, now, trade.time))?;
        // Another source, a new day, or a pause that is longer than a bar: nobody knows in which bar it was traded.
        let goes_on = by == source && before <= now && trade.time.since(at) <= LONGEST_COUNT;
        now.decimal().checked_sub(before.decimal()).filter(|_| goes_on).map(Price::new)
    }

    /// Goes on with a bar that was written before the last stop.
    fn resume(&mut self, symbol: Symbol, bar: Candle) {
        self.latest.insert(symbol, bar.from);
        self.open.insert((symbol, bar.from), bar);
    }

    fn unwritten(&self) -> Vec<(Symbol, Candle)> {
        self.unwritten.iter().filter_map(|key| self.open.get(key).map(|bar| (key.0, bar.clone()))).collect()
    }

    /// Forgets what was written, but for the bar that each instrument still fills.
    fn written(&mut self) {
        self.unwritten.clear();
        self.open.retain(|(symbol, from), _| self.latest.get(symbol) == Some(from));
    }

    /// Keeps the memory bounded while nothing can be written.
    fn bound(&mut self) {
        while self.open.len() > MOST_BARS {
            if let Some((key, _)) = self.open.pop_first() {
                self.unwritten.remove(&key);
            }
        }
    }
}

/// Records until the evaluator has let go of its end.
pub(crate) async fn run(mut trades: mpsc::Receiver<Trade>, store: Store, hub: Hub, clock: Clock) -> anyhow::Result<()> {
    let mut bars = running_bars(&store, &hub, clock.now()).await;
    let mut flush = tokio::time::interval(FLUSH);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        let open = tokio::select! {
            trade = trades.recv() => match trade {
                Some(trade) => {
                    bars.add(trade);
                    continue;
                }
                None => false,
            },
            _ = flush.tick() => true,
        };
        let news = bars.unwritten();
        if !news.is_empty() {
            let last = hub.board_snapshot().await.map(|s| s.prices).unwrap_or_default();
            match store.record_prices(news, last).await {
                Ok(()) => {
                    bars.written();
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "prices cannot be written; trying again");
                    }
                    failing = true;
                    bars.bound();
                }
            }
        }
        if !open {
            return Ok(());
        }
    }
}

/// The bars of the running minute, as far as they were written before: a restart within a minute must not cut them short.
async fn running_bars(store: &Store, hub: &Hub, now: Timestamp) -> Bars {
    let mut bars = Bars::default();
    let minute = Timestamp::from_micros(now.as_micros().div_euclid(MINUTE) * MINUTE);
    for ticker in hub.board_snapshot().await.map(|s| s.prices).unwrap_or_default() {
        if ticker.as_of < minute {
            continue;
        }
        let known =
            store.candles(ticker.symbol, Span::from_seconds(60), minute, minute.plus(Span::from_seconds(60)), 1);
        for bar in known.await.unwrap_or_default() {
            bars.resume(ticker.symbol, bar);
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trades_become_minute_bars_and_the_running_one_goes_on_after_a_write() {
        let symbol: Symbol = "BTC".parse().expect("a symbol");
        let mut bars = Bars::default();
        let mut trade = |seconds: i64, price: &str| {
            bars.add(Trade {
                symbol,
                price: price.parse().expect(price),
                time: Timestamp::from_seconds(seconds),
                counted: None,
            });
        };
        trade(61, "10");
        trade(70, "12");
        trade(119, "9");
        trade(120, "11");
        let written = bars.unwritten();
        assert_eq!(written.len(), 2);
        let first = &written[0].1;
        let shown: Vec<String> =
            [first.open, first.high, first.low, first.close].iter().map(ToString::to_string).collect();
        assert_eq!((first.from, shown.join(" ")), (Timestamp::from_seconds(60), "10 12 9 9".to_owned()));
        bars.written();
        assert!(bars.unwritten().is_empty());
        let mut after = Bars::default();
        after.resume(symbol, written[1].1.clone());
        assert!(after.unwritten().is_empty(), "nothing new has come");
        bars.add(Trade { symbol, price: "13".parse().expect("13"), time: Timestamp::from_seconds(121), counted: None });
        let again = bars.unwritten();
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].1.open.to_string(), again[0].1.high.to_string()), ("11".to_owned(), "13".to_owned()));
    }

    #[test]
    fn a_bar_has_the_volume_that_its_source_counted_and_none_where_a_part_is_not_known() {
        let symbol: Symbol = "AAPL".parse().expect("a symbol");
        let mut bars = Bars::default();
        let price: Price = "230".parse().expect("a price");
        let mut trade = |seconds: i64, count: Option<i64>| {
            let counted = count.map(|count| (FeedId::Yahoo, Price::new(count.into())));
            bars.add(Trade { symbol, price, time: Timestamp::from_seconds(seconds), counted });
        };
        // The first minute began before anybody counted; the second is whole; in the third a price came without a count;
        // the fourth goes on from it; the fifth comes after a pause; the sixth begins a new day.
        let told = [(30, 100), (50, 120), (61, 150), (119, 190), (121, 200)];
        for (seconds, count) in told {
            trade(seconds, Some(count));
        }
        trade(130, None);
        for (seconds, count) in [(140, 260), (181, 300), (300, 900), (330, 950), (361, 20)] {
            trade(seconds, Some(count));
        }
        let volumes: Vec<_> = bars.unwritten().into_iter().map(|(_, bar)| bar.volume.map(|v| v.to_string())).collect();
        let expected = [None, Some("70"), None, Some("40"), None, None];
        assert_eq!(volumes, expected.map(|v| v.map(str::to_owned)));
    }
}

#[cfg(test)]
#[path = "soak_tests.rs"]
mod soak_tests;
