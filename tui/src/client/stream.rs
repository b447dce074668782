//! The task that holds the WebSocket to the daemon: connects, reads frames, and when the daemon is lost finds it again.
//!
//! It owns the socket and nothing else: what arrives goes as [`StreamMessage`]s to whoever keeps the picture. It ends when
//! the receiver of those is dropped. The channel is bounded: a dashboard that does not keep up makes this task wait, and
//! the daemon conflates prices for a reader that is slow.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bellwether_core::{
    protocol::{ClientFrame, PROTOCOL, ServerFrame},
    time::Timestamp,
};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::AUTHORIZATION},
        protocol::WebSocketConfig,
    },
};

use super::ApiClient;
use crate::launch;

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How often a silent daemon is pinged.
const PING_EVERY: Duration = Duration::from_secs(10);
/// After how much silence the daemon counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest frame taken: a snapshot of many thousand alerts.
const LARGEST_FRAME: usize = 32 << 20;
/// The wait after the first failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Finds the daemon again, because a new one has a new token and perhaps a new port: reads `daemon.json`, gives address and token.
pub type Reconnect =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<(String, String)>> + Send>> + Send + Sync>;

/// What the task tells.
#[derive(Debug)]
pub enum StreamMessage {
    /// The daemon said hello; a snapshot follows.
    Connected {
        /// The daemon's version.
        version: String,
        /// Whether its market is simulated.
        simulated: bool,
        /// A client for its REST calls.
        api: ApiClient,
    },
    /// Anything after the hello.
    Frame(Box<ServerFrame>),
    /// There is no connection; the next attempt is made at `retry_at`.
    Lost {
        /// Why, in words.
        reason: String,
        /// When it is tried again.
        retry_at: Timestamp,
    },
}

/// What the task may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamCommand {
    /// Frames are missing: ask for a fresh snapshot.
    Snapshot,
    /// Do not wait for the countdown.
    RetryNow,
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// What a hello says in every version.
#[derive(Deserialize)]
struct Greeting {
    protocol: u32,
    #[serde(default)]
    version: String,
}

/// Why a connection ended.
enum End {
    /// Nobody listens to this task any more.
    Unwanted,
    /// Trouble, in words.
    Lost(String),
}

/// Holds a connection to the daemon until the receiver of `out` is dropped.
pub async fn run(
    mut address: String,
    mut token: String,
    reconnect: Reconnect,
    out: mpsc::Sender<StreamMessage>,
    mut commands: mpsc::Receiver<StreamCommand>,
) {
    let mut failures: u32 = 0;
    loop {
        let reason = match connect(&address, &token).await {
            Ok(socket) => match session(socket, &address, &token, &out, &mut commands, &mut failures).await {
                End::Unwanted => return,
                End::Lost(reason) => reason,
            },
            Err(reason) => reason,
        };
        let wait = FIRST_WAIT.saturating_mul(1 << failures.min(6)).min(LONGEST_WAIT);
        failures = failures.saturating_add(1);
        let retry_at = now().plus(wait.into());
        if out.send(StreamMessage::Lost { reason, retry_at }).await.is_err() {
            return;
        }
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                () = out.closed() => return,
                command = commands.recv() => match command {
                    Some(StreamCommand::RetryNow) => break,
                    Some(StreamCommand::Snapshot) => {}
                    None => return,
                },
            }
        }
        if let Ok((a, t)) = reconnect().await {
            (address, token) = (a, t);
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

async fn connect(address: &str, token: &str) -> Result<Socket, String> {
    let address = address.trim_end_matches('/');
    let url = match (address.strip_prefix("http://"), address.strip_prefix("https://")) {
        (Some(rest), _) => format!("ws://{rest}/prices/ws"),
        (_, Some(rest)) => format!("wss://{rest}/prices/ws"),
        _ => return Err("its address is not one of http or https".to_owned()),
    };
    let mut request = url.into_client_request().map_err(|_| "its address cannot be read".to_owned())?;
    let mut bearer =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "its token cannot be read".to_owned())?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    // The certificates that REST believes in, those of this system.
    let tls = if address.starts_with("https://") { Some(connector()?) } else { None };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME))
        .max_write_buffer_size(1 << 20);
    match timeout(CONNECT_PATIENCE, connect_async_tls_with_config(request, Some(config), true, tls)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(in_words(&error)),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

/// TLS with the system's certificates. The cryptography is named, so that no process-wide default is needed.
fn connector() -> Result<Connector, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(rustls_platform_verifier::BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(Connector::Rustls(Arc::new(config.with_no_client_auth())))
}

/// What went wrong, without addresses.
fn in_words(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nobody listens there".to_owned()
        }
        tungstenite::Error::Io(e) => e.kind().to_string(),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            "it closed the connection".to_owned()
        }
        tungstenite::Error::Tls(e) => format!("its certificate is not accepted: {e}"),
        tungstenite::Error::Protocol(_) => "the connection broke off".to_owned(),
        tungstenite::Error::Capacity(_) => "it sent a frame that is too large".to_owned(),
        tungstenite::Error::Http(response) if response.status().as_u16() == 401 => {
            "it does not know our token".to_owned()
        }
        tungstenite::Error::Http(response) => format!("it answered with status {}", response.status().as_u16()),
        _ => "it does not speak WebSocket".to_owned(),
    }
}

