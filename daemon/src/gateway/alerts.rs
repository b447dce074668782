//! Alerts: made, read, changed and deleted, each by its owner alone. REST and the WebSocket's commands call the same functions.
//!
//! A change is durable first; then the evaluator is told, and its answer awaited, so that the client reads the state that follows.
//! Both happen in a task of their own: a client that hangs up in between must not keep the evaluator from hearing of it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, AlertState},
    condition::{Family, Rule},
    event::AlertRow,
    explain,
    parse::{ParseContext, parse},
    protocol::{AlertAnswer, AlertPatch, AlertView, NewAlert, Page, Problem},
    time::Timestamp,
};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::{
    Gateway, Id,
    auth::Caller,
    body::{self, Query},
    error::ApiError,
    once, structured,
};
use crate::{
    links::{Change, Returned},
    store::{AlertEdit, Restored, StoreError},
};

/// How long an answer waits for the evaluator before it says that it did.
const JUDGED_WITHIN: Duration = Duration::from_secs(5);
/// How many alerts can be changed at the same time.
const LANES: usize = 64;

/// Who may change which alert. Two changes of one alert are told to the evaluator in the order in which they became durable:
/// it ignores a version that was overtaken, and a snooze or an acknowledgement is in no later version.
#[derive(Debug)]
pub(crate) struct Turns(Vec<Arc<Mutex<()>>>);

/// Nobody else changes the alert until all copies are gone: each change under way to the evaluator holds one.
type Turn = Arc<OwnedMutexGuard<()>>;

impl Default for Turns {
    fn default() -> Self {
        Self((0..LANES).map(|_| Arc::default()).collect())
    }
}

impl Turns {
    async fn of(&self, id: AlertId) -> Turn {
        let lane = usize::try_from(id.0.unsigned_abs()).unwrap_or_default() % self.0.len();
        Arc::new(Arc::clone(&self.0[lane]).lock_owned().await)
    }
}

/// Makes an alert. A `key` that was used before gives the alert that was made then.
pub(crate) async fn create_alert(
    gateway: &Arc<Gateway>,
    caller: Caller,
    new: NewAlert,
    key: Option<String>,
) -> Result<AlertAnswer, ApiError> {
    let now = gateway.clock.now();
    let rule = with_context(gateway, now, |context| structured::read(&new, context))?;
    let warnings = warnings(gateway, caller, &rule, None, now).await?;
    let gateway = Arc::clone(gateway);
    durably(async move {
        let (alert, existed) = gateway.store.insert_alert(caller.user, rule.clone(), now, key).await?;
        if existed {
            if alert.version == 1 && alert.rule != rule {
                let used = format!("This `Idempotency-Key` made another alert: {}.", alert.id);
                return Err(ApiError::Conflict(used));
            }
            return answer(&gateway, alert, true, Vec::new()).await;
        }
        // Nobody could change it before; should somebody be faster now, his version is the newer one and has all of this.
        let told = tell(&gateway, AlertChange::Put(alert.clone()), None).await;
        answer(&gateway, alert, told, warnings).await
    })
    .await
}

