//! An echo on the stack of `/prices/ws`, for conformance suites such as Autobahn's, which want every message back:
//!
//! ```sh
//! BELLWETHER_ECHO=127.0.0.1:9001 cargo test -p bellwether-daemon --lib an_echo_for_conformance_suites
//! ```
//!
//! With the variable it serves until it is ended; without it nothing is done.
//!
//! The listener, the limits and the good-byes are those of the daemon; only the session is another.

use axum::{
    Router,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    routing::get,
};
use futures_util::StreamExt;

use super::{Door, serve, stream, testing::Rig};

async fn echo(mut socket: WebSocket) {
    let goodbye = loop {
        match socket.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => match socket.send(message).await {
                Ok(()) => {}
                Err(_) => return,
            },
            Some(Ok(_)) => {}
            Some(Err(error)) => break stream::fault(error),
            None => return,
        }
    };
    if let Some(stream::Goodbye(code, reason)) = goodbye {
        drop(socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await);
    }
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn an_echo_for_conformance_suites() {
    let Ok(address) = std::env::var("BELLWETHER_ECHO") else { return };
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let rig = Rig::new().await;
    let answer = |upgrade: WebSocketUpgrade| async { stream::limited(upgrade).on_upgrade(echo) };
    let router = Router::new().route("/", get(answer));
    serve(Door::plain(listener), rig.places.clone(), router, rig.stop.clone()).await;
}
