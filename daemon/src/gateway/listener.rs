//! The listening socket: a bounded number of connections, each with deadlines, and an orderly end.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, http::StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    auth::Peer,
    door::{Door, Places, Schemes, Stream, Visitor, asker},
};

/// How long the head of a request may take, and TLS to be agreed on.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The most bytes of the head of a request.
const MAX_HEAD: usize = 16 * 1024;
/// How long requests under way may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long, and how much, a closed connection is still listened to, so that its last answer is not thrown away with it.
const LINGER: (Duration, u64) = (Duration::from_secs(2), 16 * 1024 * 1024);
/// What the kernel may hold back for a client that does not read; more would be old prices.
const SEND_BUFFER: usize = 128 * 1024;
/// The pause after an error of accepting, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n\
                    Connection: close\r\nContent-Length: 114\r\n\r\n\
                    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
                    \"detail\":\"Too many connections. Try again soon.\"}";

/// What hyper itself answers without a body, and what is said in its place.
const BARE: [(StatusCode, &str); 3] = [
    (StatusCode::BAD_REQUEST, "This is no HTTP request."),
    (StatusCode::URI_TOO_LONG, "The address of the request is too long."),
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request has more than 16 KiB or 100 fields."),
];

/// The last answer on a connection.
fn last_word(status: StatusCode, detail: &str) -> String {
    let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = json!({ "type": "about:blank", "title": title, "status": code, "detail": detail }).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {code} {title}\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The answer in place of one of [`BARE`]. All of ours have a body.
fn in_place_of(answer: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(answer).ok()?.to_ascii_lowercase();
    let bare = head.ends_with("\r\n\r\n") && head.contains("\r\ncontent-length: 0\r\n");
    let (status, detail) =
        BARE.iter().find(|(status, _)| bare && head.starts_with(&format!("http/1.1 {} ", status.as_u16())))?;
    Some(last_word(*status, detail))
}

/// Serves until `stop` is cancelled, then finishes what is under way. Who has the door, too, can go on there: whoever comes in between
/// is waited for by the kernel.
pub(crate) async fn serve(door: impl Into<Arc<Door>>, places: Places, router: Router, stop: CancellationToken) {
    let door = door.into();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some((slot, visitor)) = places.take(address.ip(), door.behind_proxy) else {
            refuse(&door, &stream);
            continue;
        };
        // An answer goes out when it is written; both options are a matter of taste, not of life.
        drop(stream.set_nodelay(true));
        drop(socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER));
        let guest = Guest { address, visitor, door: Arc::clone(&door) };
        connections.spawn(enter(stream, slot, guest, router.clone(), stop.clone()));
    }
    drop(door);
    if timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await.is_err() {
        connections.abort_all();
    }
}

/// Whose connection it is, and by which door it came.
struct Guest {
    address: SocketAddr,
    visitor: Visitor,
    door: Arc<Door>,
}

/// Agrees on TLS, where that is spoken, and serves the connection to its end.
async fn enter(stream: TcpStream, slot: OwnedSemaphorePermit, guest: Guest, router: Router, stop: CancellationToken) {
    let stream = match &guest.door.tls {
        None => Stream::Plain(stream),
        Some(tls) => match timeout(HEAD_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS came about"),
            Err(_) => return tracing::debug!("no TLS came about in time"),
        },
    };
    let late = Arc::new(AtomicBool::new(false));
    let stream = Lingering { stream: Some(stream), slot: Some(slot), unanswered: false, late, last_word: None };
    connection(stream, guest, router, stop).await;
}

/// Says that there are too many, without waiting for anything; who speaks TLS is told by the end alone.
fn refuse(door: &Door, stream: &TcpStream) {
    if door.tls.is_some() {
        return;
    }
    // A few bytes fit into a fresh connection's buffer.
    drop(stream.try_write(FULL.as_bytes()));
}

async fn connection(stream: Lingering, guest: Guest, router: Router, stop: CancellationToken) {
    let late = Arc::clone(&stream.late);
    let schemes = Schemes::of(&guest.door);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, visitor) = (router.clone(), guest.visitor.clone());
        let peer = Peer(asker(guest.address, guest.door.behind_proxy, request.headers()));
        async move {
            let mut request: Request = request.map(Body::new);
            let about = request.extensions_mut();
            about.insert(peer);
            about.insert(schemes);
            about.insert(visitor);
            router.oneshot(request).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        late.store(error.is_timeout(), Ordering::Relaxed);
        tracing::debug!(%error, "a connection broke");
    }
}

/// A connection that, when dropped, says it will send no more and listens a moment longer. Closing with unread bytes would
/// reset it, and the client would never read why it was refused (RFC 9112, 9.6).
struct Lingering {
    stream: Option<Stream>,
    slot: Option<OwnedSemaphorePermit>,
    /// Something came in after the last thing that went out.
    unanswered: bool,
    /// The head of a request did not come in time. hyper closes without a word then.
    late: Arc<AtomicBool>,
    /// Said in place of an answer that would have had no body.
    last_word: Option<String>,
}

impl Lingering {
    fn inner(self: Pin<&mut Self>) -> io::Result<Pin<&mut Stream>> {
        self.get_mut().stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(mut stream), Ok(runtime)) = (self.stream.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let slot = self.slot.take();
        let last_word = self.last_word.take().or_else(|| {
            let late = self.unanswered && self.late.load(Ordering::Relaxed);
            late.then(|| last_word(StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time."))
        });
        runtime.spawn(async move {
            let rest = async {
                stream.write_all(last_word.unwrap_or_default().as_bytes()).await?;
                stream.shutdown().await?;
                tokio::io::copy(&mut stream.take(LINGER.1), &mut tokio::io::sink()).await
            };
            // Its end, an error and the deadline are all the same now.
            drop(timeout(LINGER.0, rest).await);
            drop(slot);
        });
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = self.as_mut().inner()?.poll_read(context, buffer);
        self.unanswered |= buffer.filled().len() > before;
        outcome
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unanswered = false;
        self.last_word = self.last_word.take().or_else(|| in_place_of(bytes));
        if self.last_word.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.inner()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // When dropped, it says that and ends.
        if self.last_word.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.inner()?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = pieces.first()
            && (self.last_word.is_some() || in_place_of(first).is_some())
        {
            return self.poll_write(context, first);
        }
        self.unanswered = false;
        self.inner()?.poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_answers_are_as_long_as_they_say() {
        let words = BARE.map(|(status, detail)| last_word(status, detail));
        for answer in [FULL].into_iter().chain(words.iter().map(String::as_str)) {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
            serde_json::from_str::<bellwether_core::protocol::Problem>(body).unwrap();
        }
    }
}
