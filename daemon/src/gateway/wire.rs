//! The socket of one WebSocket session: what waits in the outbox goes out in batches, and what the client says comes in.
//!
//! Apart from the session, because only this part polls by hand: one task reads and writes, so that a beat of prices costs each
//! client one waking and one call of the kernel.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Sleep, sleep, timeout};

use super::outbox::Outbox;

/// So many bytes are gathered before they are handed to the kernel. Few, because they can no longer be overtaken by newer prices.
pub(super) const BATCH: usize = 8 * 1024;
/// How long a batch may take to go out.
const STUCK: Duration = Duration::from_secs(30);
/// How long a good-bye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// What happened on the wire.
pub(super) enum Turn {
    /// The client said something; nothing: it has gone.
    Heard(Option<Result<Message, axum::Error>>),
    /// All is out, and the outbox wants a fresh snapshot.
    Renew,
    /// Nothing more can be written.
    Broken,
    /// The client has not taken what was written for it in time.
    Stuck,
}

/// See the module.
pub(super) struct Wire {
    socket: WebSocket,
    /// Something was written that may not have gone out.
    unflushed: bool,
    /// Since the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// On this socket, whose library gathers at least [`BATCH`] bytes.
    pub(super) fn new(socket: WebSocket) -> Self {
        Self { socket, unflushed: false, stuck: None }
    }

    /// Writes what the outbox has, as fast as the client takes it, until something happens. Loses nothing when dropped.
    pub(super) async fn turn(&mut self, outbox: &mut Outbox) -> Turn {
        std::future::poll_fn(|context| {
            match self.poll_write(outbox, context) {
                Poll::Ready(Err(turn)) => return Poll::Ready(turn),
                Poll::Ready(Ok(())) if outbox.wants_snapshot() => return Poll::Ready(Turn::Renew),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            self.socket.poll_next_unpin(context).map(Turn::Heard)
        })
        .await
    }

    /// Ready when all that the outbox gives has gone out.
    fn poll_write(&mut self, outbox: &mut Outbox, context: &mut Context<'_>) -> Poll<Result<(), Turn>> {
        loop {
            if self.unflushed {
                let Poll::Ready(flushed) = self.socket.poll_flush_unpin(context) else {
                    let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(STUCK)));
                    return stuck.as_mut().poll(context).map(|()| Err(Turn::Stuck));
                };
                if flushed.is_err() {
                    return Poll::Ready(Err(Turn::Broken));
                }
                self.unflushed = false;
                self.stuck = None;
            }
            let mut bytes = 0;
            while bytes < BATCH {
                if ready!(self.socket.poll_ready_unpin(context)).is_err() {
                    return Poll::Ready(Err(Turn::Broken));
                }
                let Some(message) = outbox.next() else { break };
                if let Message::Text(text) = &message {
                    bytes += text.len();
                }
                if self.socket.start_send_unpin(message).is_err() {
                    return Poll::Ready(Err(Turn::Broken));
                }
                self.unflushed = true;
            }
            if !self.unflushed {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ends the connection, in order where the client lets us.
    pub(super) async fn end(mut self, close: Option<CloseFrame>) {
        if close.is_some() {
            // Fails only when the client is stuck or gone.
            drop(timeout(GOODBYE, self.socket.send(Message::Close(close))).await);
        }
        // What the client still says is of no interest, but its own good-bye ends the connection in order.
        drop(timeout(GOODBYE, async { while let Some(Ok(_)) = self.socket.next().await {} }).await);
    }
}
