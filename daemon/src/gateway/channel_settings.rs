//! Setting up channels while the daemon runs: the owner's alone.
//!
//! They stand in the store, beside the configuration file: a program that rewrites its user's file has to keep his comments, his
//! order and his secrets' references, and meets files that it may not write (a systemd credential, a read-only home). What stands in
//! the file is changed there; a name is in one of both. A change is checked whole, then stored, then the daemon starts its parts anew:
//! what is being sent is finished, the rest waits in the outbox.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bellwether_core::{
    condition::ChannelName,
    config::{Config, masked},
    protocol::{ChannelView, Problem},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Gateway, Name, auth::Caller, body, error::ApiError};

/// `POST /channels`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"name": "webhook:phone", "settings": {"preset": "ntfy", "url": "https://ntfy.sh", "target": "my-topic"}}))]
pub(crate) struct NewChannel {
    /// `webhook`, `webhook:NAME`, `email` or `sms`.
    #[schema(required)]
    name: Option<String>,
    /// The settings of its section in the configuration file; secrets as they are.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// `PATCH /channels/{id}`: settings that change; `null` takes one away.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"settings": {"target": "another-topic"}}))]
pub(crate) struct ChannelPatch {
    /// The settings that change.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// A channel with its settings.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ChannelDetail {
    /// What everybody sees of it; absent in the moment after it was set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelView>,
    /// Its name in `via`.
    #[schema(value_type = String)]
    name: ChannelName,
    /// Where it is set up: `file` or `api`.
    origin: &'static str,
    /// Its settings where it was set up here, secrets as `***`.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
}

fn owner_only(caller: Caller) -> Result<(), ApiError> {
    if caller.owner {
        return Ok(());
    }
    Err(ApiError::Forbidden("Channels belong to the local owner, whose token is in daemon.json.".to_owned()))
}

/// The settings of a channel that was set up here.
async fn settings_of(gateway: &Gateway, name: &ChannelName) -> Result<Option<Value>, ApiError> {
    let all = gateway.store.channels_set().await?;
    Ok(all.into_iter().find(|(known, _)| known == name).map(|(_, settings)| settings))
}

/// The settings of a channel that can be changed here.
async fn changeable(gateway: &Gateway, name: &ChannelName) -> Result<Value, ApiError> {
    match settings_of(gateway, name).await? {
        Some(settings) => Ok(settings),
        None if gateway.config.channel_names().contains(name) => Err(ApiError::Conflict(format!(
            "The channel `{name}` stands in the configuration file: change it there, and reload."
        ))),
        None => Err(ApiError::NotFound(format!("There is no channel `{name}`."))),
    }
}

/// Refuses settings that could not be used.
fn check(gateway: &Gateway, name: &ChannelName, settings: &Value) -> Result<(), ApiError> {
    let mut config = Config::clone(&gateway.config);
    config.set_channel(name, settings).map_err(|wrong| ApiError::field("settings", format!("`{name}`: {wrong}.")))?;
    let key = format!("channels.{}", name.as_str().replacen(':', ".", 1));
    let found = config.senseless().into_iter().find(|wrong| wrong.key.starts_with(&key));
    let refused = found.map_or_else(|| (gateway.channels.check)(&config), Err);
    refused.map_err(|wrong| ApiError::field("settings", wrong.to_string()))
}

/// A channel. Its settings are shown to the local owner alone, without secrets.
#[utoipa::path(get, path = "/channels/{id}", tag = "channels", security(("token" = [])),
    params(("id" = String, Path, description = "The channel's name in `via`", example = "desktop")),
    responses((status = 200, body = ChannelDetail), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem)))]
pub(crate) async fn read(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    name: Name,
) -> Result<Json<ChannelDetail>, ApiError> {
    owner_only(caller)?;
    let name = ChannelName::new(&name.0);
    let channel = (gateway.channels.list)().await.into_iter().find(|channel| channel.name == name);
    let settings = settings_of(&gateway, &name).await?;
    if channel.is_none() && settings.is_none() {
        return Err(ApiError::NotFound(format!("There is no channel `{name}`.")));
    }
    let origin = if settings.is_some() { "api" } else { "file" };
    Ok(Json(ChannelDetail { channel, name, origin, settings: settings.as_ref().map(masked) }))
}

/// Set up a channel. The daemon then starts its parts anew; the owner's token stays.
#[utoipa::path(post, path = "/channels", tag = "channels", security(("token" = [])), request_body = NewChannel,
    responses((status = 201, body = ChannelDetail, headers(("Location" = String))), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn add(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    owner_only(caller)?;
    let wanted: NewChannel = body::json(&headers, body).await?;
    let name = wanted.name.unwrap_or_default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_:".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) || name.ends_with(':') {
        let detail = "A channel is called webhook, webhook:NAME, email or sms, in small letters, digits, - and _.";
        return Err(ApiError::field("name", detail));
    }
    if gateway.config.is_simulated() {
        return Err(ApiError::Conflict(
            "These prices are not those of the present: nothing is sent by them.".to_owned(),
        ));
    }
    let name = ChannelName::new(&name);
    let settings = Value::from(wanted.settings);
    let known = settings_of(&gateway, &name).await?.is_some() || gateway.config.channel_names().contains(&name);
    if known {
        return Err(ApiError::Conflict(format!("There is a channel `{name}` already.")));
    }
    check(&gateway, &name, &settings)?;
    put(&gateway, &name, &settings).await?;
    let shown = ChannelDetail { channel: None, name: name.clone(), origin: "api", settings: Some(masked(&settings)) };
    let mut response = (StatusCode::CREATED, Json(shown)).into_response();
    let place = HeaderValue::try_from(format!("/channels/{name}")).ok();
    response.headers_mut().extend(place.map(|place| (header::LOCATION, place)));
    Ok(response)
}

