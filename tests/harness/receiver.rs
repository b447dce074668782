//! Somebody who receives webhooks, and believes none whose signature is not right (standardwebhooks.com, 1.0).

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

use super::{Task, eventually, lock};

/// The key that it shares with the daemon.
const KEY: [u8; 32] = *b"the key of a webhook in the test";

/// A webhook that came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Under which name.
    pub(crate) name: String,
    /// The `webhook-id`.
    pub(crate) id: String,
    /// The body, as it came.
    pub(crate) text: String,
    /// The body.
    pub(crate) body: Value,
    /// How it was answered.
    pub(crate) status: u16,
}

#[derive(Debug, Default)]
struct Desk {
    received: Vec<Received>,
    /// The different keys, by name, each with how many firings its message stands for.
    keys: BTreeMap<String, BTreeMap<String, usize>>,
    /// What is answered next; 200 when there is nothing.
    answers: VecDeque<u16>,
    delay: Duration,
    /// How far the senders' clock is from this machine's, in seconds.
    ahead: i64,
}

/// The receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    _server: Task,
}

impl Receiver {
    /// One that accepts everything that is signed.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let desk = Arc::new(Mutex::new(Desk::default()));
        let router = Router::new().route("/hook/{name}", post(take)).with_state(Arc::clone(&desk));
        let server = Task::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Self { address, desk, _server: server }
    }

    /// The shared secret, as it stands in the configuration.
    pub(crate) fn secret() -> String {
        format!("whsec_{}", STANDARD.encode(KEY))
    }

    /// The address of the webhook called `name`.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/hook/{name}", self.address)
    }

    /// Answers the next ones so.
    pub(crate) fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        lock(&self.desk).answers.extend(statuses);
    }

    /// Takes so long to answer, so that a kill may come between.
    pub(crate) fn hesitate(&self, delay: Duration) {
        lock(&self.desk).delay = delay;
    }

    /// The senders' clock goes ahead of this machine's by so many seconds, or behind it.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        lock(&self.desk).ahead = seconds;
    }

    /// All that came.
    pub(crate) fn received(&self) -> Vec<Received> {
        lock(&self.desk).received.clone()
    }

    /// How many came.
    pub(crate) fn count(&self) -> usize {
        lock(&self.desk).received.len()
    }

    /// How many firings the different messages under this name stand for.
    pub(crate) fn firings(&self, name: &str) -> usize {
        lock(&self.desk).keys.get(name).map_or(0, |keys| keys.values().sum())
    }

    /// Waits until so many have come.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} webhooks"), async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

/// How many firings a message stands for.
fn firings_of(body: &Value) -> usize {
    let field = if body["type"] == "alert.digest" { "firings" } else { "collected" };
    body["data"][field].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
}

async fn take(
    State(desk): State<Arc<Mutex<Desk>>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    text: String,
) -> StatusCode {
    let ahead = lock(&desk).ahead;
    let Some(id) = genuine(&headers, &text, ahead) else { return StatusCode::UNAUTHORIZED };
    let (delay, status) = {
        let mut desk = lock(&desk);
        let status = desk.answers.pop_front().unwrap_or(200);
        let body = serde_json::from_str(&text).expect("webhooks are JSON");
        desk.keys.entry(name.clone()).or_default().insert(id.clone(), firings_of(&body));
        desk.received.push(Received { name, id, text, body, status });
        (desk.delay, status)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    StatusCode::from_u16(status).expect("a status")
}

/// The id of a webhook whose signature is right and whose time is now.
fn genuine(headers: &HeaderMap, body: &str, ahead: i64) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signature = header("webhook-signature")?.strip_prefix("v1,")?;
    let age = jiff::Timestamp::now().as_second() + ahead - timestamp.parse::<i64>().ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let right = mac.verify_slice(&STANDARD.decode(signature).ok()?).is_ok();
    (right && age.abs() <= 60).then(|| id.to_owned())
}