/// Changes an alert: all of `patch`, or nothing where a part of it cannot be taken.
pub(crate) async fn update_alert(
    gateway: &Arc<Gateway>,
    caller: Caller,
    id: AlertId,
    patch: AlertPatch,
    expected: Option<u32>,
) -> Result<AlertAnswer, ApiError> {
    let now = gateway.clock.now();
    let before = gateway.store.alert(caller.user, id).await.map_err(|error| missing(error.into(), id))?;
    if patch == AlertPatch::default() {
        return Err(ApiError::field(
            "",
            "Nothing to change: give `expr`, `paused`, `snoozed_until` or `acknowledged`.",
        ));
    }
    if patch.acknowledged == Some(false) {
        return Err(ApiError::field("acknowledged", "What was seen stays seen: `acknowledged` can only be true."));
    }
    let mut edits = Vec::new();
    let mut notes = Vec::new();
    if let Some(expr) = &patch.expr {
        let rule = with_context(gateway, now, |context| parse(expr, context)).map_err(|e| ApiError::line("expr", e))?;
        notes = warnings(gateway, caller, &rule, Some(&before), now).await?;
        edits.push(AlertEdit::Rule(rule));
    }
    edits.extend(patch.paused.map(|paused| if paused { AlertEdit::Pause } else { AlertEdit::Resume }));
    edits.extend(patch.snoozed_until.map(AlertEdit::Snooze));
    edits.extend(patch.acknowledged.map(|_| AlertEdit::Acknowledge));
    let gateway = Arc::clone(gateway);
    durably(async move {
        let turn = gateway.turns.of(id).await;
        let change = change_of(&edits);
        let silences = edits.iter().any(|edit| matches!(edit, AlertEdit::Pause | AlertEdit::Acknowledge));
        let alert = gateway.store.edit_alert_together(caller.user, id, expected, edits, now).await;
        let alert = alert.map_err(|error| missing(error.into(), id))?;
        let told = tell(&gateway, change(alert.clone()), Some(turn)).await;
        if silences {
            (gateway.outbox.withdrawn)(id, now).await;
        }
        answer(&gateway, alert, told, notes).await
    })
    .await
}

/// How the evaluator is told of these edits, which are one version.
fn change_of(edits: &[AlertEdit]) -> impl FnOnce(Alert) -> AlertChange + use<> {
    let has = |wanted: fn(&AlertEdit) -> bool| edits.iter().any(wanted);
    let single: Option<fn(Alert) -> AlertChange> = match edits {
        [AlertEdit::Rule(_)] => Some(AlertChange::Put),
        [AlertEdit::Pause] => Some(AlertChange::Pause),
        [AlertEdit::Resume] => Some(AlertChange::Resume),
        [AlertEdit::Snooze(_)] => Some(AlertChange::Snooze),
        [AlertEdit::Acknowledge] => Some(AlertChange::Acknowledge),
        _ => None,
    };
    let resumed = has(|edit| matches!(edit, AlertEdit::Resume));
    let snoozed = has(|edit| matches!(edit, AlertEdit::Snooze(_)));
    let acknowledged = has(|edit| matches!(edit, AlertEdit::Acknowledge));
    move |alert| match single {
        Some(change) => change(alert),
        None => AlertChange::Together { alert, resumed, snoozed, acknowledged },
    }
}

/// Deletes an alert. What it fired stays in the history.
pub(crate) async fn delete_alert(
    gateway: &Arc<Gateway>,
    caller: Caller,
    id: AlertId,
    expected: Option<u32>,
) -> Result<(), ApiError> {
    let gateway = Arc::clone(gateway);
    durably(async move {
        let turn = gateway.turns.of(id).await;
        let now = gateway.clock.now();
        let gone = gateway.store.delete_alert(caller.user, id, expected, now).await;
        let gone = gone.map_err(|error| missing(error.into(), id))?;
        tell(&gateway, AlertChange::Delete { id, version: gone.version }, Some(turn)).await;
        (gateway.outbox.withdrawn)(id, now).await;
        Ok(())
    })
    .await
}

/// Brings a deleted alert back under its own number, with its state. Where it stands already, that is the answer.
pub(crate) async fn restore_alert(
    gateway: &Arc<Gateway>,
    caller: Caller,
    id: AlertId,
) -> Result<AlertAnswer, ApiError> {
    let gateway = Arc::clone(gateway);
    durably(async move {
        let turn = gateway.turns.of(id).await;
        let back = gateway.store.restore_alert(caller.user, id, gateway.clock.now()).await;
        let back = back.map_err(|error| match error {
            StoreError::Gone => ApiError::Gone(format!("{id} was deleted more than a day ago: write it anew.")),
            error => missing(error.into(), id),
        })?;
        let (alert, memory) = match back {
            Restored::Standing(alert) => return answer(&gateway, alert, true, Vec::new()).await,
            Restored::Back(alert, memory) => (alert, memory),
        };
        let returned = Some(Box::new(Returned { memory: memory.map(|memory| *memory) }));
        let told = tell_of(&gateway, AlertChange::Put(alert.clone()), returned, Some(turn)).await;
        answer(&gateway, alert, told, Vec::new()).await
    })
    .await
}

