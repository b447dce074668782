//! Role 4: everything that clients see. HTTP and WebSocket, on the same functions, for the dashboard as for everybody else.
//!
//! The daemon builds it so: the hub first (roles send it events), then [`Auth::open`] with the store and the owner's token, then
//! one [`Gateway`] with the links and closures it needs, then [`router`] and [`serve`] with a bound listener. When the token
//! `stop` is cancelled, sessions say good-bye, requests under way are finished, and `serve` returns.
//!
//! Deliberately absent: what an alert means (core), SQL (store), and any other role's name.

mod accounts;
mod adding;
#[cfg(test)]
mod adding_tests;
mod alerts;
mod asyncapi;
mod auth;
#[cfg(test)]
mod auth_tests;
mod backtest;
mod body;
mod channel_settings;
mod channels;
mod command;
mod door;
#[cfg(test)]
mod echo_tests;
mod error;
mod events;
#[cfg(test)]
mod fuzz_tests;
mod guard;
mod health;
mod hub;
mod import;
mod instruments;
mod keys;
mod listener;
mod once;
mod openapi;
mod outbox;
mod own_account;
#[cfg(test)]
mod own_account_tests;
mod prices;
mod promises;
mod sessions;
#[cfg(test)]
mod strangers_tests;
mod stream;
mod structured;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;
#[cfg(test)]
mod wire_tests;
#[cfg(test)]
mod ws_tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts, MatchedPath, Path, Request},
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bellwether_core::{
    alert::{AlertId, UserId},
    catalog::Catalog,
    config::Config,
    protocol::AlertPatch,
    time::Timestamp,
};
use tokio_util::sync::CancellationToken;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, predicate::SizeAbove},
};

use self::error::ApiError;
pub(crate) use self::{
    alerts::Turns,
    auth::Auth,
    channels::ChannelAccess,
    door::{Door, Places, acceptor, open_key},
    events::OutboxAccess,
    hub::Hub,
    listener::serve,
    sessions::Sessions,
};
use crate::{
    clock::Clock,
    history::{Days, History},
    links::Changes,
    metrics::Metrics,
    search::Search,
    store::Store,
};

/// How long a request may take, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Tells of each part that must work whether it does: `ok`, or what is wrong.
pub(crate) type Checks = Arc<dyn Fn() -> BTreeMap<String, String> + Send + Sync>;

/// All that requests are answered from.
pub(crate) struct Gateway {
    /// Alerts, history, accounts.
    pub(crate) store: Store,
    /// Bars of the past, recorded and fetched.
    pub(crate) history: History,
    /// What feeds leave out of the trading day.
    pub(crate) days: Days,
    /// The picture of the present.
    pub(crate) hub: Hub,
    /// To the evaluator.
    pub(crate) changes: Changes,
    /// Whose turn it is to change an alert; starts with nobody's.
    pub(crate) turns: Turns,
    /// Asks the providers for what the catalogue lacks.
    pub(crate) search: Search,
    /// Told when the catalogue has changed: the daemon's parts are to be started anew.
    pub(crate) renew: Arc<tokio::sync::Notify>,
    /// What names mean.
    pub(crate) catalog: Arc<Catalog>,
    /// The configuration.
    pub(crate) config: Arc<Config>,
    /// The time.
    pub(crate) clock: Clock,
    /// The figures.
    pub(crate) metrics: Metrics,
    /// To the channels.
    pub(crate) channels: ChannelAccess,
    /// To the outbox.
    pub(crate) outbox: OutboxAccess,
    /// Who is asking.
    pub(crate) auth: Auth,
    /// The user's time zone, for dates in alerts.
    pub(crate) timezone: jiff::tz::TimeZone,
    /// When the daemon started.
    pub(crate) started: Timestamp,
    /// The health of the other parts; store and hub are asked here.
    pub(crate) health: Checks,
    /// What is not as it should be and keeps nothing from working.
    pub(crate) notes: Checks,
    /// Cancelled when the daemon stops.
    pub(crate) stop: CancellationToken,
    /// Open WebSocket sessions; starts empty.
    pub(crate) sessions: Sessions,
}

