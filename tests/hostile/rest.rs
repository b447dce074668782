//! REST: bodies, paths, queries and broken HTTP (section 3, 30 to 37 and 45).

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{alerts, quiet};
use crate::harness::{
    PATIENCE,
    api::{raw, status_of},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_wrong_is_refused_with_its_field_and_makes_nothing() {
    let (_lab, daemon) = quiet().await;
    let api = daemon.api();
    let send = async |kind: Option<&str>, body: String| {
        let request = api.request(Method::POST, "/alerts").body(body);
        api.send(match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        })
        .await
    };
    let json_type = Some("application/json");
    let good = r#"{"expr":"BTC > 60k"}"#;
    for body in [
        "",
        "{",
        r#"{"expr":"BTC > 60k"} and more"#,
        r#"{"expr":"BTC > 60k","expr":"BTC > 61k"}"#,
        r#"{"note":"\ud800","expr":"BTC > 60k"}"#,
        &"[".repeat(10_000),
        &format!("{}1{}", r#"{"expr":"#.repeat(5_000), "}".repeat(5_000)),
    ] {
        send(json_type, body.to_owned()).await.problem(400);
    }
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/json; charset=latin1")]
    {
        send(kind, good.to_owned()).await.problem(415);
    }
    send(json_type, format!("{{\"expr\":\"{}\"}}", " ".repeat(10 << 20))).await.problem(413);
    for (field, value) in [
        ("target_price", "null"),
        ("target_price", "\"\""),
        ("target_price", "true"),
        ("target_price", "1e400"),
        ("target_price", "[]"),
        ("target_price", "\"NaN\""),
        ("target_price", "-5"),
        ("target_price", "0"),
        ("target_price", "12345678901234567890123456789012345678901"),
        ("target_price", "0.1234567890123456789"),
        ("symbl", "1"),
        ("cooldown", "\"5 mins ago\""),
        ("cooldown", "\"99999999999d\""),
        ("repeat", "\"sometimes\""),
        ("channels", "[\"pigeon\"]"),
        ("until", "\"2020-01-01\""),
        ("symbol", "\"BITCON\""),
        ("symbol", "17"),
        ("condition", "\"above all\""),
    ] {
        let mut fields: BTreeMap<&str, &str> =
            [("symbol", "\"BTC\""), ("condition", "\"above\""), ("target_price", "60000")].into();
        fields.insert(field, value);
        let body = fields.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(",");
        let problem = send(json_type, format!("{{{body}}}")).await.problem(422);
        assert_eq!(problem["field"], field, "{value}: {problem}");
    }
    for (lower, upper) in [("70000", "60000"), ("60000", "60000")] {
        let body = format!(r#"{{"symbol":"BTC","condition":"range","lower":{lower},"upper":{upper}}}"#);
        send(json_type, body).await.problem(422);
    }
    let long = format!("{{\"expr\":\"BTC > 60k note \\\"{}\\\"\"}}", "n".repeat(501));
    send(json_type, long).await.problem(422);
    assert_eq!(alerts(&api).await, 0, "something was made after all");
    assert_eq!(send(json_type, good.to_owned()).await.status, 201, "the good one is taken");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_404_and_what_does_not_fit_is_said() {
    let (_lab, daemon) = quiet().await;
    let api = daemon.api();
    let id = api.alert("BTC > 60k").await;
    for junk in
        ["a99", "99999999999999999999", "-1", "%00", "%2e%2e", "a1%2F..", "a1;drop", "%ff", "a01x", &"9".repeat(5_000)]
    {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let request = api.request(method.clone(), &format!("/alerts/{junk}")).json(&json!({"paused": true}));
            let answer = api.send(request).await;
            assert_eq!(answer.status, 404, "{method} /alerts/{junk}: {answer:?}");
        }
    }
    api.get("/prices/NOPE").await.problem(404);
    api.get("/nothing/here").await.problem(404);
    for (query, status) in [
        ("limit=1000000000", 422),
        ("limit=-1", 422),
        ("limit=0", 422),
        ("limit=x", 422),
        ("cursor=AAAA", 400),
        ("cursor=%00", 400),
        ("cursor=x'%20or%201=1", 400),
    ] {
        for path in ["/events", "/deliveries"] {
            api.get(&format!("{path}?{query}")).await.problem(status);
        }
    }
    for (method, path) in [
        (Method::PUT, format!("/alerts/{id}")),
        (Method::DELETE, "/prices".to_owned()),
        (Method::GET, "/auth/login".to_owned()),
    ] {
        let answer = api.send(api.request(method, &path)).await;
        answer.problem(405);
        assert!(!answer.header("allow").is_empty(), "{answer:?}");
    }
    let overridden = api.request(Method::POST, &format!("/alerts/{id}")).header("x-http-method-override", "DELETE");
    api.send(overridden).await.problem(405);
    let overridden =
        api.request(Method::GET, &format!("/alerts/{id}?_method=DELETE")).header("x-http-method-override", "DELETE");
    assert_eq!(api.send(overridden).await.status, 200);
    assert_eq!(alerts(&api).await, 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_http_ends_the_connection_and_nothing_else() {
    let (_lab, daemon) = quiet().await;
    let to = daemon.authority().to_owned();
    let head = format!(
        "POST /alerts HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n",
        daemon.token()
    );
    let body = r#"{"expr":"BTC > 60k"}"#;
    let many = "X-Many: v\r\n".repeat(10_000);
    let requests = [
        format!("{head}Content-Length: 20\r\nContent-Length: 5\r\n\r\n{body}"),
        format!("{head}Content-Length: x\r\n\r\n{body}"),
        format!("{head}Content-Length: -1\r\n\r\n{body}"),
        format!("{head}Content-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /alerts HTTP/1.1\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n"),
        format!("GET /prices HTTP/1.1\r\nHost: {to}\r\n{many}\r\n"),
        format!("GET /prices HTTP/1.1\r\nHost: {to}\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024)),
        format!("GET /{} HTTP/1.1\r\nHost: {to}\r\n\r\n", "x".repeat(200 * 1024)),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
    ];
    for request in &requests {
        let shown: String = request.chars().take(200).collect();
        let answer = raw(&to, request.as_bytes()).await.unwrap_or_else(|| panic!("the connection stays open: {shown}"));
        assert!(matches!(status_of(&answer), 0 | 400 | 413 | 414 | 431 | 505), "{shown}\n{answer}");
    }
    // One byte a second: the head does not arrive in time.
    let mut slow = TcpStream::connect(&to).await.expect("connected");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, async {
        for byte in format!("GET /health/live HTTP/1.1\r\nHost: {to}\r\nX: {}", "x".repeat(100)).bytes() {
            let mut pause = tokio::time::interval(std::time::Duration::from_secs(1));
            pause.tick().await;
            tokio::select! {
                read = slow.read_buf(&mut answer) => if matches!(read, Ok(0) | Err(_)) { return },
                _ = pause.tick() => if slow.write_all(&[byte]).await.is_err() { return },
            }
        }
        panic!("it waits for ever");
    });
    ended.await.expect("the daemon loses its patience first");
    let answer = String::from_utf8_lossy(&answer);
    assert!(matches!(status_of(&answer), 0 | 408), "{answer}");
    assert_eq!(alerts(&daemon.api()).await, 0);
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}
