//! The exchange goes away and comes back: the daemon says so, comes back by itself, and judges what it is told then.

use serde_json::{Value, json};

use crate::harness::{Api, Exchange, Lab, Receiver, Settings, eventually};

async fn feed(api: &Api) -> Value {
    let health = api.get("/health/ready").await.json();
    let feeds = health["feeds"].as_array().expect("feeds").clone();
    feeds.into_iter().find(|feed| feed["feed"] == "coinbase").unwrap_or(Value::Null)
}

async fn in_state(api: &Api, state: &str) -> Value {
    eventually(&format!("the feed is {state}"), async || Some(feed(api).await).filter(|f| f["state"] == state)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_exchange_is_told_and_found_again() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let settings = Settings::quiet().coinbase(&exchange).webhook("default", &receiver).by_default("webhook");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let api = daemon.api();
    let mut stream = daemon.stream().await;
    exchange.trade("BTC-USD", "59990");
    api.price("BTC", "59990").await;
    api.alert("BTC crosses up 60k each").await;
    in_state(&api, "live").await;

    let before = exchange.connections();
    exchange.close();
    let lost = in_state(&api, "backing_off").await;
    assert!(lost["trouble"].as_str().is_some_and(|t| !t.is_empty()), "{lost}");
    let told = stream.until("the loss", |f| f["type"] == "feed" && f["feed"]["state"] == "backing_off").await;
    assert_eq!(told["feed"]["feed"], "coinbase");
    assert_eq!(api.get("/health/live").await.status, 200, "the daemon itself is well");

    // Where the market stands is told to whoever subscribes; the cross happened while nobody looked, and is one.
    exchange.trade("BTC-USD", "60005");
    exchange.open();
    exchange.subscribed("BTC-USD").await;
    in_state(&api, "live").await;
    assert_eq!(exchange.connections(), before + 1, "one connection, not a storm of them");
    let told = receiver.wait(1).await.remove(0);
    assert_eq!(told.body["data"]["price"], json!("60005"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_from_the_exchange_is_no_price() {
    let exchange = Exchange::start().await;
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = lab.daemon().await;
    let api = daemon.api();
    exchange.trade("BTC-USD", "60000");
    api.price("BTC", "60000").await;
    let mut stream = daemon.stream().await;
    api.alert("BTC < 60000 each").await;
    api.alert("BTC > 60000 each").await;
    for price in ["\"NaN\"", "\"Infinity\"", "null", "\"\"", "{}", "0", "\"0\"", "-1", "1e400", "[]", "true"] {
        let time = exchange.now();
        exchange.frame(&format!(r#"{{"type":"ticker","product_id":"BTC-USD","price":{price},"time":"{time}"}}"#));
    }
    let digits = "9".repeat(400);
    for text in [
        "<html><body>Log in to the network</body></html>",
        "",
        "null",
        "[]",
        r#"{"type":"ticker"}"#,
        r#"{"type":"ticker","product_id":"EVIL-USD","price":"1","time":"2026-10-03T20:58:31.127510Z"}"#,
        r#"{"type":"ticker","product_id":"btc-usd","price":"1"}"#,
        r#"{"type":"ticker","product_id":"BTC-USD","time":"2026-10-03T20:58:31.127510Z"}"#,
        &format!(r#"{{"type":"ticker","product_id":"BTC-USD","price":"{digits}"}}"#),
        &format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)),
    ] {
        exchange.frame(text);
    }
    exchange.trade("BTC-USD", "60000.00");
    exchange.trade("ETH-USD", "3000");
    api.price("ETH", "3000").await;
    assert_eq!(api.get("/prices/BTC").await.done()["price"], "60000");
    assert_eq!(api.get("/events").await.done()["items"], json!([]), "garbage set off an alert");
    let frame = stream.until("the price of ETH", |f| f["type"] == "price" && f["symbol"] == "ETH").await;
    assert_eq!(frame["price"], "3000");
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}
