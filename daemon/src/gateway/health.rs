//! Whether the daemon lives, whether it can do its work, and its figures.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    response::IntoResponse,
};
use bellwether_core::protocol::{Health, Problem};

use super::{
    Gateway,
    auth::{Caller, Peer},
    error::ApiError,
};

/// Whoever asks from this machine, or has a token.
pub(crate) struct Watcher;

impl FromRequestParts<Arc<Gateway>> for Watcher {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, ApiError> {
        match parts.extensions.get::<Peer>() {
            Some(peer) if !peer.0.ip().is_loopback() => Caller::from_request_parts(parts, gateway).await.map(|_| Self),
            _ => Ok(Self),
        }
    }
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = BTreeMap<String, String>)))]
pub(crate) async fn live(_watcher: Watcher) -> Json<BTreeMap<&'static str, &'static str>> {
    Json(BTreeMap::from([("status", "live")]))
}

/// Whether everything that must work does: 503 otherwise, and what is wrong.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health), (status = 401, body = Problem)))]
pub(crate) async fn ready(State(gateway): State<Arc<Gateway>>, _watcher: Watcher) -> impl IntoResponse {
    let mut checks = (gateway.health)();
    let store = gateway.store.writable().await.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    checks.insert("store".to_owned(), store);
    let feeds = gateway.hub.feeds().await;
    checks.insert("hub".to_owned(), if feeds.is_ok() { "ok" } else { "it has stopped" }.to_owned());
    let ready = checks.values().all(|check| check == "ok");
    let health = Health {
        status: if ready { "ready" } else { "not ready" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        simulated: gateway.simulated(),
        uptime_seconds: gateway.clock.now().since(gateway.started).as_seconds(),
        checks,
        feeds: feeds.unwrap_or_default(),
    };
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

/// The daemon's figures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(gateway): State<Arc<Gateway>>, _watcher: Watcher) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], gateway.metrics.render())
}
