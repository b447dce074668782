//! The outside contract as types: what the gateway sends and takes, and what clients find in `daemon.json`.
//!
//! Prices are JSON strings holding plain decimals; times are RFC 3339 in UTC with milliseconds. See `docs/api.md`.

use serde::{Deserialize, Serialize};

use crate::{
    alert::{Alert, AlertId, AlertState, UserId},
    board::Snapshot,
    condition::{ChannelName, Condition, Repeat, Rule},
    delivery::Delivery,
    event::{AlertRow, Event, FeedStatus, Ticker},
    firing::{Firing, TermLevels},
    instrument::{AssetClass, FeedId, Instrument, Symbol},
    price::{Price, WirePrice},
    tick::Candle,
    time::{Span, Timestamp},
};

/// The version of the WebSocket protocol; a client refuses a `hello` with another one.
pub const PROTOCOL: u32 = 1;
/// The WebSocket subprotocol; a token may stand beside it as `bearer.TOKEN`.
pub const SUBPROTOCOL: &str = "bellwether.v1";
/// The name of the file by which clients find and enter the daemon.
pub const DAEMON_FILE: &str = "daemon.json";

/// `daemon.json`: where the daemon listens, and the local owner's token. Mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonFile {
    /// Base address, such as `http://127.0.0.1:8000`.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The WebSocket protocol it speaks.
    pub protocol: u32,
    /// Whether its market is simulated.
    pub simulated: bool,
    /// When it started.
    pub started: Timestamp,
    /// The owner's bearer token, new at each start.
    pub token: String,
}

/// Without the token.
impl std::fmt::Debug for DaemonFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DaemonFile").field("address", &self.address).field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// An alert in every answer: structured and textual form, and what it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertView {
    /// `a17`.
    pub id: AlertId,
    /// Goes up with each change; also the `ETag`.
    pub version: u32,
    /// Whose it is.
    pub owner: UserId,
    /// The instrument it is listed under.
    pub symbol: Symbol,
    /// The condition's word: `above`, `crosses`, `range`, ...
    pub condition: String,
    /// The level of a condition that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_price: Option<Price>,
    /// The lower bound of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Price>,
    /// The upper bound of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<Price>,
    /// The whole alert in its canonical text.
    pub expr: String,
    /// The whole alert in parts.
    pub rule: Rule,
    /// The least time between firings (`cooldown` or `every`), where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Span>,
    /// Where firings go; empty means the default channels.
    pub channels: Vec<ChannelName>,
    /// The user's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it is doing.
    pub state: AlertState,
    /// Set aside by its user.
    pub paused: bool,
    /// Silent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<Timestamp>,
    /// Silent until then because of `every` or `cooldown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling_until: Option<Timestamp>,
    /// How often it has fired.
    pub fired: u32,
    /// When it last fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fired: Option<Timestamp>,
    /// What its indicators are worth, one entry a term; empty for an alert without indicators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<TermLevels>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

impl From<AlertRow> for AlertView {
    fn from(row: AlertRow) -> Self {
        let AlertRow { alert, state, fired, last_fired, cooling_until, indicators } = row;
        let (target_price, range) = match &alert.rule.terms[..] {
            [one] => match &one.condition {
                Condition::Compare { level, .. } | Condition::Crosses { level, .. } => (level.price(), None),
                Condition::In(range)
                | Condition::Outside(range)
                | Condition::Enters(range)
                | Condition::Exits(range) => (None, Some(*range)),
                Condition::PercentFrom { reference, .. } => (Some(*reference), None),
                Condition::PercentVs { .. } | Condition::Move { .. } | Condition::MoveIn { .. } => (None, None),
            },
            _ => (None, None),
        };
        Self {
            id: alert.id,
            version: alert.version,
            owner: alert.owner,
            symbol: alert.rule.symbol(),
            condition: alert.rule.keyword().to_owned(),
            target_price,
            lower: range.map(|r| r.lower),
            upper: range.map(|r| r.upper),
            expr: alert.rule.to_string(),
            cooldown: match alert.rule.repeat {
                Repeat::Every(span) => Some(span),
                Repeat::Each { cooldown } if !cooldown.is_zero() => Some(cooldown),
                Repeat::Each { .. } | Repeat::Once => None,
            },
            channels: alert.rule.via.clone(),
            note: alert.rule.note.clone(),
            rule: alert.rule,
            state,
            paused: alert.paused,
            snoozed_until: alert.snoozed_until,
            cooling_until,
            fired,
            last_fired,
            indicators,
            created: alert.created,
            updated: alert.updated,
        }
    }
}