async fn put(gateway: &Gateway, name: &ChannelName, settings: &Value) -> Result<(), ApiError> {
    gateway.store.put_channel(name.clone(), settings.clone(), gateway.clock.now()).await?;
    tracing::info!(channel = %name, "a channel was set up");
    gateway.renew.notify_one();
    Ok(())
}

/// Change settings of a channel that was set up here: what is named changes, `null` takes it away (RFC 7396).
#[utoipa::path(patch, path = "/channels/{id}", tag = "channels", security(("token" = [])), request_body = ChannelPatch,
    params(("id" = String, Path, description = "The channel's name in `via`", example = "webhook:phone")),
    responses((status = 200, body = ChannelDetail), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "It stands in the configuration file"), (status = 415, body = Problem),
    (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn update(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ChannelDetail>, ApiError> {
    owner_only(caller)?;
    let patch: ChannelPatch = body::json(&headers, body).await?;
    let name = ChannelName::new(&name.0);
    let mut settings = changeable(&gateway, &name).await?;
    if patch.settings.is_empty() {
        return Err(ApiError::field("settings", "Nothing to change: give `settings`."));
    }
    merge(&mut settings, Value::from(patch.settings));
    check(&gateway, &name, &settings)?;
    put(&gateway, &name, &settings).await?;
    Ok(Json(ChannelDetail { channel: None, name, origin: "api", settings: Some(masked(&settings)) }))
}

/// RFC 7396, 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Some(fields) = target.as_object_mut() {
        for (name, value) in patch {
            if value.is_null() {
                drop(fields.remove(&name));
            } else {
                merge(fields.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

/// Remove a channel that was set up here. Refused while an alert names it.
#[utoipa::path(delete, path = "/channels/{id}", tag = "channels", security(("token" = [])),
    params(("id" = String, Path, description = "The channel's name in `via`", example = "webhook:phone")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "It stands in the configuration file, or an alert names it")))]
pub(crate) async fn remove(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    name: Name,
) -> Result<StatusCode, ApiError> {
    owner_only(caller)?;
    let name = ChannelName::new(&name.0);
    changeable(&gateway, &name).await?;
    let alerts = gateway.store.alerts().await?;
    let used: Vec<String> =
        alerts.iter().filter(|a| a.rule.via.contains(&name)).take(10).map(|a| a.id.to_string()).collect();
    if !used.is_empty() {
        return Err(ApiError::Conflict(format!("Alerts go to `{name}`: {}. Change them first.", used.join(", "))));
    }
    if gateway.config.user.default_channels.contains(&name) {
        return Err(ApiError::Conflict(format!("`{name}` is one of `user.default_channels`.")));
    }
    gateway.store.remove_channel(name.clone()).await?;
    tracing::info!(channel = %name, "a channel was removed");
    gateway.renew.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::{OWNER_TOKEN, Rig};

    #[test]
    fn a_patch_merges_and_null_takes_away() {
        let mut settings = json!({"url": "a", "headers": {"X": "1", "Y": "2"}, "target": "t"});
        merge(&mut settings, json!({"url": "b", "headers": {"X": null, "Z": "3"}, "target": null}));
        assert_eq!(settings, json!({"url": "b", "headers": {"Y": "2", "Z": "3"}}));
    }

    #[tokio::test]
    async fn a_channel_is_set_up_changed_and_removed_and_its_secrets_stay_inside() {
        let rig = Rig::new().await;
        let call = async |method: &str, path: &str, body: &Value| {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            rig.call(method, path, OWNER_TOKEN, &body).await
        };
        let phone =
            json!({"name": "webhook:phone", "settings": {"url": "https://example.org/canary", "token": "canary"}});
        let (status, made) = call("POST", "/channels", &phone).await;
        assert_eq!(status, 201, "{made}");
        tokio::time::timeout(std::time::Duration::from_secs(30), rig.gateway.renew.notified())
            .await
            .expect("started anew");
        let (status, _) = call("POST", "/channels", &phone).await;
        assert_eq!(status, 409);
        let change = json!({"settings": {"preset": "ntfy", "target": "topic"}});
        let (status, changed) = call("PATCH", "/channels/webhook:phone", &change).await;
        assert_eq!((status, &changed["settings"]["target"]), (200, &json!("topic")), "{changed}");
        let (status, read) = call("GET", "/channels/webhook:phone", &Value::Null).await;
        assert_eq!((status, &read["origin"]), (200, &json!("api")), "{read}");
        for answer in [&made, &changed, &read] {
            assert!(!answer.to_string().contains("canary"), "{answer}");
        }
        let stored = rig.gateway.store.channels_set().await.unwrap();
        assert_eq!(stored[0].1["url"], "https://example.org/canary");
        for (name, settings) in [
            ("webhook:x", json!({"url": "https://a", "preset": "pigeon"})),
            ("webhook:x", json!({})),
            ("command:x", json!({"program": "/bin/true"})),
            ("Webhook:x", json!({"url": "https://a"})),
            ("webhook:", json!({"url": "https://a"})),
        ] {
            let (status, answer) = call("POST", "/channels", &json!({"name": name, "settings": settings})).await;
            assert_eq!(status, 422, "{name}: {answer}");
            assert!(answer["field"].is_string(), "{answer}");
        }
        let (status, refused) = call("PATCH", "/channels/desktop", &change).await;
        assert_eq!(status, 409, "it stands in the file: {refused}");
        assert_eq!(call("DELETE", "/channels/pigeon", &Value::Null).await.0, 404);
        assert_eq!(call("DELETE", "/channels/webhook:phone", &Value::Null).await.0, 204);
        assert_eq!(call("GET", "/channels/webhook:phone", &Value::Null).await.0, 404);
    }
}
