//! Targets that hang: one that never says anything, one that answers a byte a second, for ever.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
};

use super::{Task, eventually};

/// Somebody who takes connections and lets them hang.
#[derive(Debug)]
pub(crate) struct Hung {
    address: Option<SocketAddr>,
    taken: Arc<AtomicUsize>,
    _server: Task,
}

impl Hung {
    /// One that says nothing.
    pub(crate) async fn silent() -> Self {
        Self::serve(b"").await
    }

    /// One that begins an answer of HTTP and goes on at a byte a second.
    pub(crate) async fn trickling() -> Self {
        Self::serve(b"HTTP/1.1 200 OK\r\nx: ").await
    }

    async fn serve(beginning: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let server = Task::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.push(Task::spawn(hang(socket, beginning)));
            }
        });
        Self { address: Some(address), taken, _server: server }
    }

    /// One that says nothing, on a socket of this machine.
    pub(crate) fn silent_at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let server = Task::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.push(Task::spawn(hang(socket, b"")));
            }
        });
        Self { address: None, taken, _server: server }
    }

    /// The port of one that has an address.
    pub(crate) fn port(&self) -> u16 {
        self.address.map_or(0, |address| address.port())
    }

    /// Waits until somebody has been taken in.
    pub(crate) async fn caught(&self) {
        eventually("somebody to hang", async || (self.taken.load(Ordering::SeqCst) > 0).then_some(())).await;
    }
}

async fn hang(mut socket: impl AsyncRead + AsyncWrite + Unpin, beginning: &[u8]) {
    if beginning.is_empty() {
        // What it is told is taken and not answered; it is open until the other side has enough.
        let mut told = [0; 1_024];
        while let Ok(1..) = socket.read(&mut told).await {}
        return;
    }
    let mut bytes = beginning.to_vec();
    while socket.write_all(&bytes).await.is_ok() {
        bytes = b"a".to_vec();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
