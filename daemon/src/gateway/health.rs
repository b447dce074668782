//! Whether the daemon lives, whether it can do its work, and its figures.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    response::IntoResponse,
};
use bellwether_core::protocol::{DatabaseStatus, Health, PROTOCOL, Problem, QueueStatus, Status};

use super::{
    Gateway,
    auth::{Caller, Peer},
    channels,
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
    let (ready, health) = health(&gateway).await;
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

/// Asks every part whether it works.
async fn health(gateway: &Gateway) -> (bool, Health) {
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
        notes: (gateway.notes)(),
        uptime_seconds: gateway.clock.now().since(gateway.started).as_seconds(),
        checks,
        feeds: feeds.unwrap_or_default(),
    };
    (ready, health)
}

/// Everything about the daemon that somebody who looks for a fault wants to know: feeds, channels, database, queue. 200 also when it
/// is not ready.
#[utoipa::path(get, path = "/health/status", tag = "health", security(("token" = [])),
    responses((status = 200, body = Status), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn status(State(gateway): State<Arc<Gateway>>, caller: Caller) -> Result<Json<Status>, ApiError> {
    let (_, health) = health(&gateway).await;
    let trouble = health.checks.get("store").filter(|check| *check != "ok").cloned();
    let (size_bytes, alerts, firings) = gateway.store.extent().await?;
    let now = gateway.clock.now();
    let queue = gateway.store.queue().await?.into_iter().map(|(channel, waiting, since)| QueueStatus {
        channel,
        waiting,
        oldest_seconds: now.since(since).as_seconds(),
    });
    Ok(Json(Status {
        health,
        protocol: PROTOCOL,
        started: gateway.started,
        channels: channels::seen(&gateway, caller).await,
        database: DatabaseStatus { writable: trouble.is_none(), trouble, size_bytes, alerts, firings },
        queue: queue.collect(),
        sessions: gateway.sessions.count(),
        resident_bytes: resident(),
    }))
}

/// The memory that this process holds (Linux, proc(5)).
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// The daemon's figures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(gateway): State<Arc<Gateway>>, _watcher: Watcher) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], gateway.metrics.render())
}
