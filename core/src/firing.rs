//! A firing: it happened. Which alert, when, at what price, and why.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    alert::{AlertId, UserId},
    instrument::{FeedId, Symbol},
    price::Price,
    time::Timestamp,
};

/// The identity of a firing, made of its content so that recording it twice is one record: `a17.2.5` is the fifth firing of
/// alert 17, under its second version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiringId {
    /// The alert.
    pub alert: AlertId,
    /// The alert's version.
    pub version: u32,
    /// How many times the alert has fired, this time included.
    pub number: u32,
}

impl fmt::Display for FiringId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.alert, self.version, self.number))
    }
}

/// The text is no firing id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a firing id looks like a17.2.5")]
pub struct FiringIdError;

impl FromStr for FiringId {
    type Err = FiringIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let (Some(alert), Some(version), Some(number), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FiringIdError);
        };
        Ok(Self {
            alert: alert.parse().map_err(|_| FiringIdError)?,
            version: version.parse().map_err(|_| FiringIdError)?,
            number: number.parse().map_err(|_| FiringIdError)?,
        })
    }
}

impl Serialize for FiringId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FiringId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Which way the price went, for conditions that have a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Direction {
    /// Upward.
    Up,
    /// Downward.
    Down,
}

/// One term of the alert at the moment of firing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TermValue {
    /// The term, canonically: `BTC > 60000`.
    pub term: String,
    /// Its operand's value; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Price>,
}

/// An alert fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Firing {
    /// Alert, version and number.
    pub id: FiringId,
    /// Whose alert it was.
    pub owner: UserId,
    /// The instrument the alert is listed under.
    pub symbol: Symbol,
    /// The alert as it stood, canonically.
    pub rule: String,
    /// The condition's word, as metrics count it: `above`, `crosses_up`, `and`, ...
    pub condition: String,
    /// The time of the observation that did it (the source's, where it has one).
    pub time: Timestamp,
    /// When that observation arrived.
    pub received: Timestamp,
    /// The price, for an alert on one instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The price before it, where one was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Price>,
    /// Which way it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Every term with its value.
    pub values: Vec<TermValue>,
    /// Who delivered the observation.
    pub source: FeedId,
    /// Found in candles fetched after a gap, not live.
    #[serde(default)]
    pub late: bool,
    /// How many further firings the same input would have caused.
    #[serde(default)]
    pub more: u32,
    /// Whether the source declares its prices as delayed.
    #[serde(default)]
    pub delayed: bool,
    /// Why it fired, in one sentence: `BTC rose above 60,000: now 60,012.50 (before: 59,987.10)`.
    pub reason: String,
    /// Passes quiet hours and grouping.
    #[serde(default)]
    pub urgent: bool,
    /// The user's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The channels it goes to; empty means the user's default ones.
    #[serde(default)]
    pub via: Vec<crate::condition::ChannelName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_print() {
        let id = FiringId { alert: AlertId(17), version: 2, number: 5 };
        assert_eq!(id.to_string(), "a17.2.5");
        assert_eq!("a17.2.5".parse(), Ok(id));
        for bad in ["a17", "a17.2", "a17.2.5.1", "x.1.1"] {
            assert_eq!(bad.parse::<FiringId>(), Err(FiringIdError));
        }
    }
}
