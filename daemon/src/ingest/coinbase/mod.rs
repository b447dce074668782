//! Coinbase Exchange: the WebSocket `ticker` with its `heartbeat`.
//!
//! The heartbeat, once a second for each product, proves the connection live and says how many trades there have been. So a
//! quiet instrument is repeated and does not turn stale, while one whose ticker stands still although it trades does.

mod frame;
mod products;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bellwether_core::{
    config,
    instrument::Instrument,
    time::{Span, Timestamp},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use frame::{Frame, Malformed, parse};
use products::Products;

use super::{
    desk::Whom,
    supervise::{Link, Trouble, clean, describe},
};
use crate::provider::retry_after;

/// How long connecting may take, TLS and the WebSocket's handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one address of several may take: a dead IPv6 must not cost the living IPv4 its turn.
const ONE_ADDRESS: Duration = Duration::from_secs(1);
/// The largest message and frame that are read.
const MESSAGE: usize = 1 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The feed.
#[derive(Debug)]
pub(super) struct Coinbase {
    url: String,
    silence: Duration,
    instruments: Vec<Instrument>,
}

impl Coinbase {
    pub(super) fn new(config: &config::Coinbase, instruments: Vec<Instrument>) -> Self {
        let silence = Duration::from(config.silence).max(Duration::from_millis(50));
        Self { url: config.ws_url.clone(), silence, instruments }
    }

    /// One connection, from its handshake to its end.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        let mut socket = timeout(CONNECT, connect(&self.url, link.now()))
            .await
            .map_err(|_| Trouble::failed("no connection within 5 s"))??;
        let mut products = Products::new(&self.instruments);
        for codes in products.chunks() {
            subscribe(&mut socket, &codes).await?;
        }
        let acknowledged_by = Instant::now() + self.silence;
        let mut unacknowledged = true;
        let mut heard = Instant::now();
        let mut pulse = tokio::time::interval(products.pulse());
        loop {
            tokio::select! {
                message = timeout_at(heard + self.silence, socket.next()) => {
                    let message = message.map_err(|_| {
                        Trouble::failed(format!("silent for {}", Span::from(self.silence)))
                    })?;
                    let Some(text) = text_of(message)? else { continue };
                    let now = link.now();
                    match parse(&text) {
                        Ok(Frame::Refused { message, reason }) => {
                            heard = Instant::now();
                            let rest = products.refuse(&message, &reason)?;
                            for (symbol, why) in products.lost() {
                                link.lost(symbol, &why).await?;
                            }
                            if !rest.is_empty() {
                                subscribe(&mut socket, &rest).await?;
                            }
                            if products.delivering() {
                                link.live(products.trouble()).await?;
                            }
                        }
                        Ok(frame) => {
                            heard = Instant::now();
                            let beaten = products.beaten(&frame);
                            match products.take(frame, now) {
                                Ok(Some(tick)) => {
                                    if let Some(time) = tick.exchange_time {
                                        link.answered(now.since(time).into());
                                    }
                                    link.tick(tick).await?;
                                    link.live(products.trouble()).await?;
                                }
                                Ok(None) => {
                                    if let Some(symbol) = beaten {
                                        link.alive(Whom::One(symbol)).await?;
                                    }
                                }
                                Err(reason) => link.rejected(reason),
                            }
                        }
                        // Not heard: a connection that sends nothing but noise is silent.
                        Err(Malformed) => link.rejected("malformed"),
                    }
                }
                _ = pulse.tick() => {
                    let now = link.now();
                    if unacknowledged && Instant::now() >= acknowledged_by {
                        unacknowledged = false;
                        products.check_acknowledged()?;
                        for (symbol, why) in products.lost() {
                            link.lost(symbol, &why).await?;
                        }
                        if products.delivering() {
                            link.live(products.trouble()).await?;
                        }
                    }
                    products.check_frozen(now)?;
                    for tick in products.repeat_quiet(now, self.silence.into()) {
                        link.tick(tick).await?;
                    }
                }
            }
        }
    }
}

/// Opens the connection, over TLS where the address says `wss`.
async fn connect(url: &str, now: Timestamp) -> Result<Socket, Trouble> {
    let request = url.into_client_request().map_err(|e| Trouble::failed(format!("ws_url cannot be used: {e}")))?;
    let uri = request.uri();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("ws") { 80 } else { 443 });
    let connector = if uri.scheme_str() == Some("ws") { Connector::Plain } else { Connector::Rustls(tls()?) };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE))
        .max_write_buffer_size(MESSAGE);
    let stream = reach(&host, port).await?;
    // Subscriptions are small and awaited.
    stream.set_nodelay(true).ok();
    let opened = client_async_tls_with_config(request, stream, Some(config), Some(connector)).await;
    match opened {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => {
            let status = answer.status();
            let text = format!("HTTP {} instead of a WebSocket", status.as_u16());
            let trouble = if status.is_client_error() { Trouble::refused(text) } else { Trouble::failed(text) };
            Err(trouble.after(retry_after(answer.headers(), now)))
        }
        Err(error) => Err(Trouble::failed(describe(&error))),
    }
}

/// The first of the host's addresses that answers, IPv6 and IPv4 by turns.
async fn reach(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found.map_err(|e| Trouble::failed(format!("{host} has no address: {e}")))?.collect();
    let (six, four): (Vec<SocketAddr>, Vec<SocketAddr>) = found.into_iter().partition(SocketAddr::is_ipv6);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for place in 0..six.len().max(four.len()) {
        addresses.extend(six.get(place).into_iter().chain(four.get(place)));
    }
    let limit = if addresses.len() > 1 { ONE_ADDRESS } else { CONNECT };
    let mut last = format!("{host} has no address");
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("{host} cannot be reached: {error}"),
            Err(_) => last = format!("{host} does not answer"),
        }
    }
    Err(Trouble::failed(last))
}

/// TLS with the system's certificates. The cryptography is named, so that no process-wide default is needed.
fn tls() -> Result<Arc<rustls::ClientConfig>, Trouble> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|e| Trouble::failed(format!("TLS cannot be set up: {e}")))?;
    Ok(Arc::new(config.with_no_client_auth()))
}

async fn subscribe(socket: &mut Socket, codes: &[String]) -> Result<(), Trouble> {
    let text = json!({ "type": "subscribe", "product_ids": codes, "channels": ["ticker", "heartbeat"] }).to_string();
    let sent = timeout(CONNECT, socket.send(Message::text(text))).await;
    sent.map_err(|_| Trouble::failed("the subscription could not be sent within 5 s"))?
        .map_err(|e| Trouble::failed(describe(&e)))
}

/// The text of a message; nothing for pings, which the library answers.
fn text_of(message: Option<Result<Message, tungstenite::Error>>) -> Result<Option<String>, Trouble> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Close(Some(frame)))) => {
            let reason = clean(frame.reason.as_str());
            Err(Trouble::failed(format!("closed by the exchange with code {} {reason}", u16::from(frame.code))))
        }
        Some(Ok(Message::Close(None))) | None => Err(Trouble::failed("closed by the exchange")),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(Trouble::failed(describe(&error))),
    }
}

#[cfg(test)]
mod tests;
