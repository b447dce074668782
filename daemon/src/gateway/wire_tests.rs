//! The listener as a client meets it that does not keep to the rules.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::testing::{OWNER_TOKEN, Rig};

/// What the listener sends back for these bytes, until it closes.
async fn raw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read all of a request that it refuses.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn oversized_and_contradictory_requests_are_refused_on_the_wire() {
    let rig = Rig::new().await;
    let address = rig.listen().await;
    let head = format!(
        "POST /alerts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OWNER_TOKEN}\r\nContent-Type: application/json\r\n"
    );
    let many = "X: y\r\n".repeat(10_000);
    for (request, status) in [
        (format!("{head}Content-Length: 10000000\r\n\r\n{}", "x".repeat(200_000)), "413"),
        (format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345"), "400"),
        (format!("{head}Content-Length: -1\r\n\r\n"), "400"),
        (format!("{head}{many}\r\n"), "431"),
        ("GET /prices HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("GET /prices HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = raw(address, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{}: {answer}", &request[..request.len().min(250)]);
    }
    let both = format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n");
    let answer = raw(address, both.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let rig = Rig::new().await;
    let address = rig.listen().await;
    let mut idle = Vec::new();
    for _ in 0..256 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let answer = raw(address, b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let rig = Rig::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(super::serve(listener, rig.router.clone(), rig.stop.clone()));
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut buffer = [0; 16];
    idle.read_exact(&mut buffer).await.unwrap();
    rig.stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let rig = Rig::new().await;
    let address = rig.listen().await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /health/live HTTP/1.1\r\nHo").await.unwrap();
    tokio::time::pause();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    answer.clear();
    idle.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "", "who asked nothing is told nothing");
}
