//! `GET /prices/ws`: one WebSocket session. Hello, a snapshot, then every change that is this caller's and was asked for, under the
//! session's own numbers: a number shared by all sessions would show gaps wherever something was filtered.
//!
//! ```text
//!  hub ──broadcast──▶ session ──outbox (newest price a symbol, 256 others)──▶ wire ──8 KiB at once──▶ client
//!                       ▲ └──one command at a time──▶ the functions behind REST
//!  client ──64 KiB, 20 a second──┘
//! ```
//!
//! The session never waits for its client: what a slow one has not been sent is overtaken in the outbox, or becomes a new snapshot.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header},
    response::Response,
};
use bellwether_core::{
    protocol::{PROTOCOL, Problem, SUBPROTOCOL, ServerFrame},
    rate::TokenBucket,
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::broadcast,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;

use super::{
    Gateway,
    auth::{Caller, bearer},
    command::{self, Asked, Command},
    door::Visitor,
    error::ApiError,
    hub::Changes,
    outbox::Outbox,
    sessions::Seat,
    wire::{BATCH, Turn, Wire},
};
use crate::clock::Clock;

/// The most bytes of a message from a client.
const MAX_MESSAGE: usize = 64 * 1024;
/// How much is read from a client at once.
const READ_BUFFER: usize = 4 * 1024;
/// The most bytes of one message to a client: a snapshot of some ten thousand alerts. Only one is ever buffered.
const MAX_OUTBOUND: usize = 32 * 1024 * 1024;
/// Messages a client may send at once; then one every [`MESSAGE_EVERY`].
const MESSAGES: u32 = 20;
const MESSAGE_EVERY: Span = Span::from_millis(50);
/// Commands that wait for the one before them. More end the session.
const COMMANDS: usize = 64;
/// How often a client is pinged, and how long its pong may take.
const PING: Duration = Duration::from_secs(20);
/// How long a command that was begun may take when the gateway ends.
const BEGUN: Duration = Duration::from_secs(5);

/// Live prices, alert changes, firings and feeds, and commands, over a WebSocket.
#[utoipa::path(get, path = "/prices/ws", tag = "prices", security(("token" = [])),
    description = "A WebSocket. The token may stand in `Authorization`, or as the subprotocol `bearer.TOKEN` beside `bellwether.v1`. \
        The first message is `hello`, then `snapshot`; /asyncapi.json and docs/websocket.md have all messages.",
    responses((status = 101, description = "The WebSocket is open"), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 426, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn open(
    State(gateway): State<Arc<Gateway>>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let token = bearer(&headers).or_else(|| subprotocol_token(&headers)).ok_or(ApiError::Unauthenticated)?;
    let caller = gateway.auth.caller(token, &gateway.store, gateway.clock.now()).await?;
    if let Some(Extension(visitor)) = visitor {
        visitor.known();
    }
    let upgrade = upgrade.map_err(|_| ApiError::Upgrade)?;
    let seat = gateway.sessions.sit(caller)?;
    // Again: had the account's tokens ended in between, nobody would end this session.
    gateway.auth.caller(token, &gateway.store, gateway.clock.now()).await?;
    // Selected from what the client offers; the token beside it is never echoed.
    let upgrade = limited(upgrade).protocols([SUBPROTOCOL]);
    Ok(upgrade.on_upgrade(move |socket| run(gateway, caller, Wire::new(socket), seat)))
}

/// With what a client may say and be told at most.
pub(super) fn limited(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        // What clients say is short; 128 KiB for each, the library's own choice, is most of what an idle one costs.
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(BATCH)
        .max_write_buffer_size(MAX_OUTBOUND)
}

fn subprotocol_token(headers: &HeaderMap) -> Option<&str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    offered.flat_map(|v| v.split(',')).find_map(|p| p.trim().strip_prefix("bearer."))
}

/// Why a session ends, as its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Goodbye(pub(super) u16, pub(super) &'static str);

const STOPPING: Goodbye = Goodbye(1001, "the daemon is stopping");
const NOT_A_FRAME: Goodbye = Goodbye(1002, "not a WebSocket frame");
const NOT_TEXT: Goodbye = Goodbye(1003, "text frames only");
const NOT_UTF8: Goodbye = Goodbye(1007, "not UTF-8");
const TOO_MANY: Goodbye = Goodbye(1008, "too many messages: at most 20 a second");
const TOO_BIG: Goodbye = Goodbye(1009, "a message has at most 64 KiB");
const TOO_SLOW: Goodbye = Goodbye(1013, "too slow, or gone");
const EXPIRED: Goodbye = Goodbye(4401, "the token has ended");

async fn run(gateway: Arc<Gateway>, caller: Caller, mut wire: Wire, seat: Seat) {
    let metrics = gateway.metrics.clone();
    metrics.sessions.inc();
    let sessions = gateway.sessions.clone();
    let mut session = Session {
        outbox: Outbox::new(caller.user),
        bucket: TokenBucket::new(MESSAGES, MESSAGE_EVERY),
        waiting: std::collections::VecDeque::new(),
        unanswered: false,
        caller,
    };
    let mut serving = Some(gateway);
    let mut goodbye = Some(STOPPING);
    while let Some(gateway) = serving.take() {
        goodbye = session.talk(gateway, &mut wire, &seat.ended).await;
        if goodbye == Some(STOPPING) {
            // The links to the other roles are let go of by now: they end only when nobody has one.
            serving = sessions.next().await;
        }
    }
    wire.end(goodbye.map(|Goodbye(code, reason)| CloseFrame { code, reason: reason.into() })).await;
    metrics.sessions.dec();
    drop(seat);
}

struct Session {
    caller: Caller,
    outbox: Outbox,
    bucket: TokenBucket,
    waiting: std::collections::VecDeque<Asked>,
    /// A ping is out, its pong is not in.
    unanswered: bool,
}

impl Session {
    /// Listens and talks until one side ends it, or the gateway does. Nothing as good-bye: the client has gone.
    async fn talk(&mut self, gateway: Arc<Gateway>, wire: &mut Wire, ended: &CancellationToken) -> Option<Goodbye> {
        let every_price = self.outbox.wants_every_price();
        let Ok((snapshot, mut changes)) = gateway.hub.subscribe(every_price).await else {
            return Some(STOPPING);
        };
        // Also to whoever was here before: settings have changed, and what was read over HTTP may be another now.
        self.outbox.say(ServerFrame::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            simulated: gateway.simulated(),
            time: gateway.clock.now(),
        });
        self.outbox.start(snapshot);
        let mut running: Option<BoxFuture<'static, ServerFrame>> = None;
        let mut pings = interval_at(Instant::now() + PING, PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = gateway.stop.clone();
        let mut over = std::pin::pin!(over(gateway.clock.clone(), self.caller.expires, ended, &stop));
        loop {
            if running.is_none() {
                running = self.waiting.pop_front().map(|asked| command::run(&gateway, self.caller, asked));
            }
            let waits_until = self.outbox.waits_until();
            tokio::select! {
                beat = changes.recv() => match beat {
                    Ok(beat) => self.outbox.offer(&beat),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.outbox.lost(),
                    Err(broadcast::error::RecvError::Closed) => return Some(STOPPING),
                },
                turn = wire.turn(&mut self.outbox) => match turn {
                    Turn::Heard(heard) => match self.hear(&gateway, heard) {
                        Ok(true) => {}
                        Ok(false) => return None,
                        Err(goodbye) => return Some(goodbye),
                    },
                    Turn::Renew => match self.renew(&gateway).await {
                        Ok(fresh) => changes = fresh,
                        Err(_) => return Some(STOPPING),
                    },
                    Turn::Stuck => return Some(TOO_SLOW),
                    Turn::Broken => return None,
                },
                () = until(waits_until) => {}
                reply = poll(&mut running) => {
                    running = None;
                    self.outbox.say(reply);
                }
                _ = pings.tick() => {
                    if std::mem::replace(&mut self.unanswered, true) {
                        return Some(TOO_SLOW);
                    }
                    self.outbox.ping();
                }
                goodbye = &mut over => {
                    // What was begun is answered: the session may go on with the next gateway, and its client waits for it.
                    if goodbye == STOPPING
                        && let Some(running) = running.take()
                        && let Ok(reply) = timeout(BEGUN, running).await
                    {
                        self.outbox.say(reply);
                    }
                    return Some(goodbye);
                }
            }
        }
    }

    async fn renew(&mut self, gateway: &Gateway) -> Result<Changes, ApiError> {
        let (snapshot, changes) = gateway.hub.subscribe(self.outbox.wants_every_price()).await?;
        self.outbox.start(snapshot);
        Ok(changes)
    }

    /// Takes what the client said. `false`: it has gone.
    fn hear(&mut self, gateway: &Gateway, heard: Option<Result<Message, axum::Error>>) -> Result<bool, Goodbye> {
        let message = match heard {
            None => return Ok(false),
            Some(Err(error)) => return fault(error).map_or(Ok(false), Err),
            Some(Ok(message)) => message,
        };
        if let Message::Pong(_) = message {
            self.unanswered = false;
            return Ok(true);
        }
        self.bucket.take(gateway.clock.now()).map_err(|_| TOO_MANY)?;
        match message {
            Message::Text(text) => self.obey(gateway, text.as_bytes())?,
            Message::Binary(_) => return Err(NOT_TEXT),
            Message::Close(_) => return Ok(false),
            Message::Ping(_) | Message::Pong(_) => {}
        }
        Ok(true)
    }

    fn obey(&mut self, gateway: &Gateway, text: &[u8]) -> Result<(), Goodbye> {
        match command::read(text, gateway) {
            Err(refusal) => self.outbox.say(*refusal),
            Ok(Command::Subscribe(choice)) => self.outbox.choose(choice),
            Ok(Command::Snapshot) => self.outbox.lost(),
            Ok(Command::Alert(_)) if self.waiting.len() >= COMMANDS => return Err(TOO_MANY),
            Ok(Command::Alert(asked)) => self.waiting.push_back(asked),
        }
        Ok(())
    }
}

async fn poll(running: &mut Option<BoxFuture<'static, ServerFrame>>) -> ServerFrame {
    match running {
        Some(command) => command.await,
        None => std::future::pending().await,
    }
}

async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

/// Why a session ends that nobody has ended on the wire.
async fn over(
    clock: Clock,
    expires: Option<Timestamp>,
    ended: &CancellationToken,
    stop: &CancellationToken,
) -> Goodbye {
    tokio::select! {
        () = expired(clock, expires) => EXPIRED,
        () = ended.cancelled() => EXPIRED,
        () = stop.cancelled() => STOPPING,
    }
}

/// Ends when the token does. Looks again every half minute: the machine may have slept.
async fn expired(clock: Clock, expires: Option<Timestamp>) {
    let Some(expires) = expires else {
        return std::future::pending().await;
    };
    loop {
        let left = expires.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(Duration::from(left).min(PING)).await;
    }
}

/// What a client did wrong on the wire; nothing where the connection just broke.
pub(super) fn fault(error: axum::Error) -> Option<Goodbye> {
    match *error.into_inner().downcast::<tungstenite::Error>().ok()? {
        // A length with its highest bit set is none (RFC 6455, 5.2).
        tungstenite::Error::Capacity(tungstenite::error::CapacityError::MessageTooLong { size, .. })
            if size > isize::MAX as usize =>
        {
            Some(NOT_A_FRAME)
        }
        tungstenite::Error::Capacity(_) => Some(TOO_BIG),
        tungstenite::Error::Utf8(_) => Some(NOT_UTF8),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(NOT_A_FRAME),
        _ => None,
    }
}
