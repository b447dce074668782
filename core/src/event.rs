//! Everything a watcher can learn: the changes of the [`Board`](crate::board::Board).

use serde::{Deserialize, Serialize};

use crate::{
    alert::{Alert, AlertId, AlertState, UserId},
    delivery::Delivery,
    firing::{Firing, TermLevels},
    instrument::{FeedId, Symbol},
    price::Price,
    tick::Session,
    time::{Span, Timestamp},
};

/// The newest picture of one instrument's price: a row of the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticker {
    /// The instrument.
    pub symbol: Symbol,
    /// The last accepted price.
    pub price: Price,
    /// The change since 24 hours ago or since the previous close, in per cent with two places, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_24h_pct: Option<Price>,
    /// The price that change is measured from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Price>,
    /// The highest price of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<Price>,
    /// The lowest price of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<Price>,
    /// The volume of that time, in units of the instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Price>,
    /// The source's own time of the price, or when it arrived where the source gives none.
    pub as_of: Timestamp,
    /// When it arrived here.
    pub received: Timestamp,
    /// Who delivered it.
    pub source: FeedId,
    /// The part of the trading day it belongs to.
    #[serde(default)]
    pub session: Session,
    /// From which age (`now - as_of`) it is stale and fires nothing.
    pub stale_after: Span,
    /// How late the source declares its prices to be.
    #[serde(default)]
    pub delay: Span,
}

impl Ticker {
    /// Whether the price is too old to be judged. The age of a delayed price counts from when it could be known.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(self.as_of) > self.stale_after
    }

    /// How old the price is.
    pub fn age(&self, now: Timestamp) -> Span {
        now.since(self.as_of)
    }
}

/// An alert as clients see it: the wish, and what it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRow {
    /// The wish.
    pub alert: Alert,
    /// What it is doing.
    pub state: AlertState,
    /// How often it has fired.
    pub fired: u32,
    /// When it last fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fired: Option<Timestamp>,
    /// Until when it stays silent because of `every` or `cooldown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling_until: Option<Timestamp>,
    /// What its indicators are worth, one entry a term; empty for an alert without indicators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<TermLevels>,
}

/// How a feed is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FeedState {
    /// Opening its connection or asking for the first time.
    Connecting,
    /// Delivering.
    Live,
    /// Failed; waits before it tries again.
    BackingOff,
    /// The provider refuses us for now (rate limit or ban).
    Refused,
    /// Connected, but the provider's market does not trade (maintenance): its prices are no news.
    Paused,
    /// The provider shut this address out for a while.
    Banned,
    /// The provider does not serve this place; it is asked again some hours later.
    Blocked,
    /// Switched off, or nothing to deliver.
    Off,
}

impl FeedState {
    /// The state's words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::BackingOff => "backing off",
            Self::Refused => "refused",
            Self::Paused => "paused",
            Self::Banned => "banned",
            Self::Blocked => "blocked",
            Self::Off => "off",
        }
    }
}

/// How a feed is doing, with what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedStatus {
    /// The feed.
    pub feed: FeedId,
    /// How it is doing.
    pub state: FeedState,
    /// How many instruments it is to deliver.
    pub instruments: u32,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When it will try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Timestamp>,
    /// The last trouble in words, free of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One change of the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A new price.
    Price(Ticker),
    /// An alert was made or changed, or does something else than before.
    AlertPut(AlertRow),
    /// An alert is gone.
    AlertDeleted {
        /// Which one.
        id: AlertId,
        /// Whose it was.
        owner: UserId,
        /// Its version at the end.
        version: u32,
    },
    /// An alert fired; already recorded durably.
    Fired(Firing),
    /// A delivery moved on.
    Delivery(Delivery),
    /// A feed changed its state.
    Feed(FeedStatus),
}

impl Event {
    /// Whose business it is; nothing means everybody's.
    pub fn owner(&self) -> Option<UserId> {
        match self {
            Self::Price(_) | Self::Feed(_) => None,
            Self::AlertPut(row) => Some(row.alert.owner),
            Self::AlertDeleted { owner, .. } => Some(*owner),
            Self::Fired(firing) => Some(firing.owner),
            Self::Delivery(delivery) => Some(delivery.owner),
        }
    }
}
