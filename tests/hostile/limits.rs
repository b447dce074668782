//! Crowds, a held database, a full disk: told, bounded, and nothing lost (P13, P15 and P20).

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::{alerts, login, quiet};
use crate::harness::{
    Daemon, Exchange, Lab, PATIENCE, Settings, Stream,
    api::status_of,
    lab::PROGRAM,
    stream::{refusal, upgrade},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_turned_away_and_those_inside_notice_nothing() {
    let exchange = Exchange::start().await;
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = lab.daemon().await;
    let mut inside = daemon.stream().await;
    exchange.subscribed("BTC-USD").await;
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(TcpStream::connect(daemon.authority()).await.expect("the kernel takes it"));
    }
    let last = crowd.last_mut().expect("a crowd");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, last.read_to_end(&mut answer)).await.expect("the last one is answered");
    drop(read);
    assert_eq!(status_of(&String::from_utf8_lossy(&answer)), 503, "{answer:?}");
    exchange.trade("BTC-USD", "60000");
    inside.until("the price", |frame| frame["type"] == "price" && frame["price"] == "60000").await;
    drop(crowd);
    let api = daemon.api();
    crate::harness::eventually("the crowd has gone", async || {
        let answer = api.request(Method::GET, "/prices/BTC").send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;

    // One account has sixteen sessions, and no more.
    let token = login(&daemon.stranger(), "user@example.com").await;
    let mut sessions: Vec<Stream> = Vec::new();
    for _ in 0..16 {
        sessions.push(Stream::open(daemon.authority(), &token).await);
    }
    let mut one_more = upgrade(daemon.authority());
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
    one_more.headers_mut().insert("authorization", value);
    assert_eq!(refusal(one_more).await, 503);
    drop(sessions);
    daemon.stop().await;
}

/// The limit is put upon the daemon while it runs: as many files as it has open, and one more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_file_can_be_opened_prices_go_on_and_nobody_spins() {
    let exchange = Exchange::start().await;
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = lab.daemon().await;
    let mut inside = daemon.stream().await;
    exchange.subscribed("BTC-USD").await;
    let pid = daemon.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").count();
    let limit = format!("--nofile={}", open + 1);
    let limited = tokio::process::Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
    assert!(limited.await.expect("prlimit(1)").success());
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(TcpStream::connect(daemon.authority()).await.expect("the kernel takes it"));
    }
    let refusals = || daemon.log().matches("cannot accept a connection").count();
    crate::harness::eventually("it says so", async || (refusals() > 0).then_some(())).await;
    for price in 60_000..60_010 {
        let price = price.to_string();
        exchange.trade("BTC-USD", &price);
        inside.until("the price", |frame| frame["type"] == "price" && frame["price"] == price).await;
    }
    // Ten a second, where a loop without a pause makes ten thousand.
    assert!(refusals() < 2_000, "{} attempts", refusals());
    drop(crowd);
    daemon.api().price("BTC", "60009").await;
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_somebody_else_holds_is_waited_for() {
    let (lab, daemon) = quiet().await;
    let other = rusqlite::Connection::open(lab.data().join("bellwether.db")).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let api = daemon.api();
    let asked = tokio::spawn(async move { api.post("/alerts", &json!({"expr": "BTC > 60k"})).await });
    // Longer than any commit takes, shorter than the daemon's patience of 5 s.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!asked.is_finished(), "it did not wait");
    other.execute_batch("COMMIT").expect("the lock is given back");
    assert_eq!(asked.await.expect("asked").status, 201);
    daemon.stop().await;
}

/// A limit on the size of files plays the full disk: it needs no mount, and meets every write of the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_and_loses_nothing() {
    let (lab, daemon) = quiet().await;
    daemon.api().alert("BTC > 59k").await;
    daemon.stop().await;
    let script = "trap '' XFSZ; ulimit -f 1200; exec \"$0\" \"$@\"";
    let mut full = lab.program(Path::new("/bin/sh"), ["-c", script, PROGRAM, "daemon"]);
    full.arg("--data-dir").arg(lab.data()).arg("--config").arg(lab.config());
    let daemon = Daemon::start(full, &lab.data()).await;
    let api = daemon.api();
    let mut taken = 1;
    let refused = loop {
        let line = format!("BTC > {} note \"{}\"", 60_000 + taken, "n".repeat(480));
        let answer = api.post("/alerts", &json!({ "expr": line })).await;
        if answer.status != 201 {
            break answer;
        }
        taken += 1;
        assert!(taken < 5_000, "the disk never got full");
    };
    refused.problem(503);
    assert_eq!(alerts(&api).await, taken, "what was refused is not there, what was taken is");
    assert_eq!(api.get("/health/live").await.status, 200);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{log}");
    daemon.kill().await;
    let daemon = lab.daemon().await;
    assert_eq!(alerts(&daemon.api()).await, taken);
    daemon.api().alert("BTC > 58k").await;
    daemon.stop().await;
}