impl Gateway {
    fn simulated(&self) -> bool {
        self.config.is_simulated()
    }
}

/// Changes an alert of this user for another part of the daemon, exactly as the request would. Otherwise why not, in a sentence.
pub(crate) async fn patch(
    gateway: &Arc<Gateway>,
    user: UserId,
    alert: AlertId,
    patch: AlertPatch,
) -> Result<(), String> {
    let caller = auth::Caller { user, owner: false, expires: None };
    let changed = alerts::update_alert(gateway, caller, alert, patch, None).await;
    changed.map(drop).map_err(|error| error.problem().detail)
}

/// Every path, behind the checks that come before anything else.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    let guard = guard::Guard::new(&gateway.config.server);
    let metrics = gateway.metrics.clone();
    let once = once::Once::new(Arc::clone(&gateway));
    openapi::routes()
        .fallback(|| async { ApiError::nothing() })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .with_state(gateway)
        .layer(middleware::from_fn_with_state(once, once::once))
        .layer(middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(|_| ApiError::Broken("a request panicked".to_owned()).into_response()))
        .layer(packing())
        .layer(middleware::from_fn(unpacked))
        .layer(middleware::map_response(|response| std::future::ready(error::as_problem(response))))
        .layer(middleware::from_fn_with_state(guard, guard::guard))
        .layer(middleware::from_fn(move |request, next| counted(metrics.clone(), request, next)))
}

async fn in_time(request: Request, next: Next) -> Response {
    let late = |_| ApiError::Busy { detail: "The answer took too long.".to_owned(), after: 5 }.into_response();
    tokio::time::timeout(REQUEST_TIME, next.run(request)).await.unwrap_or_else(late)
}

/// From how many bytes an answer is packed: a shorter one would hardly become shorter.
const WORTH_PACKING: u16 = 1_024;

/// Packs longer answers for those who understand it, quickly rather than well: most clients are on this machine.
fn packing() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(WORTH_PACKING))
}

/// Answers that hold a token beside what somebody else may have chosen are never packed: their length would tell about the token.
async fn unpacked(mut request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/auth/") {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    next.run(request).await
}

/// Under which name a request is found in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of such a name.
const MAX_REQUEST_ID: usize = 64;

/// The client's own name for the request, where it can be one, or a new one.
fn request_id(request: &Request) -> HeaderValue {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(plain));
    given.cloned().unwrap_or_else(|| {
        let fresh = format!("{:016x}", rand::random::<u64>());
        HeaderValue::try_from(fresh).expect("hexadecimal digits are a header")
    })
}

/// Counts and logs a request: its path as the router knows it, never its query or headers, which may hold secrets.
async fn counted(metrics: Metrics, request: Request, next: Next) -> Response {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let method = known.iter().find(|m| *m == request.method()).map_or("other", Method::as_str).to_owned();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let id = request_id(&request);
    let name = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::debug_span!("request", id = name);
    let mut response = tracing::Instrument::instrument(next.run(request), span).await;
    let status = response.status().as_u16();
    response.headers_mut().insert(REQUEST_ID, id);
    tracing::debug!(method, path = path.as_ref().map_or("-", MatchedPath::as_str), status, id = name, "request");
    metrics.request(&method, status);
    response
}

/// The alert's number in the path. What cannot be one is not found.
pub(crate) struct Id(pub(crate) AlertId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let name = Name::from_request_parts(parts, state).await?;
        name.0.parse().map(Self).map_err(|_| ApiError::NotFound("There is no such alert.".to_owned()))
    }
}

/// A name in the path. What is no text is not found.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::<String>::from_request_parts(parts, state).await.map(|Path(n)| Self(n)).map_err(|_| ApiError::nothing())
    }
}
