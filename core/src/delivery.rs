//! A delivery: one firing on its way to one channel.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    alert::UserId,
    condition::ChannelName,
    firing::{Firing, FiringId},
    time::Timestamp,
};

/// The number of an outbox row: the key that stays the same over all attempts, written `d12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub i64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("d{}", self.0))
    }
}

/// The text is no delivery id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delivery id looks like d12")]
pub struct DeliveryIdError;

impl FromStr for DeliveryId {
    type Err = DeliveryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('d').and_then(|d| d.parse().ok()).map(Self).ok_or(DeliveryIdError)
    }
}

impl Serialize for DeliveryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeliveryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Where a delivery stands: `queued -> sending -> sent | retry | dead | unknown | merged`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeliveryState {
    /// Written with its firing, not tried yet.
    Queued,
    /// An attempt is under way.
    Sending,
    /// The other side accepted it.
    Sent,
    /// Failed for now; another attempt follows.
    Retry,
    /// Refused for good, or its time was up.
    Dead,
    /// Sent, the answer was lost, and sending again might double it (SMS).
    Unknown,
    /// Went out inside another row's digest.
    Merged,
}

impl DeliveryState {
    /// The state's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Retry => "retry",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
            Self::Merged => "merged",
        }
    }

    /// Whether nothing more will happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::Dead | Self::Unknown | Self::Merged)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One firing to one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// The outbox row.
    pub id: DeliveryId,
    /// What happened.
    pub firing: FiringId,
    /// Whose alert it was.
    pub owner: UserId,
    /// Where it goes.
    pub channel: ChannelName,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made so far.
    pub attempts: u32,
    /// When the firing was recorded.
    pub created: Timestamp,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Timestamp>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// What the other side said last, or what went wrong, free of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A delivery taken for sending, with all that its words need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    /// The row, now in state `sending`; `attempts` counts the attempt about to be made.
    pub delivery: Delivery,
    /// What happened.
    pub firing: Firing,
}
