//! The one way in which streams connect: with deadlines, by all of a host's addresses, with limits on what is read.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bellwether_core::time::{Span, Timestamp};
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, Message, Utf8Bytes, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::supervise::{Trouble, clean, describe};
use crate::provider::retry_after;

/// How long connecting may take, TLS and the WebSocket's handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one address of several may take: a dead IPv6 must not cost the living IPv4 its turn.
const ONE_ADDRESS: Duration = Duration::from_secs(1);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// The largest message and frame that are read.
const MESSAGE: usize = 1 << 20;

/// An open WebSocket, which must not be silent for long.
#[derive(Debug)]
pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    silence: Duration,
    heard: Instant,
}

impl Socket {
    /// Opens a connection, over TLS where the address says `wss`. From `silence` without a meaning on, it counts as broken.
    pub(super) async fn open(url: &str, silence: Duration, now: Timestamp) -> Result<Self, Trouble> {
        Self::open_with(url, HeaderMap::new(), silence, now).await
    }

    /// The same with these headers in the request.
    pub(super) async fn open_with(
        url: &str,
        headers: HeaderMap,
        silence: Duration,
        now: Timestamp,
    ) -> Result<Self, Trouble> {
        let opened = timeout(CONNECT, connect(url, headers, now)).await;
        let stream = opened.map_err(|_| Trouble::failed("no connection within 5 s"))??;
        Ok(Self { stream, silence, heard: Instant::now() })
    }

    /// The next text; nothing for pings, which are answered by themselves. May be dropped and called again.
    pub(super) async fn text(&mut self) -> Result<Option<Utf8Bytes>, Trouble> {
        let message = timeout_at(self.heard + self.silence, self.stream.next()).await;
        match message.map_err(|_| Trouble::failed(format!("silent for {}", Span::from(self.silence))))? {
            Some(Ok(Message::Text(text))) => Ok(Some(text)),
            Some(Ok(Message::Close(Some(frame)))) => {
                let reason = clean(frame.reason.as_str());
                Err(Trouble::failed(format!("closed by the exchange with code {} {reason}", u16::from(frame.code))))
            }
            Some(Ok(Message::Close(None))) | None => Err(Trouble::failed("closed by the exchange")),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(Trouble::failed(describe(&error))),
        }
    }

    /// The last text meant something. Without this, a connection that sends nothing but noise and pings is silent.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// For how long nothing with a meaning has come.
    pub(super) fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Sends a text.
    pub(super) async fn send(&mut self, text: String) -> Result<(), Trouble> {
        let sent = timeout(CONNECT, self.stream.send(Message::text(text))).await;
        sent.map_err(|_| Trouble::failed("a message could not be sent within 5 s"))?
            .map_err(|e| Trouble::failed(describe(&e)))
    }

    /// Says goodbye, as far as the other side listens.
    pub(super) async fn close(mut self) {
        timeout(GOODBYE, self.stream.close(None)).await.ok();
    }
}

async fn connect(
    url: &str,
    headers: HeaderMap,
    now: Timestamp,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Trouble> {
    let mut request = url.into_client_request().map_err(|e| Trouble::failed(format!("ws_url cannot be used: {e}")))?;
    request.headers_mut().extend(headers);
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
            let text = format!("HTTP {} instead of a WebSocket", answer.status().as_u16());
            Err(Trouble::of_status(answer.status(), text).after(retry_after(answer.headers(), now)))
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
        .map_err(|e| {
            Trouble::failed(format!("TLS cannot be set up; are certificates (ca-certificates) installed? {e}"))
        })?;
    Ok(Arc::new(config.with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;
    use crate::ingest::{
        supervise::Remedy,
        test_support::{StandIn, http_answer},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);

    #[tokio::test]
    async fn tls_needs_no_default_of_the_process_and_meets_a_stranger_with_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("wss://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            // The feed may have hung up already.
            stream.write_all(b"no TLS here\r\n\r\n").await.ok();
        });
        let opened = timeout(Duration::from_secs(30), connect(&url, HeaderMap::new(), NOW)).await.expect("an end");
        let trouble = opened.expect_err("not TLS");
        assert_eq!(trouble.remedy, Remedy::Retry);
        assert!(!trouble.text.is_empty());
    }

    #[tokio::test]
    async fn what_stands_at_the_door_says_what_to_do() {
        for (status, remedy) in [
            ("429 Too Many Requests", Remedy::Wait),
            ("404 Not Found", Remedy::Wait),
            ("403 Forbidden", Remedy::Banned),
            ("418 I'm a teapot", Remedy::Banned),
            ("451 Unavailable For Legal Reasons", Remedy::Blocked),
            ("503 Service Unavailable", Remedy::Retry),
            ("200 OK", Remedy::Retry),
        ] {
            let stand_in = StandIn::serving(vec![http_answer(status, "Retry-After: 120\r\n", b"<html>")]).await;
            let url = stand_in.base.replace("http", "ws");
            let trouble = Socket::open(&url, CONNECT, NOW).await.expect_err(status);
            assert_eq!((trouble.remedy, trouble.after), (remedy, Some(Span::from_seconds(120))), "{status}");
            assert!(trouble.text.starts_with("HTTP "), "{}", trouble.text);
        }
    }
}