/// Tells the evaluator that an alert is gone, which the store knows already.
pub(super) async fn tell_deleted(gateway: &Gateway, id: AlertId, version: u32) -> bool {
    tell(gateway, AlertChange::Delete { id, version }, None).await
}

/// Runs to its end, also when whoever asked has gone away.
pub(super) async fn durably<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|e| ApiError::Broken(format!("change an alert: {e}")))?
}

/// Tells the evaluator of a change, and waits a while until it knows it. The telling itself is never given up; the turn is
/// held until the change stands in the queue.
async fn tell(gateway: &Gateway, change: AlertChange, turn: Option<Turn>) -> bool {
    tell_of(gateway, change, None, turn).await
}

async fn tell_of(gateway: &Gateway, change: AlertChange, returned: Option<Box<Returned>>, turn: Option<Turn>) -> bool {
    let (done, known) = oneshot::channel();
    let changes = gateway.changes.clone();
    let telling = tokio::spawn(async move {
        let queued = changes.send(Change { change, returned, done }).await.is_ok();
        drop(turn);
        queued && known.await.is_ok()
    });
    matches!(tokio::time::timeout(JUDGED_WITHIN, telling).await, Ok(Ok(true)))
}

/// Tells the evaluator of many new alerts, and waits a while until it knows them all.
pub(super) async fn tell_all(gateway: &Gateway, changes: Vec<AlertChange>) -> bool {
    let queue = gateway.changes.clone();
    let telling = tokio::spawn(async move {
        let mut answers = Vec::new();
        for change in changes {
            let (done, known) = oneshot::channel();
            if queue.send(Change { change, returned: None, done }).await.is_err() {
                return false;
            }
            answers.push(known);
        }
        for known in answers {
            if known.await.is_err() {
                return false;
            }
        }
        true
    });
    matches!(tokio::time::timeout(JUDGED_WITHIN, telling).await, Ok(Ok(true)))
}

/// The alert as it stands now, in both forms and in words.
async fn answer(
    gateway: &Gateway,
    alert: Alert,
    told: bool,
    mut warnings: Vec<String>,
) -> Result<AlertAnswer, ApiError> {
    let words = explain::in_words(&alert.rule, &gateway.catalog);
    if !told {
        warnings.push("It is saved, but not judged yet: the evaluator does not answer.".to_owned());
    }
    let row = row(gateway, alert).await?;
    Ok(AlertAnswer { alert: row.into(), words, warnings })
}

/// The alert with what it is doing, where the hub knows it already.
async fn row(gateway: &Gateway, alert: Alert) -> Result<AlertRow, ApiError> {
    let known = gateway.hub.alert_row(alert.id).await?;
    Ok(known.filter(|row| row.alert.version >= alert.version && row.alert.owner == alert.owner).unwrap_or_else(|| {
        let snoozed = alert.snoozed_until.is_some_and(|until| until > gateway.clock.now());
        let state = match (alert.paused, snoozed) {
            (true, _) => AlertState::Paused,
            (false, true) => AlertState::Snoozed,
            (false, false) => AlertState::Armed,
        };
        AlertRow { alert, state, fired: 0, last_fired: None, cooling_until: None, indicators: Vec::new() }
    }))
}

