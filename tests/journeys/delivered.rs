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
    let settings = Settings::quiet().coinbase(&exchange).webhook("a", &receiver).webhook("b", &receiver);
    let lab = Lab::with(&settings.unlimited("a", "0s").unlimited("b", "0s"));
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
    // What is dead can be sent again by hand, and then it is not dead any more.
    let dead = lab.run(["events", "--dead"]).await;
    assert_eq!(dead.out.lines().filter(|line| line.contains("400")).count(), 2, "{dead:?}");
    let again = lab.run(["deliveries", "retry", "--all"]).await;
    assert_eq!(again.out.lines().filter(|line| line.contains("is sent again")).count(), 2, "{again:?}");
    eventually("all are sent", async || {
        let page = api.get("/deliveries?limit=100&state=sent").await.done();
        (page["items"].as_array()?.len() == 12).then_some(())
    })
    .await;
    let keys: std::collections::BTreeSet<String> = receiver.received().into_iter().map(|one| one.id).collect();
    assert_eq!((keys.len(), receiver.count()), (12, 14), "under the same keys");
    assert!(lab.run(["deliveries", "retry", "d1"]).await.code == Some(1), "what was sent is not sent again");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fires_together_is_one_message_and_the_listings_say_which() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).webhook("a", &receiver).unlimited("a", "1s"));
    let daemon = lab.daemon().await;
    let api = daemon.api();
    exchange.trade("BTC-USD", "59000");
    api.price("BTC", "59000").await;
    for level in 0..6 {
        api.alert(&format!("BTC > {} once via webhook:a", 60_000 + level)).await;
    }
    exchange.trade("BTC-USD", "60100");
    let told = receiver.wait(2).await;
    assert_eq!((&told[0].body["type"], &told[1].body["type"]), (&json!("alert.fired"), &json!("alert.digest")));
    assert_eq!((&told[1].body["data"]["firings"], &told[1].body["data"]["alerts"]), (&json!(5), &json!(5)));
    assert_eq!(told[1].body["data"]["lines"].as_array().map(Vec::len), Some(5));
    api.settled(6).await;
    let page = api.get("/deliveries?state=merged").await.done();
    let merged = page["items"].as_array().expect("rows");
    assert_eq!(merged.len(), 4);
    assert!(merged.iter().all(|row| row["merged_into"] == told[1].id.as_str()), "{merged:?}");
    let shown = lab.run(["events"]).await;
    assert_eq!(shown.out.matches(&format!("merged into {}", told[1].id)).count(), 4, "{shown:?}");
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("{channel=\"webhook:a\",status=\"merged\"} 4"), "{metrics}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_firing_climbs_until_it_is_over_or_seen() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let settings = Settings::quiet().coinbase(&exchange).webhook("a", &receiver).webhook("b", &receiver).with(
        "user",
        "escalation = [{ after = \"0s\", channels = [\"webhook:a\"] }, { after = \"1h\", channels = [\"webhook:b\"] }]",
    );
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let api = daemon.api();
    exchange.trade("BTC-USD", "59000");
    api.price("BTC", "59000").await;
    let id = api.alert("BTC > 60k each urgent").await;
    let steps = async |number: usize, wanted: &str| {
        eventually(&format!("step 1 of firing {number} is {wanted}"), async || {
            let page = api.get("/deliveries?limit=100").await.done();
            let rows = page["items"].as_array()?.clone();
            let row = rows.iter().find(|row| row["firing"] == format!("{id}.1.{number}") && row["step"] == 1)?.clone();
            (row["state"] == wanted).then_some(row)
        })
        .await
    };
    exchange.trade("BTC-USD", "60001");
    receiver.wait(1).await;
    let waiting = steps(1, "queued").await;
    assert_eq!((&waiting["waits"], &waiting["urgent"]), (&json!("escalation"), &json!(true)));
    // The price comes back: the episode is over.
    exchange.trade("BTC-USD", "59999");
    assert_eq!(steps(1, "cancelled").await["answer"], "it was over before this step");
    exchange.trade("BTC-USD", "60002");
    receiver.wait(2).await;
    steps(2, "queued").await;
    assert!(lab.run(["ack", &id]).await.code == Some(0));
    assert_eq!(steps(2, "cancelled").await["answer"], "the alert was acknowledged");
    assert!(receiver.received().iter().all(|one| one.name == "a"));
    daemon.stop().await;
}
