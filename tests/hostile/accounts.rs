//! Tokens and passwords (P22 and P23; section 3, 42 to 44).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{KEY, claims, login, quiet, signed};
use crate::harness::Api;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_ours_is_401_with_one_and_the_same_answer() {
    let (_lab, daemon) = quiet().await;
    let token = login(&daemon.stranger(), "user@example.com").await;
    let (good, now) = (claims(&token), jiff::Timestamp::now().as_second());
    let hs256 = json!({"typ": "JWT", "alg": "HS256"});
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        signed(&hs256, &changed, KEY)
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().expect("an object").remove(name);
        signed(&hs256, &changed, KEY)
    };
    let ask = async |token: &str| Api::new(daemon.address(), Some(token)).get("/alerts").await;
    assert_eq!(ask(&token).await.status, 200);
    assert_eq!(ask(&signed(&hs256, &good, KEY)).await.status, 200, "the test signs as the daemon does");

    let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), token.split('.').nth(1).expect("a part"));
    let mut answers = Vec::new();
    for (what, bad) in [
        ("no signature", none),
        ("RS256 with our secret", signed(&json!({"typ": "JWT", "alg": "RS256"}), &good, KEY)),
        ("HS384", signed(&json!({"typ": "JWT", "alg": "HS384"}), &good, KEY)),
        ("wrong key", signed(&hs256, &good, "another key that is long enough for it")),
        ("empty key", signed(&hs256, &good, "")),
        ("exp as text", with("exp", json!((now + 600).to_string()))),
        ("expired", with("exp", json!(now - 60))),
        ("no exp", without("exp")),
        ("null exp", with("exp", Value::Null)),
        ("iat in the future", with("iat", json!(now + 600))),
        ("the owner's number", with("sub", json!("1"))),
        ("nobody's number", with("sub", json!("999"))),
        ("no number", with("sub", json!("x"))),
        ("cut", token[..token.len() - 1].to_owned()),
        ("nothing", "x".to_owned()),
        ("long", "x".repeat(8_000)),
    ] {
        let answer = ask(&bad).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        answers.push((what, answer.text));
    }
    let missing = daemon.stranger().get("/alerts").await;
    missing.problem(401);
    assert!(missing.header("www-authenticate").starts_with("Bearer"), "{missing:?}");
    for (what, text) in answers {
        assert_eq!(text, missing.text, "{what} is told apart");
    }
    let long = ask(&"x".repeat(100_000)).await;
    assert!([401, 431].contains(&long.status), "{long:?}");
    // Changing and testing channels is the owner's alone.
    let user = Api::new(daemon.address(), Some(&token));
    user.post("/channels/desktop/test", &json!({})).await.problem(403);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_guarded_before_any_hashing() {
    let (_lab, daemon) = quiet().await;
    let api = daemon.stranger();
    let register = async |email: &str, password: &str| {
        api.post("/auth/register", &json!({"email": email, "password": password})).await
    };
    let long = format!("{}@example.com", "x".repeat(1_024));
    for email in ["", "user", "a@b\r\nBcc: x@y.z", &long, &"@".repeat(50_000), "\u{202e}@b.c"] {
        assert_eq!(register(email, "secret123").await.problem(422)["field"], "email", "{} bytes", email.len());
    }
    for password in ["", "1234567", "1234567\0", &"x".repeat(1_025), &"x".repeat(50_000)] {
        let problem = register("user@example.com", password).await.problem(422);
        assert_eq!(problem["field"], "password", "{} bytes", password.len());
    }
    assert_eq!(register("user@example.com", &"x".repeat(100_000)).await.status, 413, "larger than any body");
    assert_eq!(register("user@example.com", "secret123").await.status, 201);
    register("USER@example.com", "secret123").await.problem(409);

    // Wrong and unknown look the same; after ten, it is 429, for the right password too.
    let login = async |email: &str, password: &str| {
        api.post("/auth/login", &json!({"username": email, "password": password})).await
    };
    let unknown = login("nobody@example.com", "wrong-password").await;
    unknown.problem(401);
    for _ in 0..10 {
        let wrong = login("user@example.com", "wrong-password").await;
        assert_eq!((wrong.status, &wrong.text), (401, &unknown.text));
    }
    let barred = login("user@example.com", "secret123").await;
    barred.problem(429);
    assert!(barred.header("retry-after").parse::<u64>().is_ok_and(|s| s > 0), "{barred:?}");
    daemon.stop().await;
}