/// Reads what a caller wrote, as of `now`.
pub(super) fn with_context<T>(gateway: &Gateway, now: Timestamp, read: impl FnOnce(&ParseContext<'_>) -> T) -> T {
    let channels = gateway.config.channel_names();
    read(&ParseContext { catalog: &gateway.catalog, now, timezone: &gateway.timezone, channels: &channels })
}

/// What to know about a rule before it stands (`docs/alerts.md`, A8).
async fn warnings(
    gateway: &Gateway,
    caller: Caller,
    rule: &Rule,
    before: Option<&Alert>,
    now: Timestamp,
) -> Result<Vec<String>, ApiError> {
    let mut warnings = Vec::new();
    let mut prices = Vec::new();
    for symbol in rule.symbols() {
        match gateway.hub.ticker(symbol).await? {
            Some(ticker) if ticker.is_stale(now) => {
                warnings.push(format!(
                    "The last price of {symbol} is {} old: it is judged at the next one.",
                    ticker.age(now)
                ));
            }
            Some(ticker) => prices.push((symbol, ticker.price)),
            None => warnings.push(format!("There is no price of {symbol} yet.")),
        }
    }
    let last = |symbol| prices.iter().find(|(s, _)| *s == symbol).map(|(_, price)| *price);
    let afresh = before.is_none_or(|b| !b.rule.evaluates_like(rule));
    let preview = explain::preview(rule, &gateway.catalog, &last);
    if afresh && preview.already_true == Some(true) {
        if rule.hold.is_some() {
            warnings.push("It is already true: its time is running.".to_owned());
        } else if rule.terms[0].condition.family() == Family::Level {
            warnings.push("It is already true: it fires at once.".to_owned());
        }
    }
    let twin = gateway.hub.alerts_of(caller.user).await?.into_iter().find(|row| {
        before.is_none_or(|b| b.id != row.alert.id) && row.alert.rule == *rule && row.state != AlertState::Done
    });
    if let Some(twin) = twin {
        warnings.push(format!("The same alert stands already: {}.", twin.alert.id));
    }
    Ok(warnings)
}

fn missing(error: ApiError, id: AlertId) -> ApiError {
    match error {
        ApiError::NotFound(_) => ApiError::NotFound(format!("There is no alert {id}.")),
        other => other,
    }
}

/// The version that `If-Match` asks for; nothing where any will do.
async fn if_match(
    gateway: &Gateway,
    caller: Caller,
    id: AlertId,
    headers: &HeaderMap,
) -> Result<Option<u32>, ApiError> {
    let mut tags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let list = value.to_str().map_or("?", str::trim);
        tags.extend(list.split(',').map(str::trim).filter(|tag| !tag.is_empty()));
    }
    if tags.is_empty() && !headers.contains_key(header::IF_MATCH) || tags == ["*"] {
        return Ok(None);
    }
    // RFC 9110, 8.8.3. Ours hold no comma, so that splitting at it breaks none of them.
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"').map(str::len);
    if tags.is_empty() || tags.iter().any(|tag| opaque(tag).is_none()) {
        let detail =
            "`If-Match` is an `ETag` in its quotes, such as \"3\", several with commas between, or *.".to_owned();
        return Err(ApiError::Malformed { detail, at: None });
    }
    // Weak tags match nothing (RFC 9110, 13.1.1).
    let version = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse::<u32>().ok();
    let versions: Vec<u32> = tags.into_iter().filter_map(version).collect();
    if let [only] = versions[..] {
        return Ok(Some(only));
    }
    let current = gateway.store.alert(caller.user, id).await.map_err(|e| missing(e.into(), id))?.version;
    versions.contains(&current).then_some(Some(current)).ok_or(ApiError::Stale { current: Some(current) })
}

fn tagged(status: StatusCode, view: &AlertView, body: impl serde::Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    let tag = format!("\"{}\"", view.version);
    response.headers_mut().extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    if status == StatusCode::CREATED {
        let place = HeaderValue::try_from(format!("/alerts/{}", view.id));
        response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    }
    response
}

