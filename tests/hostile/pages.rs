//! Pages in the browser of whoever runs the daemon: rebinding, foreign origins, simple requests (P21; section 3, 38 to 41).

use super::{alerts, quiet};
use crate::harness::api::{raw, status_of};

/// A request with these header lines, beside those that it needs.
fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let headers = headers.join("\r\n");
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_own_names_and_pages_are_answered() {
    let (_lab, daemon) = quiet().await;
    let (to, token) = (daemon.authority().to_owned(), format!("Authorization: Bearer {}", daemon.token()));
    let port = to.rsplit(':').next().expect("a port");
    let ask = async |method: &str, path: &str, headers: &[&str]| {
        let answer = raw(&to, &request(method, path, headers, "")).await.expect("an answer");
        status_of(&answer)
    };
    let paths =
        ["/prices", "/alerts", "/metrics", "/health/live", "/health/ready", "/docs", "/openapi.json", "/prices/ws"];
    for path in paths {
        for (host, expected) in [
            ("Host: evil.example", 421),
            ("Host: 127.0.0.1.evil.example", 421),
            ("Host: localhost.evil:8000", 421),
            ("Host: localhost:8000@evil", 400),
            ("Host: 127.0.0.1:evil", 400),
            ("Host: loc\u{e4}lhost", 400),
            ("Host:", 400),
            ("X-No: host", 400),
            ("Host: localhost\r\nHost: localhost", 400),
        ] {
            assert_eq!(ask("GET", path, &[host, &token]).await, expected, "{path} with `{host}`");
            assert_eq!(
                ask("GET", path, &[host]).await,
                expected,
                "{path} with `{host}`, before any token is looked at"
            );
        }
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]:8000"] {
        assert_eq!(ask("GET", "/prices", &[&format!("Host: {host}"), &token]).await, 200, "{host}");
    }

    let own = format!("Host: localhost:{port}");
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil:8000",
        "http://localhost:3000",
        "file://",
        "https://localhost",
    ] {
        let origin = format!("Origin: {origin}");
        for (method, path) in [
            ("GET", "/prices"),
            ("POST", "/alerts"),
            ("POST", "/auth/login"),
            ("OPTIONS", "/alerts"),
            ("GET", "/metrics"),
            ("GET", "/prices/ws"),
        ] {
            assert_eq!(ask(method, path, &[&own, &origin, &token]).await, 403, "{method} {path} from {origin}");
        }
    }
    let page = format!("Origin: http://localhost:{port}");
    assert_eq!(ask("GET", "/prices", &[&own, &page, &token]).await, 200, "its own page");
    assert_eq!(ask("GET", "/metrics", &[&own, "Sec-Fetch-Site: cross-site"]).await, 403);
    for (path, status) in [("/docs", 303), ("/docs/", 200)] {
        let status_ = ask("GET", path, &[&own, "Sec-Fetch-Site: cross-site"]).await;
        assert_eq!(status_, status, "a link to the documentation, {path}");
    }

    // No answer invites a foreign page.
    let answer = raw(&to, &request("GET", "/prices", &[&own, &token], "")).await.expect("an answer");
    assert!(!answer.to_ascii_lowercase().contains("access-control-allow-origin"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("x-content-type-options: nosniff"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{answer}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_the_browser_can_neither_log_in_nor_write() {
    let (_lab, daemon) = quiet().await;
    daemon.stranger().account("user@example.com", "secret123").await;
    let to = daemon.authority().to_owned();
    let host = format!("Host: {to}");
    let form = "username=user@example.com&password=secret123";
    let kind = "Content-Type: application/x-www-form-urlencoded";
    for _ in 0..12 {
        let wrong = "username=user@example.com&password=wrong-password";
        let headers = [&*host, kind, "Sec-Fetch-Site: cross-site"];
        assert_eq!(
            status_of(&raw(&to, &request("POST", "/auth/login", &headers, wrong)).await.expect("an answer")),
            403
        );
    }
    // None of those was counted as a wrong password.
    assert_eq!(
        status_of(&raw(&to, &request("POST", "/auth/login", &[&host, kind], form)).await.expect("an answer")),
        200
    );

    // What `fetch` may send without asking: three simple types, no other header.
    let body = r#"{"expr":"BTC > 60k"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let headers = [&*host, &format!("Content-Type: {kind}"), &format!("Authorization: Bearer {}", daemon.token())];
        let status = status_of(&raw(&to, &request("POST", "/alerts", &headers, body)).await.expect("an answer"));
        assert_eq!(status, 415, "{kind}");
    }
    assert_eq!(alerts(&daemon.api()).await, 0);
    daemon.stop().await;
}
