//! The figures of `docs/performance.md`, measured on the real program in its release build:
//!
//! ```sh
//! cargo bench -p bellwether --bench figures
//! ```
//!
//! With a word behind it, such as `-- loaded`, only the figures whose name holds that word are taken.
//!
//! It prints one line a figure, with what it is compared with in the same run. Nothing is asserted: a busy machine is slow.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people who measure; it may end with a panic"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, by the wall clock"
)]

mod lab;

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bellwether_core::protocol::ServerFrame;
use tokio::{net::TcpListener, sync::mpsc};

use lab::{Daemon, PROGRAM, SIMULATED, exchange, next, report, subscribe, ticker};

fn main() {
    // `cargo test --benches` runs benches too; this one is only for `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    runtime.block_on(async {
        if wanted("start") {
            start().await;
        }
        if wanted("loaded") {
            loaded().await;
        }
        if wanted("idle") {
            idle().await;
        }
        if wanted("frame") {
            first_frame().await;
        }
        if wanted("latency") {
            bare_commit();
            latency().await;
        }
    });
}

async fn start() {
    let mut taken = Vec::new();
    for _ in 0..20 {
        let at = Instant::now();
        let daemon = Daemon::spawn(SIMULATED);
        daemon.ready().await;
        taken.push(at.elapsed());
    }
    report("start of the daemon to health/ready", &mut taken, "150 ms");
}

/// With 10,000 alerts, half a million firings each with its delivery, and as many bars: after a stop, and after a kill, when a database of
/// this size is checked as a whole before anything is believed.
async fn loaded() {
    let (mut polite, mut killed) = (Vec::new(), Vec::new());
    let daemon = Daemon::spawn(SIMULATED);
    let file = daemon.ready().await;
    let http = reqwest::Client::new();
    for symbol in ["BTC", "ETH", "SOL", "AAPL", "MSFT", "NVDA", "TSLA", "EURUSD", "GOLD", "SPX"] {
        let made = http
            .post(format!("{}/alerts", file.address))
            .bearer_auth(&file.token)
            .json(&serde_json::json!({"expr": format!("{symbol} < 999999 each")}))
            .send()
            .await
            .unwrap();
        assert!(made.status().is_success(), "{symbol}: {made:?}");
    }
    while http
        .get(format!("{}/events", file.address))
        .bearer_auth(&file.token)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
        .matches("\"reason\"")
        .count()
        < 10
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut folder = daemon.ended("TERM");
    let database = folder.path().join("data/bellwether.db");
    let at = Instant::now();
    fill(&rusqlite::Connection::open(&database).unwrap());
    println!("    filled in {:.0} s: {} MB", at.elapsed().as_secs_f64(), fs::metadata(&database).unwrap().len() >> 20);
    for _ in 0..10 {
        for (taken, signal) in [(&mut polite, "KILL"), (&mut killed, "TERM")] {
            let at = Instant::now();
            let daemon = Daemon::spawn_in(folder, SIMULATED);
            daemon.ready().await;
            taken.push(at.elapsed());
            folder = daemon.ended(signal);
        }
    }
    report("loaded: start after a stop, 10,000 alerts, 1 million rows of history", &mut polite, "2,000 ms");
    report("loaded: start after a kill", &mut killed, "5,000 ms");
}

/// Copies each alert 999 times, and of the firings makes half a million, each with a delivery that was sent.
fn fill(database: &rusqlite::Connection) {
    database
        .execute_batch(
            "BEGIN;
             CREATE TEMP TABLE many AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500000) SELECT n FROM n;
             CREATE TEMP TABLE old AS SELECT row_number() OVER (ORDER BY id) - 1 AS place, * FROM alerts;
             INSERT INTO alerts (id, owner, version, rule, paused, created, updated)
                 SELECT 100 + n, owner, version, replace(rule, '999999', 999999 + n), paused, created, updated
                 FROM many JOIN old ON place = n % 10 WHERE n <= 9990;
             INSERT INTO alert_memories SELECT 100 + n, json_set(memory, '$.id', 'a' || (100 + n), '$.text', replace(json_extract(memory, '$.text'), '999999', 999999 + n)) FROM many JOIN old ON place = n % 10
                 JOIN alert_memories ON alert = old.id WHERE n <= 9990;
             CREATE TEMP TABLE fired AS SELECT row_number() OVER (ORDER BY place) - 1 AS nth, * FROM firings;
             INSERT INTO firings (place, alert, version, number, owner, time, received, recorded, firing)
                 SELECT 1000 + n, alert, version, number + n, owner, time + n, received + n, recorded + n,
                        json_set(firing, '$.id', 'a' || alert || '.' || version || '.' || (number + n))
                 FROM many JOIN fired ON nth = n % (SELECT count(*) FROM fired);
             INSERT INTO deliveries (firing, alert, owner, channel, lane, offered, state, attempts, created, finished, answer)
                 SELECT place, alert, owner, 'desktop', 2, recorded, 'sent', 1, recorded, recorded, 'accepted' FROM firings;
             INSERT OR IGNORE INTO instruments (symbol) VALUES ('BTC');
             INSERT OR IGNORE INTO bars (instrument, minute, session, open, high, low, close) SELECT (SELECT id FROM instruments WHERE symbol = 'BTC'),
                 unixepoch() / 60 - n, 1, '60000.12', '60001.5', '59999', '60000.75' FROM many;
             COMMIT;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
}

