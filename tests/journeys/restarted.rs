//! Kill -9 at the moment of the firing: after the next start it is on record and delivered, and does not come a second time.

use serde_json::json;

use crate::harness::{Exchange, Lab, Receiver, Settings, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firing_survives_the_daemon_and_is_not_repeated() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let settings = Settings::quiet()
        .coinbase(&exchange)
        .webhook("default", &receiver)
        .unlimited("default", "0s")
        .by_default("webhook");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    exchange.trade("BTC-USD", "59990");
    let once = daemon.api().alert("BTC > 60k once").await;
    let each = daemon.api().alert("BTC > 60k each").await;
    let every = daemon.api().alert("BTC > 60k every 1h").await;
    daemon.api().price("BTC", "59990").await;
    let mut stream = daemon.stream().await;

    // The receiver has it and has not answered yet: the daemon cannot know that it arrived.
    receiver.hesitate(std::time::Duration::from_hours(1));
    exchange.trade("BTC-USD", "60010");
    stream.until("the firing", |frame| frame["type"] == "firing").await;
    receiver.wait(1).await;
    daemon.kill().await;
    receiver.hesitate(std::time::Duration::ZERO);

    let daemon = lab.daemon().await;
    let events = daemon.api().settled(3).await;
    assert_eq!(events.len(), 3, "{events:?}");
    for (id, state) in [(&once, "done"), (&each, "fired"), (&every, "cooling")] {
        let alert = daemon.api().get(&format!("/alerts/{id}")).await.done();
        assert_eq!((&alert["state"], &alert["fired"]), (&json!(state), &json!(1)), "{alert}");
    }

    // The market stands where it stood; then it leaves and comes back.
    for (price, firings) in [("60020", 3), ("59980", 3), ("60030", 4)] {
        exchange.trade("BTC-USD", price);
        daemon.api().price("BTC", price).await;
        let events = daemon.api().settled(firings).await;
        assert_eq!(events.len(), firings, "at {price}: {events:?}");
    }
    daemon.stop().await;

    // What came twice was under way when the daemon was killed, and carries the same key.
    let told = receiver.received();
    let mut ids: Vec<&str> = told.iter().map(|r| r.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_is_polite_and_leaves_nothing_behind() {
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    daemon.api().alert("BTC > 60k").await;
    let mut stream = daemon.stream().await;
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
    assert!(!lab.data().join("daemon.json").exists(), "daemon.json of a daemon that is gone");
    eventually("the end of the session", async || stream.next().await.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_reload_changes_nothing_and_a_good_one_is_taken_up() {
    let receiver = Receiver::start().await;
    let settings = Settings::quiet();
    let lab = Lab::with(&settings);
    let mut daemon = lab.daemon().await;
    let id = daemon.api().alert("BTC > 60k").await;

    for broken in
        ["[servr]\n".to_owned(), settings.clone().with("channels.webhook.x", "url = \"ftp://h/\"").to_string()]
    {
        lab.configure(&broken);
        let before = daemon.log().matches("stays as it was").count();
        daemon.signal("HUP").await;
        eventually("the refusal in the log", async || {
            (daemon.log().matches("stays as it was").count() > before).then_some(())
        })
        .await;
        assert_eq!(daemon.api().get(&format!("/alerts/{id}")).await.status, 200, "it goes on as before");
    }

    // A file that reads well and cannot be used: nothing is stopped at all.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address");
    lab.configure(&settings.clone().with("server", &format!("listen = \"{address}\"")).to_string());
    daemon.signal("HUP").await;
    eventually("the refusal in the log", async || daemon.log().contains("another program listens there").then_some(()))
        .await;
    assert_eq!(daemon.api().get(&format!("/alerts/{id}")).await.status, 200, "it goes on as before");

    let (known, mut stream) = (daemon.token().to_owned(), daemon.stream().await);
    lab.configure(&settings.webhook("phone", &receiver).to_string());
    daemon.reload().await;
    assert_eq!(daemon.token(), known, "programs that run keep their way in");
    stream.until("hello again", |frame| frame["type"] == "hello").await;
    let other = json!({"name": "webhook:other", "settings": {"url": receiver.url("other")}});
    assert_eq!(daemon.api().post("/channels", &other).await.status, 201);
    stream.until("hello after the channel", |frame| frame["type"] == "hello").await;
    let command = json!({"type": "update", "id": 1, "alert_id": id, "patch": {"paused": true}});
    stream.send(&command).await;
    let reply = stream.until("the reply", |frame| frame["type"] == "reply").await;
    assert_eq!((&reply["ok"], &reply["alert"]["state"]), (&json!(true), &json!("paused")), "{reply}");
    let channels = daemon.api().get("/channels").await.text;
    assert!(channels.contains("webhook:phone") && channels.contains("webhook:other"), "{channels}");
    assert_eq!(daemon.api().get(&format!("/alerts/{id}")).await.status, 200, "the alerts are still there");
    daemon.stop().await;
}
