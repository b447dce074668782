//! What a WebSocket client may say: choose what it hears, and the commands on alerts, whose bodies are those of the REST calls.

use std::{sync::Arc, time::Duration};

use bellwether_core::{
    alert::AlertId,
    protocol::{AlertPatch, NewAlert, ServerFrame, Topic},
    time::Span,
};
use futures_util::{FutureExt, future::BoxFuture};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, value::RawValue};

use super::{Gateway, alerts, auth::Caller, body::from_json, error::ApiError, outbox::Choice};

/// The most symbols of a choice.
const SYMBOLS: usize = 1_000;
/// How far apart a client may have the prices of a symbol.
const FASTEST: Span = Span::from_millis(100);
const SLOWEST: Span = Span::from_seconds(60);
/// The most bytes of a command's id.
const MAX_ID: usize = 128;

/// Something a client said, understood.
pub(crate) enum Command {
    /// Hear this from now on.
    Subscribe(Choice),
    /// Send a fresh snapshot.
    Snapshot,
    /// Do something with an alert, and answer.
    Alert(Asked),
}

/// A command with the id under which it is answered.
pub(crate) struct Asked {
    id: Value,
    what: What,
}

enum What {
    Create(Box<NewAlert>, Option<String>),
    Update(AlertId, AlertPatch, Option<u32>),
    Delete(AlertId, Option<u32>),
}

/// What every message has; the rest is read when its kind is known, because prices are read from their own digits.
#[derive(Deserialize)]
struct Head {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    id: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    #[serde(default, rename = "type")]
    _kind: IgnoredAny,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default)]
    symbols: Option<Vec<String>>,
    #[serde(default)]
    topics: Option<Vec<Topic>>,
    #[serde(default)]
    interval: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {
    #[serde(default, rename = "type")]
    _kind: IgnoredAny,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    #[serde(default, rename = "type")]
    _kind: IgnoredAny,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default)]
    alert: Option<Box<RawValue>>,
    /// As the header `Idempotency-Key`.
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, rename = "type")]
    _kind: IgnoredAny,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default)]
    alert_id: Option<AlertId>,
    #[serde(default)]
    patch: Option<Box<RawValue>>,
    /// As the header `If-Match`.
    #[serde(default)]
    version: Option<u32>,
}

/// Understands a message, or says in a frame why not.
pub(crate) fn read(text: &[u8], gateway: &Gateway) -> Result<Command, Box<ServerFrame>> {
    let refuse = |error: &ApiError| Box::new(ServerFrame::Error { problem: error.problem() });
    let head: Head = from_json(text).map_err(|e| refuse(&e))?;
    let understood = match (head.kind.as_deref().unwrap_or_default(), head.id) {
        ("subscribe", _) => subscribe(text, gateway),
        ("snapshot", _) => from_json::<Nothing>(text).map(|_| Command::Snapshot),
        (kind @ ("create" | "update" | "delete"), Some(id)) if acceptable(&id) => {
            return match ask(kind, text) {
                Ok(what) => Ok(Command::Alert(Asked { id, what })),
                Err(error) => Err(Box::new(reply(id, Err(error)))),
            };
        }
        ("create" | "update" | "delete", _) => {
            Err(ApiError::field("id", "A command carries an `id`: a number, or a text of at most 128 bytes."))
        }
        _ => Err(ApiError::field("type", "`type` is subscribe, snapshot, create, update or delete.")),
    };
    understood.map_err(|e| refuse(&e))
}

fn acceptable(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= MAX_ID,
        Value::Number(_) => true,
        _ => false,
    }
}

fn subscribe(text: &[u8], gateway: &Gateway) -> Result<Command, ApiError> {
    let wish: Subscribe = from_json(text)?;
    if wish.symbols.as_ref().is_some_and(|symbols| symbols.len() > SYMBOLS) {
        return Err(ApiError::field("symbols", format!("At most {SYMBOLS} symbols.")));
    }
    let symbols = wish
        .symbols
        .map(|names| names.iter().map(|name| gateway.instrument_in("symbols", name)).collect())
        .transpose()?;
    if wish.interval.is_some_and(|interval| !interval.is_zero() && !(FASTEST..=SLOWEST).contains(&interval)) {
        let expected = format!("`interval` is a duration from {FASTEST} to {SLOWEST}, or 0s for every price.");
        return Err(ApiError::field("interval", expected));
    }
    let interval = wish.interval.map(Duration::from);
    Ok(Command::Subscribe(Choice { symbols, topics: wish.topics.map(|t| t.into_iter().collect()), interval }))
}

fn ask(kind: &str, text: &[u8]) -> Result<What, ApiError> {
    if kind == "create" {
        let Create { alert, key, .. } = from_json(text)?;
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_ID) {
            return Err(ApiError::field("key", "`key` has 1 to 128 bytes."));
        }
        return Ok(What::Create(Box::new(inner("alert", alert)?), key));
    }
    let Change { alert_id, patch, version, .. } = from_json(text)?;
    let id = alert_id.ok_or_else(|| ApiError::field("alert_id", "`alert_id` is needed, such as a17."))?;
    match (kind, patch) {
        ("delete", None) => Ok(What::Delete(id, version)),
        ("delete", Some(_)) => Err(ApiError::field("patch", "`delete` has no `patch`.")),
        (_, patch) => Ok(What::Update(id, inner("patch", patch)?, version)),
    }
}

fn inner<T: DeserializeOwned>(field: &str, raw: Option<Box<RawValue>>) -> Result<T, ApiError> {
    let raw = raw.ok_or_else(|| ApiError::field(field, format!("`{field}` is needed.")))?;
    from_json(raw.get().as_bytes())
}

/// Does what was asked, as the REST call would. The answer is a `reply`.
pub(crate) fn run(gateway: &Arc<Gateway>, caller: Caller, asked: Asked) -> BoxFuture<'static, ServerFrame> {
    let gateway = Arc::clone(gateway);
    async move {
        let Asked { id, what } = asked;
        let outcome = match what {
            What::Create(new, key) => alerts::create_alert(&gateway, caller, *new, key).await.map(Some),
            What::Update(alert, patch, version) => {
                alerts::update_alert(&gateway, caller, alert, patch, version).await.map(Some)
            }
            What::Delete(alert, version) => alerts::delete_alert(&gateway, caller, alert, version).await.map(|()| None),
        };
        reply(id, outcome)
    }
    .boxed()
}

fn reply(id: Value, outcome: Result<Option<bellwether_core::protocol::AlertAnswer>, ApiError>) -> ServerFrame {
    match outcome {
        Ok(alert) => ServerFrame::Reply { id, ok: true, alert: alert.map(Box::new), problem: None },
        Err(error) => ServerFrame::Reply { id, ok: false, alert: None, problem: Some(error.problem()) },
    }
}
