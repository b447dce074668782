//! One conversation with a mail server: recipient by recipient, and kept for the next message.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use lettre::{
    Address,
    message::Mailbox,
    transport::smtp::{
        Error as SmtpError,
        client::{AsyncSmtpConnection, AsyncTokioStream},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{Extension, MailParameter},
        response::Response,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The most bytes a server may say in one connection; the crate reads a line of any length.
const LISTEN: usize = 256 * 1024;
/// How long a connection waits for the next message.
const IDLE: Duration = Duration::from_secs(5);
/// The most messages over one connection.
const MESSAGES: u32 = 100;
/// The most messages whose recipients are remembered.
const REMEMBERED: usize = 1_000;

/// What became of a message.
pub(super) struct Said {
    /// What the server answered to it; none where no recipient was left, and nothing was sent.
    pub(super) answer: Option<Response>,
    /// Those for whom it was taken.
    pub(super) taken: Vec<Address>,
    /// Those who are refused for good.
    pub(super) refused: Vec<(Address, SmtpError)>,
    /// Those for whom it is to be tried again.
    pub(super) later: Vec<(Address, SmtpError)>,
}

/// Sends one message to all who may have it. An error concerns all of them.
pub(super) async fn send(
    connection: &mut AsyncSmtpConnection,
    from: &Address,
    to: &[Mailbox],
    message: &[u8],
) -> Result<Said, SmtpError> {
    let mut parameters = Vec::new();
    let foreign = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
    if (foreign(from) || to.iter().any(|to| foreign(&to.email)))
        && connection.server_info().supports_feature(Extension::SmtpUtfEight)
    {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    connection.command(Mail::new(Some(from.clone()), parameters)).await?;
    let mut said = Said { answer: None, taken: Vec::new(), refused: Vec::new(), later: Vec::new() };
    for to in to {
        match connection.command(Rcpt::new(to.email.clone(), Vec::new())).await {
            Ok(_) => said.taken.push(to.email.clone()),
            Err(error) if error.is_permanent() => said.refused.push((to.email.clone(), error)),
            Err(error) if error.is_transient() => said.later.push((to.email.clone(), error)),
            Err(error) => return Err(error),
        }
    }
    if said.taken.is_empty() {
        connection.command(Rset).await?;
        return Ok(said);
    }
    connection.command(Data).await?;
    said.answer = Some(connection.message(message).await?);
    Ok(said)
}

/// Who has got which message already, where not all have: the others get it at the next attempt, alone.
#[derive(Default)]
pub(super) struct Progress(Mutex<HashMap<String, Vec<Address>>>);

impl Progress {
    /// Those who have not got the message `key`.
    pub(super) fn missing(&self, key: &str, all: &[Mailbox]) -> Vec<Mailbox> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |to: &&Mailbox| known.get(key).is_some_and(|taken| taken.contains(&to.email));
        all.iter().filter(|to| !has(to)).cloned().collect()
    }

    /// These have got it, too.
    pub(super) fn remember(&self, key: &str, taken: Vec<Address>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.entry(key.to_owned()).or_default().extend(taken);
    }

    /// It is done with.
    pub(super) fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// A connection with how many messages went over it, and which one it is.
type Kept = Option<(AsyncSmtpConnection, u32, u64)>;

/// A connection that waits a little for the next message, then says farewell.
#[derive(Default)]
pub(super) struct Idle {
    kept: Arc<Mutex<Kept>>,
    number: Mutex<u64>,
}

impl Idle {
    /// The connection that waits, with how many messages went over it.
    pub(super) fn take(&self) -> Option<(AsyncSmtpConnection, u32)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.map(|(connection, used, _)| (connection, used)).filter(|(connection, _)| !connection.has_broken())
    }

    /// Lets a connection wait, or ends it after so many messages.
    pub(super) fn keep(&self, mut connection: AsyncSmtpConnection, used: u32) {
        if used >= MESSAGES {
            tokio::spawn(async move { farewell(&mut connection).await });
            return;
        }
        let number = {
            let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
            *number += 1;
            *number
        };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, used, number));
        let weak = Arc::downgrade(&self.kept);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let waiting = weak.upgrade().and_then(|kept| {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.take_if(|(_, _, which)| *which == number)
            });
            if let Some((mut connection, ..)) = waiting {
                farewell(&mut connection).await;
            }
        });
    }
}

/// Ends a conversation. A farewell that goes wrong changes nothing.
pub(super) async fn farewell(connection: &mut AsyncSmtpConnection) {
    let ended = tokio::time::timeout(Duration::from_secs(1), connection.quit()).await;
    tracing::trace!(ended = ended.is_ok(), "mail connection closed");
}

/// A connection that ends when the other side has said too much.
#[derive(Debug)]
pub(super) struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl Bounded {
    /// The stream with a limit.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, left: LISTEN }
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server said too much")));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
