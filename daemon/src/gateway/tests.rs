//! The REST surface as a client meets it: the calls of `docs/api.md`, its bad inputs, and who may see what.

use axum::{
    body::Body,
    http::{Request, header},
};
use bellwether_core::{
    condition::ChannelName,
    config::Config,
    protocol::{AlertAnswer, Page, PriceView},
    time::Span,
};
use serde_json::{Value, json};

use super::testing::{NOW, OWNER_TOKEN, Rig, firing, price_event, read};
use crate::{
    clock::Clock,
    store::{Record, Route},
};

const ALERT: &str = r#"{"symbol":"BTC","condition":"above","target_price":60000}"#;

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn the_three_calls_of_the_contract_work_unchanged() {
    let rig = Rig::new().await;
    let body = r#"{"email":"user@example.com","password":"secret123"}"#;
    let register = request("POST", "/auth/register", &[("content-type", "application/json")], body);
    let (status, answer) = read(rig.send(register).await).await;
    assert_eq!((status, &answer["email"]), (201, &json!("user@example.com")));

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let login = request("POST", "/auth/login", &form, "username=user@example.com&password=secret123");
    let (status, answer) = read(rig.send(login).await).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(43_200)));
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());

    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let response = rig.send(request("POST", "/alerts", &headers, ALERT)).await;
    assert_eq!(response.headers()["location"], "/alerts/a1");
    assert_eq!(response.headers()["etag"], "\"1\"");
    let (status, answer) = read(response).await;
    assert_eq!(status, 201);
    for (name, value) in
        [("target_price", "60000"), ("expr", "BTC > 60000 once"), ("condition", "above"), ("state", "armed")]
    {
        assert_eq!(answer[name], value, "{answer}");
    }
    assert!(serde_json::from_value::<AlertAnswer>(answer).is_ok(), "the answer is whole");
}

