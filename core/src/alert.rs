//! An alert: somebody's standing wish to be told, and the changes that can be made to it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{condition::Rule, time::Timestamp};

/// The number of an alert, unique in one database; people write it `a17` or `17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub i64);

/// The text is no alert id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an alert id looks like a17")]
pub struct AlertIdError;

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("a{}", self.0))
    }
}

impl FromStr for AlertId {
    type Err = AlertIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(['a', 'A']).unwrap_or(text);
        match digits.parse::<i64>() {
            Ok(id) if id > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(id)),
            _ => Err(AlertIdError),
        }
    }
}

/// As text, `"a17"`.
impl Serialize for AlertId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlertId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Whose alert it is. The local owner, who needs no account, is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserId(pub i64);

impl UserId {
    /// Whoever runs the daemon and holds the token in `daemon.json`.
    pub const OWNER: Self = Self(1);
}

/// The user's standing wish: be told when this happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number.
    pub id: AlertId,
    /// Whose it is.
    pub owner: UserId,
    /// Goes up by one with every change of the wish; a change with an older version is refused or ignored.
    pub version: u32,
    /// What it says.
    pub rule: Rule,
    /// Whether it is set aside until resumed.
    pub paused: bool,
    /// While the receive time lies before this instant, nothing fires.
    #[serde(default)]
    pub snoozed_until: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// A change of one alert on its way to the evaluator. Versions make the order unmistakable: the evaluator ignores what is not newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// Made, or edited into this.
    Put(Alert),
    /// Set aside; `alert` is the new version with `paused` set.
    Pause(Alert),
    /// Taken up again, or started afresh when done.
    Resume(Alert),
    /// Silent until `alert.snoozed_until`.
    Snooze(Alert),
    /// The firing of the running episode was seen: no more repeats in it.
    Acknowledge(Alert),
    /// Several of these at once: `alert` is the new version with all of them.
    Together {
        /// What it is now.
        alert: Alert,
        /// It was taken up again, or started afresh when done.
        resumed: bool,
        /// It is silent until `alert.snoozed_until`.
        snoozed: bool,
        /// The firing of the running episode was seen.
        acknowledged: bool,
    },
    /// Gone.
    Delete {
        /// Which one.
        id: AlertId,
        /// Its version at the end.
        version: u32,
    },
}

impl AlertChange {
    /// The alert's number.
    pub fn id(&self) -> AlertId {
        match self {
            Self::Put(a)
            | Self::Pause(a)
            | Self::Resume(a)
            | Self::Snooze(a)
            | Self::Acknowledge(a)
            | Self::Together { alert: a, .. } => a.id,
            Self::Delete { id, .. } => *id,
        }
    }

    /// The version that this change makes.
    pub fn version(&self) -> u32 {
        match self {
            Self::Put(a)
            | Self::Pause(a)
            | Self::Resume(a)
            | Self::Snooze(a)
            | Self::Acknowledge(a)
            | Self::Together { alert: a, .. } => a.version,
            Self::Delete { version, .. } => *version,
        }
    }
}

/// What an alert is doing, as people see it (B14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AlertState {
    /// Set aside by its user.
    Paused,
    /// A `once` that has fired.
    Done,
    /// Past its `until`.
    Expired,
    /// Silent for a while by its user's wish.
    Snoozed,
    /// A `for` is running.
    Pending,
    /// Inside the `every` or `cooldown` since the last firing.
    Cooling,
    /// Has fired in the running episode; waits for it to end.
    Fired,
    /// Waiting for its condition.
    Armed,
}

impl AlertState {
    /// The state's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Snoozed => "snoozed",
            Self::Pending => "pending",
            Self::Cooling => "cooling",
            Self::Fired => "fired",
            Self::Armed => "armed",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_print() {
        assert_eq!("a17".parse(), Ok(AlertId(17)));
        assert_eq!("17".parse(), Ok(AlertId(17)));
        assert_eq!(AlertId(17).to_string(), "a17");
        for bad in ["", "a", "-1", "+1", "a0", "99999999999999999999", "b7"] {
            assert_eq!(bad.parse::<AlertId>(), Err(AlertIdError), "{bad}");
        }
    }
}
