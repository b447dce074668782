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
