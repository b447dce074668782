//! The configuration changes while the daemon runs: what changed is taken up, and nothing else notices.

use std::time::Duration;

use crate::harness::{Exchange, Lab, Receiver, Settings, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_taken_up_by_itself_and_feeds_that_it_does_not_concern_keep_their_sockets() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    exchange.trade("BTC-USD", "59990");
    let settings = Settings::quiet().coinbase(&exchange);
    let lab = Lab::with(&settings);
    let mut daemon = lab.daemon().await;
    daemon.api().price("BTC", "59990").await;
    let before = exchange.connections();

    // A channel: nobody says that the file has changed.
    let settings = settings.webhook("phone", &receiver).unlimited("phone", "0s");
    lab.configure(&settings.to_string());
    daemon.followed().await;
    daemon.api().alert("BTC crosses up 60k each via webhook:phone").await;
    // Prices go on while everything but the feed starts anew, and each is judged.
    let (mut crossings, mut below) = (0, true);
    let mut trade = |exchange: &Exchange| {
        exchange.trade("BTC-USD", if below { "60010.5" } else { "59990.5" });
        crossings += usize::from(below);
        below = !below;
    };
    trade(&exchange);
    receiver.wait(1).await;
    lab.configure(&settings.clone().with("user", "timezone = \"Europe/Berlin\"").to_string());
    daemon.signal("HUP").await;
    for _ in 0..100 {
        trade(&exchange);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    daemon.followed().await;
    daemon.api().settled(crossings).await;
    assert_eq!(receiver.firings("phone"), crossings, "each crossing once");
    assert_eq!(exchange.connections(), before, "the socket was not touched");
    assert!(daemon.log().contains("changed: channels") && daemon.log().contains("changed: user"), "{}", daemon.log());

    // The feed itself.
    lab.configure(&settings.with("feeds.coinbase", "silence = \"11s\"").to_string());
    daemon.followed().await;
    eventually("another connection", async || (exchange.connections() > before).then_some(())).await;
    exchange.subscribed("BTC-USD").await;
    exchange.trade("BTC-USD", "60020");
    daemon.api().price("BTC", "60020").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_mistake_is_told_with_its_place_until_it_is_corrected() {
    let settings = Settings::quiet();
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let note = async || {
        let health = daemon.api().get("/health/ready").await;
        assert_eq!(health.status, 200, "it is ready all the same");
        health.json()["notes"]["configuration"].as_str().map(str::to_owned)
    };
    assert_eq!(note().await, None);
    lab.configure("[log]\nlevel = \"info\"\nformat = \"canary\"\n");
    let said = eventually("a note about the file", async || note().await).await;
    assert!(said.contains("config.toml:3:") && !said.contains("canary"), "{said}");
    assert!(daemon.log().contains("the configuration stays as it was") && daemon.log().contains("config.toml:3:10"));
    let doctor = lab.run(["doctor"]).await;
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.out.contains("WRONG  daemon: configuration: "), "{doctor:?}");

    // What concerns the log alone starts nothing anew.
    lab.configure(&settings.with("log", "level = \"debug\"").to_string());
    eventually("the note is gone", async || note().await.is_none().then_some(())).await;
    assert!(daemon.log().contains("changed: log"), "{}", daemon.log());
    assert_eq!(daemon.api().get("/alerts").await.status, 200, "the token is the same");
    daemon.stop().await;
}
