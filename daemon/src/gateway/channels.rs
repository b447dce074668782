//! The channels that alerts can name. Where they lead is the local owner's business alone.

use std::sync::Arc;

use axum::{Json, extract::State};
use bellwether_core::{
    condition::ChannelName,
    config::{Config, Senseless},
    protocol::{ChannelTest, ChannelView, Page, Problem},
};
use futures_util::future::BoxFuture;

use super::{Gateway, Name, auth::Caller, error::ApiError};

/// Says what is wrong with a configuration.
type CheckConfig = dyn Fn(&Config) -> Result<(), Senseless> + Send + Sync;

/// What the gateway may ask about channels: filled in by the daemon, because roles do not import each other.
#[derive(Clone)]
pub(crate) struct ChannelAccess {
    /// All channels and whether they work.
    pub(crate) list: Arc<dyn Fn() -> BoxFuture<'static, Vec<ChannelView>> + Send + Sync>,
    /// What is wrong with the channels of a configuration.
    pub(crate) check: Arc<CheckConfig>,
    /// Sends one test message; nothing where there is no such channel.
    pub(crate) test: Arc<dyn Fn(ChannelName) -> BoxFuture<'static, Option<ChannelTest>> + Send + Sync>,
}

/// The channels. Only the local owner sees where they lead.
#[utoipa::path(get, path = "/channels", tag = "channels", security(("token" = [])),
    responses((status = 200, body = Page<ChannelView>), (status = 401, body = Problem)))]
pub(crate) async fn list(State(gateway): State<Arc<Gateway>>, caller: Caller) -> Json<Page<ChannelView>> {
    Json(Page { items: seen(&gateway, caller).await, next: None })
}

/// The channels as this caller sees them.
pub(super) async fn seen(gateway: &Gateway, caller: Caller) -> Vec<ChannelView> {
    let mut items = (gateway.channels.list)().await;
    if !caller.owner {
        for channel in &mut items {
            channel.status = String::from(if channel.ready { "ready" } else { "not ready" });
        }
    }
    items
}

/// Send one test message and tell what the other side said.
#[utoipa::path(post, path = "/channels/{id}/test", tag = "channels", security(("token" = [])),
    params(("id" = String, Path, description = "The channel's name in `via`")),
    responses((status = 200, body = ChannelTest), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem)))]
pub(crate) async fn test(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    name: Name,
) -> Result<Json<ChannelTest>, ApiError> {
    if !caller.owner {
        return Err(ApiError::Forbidden(
            "Channels belong to the local owner, whose token is in daemon.json.".to_owned(),
        ));
    }
    let channel = ChannelName::new(&name.0);
    if !gateway.config.channel_names().contains(&channel) {
        return Err(ApiError::NotFound(format!("There is no channel `{channel}`.")));
    }
    let outcome = (gateway.channels.test)(channel.clone()).await;
    outcome.map(Json).ok_or_else(|| ApiError::NotFound(format!("There is no channel `{channel}`.")))
}
