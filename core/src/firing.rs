//! A firing: it happened. Which alert, when, at what price, and why.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeStruct};

use crate::{
    alert::{AlertId, UserId},
    condition::ChannelName,
    evaluator::Untold,
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
    /// What the indicator was that it was compared with; absent where the level stands in the term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Price>,
}

/// What the indicators of one term are worth now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TermLevels {
    /// The indicator that the term looks at; absent while unknown, or where it looks at a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Price>,
    /// The indicator that it compares with; absent while unknown, or where the level stands in the term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Price>,
}

/// An alert fired.
///
/// What it says in words is behind methods ([`Firing::rule`], [`Firing::reason`], ...): thousands of alerts may fire at one price,
/// and the evaluator does not write sentences while the next price waits. Whoever records or sends a firing has them written.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub struct Firing {
    /// Alert, version and number.
    pub id: FiringId,
    /// Whose alert it was.
    pub owner: UserId,
    /// The instrument the alert is listed under.
    pub symbol: Symbol,
    /// The time of the observation that did it (the source's, where it has one).
    pub time: Timestamp,
    /// When that observation arrived.
    pub received: Timestamp,
    /// The price, for an alert on one instrument.
    pub price: Option<Price>,
    /// The price before it, where one was known.
    pub previous: Option<Price>,
    /// Which way it went.
    pub direction: Option<Direction>,
    /// Who delivered the observation.
    pub source: FeedId,
    /// Found in candles fetched after a gap, not live.
    pub late: bool,
    /// How many further firings the same input would have caused.
    pub more: u32,
    /// Whether the source declares its prices as delayed.
    pub delayed: bool,
    /// Passes quiet hours and grouping.
    pub urgent: bool,
    /// What it says in words.
    pub story: Story,
}

/// What a firing says in words, written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The alert as it stood, canonically.
    pub rule: String,
    /// The condition's word, as metrics count it: `above`, `crosses_up`, `and`, ...
    pub condition: Cow<'static, str>,
    /// Every term with its value.
    pub values: Vec<TermValue>,
    /// Why it fired, in one sentence: `BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before`.
    pub reason: String,
    /// The user's note.
    pub note: Option<String>,
    /// The channels it goes to; empty means the user's default ones.
    pub via: Vec<ChannelName>,
}

/// What a firing says in words: written out, or everything that is needed to write it.
#[derive(Clone, Debug)]
pub struct Story(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Told(Arc<Told>),
    Untold(Untold),
}

impl From<Told> for Story {
    fn from(told: Told) -> Self {
        Self(Inner::Told(Arc::new(told)))
    }
}

impl From<Untold> for Story {
    fn from(untold: Untold) -> Self {
        Self(Inner::Untold(untold))
    }
}

impl Firing {
    /// Everything it says in words.
    pub fn told(&self) -> Arc<Told> {
        match &self.story.0 {
            Inner::Told(told) => Arc::clone(told),
            Inner::Untold(untold) => Arc::new(untold.tell(self)),
        }
    }

    /// Writes the words out and keeps them: to be done once, before many read them.
    pub fn write_out(&mut self) {
        self.story = Story(Inner::Told(self.told()));
    }

    /// The alert as it stood, canonically.
    pub fn rule(&self) -> Cow<'_, str> {
        match &self.story.0 {
            Inner::Told(told) => (&told.rule).into(),
            Inner::Untold(untold) => untold.rule(self).into(),
        }
    }

    /// The condition's word, as metrics count it: `above`, `crosses_up`, `and`, ...
    pub fn condition(&self) -> &str {
        match &self.story.0 {
            Inner::Told(told) => &told.condition,
            Inner::Untold(untold) => untold.keyword(),
        }
    }

    /// Every term with its value.
    pub fn values(&self) -> Cow<'_, [TermValue]> {
        match &self.story.0 {
            Inner::Told(told) => (&told.values).into(),
            Inner::Untold(untold) => untold.values(self).into(),
        }
    }

    /// Why it fired, in one sentence: `BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before`.
    pub fn reason(&self) -> Cow<'_, str> {
        match &self.story.0 {
            Inner::Told(told) => (&told.reason).into(),
            Inner::Untold(untold) => untold.reason(self).into(),
        }
    }

    /// Writes the words out with a remark behind the reason: what the evaluator cannot know, such as whose price it was.
    pub fn remark(&mut self, remark: &str) {
        let mut told = Arc::unwrap_or_clone(self.told());
        told.reason.push_str(remark);
        self.story = told.into();
    }

    /// The user's note.
    pub fn note(&self) -> Option<&str> {
        match &self.story.0 {
            Inner::Told(told) => told.note.as_deref(),
            Inner::Untold(untold) => untold.note(),
        }
    }

    /// The channels it goes to; empty means the user's default ones.
    pub fn via(&self) -> &[ChannelName] {
        match &self.story.0 {
            Inner::Told(told) => &told.via,
            Inner::Untold(untold) => untold.via(),
        }
    }
}

