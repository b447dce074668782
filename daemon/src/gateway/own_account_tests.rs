//! What an account can do to itself, as its owner meets it, and how the keys change.

use bellwether_core::{
    alert::UserId,
    config::{Config, Secret},
    time::Span,
};
use serde_json::Value;

use super::testing::{NOW, OWNER_TOKEN, Rig};
use crate::{
    clock::Clock,
    store::{Account, StoreError},
};

const MAIL: &str = "user@example.com";

async fn login(rig: &Rig, password: &str) -> (u16, Value) {
    let body = format!(r#"{{"username":"{MAIL}","password":"{password}"}}"#);
    rig.call("POST", "/auth/login", "", &body).await
}

fn token(answer: &Value) -> String {
    answer["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn another_password_ends_every_token_but_the_new_one() {
    let rig = Rig::new().await;
    let first = rig.account(MAIL).await;
    let second = token(&login(&rig, "secret123").await.1);
    let change = |password: &str, new: &str| format!(r#"{{"password":"{password}","new_password":"{new}"}}"#);
    for (body, status, field) in [
        (change("wrong-password", "another secret"), 403, None),
        (change("secret123", "short"), 422, Some("new_password")),
        (change("", "another secret"), 422, Some("password")),
        (r#"{"password":"secret123","new_password":4242424242}"#.to_owned(), 422, Some("new_password")),
    ] {
        let (got, answer) = rig.call("POST", "/auth/password", &first, &body).await;
        assert_eq!((got, answer["field"].as_str()), (status, field), "{answer}");
        assert!(!answer.to_string().contains("4242424242"), "a password came back: {answer}");
    }
    assert_eq!(rig.call("GET", "/alerts", &second, "").await.0, 200, "nothing has changed so far");
    let body = change("secret123", "another secret");
    let (status, answer) = rig.call("POST", "/auth/password", &first, &body).await;
    assert_eq!(status, 200, "{answer}");
    for old in [&first, &second] {
        assert_eq!(rig.call("GET", "/alerts", old, "").await.0, 401);
        assert_eq!(rig.call("POST", "/auth/refresh", old, "").await.0, 401);
        assert_eq!(rig.call("POST", "/auth/password", old, &body).await.0, 401);
    }
    assert_eq!(rig.call("GET", "/alerts", &token(&answer), "").await.0, 200);
    assert_eq!(login(&rig, "secret123").await.0, 401);
    assert_eq!(login(&rig, "another secret").await.0, 200);
}

#[tokio::test]
async fn who_has_a_token_cannot_guess_the_password_any_faster() {
    let rig = Rig::new().await;
    let token = rig.account(MAIL).await;
    for _ in 0..10 {
        let wrong = r#"{"password":"wrong-password"}"#;
        assert_eq!(rig.call("POST", "/auth/delete", &token, wrong).await.0, 403);
    }
    assert_eq!(rig.call("POST", "/auth/delete", &token, r#"{"password":"secret123"}"#).await.0, 429);
    assert_eq!(login(&rig, "secret123").await.0, 429);
}

#[tokio::test]
async fn a_token_is_renewed_until_the_password_is_due_again() {
    let rig = Rig::new().await;
    let mut now = rig.account(MAIL).await;
    let half = Span::from_seconds(6 * 3_600);
    for _ in 0..119 {
        rig.clock.advance(half);
        let (status, answer) = rig.call("POST", "/auth/refresh", &now, "").await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["expires_in"], 12 * 3_600);
        now = token(&answer);
    }
    rig.clock.advance(half);
    assert_eq!(rig.call("GET", "/alerts", &now, "").await.0, 200, "30 days after the login");
    assert_eq!(rig.call("POST", "/auth/refresh", &now, "").await.0, 401);
}

#[tokio::test]
async fn a_logout_ends_every_token() {
    let rig = Rig::new().await;
    let (first, second) = (rig.account(MAIL).await, token(&login(&rig, "secret123").await.1));
    assert_eq!(rig.call("POST", "/auth/logout", &first, "").await.0, 204);
    for old in [first, second] {
        assert_eq!(rig.call("GET", "/alerts", &old, "").await.0, 401);
    }
    assert_eq!(login(&rig, "secret123").await.0, 200);
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_behind() {
    let rig = Rig::new().await;
    let token = rig.account(MAIL).await;
    for price in 0..70 {
        let body = format!(r#"{{"expr":"BTC > {}"}}"#, 60_000 + price);
        rig.clock.advance(Span::from_millis(10));
        assert_eq!(rig.call("POST", "/alerts", &token, &body).await.0, 201);
    }
    assert_eq!(rig.call("POST", "/alerts", OWNER_TOKEN, r#"{"expr":"ETH > 60k"}"#).await.0, 201);
    rig.clock.advance(Span::from_seconds(1));
    let (status, account) = rig.call("GET", "/auth/account", &token, "").await;
    assert_eq!(status, 200, "{account}");
    assert_eq!((account["email"].as_str(), account["alerts"].as_u64()), (Some(MAIL), Some(70)));
    assert_eq!(account["limits"]["alerts"], 1_000);
    let (status, answer) = rig.call("POST", "/auth/delete", &token, r#"{"password":"secret123"}"#).await;
    assert_eq!(status, 204, "{answer}");
    assert_eq!(rig.call("GET", "/alerts", &token, "").await.0, 401);
    assert_eq!(login(&rig, "secret123").await.0, 401);
    let left = rig.gateway.store.alerts().await.unwrap();
    assert_eq!(left.iter().map(|alert| alert.owner).collect::<Vec<_>>(), [UserId::OWNER]);
    let told = rig.told.lock().unwrap().iter().filter(|(_, version)| *version == 2).count();
    assert_eq!(told, 70, "the evaluator heard of each");
    let again = rig.account(MAIL).await;
    let (_, fresh) = rig.call("GET", "/auth/account", &again, "").await;
    assert!(fresh["id"].as_i64() > account["id"].as_i64(), "numbers are never given twice: {fresh}");
}

#[tokio::test]
async fn the_owner_has_no_account_to_change() {
    let rig = Rig::new().await;
    for (method, path) in [
        ("GET", "/auth/account"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/password"),
        ("POST", "/auth/logout"),
        ("POST", "/auth/delete"),
    ] {
        assert_eq!(rig.call(method, path, OWNER_TOKEN, "").await.0, 403, "{path}");
        assert_eq!(rig.call(method, path, "", "").await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_new_key_signs_and_the_one_before_verifies_what_it_signed_before() {
    let rig = Rig::new().await;
    let old = rig.account(MAIL).await;
    let stolen = rig.gateway.store.secret("jwt", vec![0; 32]).await.unwrap();
    assert_eq!(rig.call("POST", "/auth/keys/rotate", &old, "").await.0, 403, "the owner's alone");
    rig.clock.advance(Span::from_seconds(60));
    assert_eq!(rig.call("POST", "/auth/keys/rotate", OWNER_TOKEN, "").await.0, 204);
    assert_eq!(rig.call("GET", "/alerts", &old, "").await.0, 200, "who is logged in stays it");
    let (_, answer) = rig.call("POST", "/auth/refresh", &old, "").await;
    let new = token(&answer);
    assert_eq!(rig.call("GET", "/alerts", &new, "").await.0, 200);

    // Whoever has the old key can make no token of today with it.
    rig.clock.advance(Span::from_seconds(60));
    let mut claims = super::keys::Claims {
        sub: "2".to_owned(),
        iat: rig.clock.now().as_seconds(),
        exp: rig.clock.now().as_seconds() + 600,
        auth_time: None,
        generation: 1,
    };
    let key = jsonwebtoken::EncodingKey::from_secret(&stolen);
    let sign = |claims: &_| jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap();
    assert_eq!(rig.call("GET", "/alerts", &sign(&claims), "").await.0, 401);
    claims.iat = NOW.as_seconds();
    assert_eq!(rig.call("GET", "/alerts", &sign(&claims), "").await.0, 200, "it would be taken otherwise");

    // The keys outlive a restart; after two changes the first one is forgotten.
    let keys = super::keys::Keys::open(&rig.gateway.store, &rig.gateway.config.server).await.unwrap();
    assert!(keys.read(&old).is_some() && keys.read(&new).is_some());
    keys.rotate(&rig.gateway.store, rig.clock.now()).await.unwrap();
    assert!(keys.read(&old).is_none() && keys.read(&new).is_some());
}

#[tokio::test]
async fn configured_keys_change_in_the_configuration() {
    let keys = |key: &str, previous: Option<&str>| {
        let mut config = Config::default();
        config.server.jwt_secret = Some(Secret::Value(key.to_owned()));
        config.server.jwt_secret_previous = previous.map(|key| Secret::Value(key.to_owned()));
        config
    };
    let (one, two) = ("the first key that is long enough for it", "the second key that is long enough for it");
    let before = Rig::with(keys(one, None), Clock::by_hand(NOW)).await;
    let old = before.account(MAIL).await;
    assert_eq!(before.call("POST", "/auth/keys/rotate", OWNER_TOKEN, "").await.0, 409);
    for (config, status) in [(keys(two, Some(one)), 200), (keys(two, None), 401)] {
        let after = Rig::with(config, Clock::by_hand(NOW)).await;
        after.account(MAIL).await;
        assert_eq!(after.call("GET", "/alerts", &old, "").await.0, status);
    }
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_refused() {
    let rig = Rig::new().await;
    rig.account(MAIL).await;
    let Account { id, generation, .. } = rig.gateway.store.user(UserId(2)).await.unwrap().unwrap();
    rig.gateway.store.renew_user(id, generation, None).await.unwrap();
    assert_eq!(rig.gateway.store.renew_user(id, generation, None).await, Err(StoreError::NotFound));
}
