//! The channels between the roles: all there are, with their sizes and what happens when one is full.

use bellwether_core::{
    alert::AlertChange,
    evaluator::Cut,
    event::{AlertRow, Event},
    firing::Firing,
    instrument::{FeedId, Symbol},
    tick::{Candle, Tick},
    time::Timestamp,
};
use tokio::sync::{mpsc, oneshot};

/// Feeds to evaluate. Full: the feed waits, and TCP pushes back to the exchange.
pub(crate) const TICKS: usize = 4_096;
/// Gateway to evaluate. Full: the request waits.
pub(crate) const CHANGES: usize = 64;
/// Evaluate to notify. Full: evaluation waits for the disk.
pub(crate) const BATCHES: usize = 1_024;
/// All roles to the hub. Full: the sender waits; the hub never waits for clients.
pub(crate) const EVENTS: usize = 4_096;

/// What a feed tells the evaluator.
#[derive(Clone, Debug)]
pub(crate) enum Observation {
    /// One price.
    Tick(Tick),
    /// Prices that came in one answer: admitted together, then judged.
    Batch(Vec<Tick>),
    /// Closed candles of one instrument, oldest first, from a feed that is polled too seldom to show what happens in between.
    Candles {
        /// The instrument.
        symbol: Symbol,
        /// The candles.
        candles: Vec<Candle>,
        /// Who said so.
        source: FeedId,
    },
}

/// A change of an alert for the evaluator; `done` is answered once it has been taken in.
#[derive(Debug)]
pub(crate) struct Change {
    /// The change, durable already.
    pub(crate) change: AlertChange,
    /// Told when the evaluator knows it.
    pub(crate) done: oneshot::Sender<()>,
}

/// What the evaluator hands over to be recorded, in one transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// What fired.
    pub(crate) firings: Vec<Firing>,
    /// Everything in the evaluator's memory that changed since the batch before.
    pub(crate) cut: Cut,
    /// What clients are to see of the alerts concerned, once this is recorded.
    pub(crate) rows: Vec<AlertRow>,
    /// When the oldest observation that fired was received, for the latency figures.
    pub(crate) started: Option<Timestamp>,
}

/// Where feeds put what they see.
pub(crate) type Observations = mpsc::Sender<Observation>;
/// Where every role tells what happened.
pub(crate) type Events = mpsc::Sender<Event>;
/// Where the gateway puts changes of alerts.
pub(crate) type Changes = mpsc::Sender<Change>;
/// Where the evaluator puts what is to be recorded.
pub(crate) type Batches = mpsc::Sender<Batch>;
