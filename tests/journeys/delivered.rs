//! From an alert's making to the message that arrives, and what the listings say of it; and when it does not arrive at once.

use serde_json::json;

use crate::harness::{Exchange, Lab, MailServer, Receiver, Settings, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_becomes_a_webhook_and_a_mail() {
    let (exchange, receiver, mail) = (Exchange::start().await, Receiver::start().await, MailServer::start().await);
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).webhook("phone", &receiver).mail(&mail));
    let daemon = lab.daemon().await;
    let api = daemon.api();
    let mut stream = daemon.stream().await;
    exchange.trade("BTC-USD", "59990.10");
    exchange.subscribed("BTC-USD").await;
    api.price("BTC", "59990.1").await;

    let id = api.alert("BTC crosses up 60k once via webhook:phone,email note \"ring, \\\"bell\\\"\"").await;
    exchange.trade("BTC-USD", "60000.01");

    let told = receiver.wait(1).await.remove(0);
    let data = &told.body["data"];
    assert_eq!(told.name, "phone");
    assert_eq!((&data["price"], &data["previous"]), (&json!("60000.01"), &json!("59990.1")));
    assert_eq!(
        (&data["symbol"], &data["source"], &data["direction"]),
        (&json!("BTC"), &json!("coinbase"), &json!("up"))
    );
    assert_eq!(data["note"], "ring, \"bell\"");
    assert_eq!(data["delivery"], told.id.as_str(), "the header and the body name the same delivery");

    let letter = mail.wait(1).await.remove(0);
    assert_eq!((letter.from.as_str(), &letter.to[..]), ("<bell@example.org>", &["<me@example.org>".to_owned()][..]));
    assert!(letter.header("Subject").contains("60,000"), "{}", letter.text);
    assert!(letter.header("Message-ID").contains("bellwether"), "{}", letter.text);
    assert!(letter.header("Content-Type").starts_with("multipart/alternative"), "{}", letter.text);
    assert!(letter.text.contains("text/plain") && letter.text.contains("text/html"), "{}", letter.text);

    // What the API lists, page by page, and what the WebSocket told meanwhile.
    let event = api.settled(1).await.remove(0);
    assert_eq!(event["id"], data["firing"]);
    assert_eq!(event["time"], data["time"]);
    let states: Vec<_> =
        event["deliveries"].as_array().expect("deliveries").iter().map(|d| d["state"].clone()).collect();
    assert_eq!(states, ["sent", "sent"]);
    let page = api.get("/deliveries?limit=1").await.done();
    let cursor = page["next"].as_str().expect("a second page");
    let rest = api.get(&format!("/deliveries?limit=1&cursor={cursor}")).await.done();
    assert_ne!(page["items"][0]["id"], rest["items"][0]["id"]);
    assert_eq!(api.get(&format!("/alerts/{id}/events")).await.done()["items"].as_array().map(Vec::len), Some(1));
    let frame = stream.until("the firing", |frame| frame["type"] == "firing").await;
    assert_eq!(frame["firing"]["id"], data["firing"]);
    let alert = stream.until("the end of the alert", |f| f["type"] == "alert" && f["alert"]["state"] == "done").await;
    assert_eq!(alert["alert"]["id"], id.as_str());
    assert_eq!(api.get(&format!("/alerts/{id}")).await.done()["fired"], 1);
    let deliveries = api.get("/metrics").await.text;
    assert!(
        deliveries.lines().any(|l| l.starts_with("notifier_notifications_sent_total{") && l.contains("email")),
        "{deliveries}"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_receiver_is_asked_again_under_the_same_key_and_a_refusal_is_told() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).webhook("a", &receiver).webhook("gone", &receiver));
    let daemon = lab.daemon().await;
    let api = daemon.api();
    exchange.trade("BTC-USD", "59990");
    api.price("BTC", "59990").await;

    receiver.answer([503]);
    api.alert("BTC > 60k once via webhook:a").await;
    exchange.trade("BTC-USD", "60001");
    let tries = receiver.wait(2).await;
    assert_eq!(tries.iter().map(|t| t.status).collect::<Vec<_>>(), [503, 200]);
    assert_eq!(tries[0].id, tries[1].id, "both attempts carry one key");
    let sent = &api.settled(1).await[0]["deliveries"][0];
    assert_eq!((&sent["state"], &sent["attempts"]), (&json!("sent"), &json!(2)));

    // A refusal for good: one attempt, a row, a reason, a counter.
    receiver.answer([404]);
    api.alert("BTC > 61k once via webhook:gone").await;
    exchange.trade("BTC-USD", "61001");
    let dead = &api.settled(2).await[0]["deliveries"][0];
    assert_eq!((&dead["state"], &dead["attempts"]), (&json!("dead"), &json!(1)));
    assert!(dead["answer"].as_str().is_some_and(|a| a.contains("404")), "{dead}");
    assert_eq!(api.get("/deliveries?state=dead").await.done()["items"].as_array().map(Vec::len), Some(1));
    let metrics = api.get("/metrics").await.text;
    for status in ["sent", "retry", "dead"] {
        let counted = metrics.lines().any(|line| {
            line.starts_with("notifier_notifications_sent_total{")
                && line.contains(&format!("\"{status}\""))
                && line.ends_with(" 1")
        });
        assert!(counted, "one delivery {status}:\n{metrics}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_accounted_for() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).webhook("a", &receiver).webhook("b", &receiver));
    let daemon = lab.daemon().await;
    let api = daemon.api();
    exchange.trade("BTC-USD", "59000");
    api.price("BTC", "59000").await;
    for level in 0..6 {
        api.alert(&format!("BTC > {} once via webhook:a,webhook:b", 60_000 + level)).await;
    }
    receiver.answer([200, 400, 200, 400]);
    exchange.trade("BTC-USD", "60100");
    let events = api.settled(6).await;
    assert_eq!(events.len(), 6);
    let page = api.get("/deliveries?limit=100").await.done();
    let rows = page["items"].as_array().expect("rows");
    assert_eq!(rows.len(), 12, "firings x targets");
    let in_state = |state: &str| rows.iter().filter(|row| row["state"] == state).count();
    assert_eq!((in_state("sent"), in_state("dead")), (10, 2));
    let counted: u64 = eventually("the counters", async || {
        let metrics = api.get("/metrics").await.text;
        let rows = metrics.lines().filter(|l| l.starts_with("notifier_notifications_sent_total{"));
        let total = rows.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        (total >= 12).then_some(total)
    })
    .await;
    assert_eq!(counted, 12, "one counter moves for each");
    daemon.stop().await;
}
