//! One observed price.

use serde::{Deserialize, Serialize};

use crate::{
    instrument::{FeedId, Symbol},
    price::Price,
    time::Timestamp,
};

/// The part of the trading day a price belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Session {
    /// Before the opening.
    Pre,
    /// The regular hours, and all hours of a market that never closes.
    #[default]
    Regular,
    /// After the closing.
    Post,
}

/// One observed price, as a feed delivers it to the evaluator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The instrument.
    pub symbol: Symbol,
    /// Its price.
    pub price: Price,
    /// Who said so.
    pub source: FeedId,
    /// The source's own time of the price, where it gives one.
    pub exchange_time: Option<Timestamp>,
    /// When it arrived here.
    pub received_time: Timestamp,
    /// The part of the trading day.
    pub session: Session,
    /// What the source says of the day so far.
    pub day: DayStats,
}

/// What a source says of the last 24 hours or the trading day, beside the price. Shown to people; judges nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayStats {
    /// The price that changes are measured from: 24 hours ago (crypto) or the previous close.
    pub reference: Option<Price>,
    /// The highest price.
    pub high: Option<Price>,
    /// The lowest price.
    pub low: Option<Price>,
    /// The volume in units of the instrument.
    pub volume: Option<Price>,
}

impl Tick {
    /// A bare tick of the regular session without a source time.
    pub fn new(symbol: Symbol, price: Price, source: FeedId, received_time: Timestamp) -> Self {
        Self {
            symbol,
            price,
            source,
            exchange_time: None,
            received_time,
            session: Session::Regular,
            day: DayStats::default(),
        }
    }
}

/// A closed bar, or one that still runs (`to` lies ahead): open, high, low and close of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candle {
    /// Start, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// The part of the trading day.
    #[serde(default)]
    pub session: Session,
    /// How much of the instrument was traded, in its units; nothing where that is not known, which is not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Price>,
}

impl Candle {
    /// What was traded in this bar and another one together; nothing where one of them does not say.
    pub fn volume_with(&self, other: &Self) -> Option<Price> {
        self.volume?.decimal().checked_add(other.volume?.decimal()).map(Price::new)
    }
}
