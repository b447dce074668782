//! Accounts do not see each other (`docs/reliability.md`, P24): every path of the `OpenAPI` document, tried by another account, by
//! the local owner, and without a token. A path that is not in the table fails the test.

use bellwether_core::{alert::UserId, condition::ChannelName};

use super::testing::{OWNER_TOKEN, Rig, firing, price_event};
use crate::store::{Record, Route};

/// What others get of Anne's things under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The path is for everybody, without a token.
    Public,
    /// It is the same for everybody who has a token.
    Shared,
    /// A listing, without what is Anne's.
    Without,
    /// 404, as if it were not there.
    Hidden,
    /// It speaks of the caller's own account.
    Own,
    /// Only the local owner may.
    Owners,
}

/// Every path with method, with Anne's ids in it.
fn table(alert: &str, delivery: &str, cursor: &str) -> Vec<(&'static str, &'static str, String, Seen)> {
    use Seen::{Hidden, Own, Owners, Public, Shared, Without};
    let row = |method, path: &'static str, seen| (method, path, path.to_owned(), seen);
    let with = |method, path: &'static str, name: &str, id: &str, seen| (method, path, path.replace(name, id), seen);
    vec![
        row("post", "/auth/register", Public),
        row("post", "/auth/login", Public),
        row("get", "/health/live", Public),
        row("get", "/health/ready", Public),
        row("get", "/health/status", Shared),
        row("get", "/metrics", Public),
        row("get", "/docs", Public),
        row("get", "/openapi.json", Public),
        row("get", "/asyncapi.json", Public),
        row("get", "/alerts", Without),
        row("post", "/alerts", Shared),
        row("post", "/alerts/import", Shared),
        with("get", "/alerts/{id}", "{id}", alert, Hidden),
        with("patch", "/alerts/{id}", "{id}", alert, Hidden),
        with("delete", "/alerts/{id}", "{id}", alert, Hidden),
        with("get", "/alerts/{id}/events", "{id}", alert, Hidden),
        with("post", "/alerts/{id}/restore", "{id}", alert, Hidden),
        row("get", "/events", Without),
        ("get", "/events", format!("/events?alert={alert}"), Without),
        ("get", "/events", format!("/events?cursor={cursor}"), Without),
        row("get", "/deliveries", Without),
        with("post", "/deliveries/{id}/retry", "{id}", delivery, Hidden),
        row("get", "/prices", Shared),
        with("get", "/prices/{symbol}", "{symbol}", "BTC", Shared),
        with("get", "/prices/{symbol}/candles", "{symbol}", "BTC", Shared),
        row("get", "/prices/ws", Shared),
        row("get", "/instruments", Shared),
        row("post", "/instruments", Owners),
        ("get", "/instruments/search", "/instruments/search?q=".to_owned(), Shared),
        with("delete", "/instruments/{symbol}", "{symbol}", "BTC", Owners),
        row("post", "/backtest", Shared),
        row("get", "/channels", Shared),
        row("post", "/channels", Owners),
        with("get", "/channels/{id}", "{id}", "desktop", Owners),
        with("patch", "/channels/{id}", "{id}", "desktop", Owners),
        with("delete", "/channels/{id}", "{id}", "desktop", Owners),
        with("post", "/channels/{id}/test", "{id}", "desktop", Owners),
        row("post", "/auth/keys/rotate", Owners),
        row("get", "/auth/account", Own),
        row("post", "/auth/refresh", Own),
        row("post", "/auth/password", Own),
        row("post", "/auth/delete", Own),
        row("post", "/auth/logout", Own),
    ]
}

/// A body that a path understands; for the others an empty object.
fn body(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("post", "/alerts/import") => r#"{"alerts":[{"expr":"ETH > 5"}]}"#,
        ("post", "/alerts") => r#"{"expr":"ETH > 5"}"#,
        ("patch", _) => r#"{"paused":true}"#,
        (
            "post",
            "/instruments" | "/channels" | "/backtest" | "/auth/register" | "/auth/login" | "/auth/password"
            | "/auth/delete",
        ) => "{}",
        _ => "",
    }
}

