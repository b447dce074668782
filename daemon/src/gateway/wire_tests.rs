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
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000)), "431"),
    ] {
        let answer = raw(address, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{}: {answer}", &request[..request.len().min(250)]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("content-type: application/problem+json"), "{answer}");
        let problem: bellwether_core::protocol::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status.to_string(), status, "{answer}");
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
    // Who has shown a token is none of those who can be too many.
    let mut inside = TcpStream::connect(address).await.unwrap();
    let ask = format!("GET /alerts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OWNER_TOKEN}\r\n\r\n");
    let mut answer = vec![0; 15];
    inside.write_all(ask.as_bytes()).await.unwrap();
    inside.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    for _ in 0..64 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let answer = raw(address, b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    inside.write_all(ask.as_bytes()).await.unwrap();
    assert!(inside.read(&mut [0; 64]).await.unwrap() > 0);
}

/// A client that trusts the authority of the tests alone.
fn connector() -> tokio_rustls::TlsConnector {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(include_bytes!("../notify/testdata/ca.pem")).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    std::sync::Arc::new(config).into()
}

/// The certificate of the tests, for `localhost`.
fn certificate() -> bellwether_core::config::Tls {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/notify/testdata");
    bellwether_core::config::Tls { cert: data.join("server.pem"), key: data.join("server.key") }
}

#[tokio::test]
async fn with_a_certificate_it_speaks_https_and_nothing_else() {
    let rig = Rig::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Some(super::acceptor(&certificate()).unwrap());
    let door = super::Door { listener, tls, behind_proxy: false };
    tokio::spawn(super::serve(door, rig.places.clone(), rig.router.clone(), rig.stop.clone()));
    for (origin, status) in
        [("", "200"), ("Origin: https://localhost:1\r\n", "200"), ("Origin: http://localhost:1\r\n", "403")]
    {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector().connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let ask = format!(
            "GET /alerts HTTP/1.1\r\nHost: localhost:1\r\n{origin}Authorization: Bearer {OWNER_TOKEN}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{origin}: {answer}");
    }
    // Plain HTTP is no TLS; nothing is answered that could be taken for an answer.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /alerts HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn behind_a_proxy_who_comes_from_elsewhere_needs_a_token_for_the_figures_too() {
    let rig = Rig::new().await;
    for (behind_proxy, forwarded, status) in [
        (true, "X-Forwarded-For: 127.0.0.1, 203.0.113.7\r\n", "401"),
        (true, "X-Forwarded-For: ::1\r\n", "200"),
        (true, "", "200"),
        (false, "X-Forwarded-For: 203.0.113.7\r\n", "200"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = super::Door { listener, tls: None, behind_proxy };
        tokio::spawn(super::serve(door, rig.places.clone(), rig.router.clone(), rig.stop.clone()));
        let ask = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{forwarded}Connection: close\r\n\r\n");
        let answer = raw(address, ask.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{behind_proxy} {forwarded}: {answer}");
    }
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let rig = Rig::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(super::serve(
        super::Door::plain(listener),
        rig.places.clone(),
        rig.router.clone(),
        rig.stop.clone(),
    ));
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
