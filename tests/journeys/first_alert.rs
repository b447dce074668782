//! The first alert of a new account, by the three calls of docs/api.md, byte for byte as curl sends them.

use serde_json::Value;

use crate::harness::{Api, Exchange, Lab, Receiver, Settings, api};

/// Sends one call of curl's and gives status and body.
async fn curl(authority: &str, path: &str, headers: &[&str], body: &str) -> (u16, String, String) {
    let port = authority.rsplit(':').next().expect("a port");
    let (headers, length) = (headers.join("\r\n"), body.len());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n{headers}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let answer = api::raw(authority, request.as_bytes()).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (api::status_of(&answer), head.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_calls_make_an_alert_that_rings() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    exchange.trade("BTC-USD", "59990");
    let settings = Settings::quiet().coinbase(&exchange).webhook("default", &receiver).by_default("webhook");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let to = daemon.authority();

    let body = r#"{"email":"user@example.com","password":"secret123"}"#;
    let (status, _, said) = curl(to, "/auth/register", &["Content-Type: application/json"], body).await;
    assert_eq!(status, 201, "{said}");

    let form = "Content-Type: application/x-www-form-urlencoded";
    let (status, _, said) = curl(to, "/auth/login", &[form], "username=user@example.com&password=secret123").await;
    assert_eq!(status, 200, "{said}");
    let login: Value = serde_json::from_str(&said).expect("JSON");
    assert!(login["expires_in"].as_i64().is_some_and(|seconds| seconds > 0), "{login}");
    assert!(login["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")), "{login}");
    let token = login["access_token"].as_str().expect("a token");

    let headers = [&format!("Authorization: Bearer {token}"), "Content-Type: application/json"];
    let body = r#"{"symbol":"BTC","condition":"above","target_price":60000}"#;
    let (status, head, said) = curl(to, "/alerts", &headers, body).await;
    assert_eq!(status, 201, "{said}");
    let alert: Value = serde_json::from_str(&said).expect("JSON");
    let id = alert["id"].as_str().expect("an id");
    assert!(head.to_ascii_lowercase().contains(&format!("location: /alerts/{id}")), "{head}");
    assert_eq!(alert["target_price"], "60000", "{alert}");
    assert_eq!(alert["condition"], "above", "{alert}");
    assert_eq!(alert["expr"], "BTC > 60000 once", "{alert}");

    exchange.subscribed("BTC-USD").await;
    exchange.trade("BTC-USD", "60000.5");
    let told = &receiver.wait(1).await[0];
    assert_eq!((&told.body["data"]["alert"], &told.body["data"]["price"]), (&alert["id"], &Value::from("60000.5")));

    // The account sees what became of it, and another account sees nothing.
    let mine = Api::new(daemon.address(), Some(token)).get("/events").await.done();
    assert_eq!(mine["items"][0]["id"], told.body["data"]["firing"], "{mine}");
    let other = daemon.stranger().account("other@example.com", "secret123").await;
    assert_eq!(other.get("/events").await.done()["items"], serde_json::json!([]));
    other.get(&format!("/alerts/{id}")).await.problem(404);
    other.delete(&format!("/alerts/{id}")).await.problem(404);
    other.get(&format!("/alerts/{id}/events")).await.problem(404);
    daemon.stop().await;
}
