//! A client of the daemon's WebSocket.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        handshake::client::{Request, Response},
        http::HeaderValue,
    },
};

use super::PATIENCE;

/// A session.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The last snapshot.
    pub(crate) snapshot: Value,
    /// The number of the last state frame.
    seq: u64,
}

/// The request that opens a session, to be changed before it is sent.
pub(crate) fn upgrade(authority: &str) -> Request {
    format!("ws://{authority}/prices/ws").into_client_request().expect("a request")
}

/// Opens a session with that request; the error is the server's refusal.
pub(crate) async fn connect(request: Request) -> Result<(Stream, Response), tungstenite::Error> {
    let (socket, response) = timeout(PATIENCE, connect_async(request)).await.expect("the daemon answers")?;
    Ok((Stream { socket, snapshot: Value::Null, seq: 0 }, response))
}

/// The HTTP status with which an upgrade is refused.
pub(crate) async fn refusal(request: Request) -> u16 {
    match connect(request).await {
        Ok(_) => 101,
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

impl Stream {
    /// A session of whoever has the token, past hello and snapshot.
    pub(crate) async fn open(authority: &str, token: &str) -> Self {
        let mut request = upgrade(authority);
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        request.headers_mut().insert("authorization", value);
        let (mut stream, _) = connect(request).await.expect("a session");
        stream.welcomed().await;
        stream
    }

    /// Reads hello and snapshot.
    pub(crate) async fn welcomed(&mut self) {
        let hello = self.next().await.expect("a frame");
        assert_eq!(hello["type"], "hello", "{hello}");
        assert_eq!(hello["protocol"], 1, "{hello}");
        let snapshot = self.next().await.expect("a frame");
        assert_eq!(snapshot["type"], "snapshot", "{snapshot}");
    }

    /// The next frame; nothing when the session ends. Numbers must follow each other.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("a frame within half a minute")? {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    if frame["type"] == "snapshot" {
                        self.seq = frame["seq"].as_u64().expect("a number");
                        self.snapshot = frame.clone();
                    } else if let Some(seq) = frame["seq"].as_u64() {
                        assert_eq!(seq, self.seq + 1, "a gap before {frame}");
                        self.seq = seq;
                    }
                    return Some(frame);
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The close code with which the session ends.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("an end within half a minute")? {
                Ok(Message::Close(frame)) => return frame.map(|f| f.code.into()),
                Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Reads until a frame is the one.
    pub(crate) async fn until(&mut self, what: &str, found: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the session ended before {what}"));
            if found(&frame) {
                return frame;
            }
        }
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_raw(Message::text(frame.to_string())).await.expect("the frame is sent");
    }

    /// Sends anything.
    pub(crate) async fn send_raw(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.socket.send(message).await
    }

    /// Sends a command and waits for its reply.
    pub(crate) async fn command(&mut self, command: &Value) -> Value {
        self.send(command).await;
        self.until("the reply", |frame| frame["type"] == "reply" && frame["id"] == command["id"]).await
    }
}