impl From<AlertView> for AlertRow {
    fn from(view: AlertView) -> Self {
        Self {
            alert: Alert {
                id: view.id,
                owner: view.owner,
                version: view.version,
                rule: view.rule,
                paused: view.paused,
                snoozed_until: view.snoozed_until,
                created: view.created,
                updated: view.updated,
            },
            state: view.state,
            fired: view.fired,
            last_fired: view.last_fired,
            cooling_until: view.cooling_until,
            indicators: view.indicators,
        }
    }
}

/// `POST /alerts`: either `expr`, or `symbol`, `condition` and what that condition needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewAlert {
    /// One line of the alert language.
    #[serde(default)]
    pub expr: Option<String>,
    /// The instrument.
    #[serde(default)]
    pub symbol: Option<String>,
    /// `above`, `below`, `at_least`, `at_most`, `crosses`, `crosses_up`, `crosses_down`, `range`, `outside`, `enters`, `exits`,
    /// `percent_from`, `percent_vs`, `move`, `move_in`.
    #[serde(default)]
    pub condition: Option<String>,
    /// The level, or the reference of `percent_from`.
    #[serde(default)]
    pub target_price: Option<WirePrice>,
    /// The lower bound of a range.
    #[serde(default)]
    pub lower: Option<WirePrice>,
    /// The upper bound of a range.
    #[serde(default)]
    pub upper: Option<WirePrice>,
    /// Signed per cent (`-5`, `+10`, `±3`) of the percent conditions.
    #[serde(default)]
    pub percent: Option<String>,
    /// The window of `move_in`, how long ago for `percent_vs`.
    #[serde(default)]
    pub window: Option<String>,
    /// `now`, `high` or `low`, for `move`.
    #[serde(default)]
    pub from: Option<String>,
    /// `once`, `each` or `every`; a `cooldown` alone means `each`.
    #[serde(default)]
    pub repeat: Option<String>,
    /// The least time between firings, such as `1h`; the `D` of `every D`.
    #[serde(default)]
    pub cooldown: Option<String>,
    /// `for D`.
    #[serde(default, rename = "for")]
    pub hold: Option<String>,
    /// Per cent (`0.5%`) or absolute.
    #[serde(default)]
    pub hysteresis: Option<String>,
    /// `regular` or `extended`.
    #[serde(default)]
    pub session: Option<String>,
    /// A date, a time, or `+7d`.
    #[serde(default)]
    pub until: Option<String>,
    /// The channels.
    #[serde(default)]
    pub channels: Option<Vec<String>>,
    /// Passes quiet hours and grouping.
    #[serde(default)]
    pub urgent: Option<bool>,
    /// Free text for the messages.
    #[serde(default)]
    pub note: Option<String>,
}

/// `PATCH /alerts/{id}`: any of these; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertPatch {
    /// The whole alert anew, as one line.
    #[serde(default)]
    pub expr: Option<String>,
    /// Set aside, or take up again (a finished alert starts afresh).
    #[serde(default)]
    pub paused: Option<bool>,
    /// Silent until this instant.
    #[serde(default)]
    pub snoozed_until: Option<Timestamp>,
    /// Mark the running episode's firing as seen.
    #[serde(default)]
    pub acknowledged: Option<bool>,
}

/// The answer to making or changing an alert: the alert, how it was understood, and what to know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertAnswer {
    /// The alert.
    #[serde(flatten)]
    pub alert: AlertView,
    /// What it means, in words.
    pub words: String,
    /// Such as: it is already true and fires at once; the same alert stands already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows, newest first where they have a time.
    pub items: Vec<T>,
    /// The cursor of the next page; absent on the last one.
    pub next: Option<String>,
}

/// Something that a provider knows under the name that was searched for, in `GET /instruments/search`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Listing {
    /// What the provider calls it for people; several things may be called so.
    pub ticker: String,
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<AssetClass>,
    /// Where it is traded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// What it is quoted in, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The provider.
    pub feed: FeedId,
    /// Its code there, as `POST /instruments` takes it.
    pub code: String,
    /// Its place among all coins by what they are worth together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// The instrument that it is here already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Symbol>,
}

