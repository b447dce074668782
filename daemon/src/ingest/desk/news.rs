//! What feeds tell the desk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bellwether_core::{
    event::FeedStatus,
    instrument::{FeedId, Symbol},
    tick::{Candle, Tick},
    time::Timestamp,
};
use rust_decimal::Decimal;
use tokio::sync::mpsc;

use super::AHEAD;

/// Feeds to desk. Full: the feed waits, and TCP pushes back to the exchange.
pub(crate) const NEWS: usize = 4_096;

/// Where feeds put what they have to tell.
pub(crate) type NewsSender = mpsc::Sender<News>;

/// What a feed tells the desk.
#[derive(Clone, Debug)]
pub(crate) struct News {
    /// Who tells it.
    pub(crate) feed: FeedId,
    /// What it tells.
    pub(crate) what: What,
}

/// A piece of news.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// One price.
    Tick(Tick),
    /// Prices that came in one answer.
    Batch(Vec<Tick>),
    /// Closed candles of one instrument, oldest first, as the observations of a feed that is polled too seldom for last prices.
    Candles(Symbol, Vec<Candle>),
    /// Proof that the source lives and would tell if there were a new price.
    Alive(Whom),
    /// The feed does not deliver this instrument, for the reason given: refused, delisted, never acknowledged.
    Lost(Symbol, String),
    /// The source records a split.
    Split(Split),
    /// How the feed is doing. A feed that is not live has lost its connection.
    Status(FeedStatus),
}

impl What {
    /// Nothing was received after the present: what waited while a clock that had been ahead was set right (docs/alerts.md, B16.3) says so, and
    /// one such price would make all later ones look old.
    pub(super) fn received_by(mut self, now: Timestamp) -> Self {
        let latest = now.plus(AHEAD);
        let ticks = match &mut self {
            Self::Tick(tick) => std::slice::from_mut(tick),
            Self::Batch(ticks) => ticks.as_mut_slice(),
            _ => &mut [],
        };
        for tick in ticks.iter_mut().filter(|tick| tick.received_time > latest) {
            tick.received_time = now;
        }
        self
    }
}

/// Whom a proof of life is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// One instrument.
    One(Symbol),
    /// Several.
    These(Vec<Symbol>),
}

/// A split as a source records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The instrument.
    pub(crate) symbol: Symbol,
    /// How many new units came for one old: 10 for ten to one.
    pub(crate) ratio: Decimal,
    /// From when on prices are those of new units, by the source.
    pub(crate) at: Timestamp,
}

/// Which instruments the desk wants of the feeds that should not be asked for more than is needed. A feed that is not listed
/// delivers all it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted(pub(crate) Arc<BTreeMap<FeedId, BTreeSet<Symbol>>>);

impl Wanted {
    /// Whether this instrument is wanted of this feed.
    pub(crate) fn of(&self, feed: FeedId, symbol: Symbol) -> bool {
        self.0.get(&feed).is_none_or(|symbols| symbols.contains(&symbol))
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::time::Span;

    use super::*;

    #[test]
    fn a_price_that_waited_while_the_clock_was_set_right_was_received_now() {
        let now = Timestamp::from_seconds(1_795_300_000);
        let tick = |ahead: i64| {
            let price = "60000".parse().expect("a price");
            let received = now.plus(Span::from_seconds(ahead));
            Tick::new("BTC".parse().expect("a symbol"), price, FeedId::Coinbase, received)
        };
        for (ahead, left) in [(0, 0), (59, 59), (61, 0), (86_400, 0)] {
            let expected = now.plus(Span::from_seconds(left));
            let What::Tick(one) = What::Tick(tick(ahead)).received_by(now) else { panic!("it stays a price") };
            let What::Batch(many) = What::Batch(vec![tick(ahead)]).received_by(now) else { panic!("they stay prices") };
            assert_eq!((one.received_time, many[0].received_time), (expected, expected), "{ahead} s ahead");
        }
    }
}
