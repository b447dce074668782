//! Prices are recorded, judged again by a backtest, and played as if they were live, apart from what is real.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::harness::{Daemon, Exchange, Lab, Settings, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_is_judged_again_and_played() {
    let exchange = Exchange::start().await;
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let tape = lab.path("tape.csv");
    let file = tape.to_str().expect("a path").to_owned();
    let daemon = Daemon::start(lab.command(["daemon", "--record", &file]), &lab.data()).await;
    let api = daemon.api();
    api.alert("ETH > 1 once").await;
    exchange.subscribed("BTC-USD").await;
    for price in ["59990", "60010.5"] {
        exchange.trade("BTC-USD", price);
        api.price("BTC", price).await;
    }
    daemon.stop().await;
    let text = fs::read_to_string(&tape).expect("recorded");
    assert!(text.starts_with("time,symbol,price,received,source,session\n"), "{text}");
    assert!(text.contains(",BTC,60010.5,") && text.ends_with(",coinbase,regular\n"), "{text}");
    assert_eq!(fs::metadata(&tape).expect("a file").permissions().mode() & 0o777, 0o600);

    let judged = lab.run(["backtest", "BTC crosses up 60k each", "--ticks", &file]).await;
    let firing: Value = serde_json::from_str(judged.done().trim()).expect("one firing");
    assert_eq!((&firing["symbol"], &firing["price"]), (&json!("BTC"), &json!("60010.5")), "{firing}");

    let played = Daemon::start(lab.command(["daemon", "--play", &file, "--speed", "max"]), &lab.data()).await;
    let api = played.api();
    api.price("BTC", "60010.5").await;
    let row = api.get("/prices/BTC").await.done();
    assert_eq!(row["source"], "tape");
    assert_eq!(api.get("/alerts").await.done()["items"], json!([]), "the real alerts are not played to");
    let health = eventually("the end of the tape", async || {
        let health = api.get("/health/ready").await.json();
        let feeds = health["feeds"].as_array()?.clone();
        (feeds.len() == 1 && feeds[0]["feed"] == "tape" && feeds[0]["state"] == "off").then_some(health)
    })
    .await;
    assert_eq!(health["simulated"], true);
    let log = played.stop().await;
    assert!(log.contains("the tape has ended"), "{log}");

    // What is real is as it was.
    let daemon = lab.daemon().await;
    assert_eq!(daemon.api().get("/prices/BTC").await.done()["source"], "coinbase");
    assert_eq!(daemon.api().get("/alerts").await.done()["items"].as_array().map(Vec::len), Some(1));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_played_or_recorded_into_is_refused_at_the_start() {
    let lab = Lab::with(&Settings::quiet());
    let letter = lab.path("letter.txt");
    fs::write(&letter, "Dear Sir\n").expect("written");
    let letter = letter.to_str().expect("a path");
    let said = lab.run(["daemon", "--play", letter]).await;
    assert!(said.refused().contains("does not begin with the header"), "{said:?}");
    let said = lab.run(["daemon", "--record", letter]).await;
    assert!(said.refused().contains("it holds something else"), "{said:?}");
    assert_eq!(fs::read_to_string(letter).expect("there"), "Dear Sir\n");
}
