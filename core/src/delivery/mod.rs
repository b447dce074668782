//! A delivery: one firing on its way to one channel; and the rules of when it goes and with what.
//!
//! [`group`] collects what fires together, [`quiet`] holds the night's messages back, [`escalate`] says which channels an
//! urgent firing reaches when, [`limit`] how often a channel may be used. All of them are given facts and `now`, and decide; the outbox of the daemon keeps the rows.

pub mod escalate;
pub mod group;
pub mod limit;
pub mod quiet;

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

/// Where a delivery stands: `queued -> sending -> sent | retry | dead | unknown`, or `merged`, or `cancelled`.
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
    /// Goes out, or went out, inside another row's digest, whose fate it shares.
    Merged,
    /// Not sent, because it had become pointless: its alert was seen, paused or removed, or its episode had ended.
    Cancelled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Retry,
        Self::Dead,
        Self::Unknown,
        Self::Merged,
        Self::Cancelled,
    ];

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
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::Dead | Self::Unknown | Self::Merged | Self::Cancelled)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a delivery that is not being sent waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Waits {
    /// The end of the time in which what fires for its channel is collected.
    Digest,
    /// The end of its user's quiet hours.
    QuietHours,
    /// The time of its step: earlier steps may be enough.
    Escalation,
    /// Its target, which is down or asked for peace.
    TargetDown,
    /// The channel's limit.
    Limit,
}

impl Waits {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Digest, Self::QuietHours, Self::Escalation, Self::TargetDown, Self::Limit];

    /// The reason's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::QuietHours => "quiet_hours",
            Self::Escalation => "escalation",
            Self::TargetDown => "target_down",
            Self::Limit => "limit",
        }
    }

    /// The reason for people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Digest => "collected into one message",
            Self::QuietHours => "quiet hours",
            Self::Escalation => "a later step",
            Self::TargetDown => "the target is down",
            Self::Limit => "the channel's limit",
        }
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
    /// Which step of the escalation it belongs to; 0 goes at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// Passes quiet hours and grouping.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
    /// What it waits for, where that is not just its next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// The delivery whose digest it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<DeliveryId>,
    /// How many other deliveries are part of its digest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub merged: u32,
    /// How often it was sent again by hand after it had come to its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resent: u32,
    /// From when on its time runs: when it was recorded, when its step's time came, or when it was sent again by hand.
    #[serde(default)]
    pub offered: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference to `skip_serializing_if`")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Delivery {
    /// A delivery just recorded, which goes at once.
    pub const fn new(
        id: DeliveryId,
        firing: FiringId,
        owner: UserId,
        channel: ChannelName,
        created: Timestamp,
    ) -> Self {
        Self {
            id,
            firing,
            owner,
            channel,
            state: DeliveryState::Queued,
            attempts: 0,
            created,
            next_attempt: Some(created),
            finished: None,
            answer: None,
            step: 0,
            urgent: false,
            waits: None,
            merged_into: None,
            merged: 0,
            resent: 0,
            offered: created,
        }
    }

    /// Whether `other`, the same delivery, is an older picture of it: what was done by hand counts first, then the attempts, then the end.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let age = |d: &Self| (d.resent, d.attempts, d.state.is_final());
        age(self) >= age(other)
    }
}

/// One line of a digest: an alert with its newest firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestLine {
    /// The newest of its firings.
    pub firing: Firing,
    /// How many of its firings are collected here.
    pub count: u32,
}

/// Several firings in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many firings.
    pub firings: u32,
    /// Of how many alerts.
    pub alerts: u32,
    /// When the oldest of them was received.
    pub oldest: Timestamp,
    /// Whether so much fires that messages have become rarer.
    pub storm: bool,
    /// The alerts, newest first, at most [`DIGEST_LINES`](group::DIGEST_LINES).
    pub lines: Vec<DigestLine>,
    /// Those that fire again and again, the busiest first, at most [`FLAPPING`](group::FLAPPING).
    pub flapping: Vec<DigestLine>,
}

/// A delivery taken for sending, with all that its words need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    /// The row, now in state `sending`; `attempts` counts the attempt about to be made.
    pub delivery: Delivery,
    /// What happened; the newest of a digest.
    pub firing: Firing,
    /// What else goes out with it.
    pub digest: Option<Digest>,
}