/// The caller's alerts, by number.
#[utoipa::path(get, path = "/alerts", tag = "alerts", security(("token" = [])), params(
    ("symbol" = Option<String>, Query, description = "Only alerts that look at this instrument"),
    ("state" = Option<AlertState>, Query, description = "Only alerts in this state"),
    ("limit" = Option<u32>, Query, description = "At most so many, 1 to 500; all without it"),
    ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<AlertView>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<AlertView>>, ApiError> {
    let query = Query::read(query.as_deref(), &["symbol", "state", "limit", "cursor"])?;
    let symbol = query.get("symbol").map(|name| gateway.instrument_in("symbol", name)).transpose()?;
    let state = query.get("state").map(|name| {
        let quoted = serde_json::Value::from(name);
        serde_json::from_value::<AlertState>(quoted).map_err(|_| {
            ApiError::field("state", "`state` is armed, pending, fired, cooling, snoozed, paused, expired or done.")
        })
    });
    let state = state.transpose()?;
    let limit = query.get("limit").map(|_| query.limit(0)).transpose()?;
    // A page begins behind the last alert of the one before, whether that one still stands or not.
    let after = match query.get("cursor").map(str::parse::<AlertId>) {
        None => AlertId(0),
        Some(Ok(id)) => id,
        Some(Err(_)) => return Err(StoreError::BadCursor.into()),
    };
    let mut rows = gateway.hub.alerts_of(caller.user).await?;
    rows.retain(|row| {
        row.alert.id > after
            && symbol.is_none_or(|symbol| row.alert.rule.symbols().contains(&symbol))
            && state.is_none_or(|state| row.state == state)
    });
    let more = limit.is_some_and(|limit| rows.len() > limit as usize);
    rows.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
    let next = rows.last().filter(|_| more).map(|row| row.alert.id.to_string());
    Ok(Json(Page { items: rows.into_iter().map(AlertView::from).collect(), next }))
}

/// Make an alert.
#[utoipa::path(post, path = "/alerts", tag = "alerts", security(("token" = [])), request_body = NewAlert, params(
    ("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same alert, not a second one")),
    responses((status = 201, body = AlertAnswer, headers(("Location" = String), ("ETag" = String))),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 409, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let new: NewAlert = body::json(&headers, body).await?;
    let key = once::key(&headers)?;
    let made = create_alert(&gateway, caller, new, key).await?;
    Ok(tagged(StatusCode::CREATED, &made.alert, &made))
}

/// One alert.
#[utoipa::path(get, path = "/alerts/{id}", tag = "alerts", security(("token" = [])),
    params(("id" = AlertId, Path)),
    responses((status = 200, body = AlertAnswer, headers(("ETag" = String))),
    (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn read(State(gateway): State<Arc<Gateway>>, caller: Caller, id: Id) -> Result<Response, ApiError> {
    let alert = gateway.store.alert(caller.user, id.0).await.map_err(|error| missing(error.into(), id.0))?;
    let answer = answer(&gateway, alert, true, Vec::new()).await?;
    Ok(tagged(StatusCode::OK, &answer.alert, &answer))
}

/// Change an alert.
#[utoipa::path(patch, path = "/alerts/{id}", tag = "alerts", security(("token" = [])), request_body = AlertPatch,
    params(("id" = AlertId, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` it must still have")),
    responses((status = 200, body = AlertAnswer, headers(("ETag" = String))), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn update(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    id: Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let patch: AlertPatch = body::json(&headers, body).await?;
    let expected = if_match(&gateway, caller, id.0, &headers).await?;
    let changed = update_alert(&gateway, caller, id.0, patch, expected).await?;
    Ok(tagged(StatusCode::OK, &changed.alert, &changed))
}

/// Delete an alert; its history stays.
#[utoipa::path(delete, path = "/alerts/{id}", tag = "alerts", security(("token" = [])),
    params(("id" = AlertId, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` it must still have")),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    id: Id,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let expected = if_match(&gateway, caller, id.0, &headers).await?;
    delete_alert(&gateway, caller, id.0, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Brings a deleted alert back.
///
/// Under its own number, one version on, with its state and its history; within a day of the deletion. Deliveries that the deletion
/// cancelled stay cancelled. Where the alert stands already, nothing is changed.
#[utoipa::path(post, path = "/alerts/{id}/restore", tag = "alerts", security(("token" = [])),
    params(("id" = AlertId, Path, description = "Its id")),
    responses((status = 200, body = AlertAnswer), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 410, body = Problem)))]
pub(crate) async fn restore(State(gateway): State<Arc<Gateway>>, caller: Caller, id: Id) -> Result<Response, ApiError> {
    let answer = restore_alert(&gateway, caller, id.0).await?;
    Ok(tagged(StatusCode::OK, &answer.alert, &answer))
}