async fn idle() {
    let daemon = Daemon::spawn(SIMULATED);
    let file = daemon.ready().await;
    let http = reqwest::Client::new();
    for level in [100, 1_000, 90_000, 100_000] {
        let answer = http
            .post(format!("{}/alerts", file.address))
            .bearer_auth(&file.token)
            .json(&serde_json::json!({"expr": format!("BTC crosses {level} each")}))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
    // The simulated past is written in the first seconds.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (before, at) = (daemon.busy(), Instant::now());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let share = (daemon.busy() - before) / at.elapsed().as_secs_f64() * 100.0;
    println!("daemon at 50 ticks/s, 102 instruments: {:.1} MiB resident (to reach: 30)", daemon.resident());
    println!("daemon at 50 ticks/s: {share:.2} % of a core (to reach: 1)");
}

/// On a pseudo-terminal made by `script` (util-linux), whose own start is part of the figure.
async fn first_frame() {
    let daemon = Daemon::spawn(SIMULATED);
    daemon.ready().await;
    let mut taken = Vec::new();
    for _ in 0..20 {
        let line = format!(
            "stty cols 120 rows 40; exec {PROGRAM} --data-dir {} --config {}",
            daemon.data().display(),
            daemon.data().with_file_name("config.toml").display()
        );
        let at = Instant::now();
        let mut child = Command::new("script")
            .args(["-qfec", &line, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0_u8; 8_192]);
        while !seen.windows(10).any(|w| w == b"bellwether") {
            let n = out.read(&mut buffer).unwrap();
            assert!(n > 0, "the dashboard ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..n]);
        }
        taken.push(at.elapsed());
        drop(child.kill());
        drop(child.wait());
    }
    report("first frame of the dashboard, from the start of the process", &mut taken, "50 ms");
}

/// What a commit of one row costs with nothing around it, for comparison.
fn bare_commit() {
    let folder = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(folder.path().join("bare.db")).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a TEXT)").unwrap();
    let mut taken = Vec::new();
    for _ in 0..500 {
        let at = Instant::now();
        db.execute("INSERT INTO t VALUES ('x')", []).unwrap();
        taken.push(at.elapsed());
    }
    report("beside: a bare commit of one row, synchronous=FULL", &mut taken, "-");
}

async fn latency() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (send, frames) = mpsc::channel(64);
    tokio::spawn(exchange(listener, frames));
    let config = format!(
        "[feeds.coinbase]\nws_url = \"ws://{address}\"\nsilence = \"10m\"\n[feeds.kraken]\nenabled = false\n[feeds.binance]\nenabled = false\n[feeds.coingecko]\nenabled = false\n[feeds.yahoo]\nenabled = false\n[channels.desktop]\nenabled = false\n[log]\nlevel = \"error\"\n"
    );
    let daemon = Daemon::spawn(&config);
    let file = daemon.ready().await;
    let http = reqwest::Client::new();
    let made = http
        .post(format!("{}/alerts", file.address))
        .bearer_auth(&file.token)
        .json(&serde_json::json!({"expr": "BTC crosses 60000 each"}))
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let mut client = subscribe(&file).await;
    send.send(ticker("BTC-USD", 5_999_900)).await.unwrap();
    next(&mut client, |frame| matches!(frame, ServerFrame::Price { .. })).await;

    let mut firings = Vec::new();
    for n in 0..1_000_u64 {
        let at = Instant::now();
        send.send(ticker("BTC-USD", if n % 2 == 0 { 6_000_100 } else { 5_999_900 } + n % 7)).await.unwrap();
        next(&mut client, |frame| matches!(frame, ServerFrame::Firing { .. })).await;
        firings.push(at.elapsed());
    }
    report("tick sent to its firing (committed, FULL) on a WebSocket client", &mut firings, "20 ms p99");

    let mut prices = Vec::new();
    for n in 0..200_u64 {
        let at = Instant::now();
        let cents = 300_000 + n;
        let wanted = format!("{}.{:02}", cents / 100, cents % 100).parse::<bellwether_core::price::Price>().unwrap();
        send.send(ticker("ETH-USD", cents)).await.unwrap();
        next(&mut client, |frame| matches!(frame, ServerFrame::Price { ticker, .. } if ticker.price == wanted)).await;
        prices.push(at.elapsed());
        // Between the beats of the conflation, at no fixed distance.
        tokio::time::sleep(Duration::from_millis(10 + (n * 37) % 90)).await;
    }
    report("tick sent to its price frame on a WebSocket client (10 Hz)", &mut prices, "110 ms p99");

    let metrics = http.get(format!("{}/metrics", file.address)).send().await.unwrap().text().await.unwrap();
    for line in metrics.lines().filter(|l| l.starts_with("notifier_tick_to_commit_seconds")) {
        println!("    {line}");
    }
}
