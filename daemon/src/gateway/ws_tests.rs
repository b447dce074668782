//! WebSocket sessions as a client meets them, over a real socket.

use std::time::Duration;

use bellwether_core::{
    board::{Board, Snapshot},
    config::Config,
    event::Event,
    protocol::{PROTOCOL, ServerFrame},
    time::Span,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::{Request, Response},
    },
};

use super::testing::{OWNER_TOKEN, Rig, alert_event, feed_event, price_event};
use crate::clock::Clock;

type Client = WebSocketStream<TcpStream>;

fn request(headers: &[(&'static str, String)]) -> Request {
    let mut request = "ws://localhost:8000/prices/ws".into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

async fn connect(rig: &Rig, headers: &[(&'static str, String)]) -> Result<(Client, Response), Error> {
    let address = rig.listen().await;
    let socket = TcpSocket::new_v4().unwrap();
    // What a client does not read must not vanish in the kernel.
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    client_async(request(headers), socket.connect(address).await.unwrap()).await
}

async fn enter(rig: &Rig, token: &str) -> Client {
    connect(rig, &[("authorization", format!("Bearer {token}"))]).await.expect("opens").0
}

async fn refused(rig: &Rig, headers: &[(&'static str, String)]) -> u16 {
    match connect(rig, headers).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

/// The next message that is neither ping nor pong.
async fn hear(client: &mut Client) -> Message {
    loop {
        let message = client.next().await.expect("not the end").expect("a message");
        if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
            return message;
        }
    }
}

async fn value(client: &mut Client) -> Value {
    serde_json::from_str(hear(client).await.to_text().unwrap()).unwrap()
}

async fn frame(client: &mut Client) -> ServerFrame {
    serde_json::from_str(hear(client).await.to_text().unwrap()).unwrap()
}

async fn greeted(client: &mut Client) -> Value {
    assert_eq!(value(client).await["type"], "hello");
    value(client).await
}

async fn say(client: &mut Client, message: &Value) {
    client.send(Message::text(message.to_string())).await.unwrap();
}

/// Reads until the good-bye: its code.
async fn goodbye(client: &mut Client) -> u16 {
    loop {
        match client.next().await {
            Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no good-bye: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_says_hello_shows_the_picture_and_goes_on_with_prices() {
    let rig = Rig::new().await;
    let (_, mut published) = rig.gateway.hub.subscribe(false).await.unwrap();
    rig.events.send(price_event("ETH", "2000")).await.unwrap();
    published.recv().await.unwrap();
    let mut client = enter(&rig, OWNER_TOKEN).await;
    let hello = value(&mut client).await;
    assert_eq!((&hello["type"], &hello["protocol"]), (&json!("hello"), &json!(PROTOCOL)));
    let snapshot = value(&mut client).await;
    assert_eq!(
        (&snapshot["type"], &snapshot["seq"], &snapshot["prices"][0]["symbol"]),
        (&json!("snapshot"), &json!(1), &json!("ETH"))
    );
    rig.events.send(price_event("BTC", "60000.5")).await.unwrap();
    let price = value(&mut client).await;
    for (name, expected) in [
        ("type", json!("price")),
        ("seq", json!(2)),
        ("symbol", json!("BTC")),
        ("price", json!("60000.5")),
        ("source", json!("coinbase")),
    ] {
        assert_eq!(price[name], expected, "{price}");
    }
    say(&mut client, &json!({"type": "subscribe", "symbols": ["xbt"], "topics": ["prices"]})).await;
    let snapshot = value(&mut client).await;
    assert_eq!((&snapshot["seq"], snapshot["prices"].as_array().unwrap().len()), (&json!(3), 1));
    for event in [price_event("ETH", "2001"), feed_event(), price_event("BTC", "60001")] {
        rig.events.send(event).await.unwrap();
    }
    let price = value(&mut client).await;
    assert_eq!((&price["seq"], &price["price"]), (&json!(4), &json!("60001")));
    rig.stop.cancel();
    assert_eq!(goodbye(&mut client).await, 1001);
}

#[tokio::test]
async fn a_client_may_have_every_price() {
    let rig = Rig::new().await;
    let mut client = enter(&rig, OWNER_TOKEN).await;
    for _hello_and_snapshot in 0..2 {
        value(&mut client).await;
    }
    say(&mut client, &json!({"type": "subscribe", "symbols": ["BTC"], "interval": "0s"})).await;
    assert_eq!(value(&mut client).await["type"], "snapshot");
    for price in 1..=20 {
        rig.events.send(price_event("BTC", &price.to_string())).await.unwrap();
    }
    for price in 1..=20 {
        assert_eq!(value(&mut client).await["price"], price.to_string());
    }
    rig.stop.cancel();
    assert_eq!(goodbye(&mut client).await, 1001);
}

#[tokio::test]
async fn a_token_may_come_as_a_subprotocol_and_never_comes_back() {
    let rig = Rig::new().await;
    let offered = format!("bellwether.v1, bearer.{OWNER_TOKEN}");
    let (mut client, response) = connect(&rig, &[("sec-websocket-protocol", offered)]).await.expect("opens");
    assert_eq!(response.headers()["sec-websocket-protocol"], "bellwether.v1");
    assert!(!format!("{:?}", response.headers()).contains(OWNER_TOKEN));
    greeted(&mut client).await;
}

#[tokio::test]
async fn strangers_do_not_get_in() {
    let rig = Rig::new().await;
    let token = ("authorization", format!("Bearer {OWNER_TOKEN}"));
    assert_eq!(refused(&rig, &[]).await, 401);
    assert_eq!(refused(&rig, &[("authorization", "Bearer x".to_owned())]).await, 401);
    assert_eq!(refused(&rig, &[("sec-websocket-protocol", "bellwether.v1, bearer.x".to_owned())]).await, 401);
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        assert_eq!(refused(&rig, &[token.clone(), ("origin", origin.to_owned())]).await, 403, "{origin}");
    }
    assert_eq!(refused(&rig, &[token, ("host", "evil.example".to_owned())]).await, 421);
}

#[tokio::test]
async fn commands_are_answered_under_their_id() {
    let rig = Rig::new().await;
    let mut client = enter(&rig, OWNER_TOKEN).await;
    greeted(&mut client).await;
    say(&mut client, &json!({"type": "subscribe", "topics": ["status"]})).await;
    assert_eq!(value(&mut client).await["type"], "snapshot");
    let alert = json!({"symbol": "BTC", "condition": "above", "target_price": 60000.10});
    for (message, expected) in [
        (json!({"type": "create", "id": 1, "alert": alert}), json!({"id": 1, "ok": true})),
        (
            json!({"type": "update", "id": "two", "alert_id": "a1", "patch": {"paused": true}}),
            json!({"id": "two", "ok": true}),
        ),
        (
            json!({"type": "update", "id": 3, "alert_id": "a1", "patch": {"paused": true}, "version": 1}),
            json!({"id": 3, "ok": false, "problem": {"status": 412}}),
        ),
        (
            json!({"type": "create", "id": 4, "alert": {"symbol": "BTC", "condition": "above", "target_price": ""}}),
            json!({"id": 4, "ok": false, "problem": {"status": 422, "field": "target_price"}}),
        ),
        (
            json!({"type": "create", "id": 5, "alert": {"expr": "BTC accross 60k"}}),
            json!({"id": 5, "ok": false, "problem": {"code": "E_SYNTAX", "field": "expr"}}),
        ),
        (json!({"type": "create", "id": 6}), json!({"id": 6, "ok": false, "problem": {"field": "alert"}})),
        (json!({"type": "delete", "id": 7, "alert_id": "a1"}), json!({"id": 7, "ok": true})),
        (
            json!({"type": "delete", "id": 8, "alert_id": "a1"}),
            json!({"id": 8, "ok": false, "problem": {"status": 404}}),
        ),
        (json!({"type": "delete", "alert_id": "a1"}), json!({"type": "error", "problem": {"field": "id"}})),
        (json!({"type": "shout"}), json!({"type": "error", "problem": {"field": "type"}})),
        (json!({"type": "subscribe", "symbols": ["NOPE"]}), json!({"type": "error", "problem": {"field": "symbols"}})),
        (
            json!({"type": "subscribe", "symbols": vec!["BTC"; 1_001]}),
            json!({"type": "error", "problem": {"field": "symbols"}}),
        ),
        (json!([1]), json!({"type": "error", "problem": {"status": 422}})),
    ] {
        say(&mut client, &message).await;
        let answer = value(&mut client).await;
        for (name, expected) in expected.as_object().unwrap() {
            match expected.as_object() {
                Some(problem) => {
                    for (part, value) in problem {
                        assert_eq!(&answer[name][part], value, "{message}: {answer}");
                    }
                }
                None => assert_eq!(&answer[name], expected, "{message}: {answer}"),
            }
        }
    }
    client.send(Message::text("{\"type\":")).await.unwrap();
    assert_eq!(value(&mut client).await["problem"]["status"], 400);
}

#[tokio::test]
async fn a_price_in_a_command_keeps_its_digits() {
    let rig = Rig::new().await;
    let mut client = enter(&rig, OWNER_TOKEN).await;
    greeted(&mut client).await;
    let command =
        r#"{"type":"create","id":1,"alert":{"symbol":"BTC","condition":"above","target_price":60000.123456789012345}}"#;
    client.send(Message::text(command)).await.unwrap();
    loop {
        let answer = value(&mut client).await;
        if answer["type"] == "reply" {
            assert_eq!(answer["alert"]["target_price"], "60000.123456789012345", "{answer}");
            return;
        }
    }
}

#[tokio::test]
async fn nobody_hears_of_anothers_alerts() {
    let rig = Rig::new().await;
    let (one, two) = (rig.account("one@example.com").await, rig.account("two@example.com").await);
    let mut listener = enter(&rig, &two).await;
    greeted(&mut listener).await;
    let (status, _) = rig.call("POST", "/alerts", &one, r#"{"expr":"BTC > 60k"}"#).await;
    assert_eq!(status, 201);
    say(&mut listener, &json!({"type": "update", "id": 1, "alert_id": "a1", "patch": {"paused": true}})).await;
    assert_eq!(value(&mut listener).await["problem"]["status"], 404);
    rig.events.send(feed_event()).await.unwrap();
    let next = value(&mut listener).await;
    assert_eq!((&next["type"], &next["seq"]), (&json!("feed"), &json!(2)), "no number is missing: {next}");
    say(&mut listener, &json!({"type": "snapshot"})).await;
    assert_eq!(value(&mut listener).await["alerts"], json!([]));
}

#[tokio::test]
async fn who_missed_something_gets_a_fresh_picture() {
    let rig = Rig::new().await;
    let mut client = enter(&rig, OWNER_TOKEN).await;
    greeted(&mut client).await;
    // Handed over in one go: more than a subscription holds.
    for id in 1..=1_000 {
        rig.events.try_send(alert_event(1, id)).unwrap();
    }
    let mut board = Board::from_snapshot(Snapshot { seq: 1, ..Snapshot::default() });
    while board.alerts().count() < 1_000 {
        match frame(&mut client).await {
            ServerFrame::Snapshot { seq, alerts, .. } => {
                let alerts = alerts.into_iter().map(Into::into).collect();
                board = Board::from_snapshot(Snapshot { seq, alerts, ..Snapshot::default() });
            }
            other => {
                let (seq, event) = other.into_event().expect("an event");
                board.apply(seq, event).expect("no gap");
            }
        }
    }
    assert!(board.seq() < 1_000, "a snapshot stood in for what was missed");
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up_and_the_others_are_served() {
    let rig = Rig::new().await;
    for id in 1..=4_000 {
        rig.events.try_send(alert_event(1, id)).unwrap();
    }
    rig.gateway.hub.feeds().await.unwrap();
    let silent = enter(&rig, OWNER_TOKEN).await;
    let other_account = rig.account("two@example.com").await;
    let mut other = enter(&rig, &other_account).await;
    greeted(&mut other).await;
    for price in 1..=500 {
        rig.events.send(price_event("BTC", &price.to_string())).await.unwrap();
    }
    loop {
        if let Some((_, Event::Price(ticker))) = frame(&mut other).await.into_event()
            && ticker.price.to_string() == "500"
        {
            break;
        }
    }
    assert_eq!(rig.gateway.metrics.sessions.get(), 2);
    drop(other);
    tokio::time::pause();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(rig.gateway.metrics.sessions.get(), 0, "30 s without progress end a session");
    drop(silent);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let rig = Rig::new().await;
    let mut client = enter(&rig, OWNER_TOKEN).await;
    greeted(&mut client).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(41)).await;
    assert_eq!(goodbye(&mut client).await, 1013);
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let mut config = Config::default();
    config.server.token_lifetime = Span::from_seconds(1);
    let rig = Rig::with(config, Clock::system()).await;
    let token = rig.account("user@example.com").await;
    let mut client = enter(&rig, &token).await;
    assert_eq!(goodbye(&mut client).await, 4401);
}

#[tokio::test]
async fn what_is_no_protocol_is_told_so_on_the_way_out() {
    let rig = Rig::new().await;
    let raw = |bytes: &[u8]| bytes.to_vec();
    // Masked with zeros (RFC 6455, 5.2): a text with a byte that is no UTF-8; a reserved opcode; an unmasked text; a frame that
    // announces 32 MiB; a fragment after which the message grows too large.
    let mut endless = raw(&[0x01, 0xfe, 0xff, 0xff, 0, 0, 0, 0]);
    endless.extend(vec![b'x'; 65_535]);
    endless.extend([0x00, 0xfe, 0xff, 0xff, 0, 0, 0, 0]);
    endless.extend(vec![b'x'; 65_535]);
    for (bytes, code) in [
        (raw(&[0x81, 0x81, 0, 0, 0, 0, 0xff]), 1007),
        (raw(&[0x83, 0x80, 0, 0, 0, 0]), 1002),
        (raw(&[0x81, 0x01, b'x']), 1002),
        (raw(&[0x81, 0xff, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]), 1009),
        (raw(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), 1002),
        (endless, 1009),
        (raw(&[0x82, 0x81, 0, 0, 0, 0, b'x']), 1003),
    ] {
        let mut client = enter(&rig, OWNER_TOKEN).await;
        greeted(&mut client).await;
        client.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(goodbye(&mut client).await, code, "{:?}", &bytes[..bytes.len().min(16)]);
    }
}

#[tokio::test]
async fn a_thousand_messages_at_once_end_a_session() {
    let rig = Rig::new().await;
    let mut client = enter(&rig, OWNER_TOKEN).await;
    greeted(&mut client).await;
    for _ in 0..1_000 {
        // The session may end in the middle.
        if client.feed(Message::text("{\"type\":\"snapshot\"}")).await.is_err() {
            break;
        }
    }
    drop(client.flush().await);
    assert_eq!(goodbye(&mut client).await, 1008);
}

#[tokio::test]
async fn a_session_ends_with_the_tokens_of_its_account_and_others_go_on() {
    let rig = Rig::new().await;
    let (anne, bert) = (rig.account("anne@example.org").await, rig.account("bert@example.org").await);
    let mut sessions = Vec::new();
    for token in [&anne, &anne, &bert] {
        let mut client = enter(&rig, token).await;
        greeted(&mut client).await;
        sessions.push(client);
    }
    assert_eq!(rig.call("POST", "/auth/logout", &anne, "").await.0, 204);
    for client in &mut sessions[..2] {
        match hear(client).await {
            Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 4401),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused(&rig, &[("authorization", format!("Bearer {anne}"))]).await, 401);
    sessions[2].send(Message::text(r#"{"type":"snapshot"}"#)).await.unwrap();
    assert_eq!(value(&mut sessions[2]).await["type"], "snapshot");
}
