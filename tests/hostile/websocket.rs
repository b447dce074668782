//! The WebSocket: who is let in, and what he may say (section 3, 46 to 49).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Message, http::HeaderValue};

use super::{KEY, alerts, claims, login, quiet, signed};
use crate::harness::{
    Daemon, PATIENCE, Stream,
    stream::{self, refusal, upgrade},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_websocket_lets_in_whom_it_knows() {
    let (_lab, daemon) = quiet().await;
    let (to, token) = (daemon.authority(), daemon.token());
    let with = |headers: &[(&'static str, &str)]| {
        let mut request = upgrade(to);
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        request
    };
    let bearer = format!("Bearer {token}");
    assert_eq!(refusal(with(&[])).await, 401);
    assert_eq!(refusal(with(&[("authorization", "Bearer x")])).await, 401);
    assert_eq!(refusal(with(&[("authorization", &bearer), ("origin", "https://evil.example")])).await, 403);
    assert_eq!(refusal(with(&[("authorization", &bearer), ("origin", "http://localhost:3000")])).await, 403);
    assert_eq!(refusal(with(&[("authorization", &bearer), ("host", "evil.example")])).await, 421);
    let offered = format!("bellwether.v1, bearer.{token}");
    let (mut session, answer) =
        stream::connect(with(&[("sec-websocket-protocol", &offered)])).await.expect("a session");
    session.welcomed().await;
    assert_eq!(answer.headers().get("sec-websocket-protocol").map(HeaderValue::as_bytes), Some(&b"bellwether.v1"[..]));
    assert_eq!(refusal(with(&[("sec-websocket-protocol", "bellwether.v1, bearer.x")])).await, 401);
    let plain = daemon.api().get("/prices/ws").await;
    plain.problem(426);
    assert!(!daemon.log().contains(token), "the token is in the log");

    // A session ends with its token.
    let user = login(&daemon.stranger(), "user@example.com").await;
    let mut short = claims(&user);
    short["exp"] = json!(jiff::Timestamp::now().as_second() + 1);
    let short = signed(&json!({"typ": "JWT", "alg": "HS256"}), &short, KEY);
    let mut session = Stream::open(to, &short).await;
    assert_eq!(session.close_code().await, Some(4401));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_websocket_takes_nothing_that_it_cannot_use() {
    let (_lab, daemon) = quiet().await;
    let mut session = daemon.stream().await;
    for frame in [
        r#"{"type":"dance"}"#,
        r#"{"type":17}"#,
        "[]",
        "null",
        "{",
        "",
        r#"{"type":"subscribe","symbols":"BTC"}"#,
        r#"{"type":"subscribe","symbols":["BITCON"]}"#,
        r#"{"type":"subscribe","topics":["gossip"]}"#,
        r#"{"type":"create","alert":{"expr":"BTC > 60k"}}"#,
        r#"{"type":"delete","id":1}"#,
        r#"{"type":"delete","id":2,"alert_id":"99999999999999999999"}"#,
        r#"{"type":"create","id":3,"alert":{"expr":"BTC >"}}"#,
        r#"{"type":"create","id":4,"alert":{"symbol":"BTC","condition":"above","target_price":null}}"#,
    ] {
        session.send_raw(Message::text(frame)).await.expect("sent");
        let said = session.until("an answer", |f| ["error", "reply"].iter().any(|t| f["type"] == *t)).await;
        assert!(said["ok"] != true && said["problem"]["detail"].is_string(), "{frame}: {said}");
        // At most 20 a second: the next one is allowed after a twentieth.
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    assert_eq!(alerts(&daemon.api()).await, 0);
    let symbols: Vec<String> = (0..2_000).map(|n| format!("S{n}")).collect();
    session.send(&json!({"type": "subscribe", "symbols": symbols})).await;
    let said = session.until("an answer", |f| f["type"] == "error").await;
    assert!(said["problem"]["detail"].is_string(), "{said}");

    let ends = async |message: Message| {
        let mut session = daemon.stream().await;
        // The other side may hang up before everything is written.
        session.send_raw(message).await.ok();
        session.close_code().await
    };
    let large = ends(Message::text("x".repeat(32 << 20))).await;
    assert!(matches!(large, Some(1009) | None), "{large:?}");
    assert_eq!(ends(Message::text(format!("\"{}\"", "x".repeat(65 * 1024)))).await, Some(1009));
    assert_eq!(ends(Message::binary(vec![0; 10])).await, Some(1003));
    let mut flood = daemon.stream().await;
    for id in 0..1_000 {
        if flood
            .send_raw(Message::text(json!({"type": "delete", "id": id, "alert_id": "a9"}).to_string()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(flood.close_code().await, Some(1008));

    // Frames that no library would write: by hand.
    for (what, frame, code) in [
        ("not masked", &[0x81, 0x02, b'h', b'i'][..], 1002),
        ("reserved opcode", &[0x83, 0x80, 0, 0, 0, 0], 1002),
        ("bad UTF-8", &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], 1007),
        ("a fragment of nothing", &[0x80, 0x80, 0, 0, 0, 0], 1002),
    ] {
        assert_eq!(by_hand(&daemon, frame).await, code, "{what}");
    }
    assert_eq!(daemon.api().get("/health/ready").await.status, 200);
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

/// Opens a session, writes raw bytes, and gives the code with which the daemon closes it.
async fn by_hand(daemon: &Daemon, frame: &[u8]) -> u16 {
    let mut socket = TcpStream::connect(daemon.authority()).await.expect("connected");
    let head = format!(
        "GET /prices/ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        daemon.authority(),
        STANDARD.encode("sixteen bytes :)"),
        daemon.token()
    );
    socket.write_all(head.as_bytes()).await.expect("written");
    socket.write_all(frame).await.expect("written");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the daemon ends it");
    drop(read);
    // The last frame of the daemon: 0x88, a length, the code in two bytes, a reason.
    let closing = (0..answer.len().saturating_sub(3))
        .rev()
        .find(|at| answer[*at] == 0x88 && usize::from(answer[at + 1]) == answer.len() - at - 2);
    closing.map_or(0, |at| u16::from_be_bytes([answer[at + 2], answer[at + 3]]))
}