/// The answer to `GET /instruments/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchAnswer {
    /// What was found, provider by provider, each in its own order.
    pub items: Vec<Listing>,
    /// Who did not answer, and why.
    pub troubles: Vec<String>,
}

/// The body of `POST /instruments`. What is left out is taken from the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewInstrument {
    /// Its name here.
    pub symbol: String,
    /// Who delivers it.
    pub feed: FeedId,
    /// What the provider calls it.
    pub code: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<AssetClass>,
    /// What it is expected to be quoted in; another currency is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Its trading hours: a name of the catalogue, such as `us_equity`, or `09:00-17:30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// The answer to `POST /instruments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddedInstrument {
    /// The instrument, as it is watched from now on.
    pub instrument: Instrument,
    /// What the provider says it costs, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// A current price, in `GET /prices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceView {
    /// The price and what belongs to it.
    #[serde(flatten)]
    pub ticker: Ticker,
    /// The instrument's name.
    pub name: String,
    /// Its quote currency.
    pub currency: String,
    /// Whether the price is too old to be judged.
    pub stale: bool,
    /// The first price of the trading day, or of the last 24 hours where there are no days; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Price>,
    /// Closes of the last 24 hours in equal steps, oldest first; only with `?sparkline=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparkline: Option<Vec<Price>>,
}

/// `GET /prices/{symbol}/candles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candles {
    /// The instrument.
    pub symbol: Symbol,
    /// The length of a bar.
    pub interval: Span,
    /// The bars, oldest first; the last one may still run.
    pub items: Vec<Candle>,
}

/// A firing with the fate of its deliveries, in `GET /events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// What happened.
    #[serde(flatten)]
    pub firing: Firing,
    /// What became of it.
    pub deliveries: Vec<Delivery>,
}

/// A channel and whether it works, in `GET /channels`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelView {
    /// Its name in `via`.
    pub name: ChannelName,
    /// Whether it can send.
    pub ready: bool,
    /// Where it sends to, without secrets, or why it cannot.
    pub status: String,
    /// Whether alerts without `via` use it.
    pub default: bool,
}

/// The answer to a channel's test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelTest {
    /// The channel.
    pub channel: ChannelName,
    /// Whether the other side accepted the message.
    pub accepted: bool,
    /// What the other side said, or what went wrong.
    pub answer: String,
    /// The way there, step by step, as far as it went.
    #[serde(default)]
    pub steps: Vec<TestStep>,
}

/// One step on the way of a test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestStep {
    /// What was done: `resolved`, `connected`, `TLS`, `authenticated`, `accepted`, ...
    pub step: String,
    /// Whether it worked.
    pub ok: bool,
    /// The other side's own words, or what was found.
    pub said: String,
}

/// `GET /health/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ready` or `not ready`.
    pub status: String,
    /// The daemon's version.
    pub version: String,
    /// Whether its market is simulated.
    pub simulated: bool,
    /// How long it has been running.
    pub uptime_seconds: i64,
    /// What is not as it should be and keeps nothing from working, by what it is about.
    #[serde(default)]
    pub notes: std::collections::BTreeMap<String, String>,
    /// Each part that must work, with `ok` or what is wrong.
    pub checks: std::collections::BTreeMap<String, String>,
    /// The feeds.
    pub feeds: Vec<FeedStatus>,
}

/// `GET /health/status`: everything about the daemon that a person who looks for a fault wants to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// What `GET /health/ready` says.
    #[serde(flatten)]
    pub health: Health,
    /// The `WebSocket` protocol it speaks.
    pub protocol: u32,
    /// When it started.
    pub started: Timestamp,
    /// The channels; where they lead is shown to the local owner alone.
    pub channels: Vec<ChannelView>,
    /// The database.
    pub database: DatabaseStatus,
    /// What waits for each channel, where something does.
    pub queue: Vec<QueueStatus>,
    /// Open `WebSocket` sessions.
    pub sessions: usize,
    /// Memory that the process holds now, in bytes; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
}

/// How the database is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatabaseStatus {
    /// Whether it takes what is written.
    pub writable: bool,
    /// What is wrong, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its size in bytes, without the log of the last changes.
    pub size_bytes: u64,
    /// How many alerts stand in it, of all accounts.
    pub alerts: u64,
    /// How many firings are recorded, of all accounts.
    pub firings: u64,
}

/// What waits for a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueStatus {
    /// Which channel.
    pub channel: ChannelName,
    /// How many deliveries.
    pub waiting: i64,
    /// For how many seconds the oldest has been due.
    pub oldest_seconds: i64,
}