#[tokio::test]
async fn an_alert_is_read_changed_and_deleted() {
    let rig = Rig::new().await;
    rig.events.send(price_event("BTC", "61000")).await.unwrap();
    let (_, made) = rig.call("POST", "/alerts", OWNER_TOKEN, r#"{"expr":"btc > 60k once"}"#).await;
    assert_eq!(made["warnings"], json!(["It is already true: it fires at once."]));
    let (_, again) = rig.call("POST", "/alerts", OWNER_TOKEN, ALERT).await;
    assert!(again["warnings"].to_string().contains("stands already: a1"), "{again}");

    let (status, listed) = rig.call("GET", "/alerts?symbol=xbt", OWNER_TOKEN, "").await;
    assert_eq!((status, listed["items"].as_array().map(Vec::len)), (200, Some(2)));
    let (status, paused) = rig.call("PATCH", "/alerts/1", OWNER_TOKEN, r#"{"paused":true}"#).await;
    assert_eq!((status, &paused["state"], &paused["version"]), (200, &json!("paused"), &json!(2)));
    let (status, edited) = rig.call("PATCH", "/alerts/a1", OWNER_TOKEN, r#"{"expr":"BTC < 5k","paused":false}"#).await;
    assert_eq!((status, &edited["expr"], &edited["version"]), (200, &json!("BTC < 5000 once"), &json!(3)));
    for body in ["{}", r#"{"acknowledged":false}"#, r#"{"expr":"BTC >"}"#, r#"{"expr":null}"#] {
        assert_eq!(rig.call("PATCH", "/alerts/a1", OWNER_TOKEN, body).await.0, 422, "{body}");
    }
    assert_eq!(rig.call("DELETE", "/alerts/a1", OWNER_TOKEN, "").await.0, 204);
    assert_eq!(rig.call("DELETE", "/alerts/a1", OWNER_TOKEN, "").await.0, 404);
    assert_eq!(rig.call("GET", "/alerts/a1", OWNER_TOKEN, "").await.0, 404);
    let (status, back) = rig.call("POST", "/alerts/a1/restore", OWNER_TOKEN, "").await;
    assert_eq!((status, &back["id"], &back["expr"], &back["version"]), (200, &json!("a1"), &edited["expr"], &json!(5)));
    assert_eq!(rig.call("POST", "/alerts/a1/restore", OWNER_TOKEN, "").await.1["version"], json!(5), "once is enough");
    assert_eq!(rig.call("POST", "/alerts/a99/restore", OWNER_TOKEN, "").await.0, 404);
    assert_eq!(rig.call("DELETE", "/alerts/a1", OWNER_TOKEN, "").await.0, 204);
    rig.clock.advance(bellwether_core::time::Span::from_seconds(86_401));
    let (status, problem) = rig.call("POST", "/alerts/a1/restore", OWNER_TOKEN, "").await;
    assert_eq!((status, problem["detail"].to_string().contains("write it anew")), (410, true), "{problem}");
    let evil = r#"{"expr":"btc > 60k note \"a\u001b]52;c;AA\u0007\u202eb\""}"#;
    let (_, noted) = rig.call("POST", "/alerts", OWNER_TOKEN, evil).await;
    assert_eq!(noted["note"], "a\u{FFFD}]52;c;AA\u{FFFD}\u{FFFD}b", "text from outside stays text: {noted}");
}

#[tokio::test]
async fn an_old_version_changes_nothing_and_a_repeated_key_makes_nothing() {
    let rig = Rig::new().await;
    let bearer = format!("Bearer {OWNER_TOKEN}");
    let json = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let keyed = [json[0], json[1], ("idempotency-key", "k1")];
    let first = read(rig.send(request("POST", "/alerts", &keyed, ALERT)).await).await;
    let second = read(rig.send(request("POST", "/alerts", &keyed, ALERT)).await).await;
    assert_eq!((first.0, &first.1["id"]), (second.0, &second.1["id"]));
    let other = r#"{"expr":"ETH > 1"}"#;
    assert_eq!(rig.send(request("POST", "/alerts", &keyed, other)).await.status(), 409);

    let patch = |tag: &'static str| {
        request("PATCH", "/alerts/a1", &[json[0], json[1], ("if-match", tag)], r#"{"paused":true}"#)
    };
    for tag in ["\"7\"", "W/\"1\"", "\"x\"", "\"7\", \"8\"", "\"7\",, \"8\""] {
        assert_eq!(rig.send(patch(tag)).await.status(), 412, "{tag}");
    }
    for tag in ["1", "", ",", "\"1", "\"1\", 2", "*, \"1\"", "W/1"] {
        let (status, problem) = read(rig.send(patch(tag)).await).await;
        assert_eq!(status, 400, "{tag}: {problem}");
    }
    for tag in ["\"1\"", "*", "\"9\", \"3\""] {
        assert_eq!(rig.send(patch(tag)).await.status(), 200, "{tag}");
    }
    let stale = request("DELETE", "/alerts/a1", &[json[0], ("if-match", "\"1\"")], "");
    assert_eq!(rig.send(stale).await.status(), 412);
}

#[tokio::test]
async fn malformed_requests_are_named_and_make_nothing() {
    let rig = Rig::new().await;
    let bearer = format!("Bearer {OWNER_TOKEN}");
    let auth = ("authorization", bearer.as_str());
    for (kind, status) in [
        (Some("text/plain"), 415),
        (None, 415),
        (Some("application/json; charset=utf-16"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/json; charset=UTF-8"), 201),
    ] {
        let headers: Vec<_> = std::iter::once(auth).chain(kind.map(|k| ("content-type", k))).collect();
        assert_eq!(rig.send(request("POST", "/alerts", &headers, ALERT)).await.status(), status, "{kind:?}");
    }
    let large = format!(r#"{{"expr":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(rig.call("POST", "/alerts", OWNER_TOKEN, &large).await.0, 413);
    for (path, status) in [
        ("/alerts/99999999999999999999", 404),
        ("/alerts/-1", 404),
        ("/alerts/%00", 404),
        ("/alerts/%ff", 404),
        ("/alerts/%2e%2e", 404),
        ("/alerts/a1/", 404),
        ("/nothing", 404),
        ("/prices/NOPE", 404),
        ("/prices/%1b%5b2J", 404),
        ("/prices/BTC/candles?interval=2m", 422),
        ("/prices/BTC/candles?limit=501", 422),
        ("/events?limit=1000000000", 422),
        ("/events?limit=-1", 422),
        ("/events?cursor=altered", 400),
        ("/deliveries?cursor=%00", 400),
        ("/deliveries?state=lost", 422),
        ("/prices?symbols=BTC,NOPE", 422),
        ("/alerts/a1/events", 200),
        ("/alerts/a9/events", 404),
    ] {
        let (got, answer) = rig.call("GET", path, OWNER_TOKEN, "").await;
        assert_eq!(got, status, "{path}: {answer}");
        assert!(!answer.to_string().contains("\\u001b"), "{path}: {answer}");
        if got >= 400 {
            assert_eq!(answer["status"], got, "{path} is answered with a problem: {answer}");
        }
    }
    let (_, listed) = rig.call("GET", "/alerts", OWNER_TOKEN, "").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let rig = Rig::new().await;
    let response = rig.send(request("PUT", "/alerts", &[("x-http-method-override", "POST")], ALERT)).await;
    assert_eq!(response.status(), 405);
    let allow = response.headers()[header::ALLOW].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let overridden = request("GET", "/alerts/a1", &[("x-http-method-override", "DELETE")], "");
    assert_eq!(rig.send(overridden).await.status(), 401, "still the GET that it is");
}

#[tokio::test]
async fn foreign_pages_and_names_are_refused_everywhere() {
    let rig = Rig::new().await;
    for path in
        ["/auth/login", "/alerts", "/prices/ws", "/metrics", "/health/live", "/docs/", "/openapi.json", "/nothing"]
    {
        for (method, headers, status) in [
            ("GET", ("host", "evil.example"), 421),
            ("POST", ("host", "localhost:8000@evil"), 400),
            ("POST", ("origin", "https://evil.example"), 403),
            ("OPTIONS", ("origin", "http://localhost:3000"), 403),
            ("POST", ("sec-fetch-site", "cross-site"), 403),
        ] {
            let response = rig.send(request(method, path, &[headers], "username=a@b&password=secret123")).await;
            assert_eq!(response.status(), status, "{method} {path} {headers:?}");
            assert!(!response.headers().contains_key("access-control-allow-origin"));
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        }
    }
}

#[tokio::test]
async fn a_configured_page_may_read_and_no_other() {
    let mut config = Config::default();
    config.server.allowed_origins.push("https://alerts.example.org".to_owned());
    let rig = Rig::with(config, Clock::system()).await;
    let page = ("origin", "https://alerts.example.org");
    let response =
        rig.send(request("OPTIONS", "/alerts", &[page, ("access-control-request-method", "POST")], "")).await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://alerts.example.org");
    assert!(response.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    let response = rig.send(request("GET", "/health/live", &[page], "")).await;
    assert_eq!((response.status().as_u16(), &response.headers()["vary"]), (200, &"origin".parse().unwrap()));
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let rig = Rig::new().await;
    let (one, two) = (rig.account("one@example.com").await, rig.account("two@example.com").await);
    let (status, made) = rig.call("POST", "/alerts", &one, ALERT).await;
    assert_eq!((status, &made["id"]), (201, &json!("a1")));
    let paused = r#"{"paused":true}"#;
    // Method, path, body; then the answers to the owner of the alert, to another account, to the local owner, and to nobody.
    for (method, path, body, expected) in [
        ("GET", "/alerts/a1", "", [200, 404, 404, 401]),
        ("GET", "/alerts/a1/events", "", [200, 404, 404, 401]),
        ("PATCH", "/alerts/a1", paused, [200, 404, 404, 401]),
        ("GET", "/alerts", "", [200, 200, 200, 401]),
        ("POST", "/alerts", ALERT, [201, 201, 201, 401]),
        ("GET", "/events", "", [200, 200, 200, 401]),
        ("GET", "/deliveries", "", [200, 200, 200, 401]),
        ("GET", "/prices", "", [200, 200, 200, 401]),
        ("GET", "/prices/BTC", "", [404, 404, 404, 401]),
        ("GET", "/prices/BTC/candles", "", [200, 200, 200, 401]),
        ("GET", "/instruments?q=bitcoin", "", [200, 200, 200, 401]),
        ("POST", "/backtest", r#"{"expr":"BTC > 60k"}"#, [200, 200, 200, 401]),
        ("GET", "/channels", "", [200, 200, 200, 401]),
        ("POST", "/channels/desktop/test", "", [403, 403, 200, 401]),
        ("POST", "/channels/nope/test", "", [403, 403, 404, 401]),
        ("GET", "/prices/ws", "", [426, 426, 426, 401]),
        ("GET", "/health/live", "", [200, 200, 200, 200]),
        ("GET", "/health/ready", "", [200, 200, 200, 200]),
        ("GET", "/metrics", "", [200, 200, 200, 200]),
        ("GET", "/openapi.json", "", [200, 200, 200, 200]),
        ("GET", "/docs/", "", [200, 200, 200, 200]),
        ("GET", "/docs", "", [303, 303, 303, 303]),
        ("DELETE", "/alerts/a1", "", [204, 404, 404, 401]),
    ] {
        // The owner of the alert goes last, so that a wrong deletion shows.
        for who in [1, 2, 3, 0] {
            let token = [one.as_str(), two.as_str(), OWNER_TOKEN, ""][who];
            let (status, answer) = rig.call(method, path, token, body).await;
            assert_eq!(status, expected[who], "{method} {path} as number {who}: {answer}");
        }
    }
    let (_, listed) = rig.call("GET", "/alerts", &two, "").await;
    assert!(listed["items"].as_array().unwrap().iter().all(|a| a["owner"] == 3), "{listed}");
    let (_, channels) = rig.call("GET", "/channels", &two, "").await;
    assert!(!channels.to_string().contains("secret place"), "where a channel leads is the owner's business");
}

#[tokio::test]
async fn every_described_call_exists_and_no_other_method_does() {
    let rig = Rig::new().await;
    let (_, document) = rig.call("GET", "/openapi.json", "", "").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let described = item[method.to_lowercase()].is_object();
            let place = path.replace("{id}", "a1").replace("{symbol}", "BTC");
            let (status, answer) = rig.call(method, &place, "", "").await;
            assert_eq!(described, status != 405, "{method} {path}: {status} {answer}");
        }
    }
}

#[tokio::test]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let rig = Rig::new().await;
    let response = rig.send(request("GET", "/docs/", &[], "")).await;
    let csp = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let (_, page) = read(response).await;
    let page = page.as_str().unwrap();
    assert!(!page.contains("//unpkg") && !page.contains("https://cdn"), "{page}");
    assert!(!page.contains("<script>"), "an inline script would not run under {csp}");
    for piece in page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1)) {
        let name = piece.split('"').next().unwrap().trim_start_matches("./");
        assert_eq!(rig.call("GET", &format!("/docs/{name}"), "", "").await.0, 200, "{name}");
    }
    assert!(csp.contains("script-src 'self'"), "{csp}");
}

#[tokio::test]
async fn prices_tell_their_age_and_their_past() {
    let rig = Rig::new().await;
    rig.events.send(price_event("BTC", "60000.5")).await.unwrap();
    rig.events.send(price_event("ETH", "2000")).await.unwrap();
    let (_, all) = rig.call("GET", "/prices?sparkline=true", OWNER_TOKEN, "").await;
    let page: Page<PriceView> = serde_json::from_value(all).unwrap();
    assert_eq!(page.items.len(), 2);
    assert_eq!(
        (page.items[0].name.as_str(), page.items[0].stale, &page.items[0].sparkline),
        ("Bitcoin", false, &Some(vec![]))
    );
    let (_, one) = rig.call("GET", "/prices?symbols=xbt", OWNER_TOKEN, "").await;
    assert_eq!((one["items"].as_array().unwrap().len(), &one["items"][0]["price"]), (1, &json!("60000.5")));
    rig.clock.advance(Span::from_seconds(3_601));
    let (_, old) = rig.call("GET", "/prices/btc", OWNER_TOKEN, "").await;
    assert_eq!((&old["stale"], &old["sparkline"]), (&json!(true), &Value::Null));
    let (_, bars) = rig.call("GET", "/prices/BTC/candles?interval=1h&limit=3", OWNER_TOKEN, "").await;
    assert_eq!((&bars["interval"], &bars["items"]), (&json!("1h"), &json!([])));
    let (_, found) = rig.call("GET", "/instruments?q=btc", OWNER_TOKEN, "").await;
    assert_eq!(found["items"][0]["symbol"], "BTC");
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let rig = Rig::new().await;
    let (status, health) = rig.call("GET", "/health/ready", "", "").await;
    assert_eq!((status, &health["checks"]["store"]), (200, &json!("ok")));
    rig.gateway.store.close().await;
    let (status, health) = rig.call("GET", "/health/ready", "", "").await;
    assert_eq!((status, &health["status"]), (503, &json!("not ready")), "{health}");
    let (status, answer) = rig.call("POST", "/alerts", OWNER_TOKEN, ALERT).await;
    assert!(status == 503 || status == 500, "{answer}");
}

#[tokio::test]
async fn history_comes_in_pages_and_to_its_owner_alone() {
    let rig = Rig::new().await;
    let (one, two) = (rig.account("one@example.com").await, rig.account("two@example.com").await);
    rig.call("POST", "/alerts", &one, r#"{"expr":"BTC > 60k each"}"#).await;
    let firings: Vec<_> = (1..=3).map(|number| firing(2, 1, number)).collect();
    let routes = firings.iter().map(|f| Route::new(f.id, ChannelName::new("desktop"))).collect();
    rig.gateway.store.record(Record { firings, routes, now: NOW, ..Record::default() }).await.unwrap();

    let (_, page) = rig.call("GET", "/events?limit=2", &one, "").await;
    let ids: Vec<&Value> = page["items"].as_array().unwrap().iter().map(|e| &e["id"]).collect();
    assert_eq!(ids, ["a1.1.3", "a1.1.2"]);
    assert_eq!(page["items"][0]["deliveries"][0]["channel"], "desktop");
    let cursor = page["next"].as_str().expect("a further page").to_owned();
    let (_, rest) = rig.call("GET", &format!("/events?limit=2&cursor={cursor}"), &one, "").await;
    assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!("a1.1.1"), &Value::Null));
    for (path, status) in [
        (format!("/events?cursor={cursor}"), 400),
        (format!("/deliveries?cursor={cursor}"), 400),
        (format!("/alerts/a1/events?cursor={cursor}"), 400),
        ("/alerts/a1/events".to_owned(), 404),
    ] {
        assert_eq!(rig.call("GET", &path, &two, "").await.0, status, "{path}");
    }
    for path in ["/events", "/deliveries", "/events?alert=a1"] {
        assert_eq!(rig.call("GET", path, &two, "").await.1["items"], json!([]), "{path}");
    }
    assert_eq!(rig.call("DELETE", "/alerts/a1", &one, "").await.0, 204);
    let (status, kept) = rig.call("GET", "/alerts/a1/events", &one, "").await;
    assert_eq!((status, kept["items"].as_array().map(Vec::len)), (200, Some(3)), "what fired stays in the history");
    let (_, waiting) = rig.call("GET", "/deliveries?state=queued", &one, "").await;
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn what_is_dead_is_sent_again_by_its_owner_alone() {
    let rig = Rig::new().await;
    let stranger = rig.account("one@example.com").await;
    for (path, token, status) in [
        ("/deliveries/d1/retry", OWNER_TOKEN, 200),
        ("/deliveries/d2/retry", OWNER_TOKEN, 409),
        ("/deliveries/d3/retry", OWNER_TOKEN, 404),
        ("/deliveries/17/retry", OWNER_TOKEN, 404),
        ("/deliveries/d1/retry", &stranger, 404),
        ("/deliveries/d1/retry", "", 401),
    ] {
        let (got, answer) = rig.call("POST", path, token, "").await;
        assert_eq!(got, status, "{path}: {answer}");
        if status == 200 {
            assert_eq!((&answer["state"], &answer["resent"]), (&json!("queued"), &json!(1)));
        }
    }
    assert_eq!(rig.call("GET", "/deliveries/d1/retry", OWNER_TOKEN, "").await.0, 405);
    assert_eq!(rig.call("GET", "/deliveries?state=cancelled", OWNER_TOKEN, "").await.0, 200);
}

/// The evaluator ignores what was overtaken; a snooze that was would be in the database and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_one_alert_reach_the_evaluator_in_the_order_in_which_they_became_durable() {
    let rig = std::sync::Arc::new(Rig::new().await);
    rig.call("POST", "/alerts", OWNER_TOKEN, r#"{"expr":"BTC > 60k each"}"#).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..200 {
        let rig = std::sync::Arc::clone(&rig);
        clients.spawn(async move {
            let body = match client % 3 {
                0 => r#"{"snoozed_until":"2099-01-01T00:00:00Z"}"#,
                1 => r#"{"acknowledged":true}"#,
                _ => r#"{"expr":"BTC > 61k each","paused":true}"#,
            };
            let (status, answer) = rig.call("PATCH", "/alerts/1", OWNER_TOKEN, body).await;
            assert_eq!(status, 200, "a change of two parts is not cut in two: {answer}");
        });
    }
    while let Some(done) = clients.join_next().await {
        done.expect("a client");
    }
    let told: Vec<u32> = rig.told.lock().expect("lock").iter().map(|(_, version)| *version).collect();
    assert_eq!(told, (1..=201).collect::<Vec<u32>>());
}

#[tokio::test]
async fn alerts_come_in_pages_and_by_state() {
    let rig = Rig::new().await;
    for price in 1..=5 {
        let body = format!(r#"{{"expr":"BTC > {price}k"}}"#);
        assert_eq!(rig.call("POST", "/alerts", OWNER_TOKEN, &body).await.0, 201);
    }
    rig.call("PATCH", "/alerts/a2", OWNER_TOKEN, r#"{"paused":true}"#).await;
    let ids = |page: &Value| page["items"].as_array().unwrap().iter().map(|a| a["id"].clone()).collect::<Vec<_>>();
    let (_, first) = rig.call("GET", "/alerts?limit=2", OWNER_TOKEN, "").await;
    assert_eq!(ids(&first), ["a1", "a2"]);
    rig.call("DELETE", "/alerts/a2", OWNER_TOKEN, "").await;
    let second = format!("/alerts?limit=2&cursor={}", first["next"].as_str().unwrap());
    let (_, second) = rig.call("GET", &second, OWNER_TOKEN, "").await;
    assert_eq!(ids(&second), ["a3", "a4"], "what was deleted meanwhile breaks no page");
    let last = format!("/alerts?limit=2&cursor={}", second["next"].as_str().unwrap());
    let (_, last) = rig.call("GET", &last, OWNER_TOKEN, "").await;
    assert_eq!((ids(&last), &last["next"]), (vec![json!("a5")], &Value::Null));
    rig.call("PATCH", "/alerts/a4", OWNER_TOKEN, r#"{"paused":true}"#).await;
    let (_, paused) = rig.call("GET", "/alerts?state=paused", OWNER_TOKEN, "").await;
    assert_eq!(ids(&paused), ["a4"]);
    for (query, status) in [("state=asleep", 422), ("cursor=x", 400), ("limit=0", 422)] {
        assert_eq!(rig.call("GET", &format!("/alerts?{query}"), OWNER_TOKEN, "").await.0, status, "{query}");
    }
}

#[tokio::test]
async fn several_changes_are_one_version_and_one_word_to_the_evaluator() {
    let rig = Rig::new().await;
    rig.call("POST", "/alerts", OWNER_TOKEN, ALERT).await;
    let patch =
        r#"{"expr":"BTC > 70k each","paused":true,"snoozed_until":"2027-01-01T00:00:00.000Z","acknowledged":true}"#;
    let (status, changed) = rig.call("PATCH", "/alerts/a1", OWNER_TOKEN, patch).await;
    assert_eq!((status, &changed["version"], &changed["state"]), (200, &json!(2), &json!("paused")), "{changed}");
    assert_eq!(changed["expr"], "BTC > 70000 each");
    assert_eq!(changed["snoozed_until"], "2027-01-01T00:00:00.000Z");
    let told: Vec<u32> = rig.told.lock().unwrap().iter().map(|(_, version)| *version).collect();
    assert_eq!(told, [1, 2]);
}

#[tokio::test]
async fn long_answers_are_packed_short_ones_and_tokens_are_not() {
    let rig = Rig::new().await;
    let bearer = format!("Bearer {OWNER_TOKEN}");
    let packed = [("authorization", bearer.as_str()), ("accept-encoding", "gzip")];
    let login = [("accept-encoding", "gzip"), ("content-type", "application/json")];
    for (method, path, headers, body, expected) in [
        ("GET", "/instruments", &packed, "", true),
        ("GET", "/openapi.json", &packed, "", true),
        ("GET", "/alerts", &packed, "", false),
        ("POST", "/auth/login", &login, r#"{"username":"user@example.com","password":"secret123"}"#, false),
    ] {
        let response = rig.send(request(method, path, headers, body)).await;
        let encoding = response.headers().get("content-encoding").map(|e| e.to_str().unwrap().to_owned());
        assert_eq!(encoding.as_deref(), expected.then_some("gzip"), "{path}");
        let vary: Vec<_> = response.headers().get_all("vary").iter().map(|v| v.to_str().unwrap()).collect();
        assert!(vary.contains(&"origin"), "{path}: {vary:?}");
        assert_eq!(expected, vary.contains(&"accept-encoding"), "{path}: {vary:?}");
    }
}

#[tokio::test]
async fn every_answer_has_the_name_of_its_request() {
    let rig = Rig::new().await;
    let id = async |given: &str| {
        let response = rig.send(request("GET", "/nowhere", &[("x-request-id", given)], "")).await;
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id("from-the-proxy.7").await, "from-the-proxy.7");
    for odd in ["", "a b", "<script>", &"x".repeat(65)] {
        let made = id(odd).await;
        assert!(made.len() == 16 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{odd}: {made}");
    }
}

#[tokio::test]
async fn a_person_who_looks_for_a_fault_finds_everything_in_one_place() {
    let rig = Rig::new().await;
    let anne = rig.account("anne@example.org").await;
    rig.call("POST", "/alerts", &anne, ALERT).await;
    let fired = firing(2, 1, 1);
    let routes = vec![Route::new(fired.id, ChannelName::new("email"))];
    rig.gateway.store.record(Record { firings: vec![fired], routes, now: NOW, ..Record::default() }).await.unwrap();
    rig.clock.advance(Span::from_seconds(90));
    assert_eq!(rig.call("GET", "/health/status", "", "").await.0, 401);
    let (status, seen) = rig.call("GET", "/health/status", OWNER_TOKEN, "").await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(seen["queue"], json!([{"channel": "email", "waiting": 1, "oldest_seconds": 90}]));
    assert_eq!((&seen["database"]["alerts"], &seen["database"]["firings"]), (&json!(1), &json!(1)));
    assert!(seen["database"]["size_bytes"].as_u64() > Some(4_096) && seen["database"]["writable"] == true, "{seen}");
    assert_eq!((&seen["status"], &seen["uptime_seconds"]), (&json!("ready"), &json!(90)));
    assert_eq!(seen["channels"][0]["status"], "secret place");
    let whole: bellwether_core::protocol::Status = serde_json::from_value(seen).expect("whole");
    assert_eq!(whole.sessions, 0);
    let (_, account) = rig.call("GET", "/health/status", &anne, "").await;
    assert_eq!(account["channels"][0]["status"], "ready", "where channels lead is the owner's business: {account}");
}
