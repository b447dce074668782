//! Ten thousand alerts that all fire on one tick, through the whole program: recorded, told at once, and then as one message that
//! can be read (docs/alerts.md, C7). The figures are printed; `cargo test --release` gives those that count.

use std::{io::Write as _, time::Instant};

use serde_json::json;

use crate::harness::{Exchange, Lab, Receiver, Settings};

const ALERTS: u32 = 10_000;

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_alerts_that_fire_on_one_tick_are_told_at_once_and_in_one_digest() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let settings = Settings::quiet().coinbase(&exchange).webhook("a", &receiver).unlimited("a", "20s");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    daemon.api().alert("BTC > 60k once via webhook:a").await;
    daemon.stop().await;
    // Made one by one they would take longer than all the rest.
    let database = rusqlite::Connection::open(lab.data().join("bellwether.db")).expect("the database");
    let copies = "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
         INSERT INTO alerts (owner, version, rule, paused, created, updated) \
         SELECT a.owner, a.version, a.rule, a.paused, a.created, a.updated FROM alerts a, n";
    database.execute(copies, [ALERTS]).expect("copied");
    drop(database);

    let daemon = lab.daemon().await;
    exchange.trade("BTC-USD", "59000");
    daemon.api().price("BTC", "59000").await;
    let before = resident(daemon.pid());
    let started = Instant::now();
    exchange.trade("BTC-USD", "60001");
    let first = receiver.wait(1).await.remove(0);
    let took = started.elapsed();
    assert_eq!((&first.body["type"], &first.body["data"]["collected"]), (&json!("alert.fired"), &json!(1)));

    let digest = receiver.wait(2).await.remove(1);
    let data = &digest.body["data"];
    assert_eq!((&data["firings"], &data["alerts"]), (&json!(ALERTS - 1), &json!(ALERTS - 1)));
    assert_eq!(data["lines"].as_array().map(Vec::len), Some(20));
    assert!(digest.text.len() < 20_000 && data["storm"] == json!(true), "{}", digest.text);
    assert!(data["text"].as_str().is_some_and(|text| text.contains("and 9994 more")), "{data}");
    let grown = resident(daemon.pid()).saturating_sub(before);
    assert!(grown < 256 * 1_024, "{grown} KiB more");
    writeln!(std::io::stderr(), "10,000 on one tick: first message after {took:?}, {grown} KiB more").ok();
    let metrics = daemon.api().get("/metrics").await.text;
    assert!(metrics.contains("{channel=\"webhook:a\",status=\"merged\"} 9998"), "{metrics}");
    daemon.stop().await;
    assert_eq!(receiver.count(), 2, "nothing else came");
}