/// RFC 9457 problem details: the body of every error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// What kind of problem: `about:blank`, or `/problems/...` of this server.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// The code of an alert that was not understood: `E_SYNTAX`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where in the field's text: first byte and the byte after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(usize, usize)>,
    /// What was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// What a client may choose to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Price frames.
    Prices,
    /// Alerts made, changed, deleted.
    Alerts,
    /// Firings and their deliveries.
    Firings,
    /// Feeds.
    Status,
}

/// What a client sends over the WebSocket. Commands carry an `id` and are answered by a `reply`.
///
/// `{"type":"create","id":1,"alert":{…NewAlert}}`, `{"type":"update","id":2,"alert_id":"a17","patch":{…AlertPatch}}`,
/// `{"type":"delete","id":3,"alert_id":"a17"}`: their bodies are those of the REST calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientFrame {
    /// Choose symbols and topics; what is absent means all. Answered by a snapshot.
    Subscribe {
        /// Only these instruments' prices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        symbols: Option<Vec<String>>,
        /// Only these topics.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topics: Option<Vec<Topic>>,
    },
    /// Ask for a fresh snapshot.
    Snapshot,
}

/// What the server sends over the WebSocket. `seq` goes up by one with every state frame of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The first frame.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The daemon's version.
        version: String,
        /// Whether its market is simulated.
        simulated: bool,
        /// The daemon's clock.
        time: Timestamp,
    },
    /// The whole picture, as far as subscribed.
    Snapshot {
        /// The session's number.
        seq: u64,
        /// Prices.
        prices: Vec<Ticker>,
        /// The caller's alerts.
        alerts: Vec<AlertView>,
        /// The caller's recent firings, newest first.
        firings: Vec<Firing>,
        /// Their deliveries.
        deliveries: Vec<Delivery>,
        /// The feeds.
        feeds: Vec<FeedStatus>,
    },
    /// The newest price of an instrument.
    Price {
        /// The session's number.
        seq: u64,
        /// The price.
        #[serde(flatten)]
        ticker: Ticker,
    },
    /// An alert was made or changed.
    Alert {
        /// The session's number.
        seq: u64,
        /// The alert.
        alert: Box<AlertView>,
    },
    /// An alert is gone.
    AlertDeleted {
        /// The session's number.
        seq: u64,
        /// Which one.
        id: AlertId,
        /// Whose it was.
        owner: UserId,
        /// Its version at the end.
        version: u32,
    },
    /// An alert fired.
    Firing {
        /// The session's number.
        seq: u64,
        /// What happened.
        firing: Box<Firing>,
    },
    /// A delivery moved on.
    Delivery {
        /// The session's number.
        seq: u64,
        /// Where it stands.
        delivery: Box<Delivery>,
    },
    /// A feed changed its state.
    Feed {
        /// The session's number.
        seq: u64,
        /// How it is doing.
        feed: FeedStatus,
    },
    /// The answer to a command.
    Reply {
        /// The command's id.
        id: serde_json::Value,
        /// Whether it was done.
        ok: bool,
        /// The alert, after a command that made or changed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<Box<AlertAnswer>>,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// A frame from the client was not understood.
    Error {
        /// Why not.
        problem: Problem,
    },
}

impl ServerFrame {
    /// The frame for an event, numbered `seq`.
    pub fn from_event(seq: u64, event: Event) -> Self {
        match event {
            Event::Price(ticker) => Self::Price { seq, ticker },
            Event::AlertPut(row) => Self::Alert { seq, alert: Box::new(row.into()) },
            Event::AlertDeleted { id, owner, version } => Self::AlertDeleted { seq, id, owner, version },
            Event::Fired(firing) => Self::Firing { seq, firing: Box::new(firing) },
            Event::Delivery(delivery) => Self::Delivery { seq, delivery: Box::new(delivery) },
            Event::Feed(feed) => Self::Feed { seq, feed },
        }
    }

    /// The frame for a snapshot, which sets the session's number to `seq`.
    pub fn from_snapshot(seq: u64, snapshot: Snapshot) -> Self {
        Self::Snapshot {
            seq,
            prices: snapshot.prices,
            alerts: snapshot.alerts.into_iter().map(AlertView::from).collect(),
            firings: snapshot.firings,
            deliveries: snapshot.deliveries,
            feeds: snapshot.feeds,
        }
    }

