//! Accounts and tokens as a client meets them.

use axum::{body::Body, http::Request};
use bellwether_core::{config::Config, time::Span};
use serde_json::{Value, json};

use super::testing::{OWNER_TOKEN, Rig};
use crate::clock::Clock;

#[tokio::test]
async fn every_bad_token_gets_one_and_the_same_answer() {
    let rig = Rig::new().await;
    let good = rig.account("user@example.com").await;
    let parts: Vec<&str> = good.split('.').collect();
    let signed = |header: &Value, claims: &Value, key: &[u8]| {
        use base64::Engine;
        let encode = |v: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(v.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let key = jsonwebtoken::EncodingKey::from_secret(key);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let key = rig.gateway.store.secret("jwt", vec![0; 32]).await.unwrap();
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    let now = rig.clock.now().as_seconds();
    let claims = |change: Value| {
        let mut claims = json!({"sub": "2", "iat": now, "exp": now + 60, "gen": 0});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let generation = rig.gateway.store.user(bellwether_core::alert::UserId(2)).await.unwrap().unwrap().generation;
    let fine = signed(&hs256, &claims(json!({"gen": generation})), &key);
    assert_eq!(rig.call("GET", "/alerts", &fine, "").await.0, 200, "what the test signs would be taken");
    let mut answers = Vec::new();
    for bad in [
        String::new(),
        "x".to_owned(),
        format!("{}.{}.", parts[0], parts[1]),
        signed(&json!({"alg": "none"}), &claims(json!({"gen": generation})), &key),
        signed(&json!({"alg": "RS256"}), &claims(json!({"gen": generation})), &key),
        signed(&hs256, &claims(json!({"gen": generation})), b"another key that is long enough to be one"),
        signed(&hs256, &claims(json!({"gen": generation, "exp": (now + 60).to_string()})), &key),
        signed(&hs256, &claims(json!({"gen": generation, "exp": null})), &key),
        signed(&hs256, &claims(json!({"gen": generation, "exp": now - 6})), &key),
        signed(&hs256, &claims(json!({"gen": generation, "iat": now + 3_600})), &key),
        signed(&hs256, &claims(json!({"gen": generation + 1})), &key),
        signed(&hs256, &claims(json!({"gen": generation, "sub": "1"})), &key),
        signed(&hs256, &claims(json!({"gen": generation, "sub": "99"})), &key),
        "x".repeat(100_000),
        format!("{OWNER_TOKEN}x"),
    ] {
        let (status, answer) = rig.call("GET", "/alerts", &bad, "").await;
        assert_eq!(status, 401, "{}", &bad[..bad.len().min(300)]);
        answers.push(answer);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    rig.clock.advance(Span::from_seconds(12 * 3_600 + 6));
    assert_eq!(rig.call("GET", "/alerts", &good, "").await.0, 401, "an expired login");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_tells_nothing() {
    let rig = Rig::new().await;
    rig.account("user@example.com").await;
    let guess = |name: &str| format!(r#"{{"username":"{name}","password":"wrong-password"}}"#);
    let (status, known) = rig.call("POST", "/auth/login", "", &guess("user@example.com")).await;
    let unknown = rig.call("POST", "/auth/login", "", &guess("nobody@example.com")).await;
    assert_eq!((status, known), unknown, "an account must not be told from none");
    for _ in 1..10 {
        assert_eq!(rig.call("POST", "/auth/login", "", &guess("USER@example.com")).await.0, 401);
    }
    let eleventh = Request::post("/auth/login").header("content-type", "application/json");
    let eleventh = eleventh.body(Body::from(guess("user@example.com"))).unwrap();
    let response = rig.send(eleventh).await;
    assert_eq!(response.status(), 429);
    assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 901);
    rig.clock.advance(Span::from_seconds(15 * 60));
    assert_eq!(rig.call("POST", "/auth/login", "", &guess("user@example.com")).await.0, 401);

    for body in [
        r#"{"email":"user@example.com","password":""}"#,
        r#"{"email":"user@example.com","password":"1234567"}"#,
        r#"{"email":"user@example.com","password":"12345678\u0000"}"#,
        r#"{"email":"user@example.com","password":4242424242}"#,
        r#"{"email":"a@b\r\nBcc: c@d","password":"secret123"}"#,
        r#"{"email":"user@example.com"}"#,
    ] {
        let (status, answer) = rig.call("POST", "/auth/register", "", body).await;
        assert_eq!(status, 422, "{body}");
        assert!(!answer.to_string().contains("4242424242"), "a password came back: {answer}");
    }
    let again = r#"{"email":"User@Example.com","password":"secret123"}"#;
    assert_eq!(rig.call("POST", "/auth/register", "", again).await.0, 409);
}

#[tokio::test]
async fn accounts_are_made_only_where_that_is_wanted_and_not_too_many_at_once() {
    let mut config = Config::default();
    config.server.registration = false;
    let closed = Rig::with(config, Clock::system()).await;
    let body = r#"{"email":"user@example.com","password":"secret123"}"#;
    assert_eq!(closed.call("POST", "/auth/register", "", body).await.0, 403);
    let open = Rig::new().await;
    for _ in 0..30 {
        open.gateway.auth.registrations.lock().unwrap().take(open.clock.now()).expect("thirty at once");
    }
    assert_eq!(open.call("POST", "/auth/register", "", body).await.0, 429);
    open.clock.advance(Span::from_seconds(120));
    assert_eq!(open.call("POST", "/auth/register", "", body).await.0, 201);
}

#[tokio::test]
async fn an_account_makes_a_hundred_calls_a_second_and_the_owner_any_number() {
    let rig = Rig::new().await;
    let token = rig.account("user@example.com").await;
    for _ in 0..100 {
        assert_eq!(rig.call("GET", "/alerts", &token, "").await.0, 200);
    }
    assert_eq!(rig.call("GET", "/alerts", &token, "").await.0, 429);
    assert_eq!(rig.call("GET", "/alerts", OWNER_TOKEN, "").await.0, 200);
    rig.clock.advance(Span::from_seconds(1));
    assert_eq!(rig.call("GET", "/alerts", &token, "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_logins_at_once_are_bounded_and_block_nobody() {
    let rig = std::sync::Arc::new(Rig::new().await);
    rig.account("user@example.com").await;
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let rig = std::sync::Arc::clone(&rig);
        logins.spawn(async move {
            let body = r#"{"username":"user@example.com","password":"secret123"}"#;
            rig.call("POST", "/auth/login", "", body).await.0
        });
    }
    assert_eq!(rig.call("GET", "/alerts", OWNER_TOKEN, "").await.0, 200);
    let answers = logins.join_all().await;
    let count = |status| answers.iter().filter(|s| **s == status).count();
    assert_eq!(count(200) + count(503), 200, "{answers:?}");
    assert!(count(200) >= 34, "those that had a place were served: {}", count(200));
    assert!(count(503) > 0, "the rest was refused at once");
}
