//! Two clients and one alert: what one does, the other sees; what one has not seen, he cannot overwrite.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Lab, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_edit_one_alert() {
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    let (api, mut other) = (daemon.api(), daemon.stream().await);

    let made = api.post("/alerts", &json!({ "expr": "BTC > 60k once" })).await;
    let (id, tag) = (made.json()["id"].as_str().expect("an id").to_owned(), made.header("etag").to_owned());
    assert!(!tag.is_empty(), "{made:?}");
    let path = format!("/alerts/{id}");
    let seen = other.until("the new alert", |frame| frame["type"] == "alert").await;
    assert_eq!(seen["alert"]["id"], id.as_str());

    // The other one changes it over his socket; the first one's edit, made from what he saw before, is refused.
    let reply =
        other.command(&json!({"type": "update", "id": 7, "alert_id": id, "patch": {"expr": "BTC > 61k once"}})).await;
    assert_eq!((&reply["ok"], &reply["alert"]["expr"]), (&json!(true), &json!("BTC > 61000 once")), "{reply}");
    let edit = |tag: &str, line: &str| {
        api.request(Method::PATCH, &path).header("if-match", tag).json(&json!({ "expr": line }))
    };
    api.send(edit(&tag, "BTC > 62k once")).await.problem(412);
    let now = api.get(&path).await;
    assert_eq!(now.done()["expr"], "BTC > 61000 once", "the refused edit left no trace");
    let done = api.send(edit(now.header("etag"), "BTC > 62k once")).await.done();
    assert_eq!(done["expr"], "BTC > 62000 once");

    // An edit that is not understood changes nothing, and names the place.
    let problem = api.patch(&path, &json!({ "expr": "BTC >> 62k" })).await.problem(422);
    assert_eq!((&problem["code"], &problem["field"]), (&json!("E_SYNTAX"), &json!("expr")), "{problem}");
    assert_eq!(api.get(&path).await.done()["version"], done["version"]);

    // The same request again (a lost answer) makes one alert.
    let twice =
        || api.request(Method::POST, "/alerts").header("idempotency-key", "k1").json(&json!({"expr": "ETH < 1k"}));
    let (one, two) = (api.send(twice()).await, api.send(twice()).await);
    assert_eq!(one.done()["id"], two.done()["id"]);
    assert_eq!(api.get("/alerts").await.done()["items"].as_array().map(Vec::len), Some(2));

    // Gone for both.
    let tag = api.get(&path).await.header("etag").to_owned();
    let gone = api.send(api.request(Method::DELETE, &path).header("if-match", &tag)).await;
    assert!((200..300).contains(&gone.status), "{gone:?}");
    let seen = other.until("the deletion", |frame| frame["type"] == "alert_deleted").await;
    assert_eq!(seen["id"], id.as_str());
    api.get(&path).await.problem(404);
    let reply = other.command(&json!({"type": "delete", "id": "x", "alert_id": id})).await;
    assert_eq!((&reply["ok"], &reply["problem"]["status"]), (&json!(false), &json!(404)), "{reply}");
    daemon.stop().await;
}
