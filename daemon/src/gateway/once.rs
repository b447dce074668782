//! `Idempotency-Key`: a call that comes again because its answer was lost does nothing a second time, and gets the answer of the first.
//!
//! Around the handlers, for every call that makes or sends something, but for `POST /alerts`, whose keys stand with the alerts. Only
//! what was done is kept: a call that was refused may be made again under its key. Should the daemon be killed between doing and
//! keeping, the call is judged anew.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts as _, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bellwether_core::transfer::MAX_IMPORT_BYTES;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{Gateway, alerts, auth::Caller, body, error::ApiError};
use crate::store::{Answer, Asking};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most bytes of a key.
const MAX_KEY: usize = 255;
/// The calls that this is for, as the router knows them.
pub(super) const CALLS: [&str; 6] =
    [IMPORT, REGISTER, "/channels", "/channels/{id}/test", "/deliveries/{id}/retry", "/instruments"];
/// Its body may be larger.
const IMPORT: &str = "/alerts/import";
/// It has no caller yet.
const REGISTER: &str = "/auth/register";
/// How many calls with different keys can be under way at the same time.
const LANES: usize = 64;

/// See the module.
pub(super) struct Once {
    gateway: Arc<Gateway>,
    /// Of two calls under one key the second waits.
    lanes: [Arc<Mutex<()>>; LANES],
}

impl Once {
    /// For the calls of this gateway.
    pub(super) fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self { gateway, lanes: std::array::from_fn(|_| Arc::default()) })
    }
}

/// The request's key, where it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    match headers.get(KEY).map(HeaderValue::to_str) {
        None => Ok(None),
        Some(Ok(key)) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        Some(_) => {
            let detail = format!("`Idempotency-Key` has 1 to {MAX_KEY} visible ASCII characters.");
            Err(ApiError::field("Idempotency-Key", detail))
        }
    }
}

/// Answers a call that was made before as it was answered then.
pub(super) async fn once(State(once): State<Arc<Once>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let meant = request.method() == Method::POST && path.is_some_and(|path| CALLS.contains(&path));
    if !meant || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    once.answer(request, next).await.unwrap_or_else(ApiError::into_response)
}

impl Once {
    async fn answer(&self, request: Request, next: Next) -> Result<Response, ApiError> {
        let (mut parts, body) = request.into_parts();
        let key = key(&parts.headers)?.unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let stranger = path == REGISTER;
        // Strangers are refused before their bodies are read.
        let owner = if stranger { NOBODY } else { Caller::from_request_parts(&mut parts, &self.gateway).await?.user.0 };
        let most = if path == IMPORT { MAX_IMPORT_BYTES } else { body::MAX_BODY };
        let body = body::read(&parts.headers, body, most).await?;
        // Two strangers may choose the same key.
        let key = if stranger { format!("{key} {}", email(&body)) } else { key };
        let asking = Asking { owner, path, key };
        let mut lane = DefaultHasher::new();
        (asking.owner, &asking.key).hash(&mut lane);
        let lane = usize::try_from(lane.finish() % LANES as u64).unwrap_or_default();
        let (lane, gateway) = (Arc::clone(&self.lanes[lane]), Arc::clone(&self.gateway));
        // Who hangs up in between must not keep the answer from being kept.
        alerts::durably(async move {
            let _turn = lane.lock().await;
            // A password must not be found out from what is kept.
            let asked = if stranger { Vec::new() } else { Sha256::digest(&body).to_vec() };
            if let Some(known) = gateway.store.known_answer(asking.clone()).await? {
                if known.asked != asked {
                    let detail = "This `Idempotency-Key` came with another request.";
                    return Err(ApiError::Conflict(detail.to_owned()));
                }
                return Ok(again(known));
            }
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            if !response.status().is_success() {
                return Ok(response);
            }
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.map_err(|e| ApiError::Broken(format!("an answer: {e}")))?;
            let location = parts.headers.get(header::LOCATION).and_then(|place| place.to_str().ok());
            let answer = Answer {
                asked,
                status: parts.status.as_u16(),
                location: location.map(str::to_owned),
                body: body.to_vec(),
            };
            if let Err(error) = gateway.store.keep_answer(asking, answer, gateway.clock.now()).await {
                tracing::warn!(%error, "an answer is not kept: the same call again would be judged anew");
            }
            Ok(Response::from_parts(parts, Body::from(body)))
        })
        .await
    }
}