/// Reads one connection to its end.
async fn session(
    mut socket: Socket,
    address: &str,
    token: &str,
    out: &mpsc::Sender<StreamMessage>,
    commands: &mut mpsc::Receiver<StreamCommand>,
    failures: &mut u32,
) -> End {
    let mut greeted = false;
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return End::Lost(in_words(&error)),
                None => return End::Lost("it closed the connection".to_owned()),
            },
            command = commands.recv() => match command {
                Some(StreamCommand::Snapshot) => {
                    let ask = serde_json::to_string(&ClientFrame::Snapshot).unwrap_or_default();
                    if let Err(error) = socket.send(Message::text(ask)).await {
                        return End::Lost(in_words(&error));
                    }
                    continue;
                }
                Some(StreamCommand::RetryNow) => continue,
                None => return End::Unwanted,
            },
            () = out.closed() => {
                drop(timeout(Duration::from_millis(200), socket.close(None)).await);
                return End::Unwanted;
            }
            () = sleep(PING_EVERY) => {
                if heard.elapsed() >= SILENCE {
                    return End::Lost("it has fallen silent".to_owned());
                }
                if let Err(error) = socket.send(Message::Ping(Vec::new().into())).await {
                    return End::Lost(in_words(&error));
                }
                continue;
            }
        };
        heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return End::Lost("it said goodbye".to_owned()),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if !greeted
            && let Ok(Greeting { protocol, version }) = serde_json::from_str(&text)
            && protocol != PROTOCOL
        {
            return End::Lost(launch::other_version(address, &version, protocol).what().to_owned());
        }
        let Ok(frame) = serde_json::from_str::<ServerFrame>(&text) else {
            // A newer daemon may know frames that we do not; a state frame that is skipped shows as a gap.
            tracing::debug!("a frame was not understood");
            continue;
        };
        let message = match frame {
            ServerFrame::Hello { version, simulated, .. } => {
                greeted = true;
                *failures = 0;
                StreamMessage::Connected { version, simulated, api: ApiClient::new(address, token) }
            }
            _ if !greeted => return End::Lost("it did not say hello".to_owned()),
            frame => StreamMessage::Frame(Box::new(frame)),
        };
        if out.send(message).await.is_err() {
            return End::Unwanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        extract::ws::{Message as WsMessage, WebSocketUpgrade},
        http::HeaderMap,
        routing,
    };

    use super::*;

    const HELLO: &str =
        r#"{"type":"hello","protocol":1,"version":"0.1.0","simulated":true,"time":"2026-11-22T12:00:00.000Z"}"#;
    const EMPTY: &str =
        r#"{"type":"snapshot","seq":1,"prices":[],"alerts":[],"firings":[],"deliveries":[],"feeds":[]}"#;

    /// A daemon that says hello, sends a snapshot for each frame it gets, and hangs up on `bye`.
    async fn daemon(frames: &'static [&'static str]) -> String {
        let handler = move |headers: HeaderMap, upgrade: WebSocketUpgrade| async move {
            assert_eq!(headers["authorization"], "Bearer sesame");
            upgrade.on_upgrade(move |mut socket| async move {
                for frame in frames {
                    drop(socket.send(WsMessage::text(*frame)).await);
                }
                while let Some(Ok(WsMessage::Text(_))) = socket.recv().await {
                    drop(socket.send(WsMessage::text(EMPTY)).await);
                }
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/prices/ws", routing::get(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn start(address: &str, found: &str) -> (mpsc::Receiver<StreamMessage>, mpsc::Sender<StreamCommand>) {
        let (out, messages) = mpsc::channel(16);
        let (commands, receiver) = mpsc::channel(4);
        let found = found.to_owned();
        let reconnect: Reconnect = Box::new(move || {
            let found = found.clone();
            Box::pin(async move { Ok((found, "sesame".to_owned())) })
        });
        tokio::spawn(run(address.to_owned(), "sesame".to_owned(), reconnect, out, receiver));
        (messages, commands)
    }

    #[tokio::test]
    async fn hello_comes_first_and_a_snapshot_when_asked_for() {
        let address = daemon(&[HELLO]).await;
        let (mut messages, commands) = start(&address, &address);
        assert!(matches!(messages.recv().await, Some(StreamMessage::Connected { simulated: true, .. })));
        commands.send(StreamCommand::Snapshot).await.expect("the task lives");
        let Some(StreamMessage::Frame(frame)) = messages.recv().await else { panic!("no frame") };
        assert!(matches!(*frame, ServerFrame::Snapshot { seq: 1, .. }));
    }

    #[tokio::test]
    async fn a_daemon_that_moved_is_found_again() {
        let address = daemon(&[HELLO]).await;
        let (mut messages, commands) = start("http://127.0.0.1:1", &address);
        let Some(StreamMessage::Lost { reason, .. }) = messages.recv().await else { panic!("not lost") };
        assert_eq!(reason, "nobody listens there");
        commands.send(StreamCommand::RetryNow).await.expect("the task lives");
        assert!(matches!(messages.recv().await, Some(StreamMessage::Connected { .. })));
    }

    #[tokio::test]
    async fn another_protocol_is_refused_in_words() {
        let hello = r#"{"type":"hello","protocol":9,"version":"9","simulated":false,"time":"2026-11-22T12:00:00Z"}"#;
        let address = daemon(Box::leak(Box::new([hello]))).await;
        let (mut messages, _commands) = start(&address, &address);
        let Some(StreamMessage::Lost { reason, .. }) = messages.recv().await else { panic!("not lost") };
        assert!(reason.contains("version 9") && reason.contains("this program is the older one"), "{reason}");
    }

    #[tokio::test]
    async fn garbage_does_not_end_the_connection() {
        let address = daemon(&[HELLO, "{}", "nonsense", EMPTY]).await;
        let (mut messages, _commands) = start(&address, &address);
        assert!(matches!(messages.recv().await, Some(StreamMessage::Connected { .. })));
        assert!(matches!(messages.recv().await, Some(StreamMessage::Frame(_))));
    }
}
