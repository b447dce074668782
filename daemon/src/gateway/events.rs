//! What fired and what became of it: pages of the caller's own history, newest first.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use bellwether_core::{
    alert::{AlertId, UserId},
    delivery::{Delivery, DeliveryId, DeliveryState},
    protocol::{EventView, Page, Problem},
    time::Timestamp,
};
use futures_util::future::BoxFuture;

use super::{Gateway, Id, Name, auth::Caller, body::Query, error::ApiError};
use crate::store::StoreError;

const DEFAULT_LIMIT: u32 = 50;

/// The caller's firings with their deliveries.
#[utoipa::path(get, path = "/events", tag = "history", security(("token" = [])), params(
    ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Rows of a page, 50 by default"),
    ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ("alert" = Option<AlertId>, Query, description = "Only this alert's")),
    responses((status = 200, body = Page<EventView>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn all(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<EventView>>, ApiError> {
    let query = Query::read(query.as_deref(), &["limit", "cursor", "alert"])?;
    let bad = |_| ApiError::field("alert", "An alert's number looks like a17.");
    let alert = query.get("alert").map(str::parse).transpose().map_err(bad)?;
    let cursor = query.get("cursor").map(str::to_owned);
    Ok(Json(gateway.store.firings(caller.user, alert, cursor, query.limit(DEFAULT_LIMIT)?).await?))
}

/// One alert's firings, also after it was deleted.
#[utoipa::path(get, path = "/alerts/{id}/events", tag = "history", security(("token" = [])), params(
    ("id" = AlertId, Path),
    ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Rows of a page, 50 by default"),
    ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<EventView>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn of_alert(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    id: Id,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<EventView>>, ApiError> {
    let query = Query::read(query.as_deref(), &["limit", "cursor"])?;
    let limit = query.limit(DEFAULT_LIMIT)?;
    let cursor = query.get("cursor").map(str::to_owned);
    let first = cursor.is_none();
    let page = gateway.store.firings(caller.user, Some(id.0), cursor, limit).await?;
    if first && page.items.is_empty() {
        // Never fired, or never was: for this caller.
        gateway.store.alert(caller.user, id.0).await?;
    }
    Ok(Json(page))
}

/// The caller's deliveries.
#[utoipa::path(get, path = "/deliveries", tag = "history", security(("token" = [])), params(
    ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Rows of a page, 50 by default"),
    ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ("state" = Option<DeliveryState>, Query, description = "Only those in this state")),
    responses((status = 200, body = Page<Delivery>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn deliveries(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let query = Query::read(query.as_deref(), &["limit", "cursor", "state"])?;
    let state = query.get("state").map(delivery_state).transpose()?;
    let cursor = query.get("cursor").map(str::to_owned);
    Ok(Json(gateway.store.deliveries(caller.user, state, cursor, query.limit(DEFAULT_LIMIT)?).await?))
}

/// What the gateway may do to deliveries: filled in by the daemon, because roles do not import each other.
#[derive(Clone)]
pub(crate) struct OutboxAccess {
    /// Has one sent again, or says why not.
    pub(crate) resend: Resend,
    /// Tells what became pointless with a change of an alert since then.
    pub(crate) withdrawn: Arc<dyn Fn(AlertId, Timestamp) -> BoxFuture<'static, ()> + Send + Sync>,
}

/// Has a delivery of this account sent again.
type Resend =
    Arc<dyn Fn(UserId, DeliveryId) -> BoxFuture<'static, Result<Result<Delivery, String>, StoreError>> + Send + Sync>;

/// Send a delivery again that is dead or unknown, under the same key. A digest goes again with all that was part of it.
#[utoipa::path(post, path = "/deliveries/{id}/retry", tag = "history", security(("token" = [])),
    params(("id" = String, Path, description = "The delivery, such as d12")),
    responses((status = 200, body = Delivery), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub(crate) async fn retry(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    name: Name,
) -> Result<Json<Delivery>, ApiError> {
    let missing = || ApiError::NotFound("There is no such delivery.".to_owned());
    let id: DeliveryId = name.0.parse().map_err(|_| missing())?;
    match (gateway.outbox.resend)(caller.user, id).await {
        Ok(Ok(delivery)) => Ok(Json(delivery)),
        Ok(Err(why)) => Err(ApiError::Conflict(why)),
        Err(StoreError::NotFound) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

fn delivery_state(word: &str) -> Result<DeliveryState, ApiError> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|_| {
        ApiError::field("state", "`state` is queued, sending, sent, retry, dead, unknown, merged or cancelled.")
    })
}