/// Two firings that say the same are the same, whether that is written out yet or not.
impl PartialEq for Firing {
    fn eq(&self, other: &Self) -> bool {
        let who = |f: &Self| (f.id, f.owner, f.symbol, f.time, f.received, f.source);
        let what = |f: &Self| (f.price, f.previous, f.direction, f.late, f.more, f.delayed, f.urgent);
        who(self) == who(other) && what(self) == what(other) && self.told() == other.told()
    }
}

impl Eq for Firing {}

/// As `Wire` reads it.
impl Serialize for Firing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = self.told();
        let mut out = serializer.serialize_struct("Firing", 20)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("owner", &self.owner)?;
        out.serialize_field("symbol", &self.symbol)?;
        out.serialize_field("rule", &told.rule)?;
        out.serialize_field("condition", &told.condition)?;
        out.serialize_field("time", &self.time)?;
        out.serialize_field("received", &self.received)?;
        if let Some(price) = &self.price {
            out.serialize_field("price", price)?;
        }
        if let Some(previous) = &self.previous {
            out.serialize_field("previous", previous)?;
        }
        if let Some(direction) = &self.direction {
            out.serialize_field("direction", direction)?;
        }
        out.serialize_field("values", &told.values)?;
        out.serialize_field("source", &self.source)?;
        out.serialize_field("late", &self.late)?;
        out.serialize_field("more", &self.more)?;
        out.serialize_field("delayed", &self.delayed)?;
        out.serialize_field("reason", &told.reason)?;
        out.serialize_field("urgent", &self.urgent)?;
        if let Some(note) = &told.note {
            out.serialize_field("note", note)?;
        }
        out.serialize_field("via", &told.via)?;
        out.end()
    }
}

/// An alert fired.
// The form in which it travels; also what the API's description is made from.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Firing))]
struct Wire {
    /// Alert, version and number.
    id: FiringId,
    /// Whose alert it was.
    owner: UserId,
    /// The instrument the alert is listed under.
    symbol: Symbol,
    /// The alert as it stood, canonically.
    rule: String,
    /// The condition's word, as metrics count it: `above`, `crosses_up`, `and`, ...
    condition: String,
    /// The time of the observation that did it (the source's, where it has one).
    time: Timestamp,
    /// When that observation arrived.
    received: Timestamp,
    /// The price, for an alert on one instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
    /// The price before it, where one was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Price>,
    /// Which way it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
    /// Every term with its value.
    values: Vec<TermValue>,
    /// Who delivered the observation.
    source: FeedId,
    /// Found in candles fetched after a gap, not live.
    #[serde(default)]
    late: bool,
    /// How many further firings the same input would have caused.
    #[serde(default)]
    more: u32,
    /// Whether the source declares its prices as delayed.
    #[serde(default)]
    delayed: bool,
    /// Why it fired, in one sentence: `BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before`.
    reason: String,
    /// Passes quiet hours and grouping.
    #[serde(default)]
    urgent: bool,
    /// The user's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The channels it goes to; empty means the user's default ones.
    #[serde(default)]
    via: Vec<ChannelName>,
}

impl From<Wire> for Firing {
    fn from(wire: Wire) -> Self {
        let Wire { id, owner, symbol, rule, condition, time, received, price, previous, direction, values, .. } = wire;
        let Wire { source, late, more, delayed, reason, urgent, note, via, .. } = wire;
        let story = Told { rule, condition: condition.into(), values, reason, note, via }.into();
        Self {
            id,
            owner,
            symbol,
            time,
            received,
            price,
            previous,
            direction,
            source,
            late,
            more,
            delayed,
            urgent,
            story,
        }
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Firing {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        Wire::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Firing {
    fn name() -> Cow<'static, str> {
        "Firing".into()
    }

    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        Wire::schemas(schemas);
    }
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

    #[test]
    fn a_firing_is_read_as_it_was_written() {
        let json = r#"{"id":"a17.2.5","owner":1,"symbol":"BTC","rule":"BTC > 60000 note \"sell\"","condition":"above",
            "time":"2026-11-22T13:03:05.000Z","received":"2026-11-22T13:03:06.000Z","price":"60012.5","previous":"59987.1",
            "direction":"up","values":[{"term":"BTC > 60000","value":"60012.5"}],"source":"coinbase","late":false,"more":2,
            "delayed":true,"reason":"BTC rose","urgent":true,"note":"sell","via":["email"]}"#;
        let firing: Firing = serde_json::from_str(json).unwrap();
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_value(&firing).unwrap(), value);
        assert_eq!((&*firing.rule(), firing.via().len()), ("BTC > 60000 note \"sell\"", 1));
    }
}
