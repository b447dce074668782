//! (Test only) An HTTP receiver on loopback that plays one part a connection and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What the receiver does with a request.
pub(super) enum Play {
    /// Answers with this status, these header lines (each ended by CR LF) and this body.
    Answer(u16, String, String),
    /// Answers 200 with a body that has no end.
    Endless,
    /// Reads the request and closes without a word.
    Cut,
}

impl Play {
    /// An answer without further headers.
    pub(super) fn plain(status: u16, body: &str) -> Self {
        Self::Answer(status, String::new(), body.to_owned())
    }
}

/// A running receiver.
pub(super) struct FakeHttp {
    /// Its address, `http://127.0.0.1:…`.
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeHttp {
    /// Starts one; `play` sees all requests so far, the newest last.
    pub(super) async fn start(mut play: impl FnMut(&[String]) -> Play + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read_request(&mut socket).await;
                let play = {
                    let mut log = log.lock().expect("lock");
                    log.push(request);
                    play(&log)
                };
                answer(&mut socket, play).await;
            }
        });
        Self { url, requests }
    }

    /// Everything it was asked, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("lock").clone()
    }
}

async fn answer(socket: &mut TcpStream, play: Play) {
    let written = match play {
        Play::Cut => return,
        Play::Answer(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n");
            socket.write_all(format!("{head}{body}").as_bytes()).await
        }
        Play::Endless => {
            let mut written = socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
            while written.is_ok() {
                written = socket.write_all(&[b'x'; 16_384]).await;
            }
            return;
        }
    };
    written.expect("write");
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = socket.read(&mut chunk).await.expect("read");
        bytes.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        if n == 0 {
            return text;
        }
    }
}

/// A header of a request.
pub(super) fn header(request: &str, name: &str) -> Option<String> {
    request.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// The body of a request.
pub(super) fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
