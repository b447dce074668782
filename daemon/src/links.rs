//! The channels between the roles: all there are, with their sizes and what happens when one is full.

use std::sync::Arc;

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId},
    evaluator::{AlertMemory, Cut},
    event::{AlertRow, Event},
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    tick::{Candle, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;
use tokio::sync::{mpsc, oneshot};

/// Desk to evaluate. Full: the desk waits, then the feeds, and TCP pushes back to the exchange.
pub(crate) const TICKS: usize = 4_096;
/// Gateway to evaluate. Full: the request waits.
pub(crate) const CHANGES: usize = 64;
/// Evaluate to notify. Full: evaluation waits for the disk.
pub(crate) const BATCHES: usize = 1_024;
/// All roles to the hub. Full: the sender waits; the hub never waits for clients.
pub(crate) const EVENTS: usize = 4_096;

/// What the desk tells the evaluator.
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
    /// What happened in a gap, before the first live price after it.
    Backfill {
        /// The instrument.
        symbol: Symbol,
        /// Closed candles, oldest first.
        candles: Vec<Candle>,
        /// The feed in use.
        source: FeedId,
        /// When they arrived here.
        received: Timestamp,
    },
    /// The past that an alert's indicator needs: it fills what is not known, and judges nothing.
    History {
        /// The instrument.
        symbol: Symbol,
        /// Closed candles, oldest first.
        candles: Vec<Candle>,
        /// When they arrived here.
        received: Timestamp,
    },
    /// From here on prices are those of new units.
    Split {
        /// The instrument.
        symbol: Symbol,
        /// How many new units for one old.
        ratio: Decimal,
        /// When this became known.
        received: Timestamp,
    },
    /// Another feed is in use from here on.
    Feed(Using),
}

/// What holds of an instrument while a feed is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// The age from which a price is stale.
    pub(crate) stale_after: Span,
    /// How late the feed says it is.
    pub(crate) delay: Span,
    /// The step in per cent from which a price waits for a second one.
    pub(crate) outlier_pct: Option<Decimal>,
    /// How old the price before may be for that.
    pub(crate) outlier_window: Span,
}

impl Setup {
    /// What is set up of an instrument.
    pub(crate) const fn of(instrument: &Instrument) -> Self {
        let Instrument { stale_after, delay, outlier_pct, outlier_window, .. } = *instrument;
        Self { stale_after, delay, outlier_pct, outlier_window }
    }

    /// Sets the instrument up so.
    pub(crate) const fn apply(self, instrument: &mut Instrument) {
        instrument.stale_after = self.stale_after;
        instrument.delay = self.delay;
        instrument.outlier_pct = self.outlier_pct;
        instrument.outlier_window = self.outlier_window;
    }
}

/// The feed in use for an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Using {
    /// The instrument.
    pub(crate) symbol: Symbol,
    /// The feed.
    pub(crate) source: FeedId,
    /// What holds while it is in use.
    pub(crate) setup: Setup,
    /// The feed in whose place it is, and since when; nothing where it is the first choice.
    pub(crate) instead: Option<(FeedId, Timestamp)>,
}

/// Trouble of the program itself, for its owner. It needs no record: it is told once, and shown elsewhere too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// What it is about: the same is not told again within six hours.
    pub(crate) about: String,
    /// In a few words.
    pub(crate) title: String,
    /// In full.
    pub(crate) body: String,
}

/// Sends a notice, and does not wait for it.
pub(crate) type Notices = Arc<dyn Fn(Notice) + Send + Sync>;

/// A change of an alert for the evaluator; `done` is answered once it has been taken in.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "a change of an alert is what it is called everywhere")]
pub(crate) struct Change {
    /// The change, durable already.
    pub(crate) change: AlertChange,
    /// The change puts a deleted alert back as it was.
    pub(crate) returned: Option<Box<Returned>>,
    /// Told when the evaluator knows it.
    pub(crate) done: oneshot::Sender<()>,
}

/// What is on record of a deleted alert that comes back.
#[derive(Debug)]
pub(crate) struct Returned {
    /// What the evaluator remembered of it.
    pub(crate) memory: Option<AlertMemory>,
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
    /// Urgent alerts whose episode is over, with the number of its last firing.
    pub(crate) over: Vec<(AlertId, u32)>,
    /// Alerts whose wish was changed by a split, to be written down with the rest.
    pub(crate) rewritten: Vec<Alert>,
    /// When the oldest observation that fired was received, for the latency figures.
    pub(crate) started: Option<Timestamp>,
}

/// Where the desk puts what it believes.
pub(crate) type Observations = mpsc::Sender<Observation>;
/// Where every role tells what happened.
pub(crate) type Events = mpsc::Sender<Event>;
/// Where the gateway puts changes of alerts.
pub(crate) type Changes = mpsc::Sender<Change>;
/// Where the evaluator puts what is to be recorded.
pub(crate) type Batches = mpsc::Sender<Batch>;