/// The address that is registered, as two who write it differently mean it; nothing where there is none, which the handler refuses.
fn email(body: &[u8]) -> String {
    let wish: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    wish["email"].as_str().unwrap_or_default().trim().to_lowercase()
}

/// In place of an account's number.
const NOBODY: i64 = 0;

fn again(known: Answer) -> Response {
    let mut response = Response::new(Body::from(known.body));
    *response.status_mut() = StatusCode::from_u16(known.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let place = known.location.and_then(|place| HeaderValue::try_from(place).ok());
    headers.extend(place.map(|place| (header::LOCATION, place)));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gateway::testing::{OWNER_TOKEN, Rig, read};

    async fn call(rig: &Rig, path: &str, token: &str, key: &str, body: &Value) -> (u16, Option<String>, Value) {
        let mut request = Request::builder().method("POST").uri(path).header("idempotency-key", key);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        let response = rig.send(request.body(body).unwrap()).await;
        let place = response.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        let (status, answer) = read(response).await;
        (status, place, answer)
    }

    #[tokio::test]
    async fn a_call_that_comes_again_does_nothing_and_is_answered_as_before() {
        let rig = Rig::new().await;
        let channel = json!({"name": "webhook:phone", "settings": {"url": "https://example.org/x"}});
        let account = json!({"email": "a@example.org", "password": "long enough"});
        let alerts = json!({"alerts": [{"expr": "BTC > 60k each"}]});
        for (path, body, status) in [
            ("/channels", &channel, 201),
            ("/alerts/import", &alerts, 200),
            ("/channels/desktop/test", &Value::Null, 200),
            ("/deliveries/d1/retry", &Value::Null, 200),
            ("/auth/register", &account, 201),
        ] {
            let token = if path == REGISTER { "" } else { OWNER_TOKEN };
            let first = call(&rig, path, token, "k1", body).await;
            assert_eq!(first.0, status, "{path}: {first:?}");
            assert_eq!(call(&rig, path, token, "k1", body).await, first, "{path}");
        }
        assert_eq!(call(&rig, "/channels", OWNER_TOKEN, "k2", &channel).await.0, 409, "another key, another call");
        assert_eq!(call(&rig, "/alerts/import", OWNER_TOKEN, "k1", &json!({"alerts": []})).await.0, 409);
        let other = json!({"email": "b@example.org", "password": "long enough"});
        assert_eq!(call(&rig, REGISTER, "", "k1", &other).await.0, 201, "somebody else may choose the same key");
        let theirs = rig.account("c@example.org").await;
        let (status, _, answer) = call(&rig, "/alerts/import", &theirs, "k1", &alerts).await;
        assert_eq!((status, answer["made"][0]["id"].as_str()), (200, Some("a2")), "a key is its caller's: {answer}");
    }

    #[tokio::test]
    async fn what_was_refused_may_be_tried_again_under_its_key() {
        let rig = Rig::new().await;
        let call = async |path: &str, token: &str, key: &str, body: &Value| call(&rig, path, token, key, body).await.0;
        let broken = json!({"alerts": [{"expr": "BTC accross 2"}]});
        assert_eq!(call("/alerts/import", OWNER_TOKEN, "k", &broken).await, 422);
        assert_eq!(call("/alerts/import", OWNER_TOKEN, "k", &json!({"alerts": []})).await, 200);
        assert_eq!(call("/alerts/import", "", "k", &json!({"alerts": []})).await, 401);
        assert_eq!(call("/alerts/import", OWNER_TOKEN, &"k".repeat(256), &json!({"alerts": []})).await, 422);
        assert_eq!(call("/channels", OWNER_TOKEN, "", &json!({})).await, 422);
    }
}