    /// The event and its number, for a client that keeps a board.
    pub fn into_event(self) -> Option<(u64, Event)> {
        Some(match self {
            Self::Price { seq, ticker } => (seq, Event::Price(ticker)),
            Self::Alert { seq, alert } => (seq, Event::AlertPut((*alert).into())),
            Self::AlertDeleted { seq, id, owner, version } => (seq, Event::AlertDeleted { id, owner, version }),
            Self::Firing { seq, firing } => (seq, Event::Fired(*firing)),
            Self::Delivery { seq, delivery } => (seq, Event::Delivery(*delivery)),
            Self::Feed { seq, feed } => (seq, Event::Feed(feed)),
            Self::Hello { .. } | Self::Snapshot { .. } | Self::Reply { .. } | Self::Error { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{condition::*, instrument::FeedId, tick::Session};

    fn price(text: &str) -> Price {
        text.parse().expect(text)
    }

    fn ticker() -> Ticker {
        Ticker {
            symbol: "BTC".parse().expect("a symbol"),
            price: price("60000.5"),
            change_24h_pct: Some(price("1.2")),
            reference: None,
            high: None,
            low: None,
            volume: None,
            as_of: Timestamp::from_seconds(1),
            received: Timestamp::from_seconds(2),
            source: FeedId::Coinbase,
            session: Session::Regular,
            stale_after: Span::from_seconds(60),
            delay: Span::ZERO,
        }
    }

    #[test]
    fn a_price_frame_is_flat_and_holds_decimals_in_strings() {
        let frame = ServerFrame::from_event(7, Event::Price(ticker()));
        let json: serde_json::Value = serde_json::to_value(&frame).expect("serialises");
        assert_eq!(json["type"], "price");
        assert_eq!(json["symbol"], "BTC");
        assert_eq!(json["price"], "60000.5");
        assert_eq!(json["change_24h_pct"], "1.2");
        assert_eq!(json["as_of"], "1970-01-01T00:00:01.000Z");
        assert_eq!(json["source"], "coinbase");
        assert_eq!(json["seq"], 7);
        let back: ServerFrame = serde_json::from_str(&frame_text(&frame)).expect("parses");
        assert_eq!(back, frame);
    }

    fn frame_text(frame: &ServerFrame) -> String {
        serde_json::to_string(frame).expect("serialises")
    }

    #[test]
    fn an_alert_travels_whole() {
        let rule = Rule {
            terms: vec![Term {
                operand: Operand::Price("BTC".parse().expect("a symbol")),
                condition: Condition::Compare { cmp: Comparison::Above, level: price("60000").into() },
            }],
            join: Join::And,
            repeat: Repeat::Every(Span::from_seconds(3600)),
            hold: None,
            hysteresis: Some(Hysteresis::Percent("0.5".parse().expect("a number"))),
            session: SessionScope::Regular,
            until: Some(Timestamp::from_seconds(5)),
            via: vec![ChannelName::new("email")],
            urgent: true,
            note: Some("a \"note\"".to_owned()),
        };
        let row = AlertRow {
            alert: Alert {
                id: AlertId(17),
                owner: UserId::OWNER,
                version: 3,
                rule,
                paused: false,
                snoozed_until: None,
                created: Timestamp::from_seconds(1),
                updated: Timestamp::from_seconds(2),
            },
            state: AlertState::Armed,
            fired: 2,
            last_fired: None,
            cooling_until: None,
            indicators: Vec::new(),
        };
        let frame = ServerFrame::from_event(1, Event::AlertPut(row.clone()));
        let json: serde_json::Value = serde_json::to_value(&frame).expect("serialises");
        assert_eq!(json["alert"]["target_price"], "60000");
        assert_eq!(json["alert"]["condition"], "above");
        let back: ServerFrame = serde_json::from_str(&frame_text(&frame)).expect("parses");
        assert_eq!(back.into_event(), Some((1, Event::AlertPut(row))));
    }

    #[test]
    fn requests_take_numbers_and_strings_but_no_unknown_fields() {
        let body = r#"{"symbol":"BTC","condition":"above","target_price":60000.10}"#;
        let new: NewAlert = serde_json::from_str(body).expect("parses");
        assert_eq!(new.target_price, Some(WirePrice(price("60000.1"))));
        assert!(serde_json::from_str::<NewAlert>(r#"{"symbl":"BTC"}"#).is_err());
    }
}