#[tokio::test]
async fn no_path_shows_an_account_what_is_anothers() {
    let rig = Rig::new().await;
    let (anne, bert) = (rig.account("anne@example.org").await, rig.account("bert@example.org").await);
    let mine = r#"{"expr":"BTC > 60k each","idempotency":1}"#;
    assert_eq!(rig.call("POST", "/alerts", &anne, mine).await.0, 422, "unknown fields are refused");
    let (status, made) = rig.call("POST", "/alerts", &anne, r#"{"expr":"BTC > 60k each note \"annes-canary\""}"#).await;
    assert_eq!(status, 201, "{made}");
    let alert = made["id"].as_str().expect("an id").to_owned();
    let number: i64 = alert[1..].parse().expect("a number");
    // So many that a page of one has a cursor, and that the last delivery is none that the rig's outbox knows as the owner's.
    let fired = [firing(2, number, 1), firing(2, number, 2), firing(2, number, 3)];
    let routes = fired.iter().map(|f| Route::new(f.id, ChannelName::new("email"))).collect();
    let record = Record { firings: fired.to_vec(), routes, now: rig.clock.now(), ..Record::default() };
    let deliveries = rig.gateway.store.record(record).await.expect("recorded");
    let fired_id = fired[2].id.to_string();
    let delivery = deliveries[2].id.to_string();
    let (_, page) = rig.call("GET", "/events?limit=1", &anne, "").await;
    let cursor = page["next"].as_str().expect("a second page").to_owned();
    assert!(page.to_string().contains(&fired[2].id.to_string()), "{page}");

    rig.events.send(price_event("BTC", "59000")).await.unwrap();
    let table = table(&alert, &delivery, &cursor);
    let (_, document) = super::openapi::described();
    let document: serde_json::Value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in
            methods.as_object().unwrap().keys().filter(|key| !["parameters", "summary"].contains(&key.as_str()))
        {
            let known = table.iter().any(|(m, p, ..)| m == method && p == path);
            assert!(known, "{method} {path} is not in the table: say there what others may see of it");
        }
    }
    for (method, path, call, seen) in table {
        let what = format!("{method} {call}");
        let ask = async |token: &str| rig.call(&method.to_uppercase(), &call, token, body(method, path)).await;
        let (nobody, _) = ask("").await;
        assert_eq!(nobody == 401, seen != Seen::Public, "{what} without a token: {nobody}");
        // Logging out would end the token for all that follow.
        let bert = if seen == Seen::Own {
            let account = rig.gateway.store.user(UserId(3)).await.unwrap().unwrap();
            rig.gateway.auth.issue(&account, rig.clock.now(), rig.clock.now()).unwrap()
        } else {
            bert.clone()
        };
        let ((status, text), (owner, owners)) = (ask(&bert).await, ask(OWNER_TOKEN).await);
        for (who, status, text) in [("Bert", status, text.to_string()), ("the owner", owner, owners.to_string())] {
            let leaks = ["annes-canary", "anne@example.org", fired_id.as_str()].into_iter().find(|w| text.contains(w));
            assert_eq!(leaks, None, "{what} shows {who} what is Anne's: {text}");
            assert!(status < 500 || status == 503, "{what} breaks for {who}: {text}");
            match seen {
                Seen::Hidden => assert_eq!(status, 404, "{what} by {who}: {text}"),
                Seen::Without if call.contains("cursor") => assert!([200, 400].contains(&status), "{what}: {text}"),
                Seen::Without => assert_eq!((status, text.contains("\"id\"")), (200, false), "{what} by {who}: {text}"),
                Seen::Shared => assert!(![401, 403, 404].contains(&status), "{what} by {who}: {status} {text}"),
                _ => {}
            }
        }
        match seen {
            Seen::Owners => assert_eq!(status, 403, "{what}: {text}"),
            Seen::Own => assert_eq!(owner, 403, "{what}: {owners}"),
            _ => {}
        }
        // Bert's own is out of the way of the next.
        for row in rig.gateway.store.alerts().await.unwrap().iter().filter(|a| a.owner != UserId(2)) {
            let token = if row.owner == UserId::OWNER { OWNER_TOKEN } else { &bert };
            assert_eq!(rig.call("DELETE", &format!("/alerts/{}", row.id), token, "").await.0, 204);
        }
        rig.gateway.hub.board_snapshot().await.unwrap();
    }
    let (status, still) = rig.call("GET", &format!("/alerts/{alert}"), &anne, "").await;
    assert_eq!((status, &still["version"]), (200, &made["version"]), "nobody has touched it");
}
