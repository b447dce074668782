//! The dashboard's figures of `docs/performance.md`, measured on a pseudo-terminal with the real program and a real daemon:
//!
//! ```sh
//! BELLWETHER_BENCH_PEERS='btm;tickrs -s BTC-USD' cargo bench -p bellwether --bench dashboard
//! ```
//!
//! The variable names other terminal programs, separated by `;`, that are watched in the same way for comparison. Nothing is
//! asserted: a busy machine is slow. What can be had without a terminal is in `src/figures_tests.rs`.

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
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use bellwether_core::{price::Price, protocol::ServerFrame};
use futures_util::StreamExt as _;
use rust_decimal::Decimal;
use tokio_tungstenite::tungstenite::Message;

use lab::{Daemon, PROGRAM, exchange, report, subscribe, ticker};

/// How long a share of processor time is watched.
const WATCH: Duration = Duration::from_secs(30);
/// What is waited for comes sooner, or never.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    // `cargo test --benches` runs benches too; this one is only for `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        quiet().await;
        for rate in [500, 5_000] {
            busy(rate).await;
        }
    });
    let peers = std::env::var("BELLWETHER_BENCH_PEERS").unwrap_or_default();
    for line in peers.split(';').filter(|line| !line.trim().is_empty()) {
        peer(line.trim());
    }
}

/// A terminal of 120 columns and 40 rows made by `script` (util-linux), and what a person would see on it.
struct Screen {
    script: Child,
    keys: ChildStdin,
    output: Receiver<(Instant, Vec<u8>)>,
    seen: vt100::Parser,
    started: Instant,
    bytes: usize,
}

impl Screen {
    fn open(line: &str) -> Self {
        let started = Instant::now();
        let mut script = Command::new("script")
            .args(["-qfec", &format!("stty cols 120 rows 40; exec {line}"), "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (read, output) = channel();
        let mut out = script.stdout.take().unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = out.read(&mut buffer) {
                if read.send((Instant::now(), buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
        });
        let keys = script.stdin.take().unwrap();
        Self { script, keys, output, seen: vt100::Parser::new(40, 120, 0), started, bytes: 0 }
    }

    /// When the screen first was as wanted, or nothing where it was not in time.
    fn until(&mut self, patience: Duration, wanted: impl Fn(&vt100::Screen) -> bool) -> Option<Instant> {
        let end = Instant::now() + patience;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, bytes)) => {
                    self.bytes += bytes.len();
                    self.seen.process(&bytes);
                    if wanted(self.seen.screen()) {
                        return Some(at);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended:\n{}", self.seen.screen().contents()),
            }
        }
    }

    /// Reads on for a while.
    fn rest(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    fn shows(&mut self, wanted: impl Fn(&vt100::Screen) -> bool) -> Instant {
        self.until(PATIENCE, wanted).unwrap_or_else(|| panic!("it never shows:\n{}", self.seen.screen().contents()))
    }

    fn types(&mut self, keys: &[u8]) -> Instant {
        let at = Instant::now();
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
        at
    }

    /// The program, which took the shell's place.
    fn program(&self) -> u32 {
        let path = format!("/proc/{0}/task/{0}/children", self.script.id());
        fs::read_to_string(path).unwrap().split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Watches it for a while: processor time, bytes, memory.
    fn watch(&mut self, what: &str, to_reach: &str) {
        let program = self.program();
        let (busy, bytes, at) = (lab::busy(program), self.bytes, Instant::now());
        self.rest(WATCH);
        let taken = at.elapsed().as_secs_f64();
        println!(
            "{what}: {:.2} % of a core, {:.0} bytes/s, {:.1} MiB resident (to reach: {to_reach})",
            (lab::busy(program) - busy) / taken * 100.0,
            (self.bytes - bytes) as f64 / taken,
            lab::resident(program)
        );
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(self.script.kill());
        drop(self.script.wait());
    }
}

fn dashboard(daemon: &Daemon) -> String {
    format!("{PROGRAM} --data-dir {} --config {}", daemon.data().display(), daemon.config().display())
}

/// The line of the screen that tells the selected instrument's price.
fn price(screen: &vt100::Screen, symbol: &str) -> Option<Price> {
    let line = screen.rows(0, 60).find(|line| line.trim_start().starts_with(&format!("{symbol} ")))?;
    line.split_whitespace().nth(1)?.replace(',', "").parse::<Decimal>().ok().map(Price::new)
}

async fn thirty_alerts(daemon: &Daemon) {
    let file = daemon.ready().await;
    let http = reqwest::Client::new();
    for n in 1..=30 {
        let expr = serde_json::json!({"expr": format!("BTC crosses {} each", n * 100)});
        let made = http.post(format!("{}/alerts", file.address)).bearer_auth(&file.token).json(&expr).send().await;
        assert!(made.unwrap().status().is_success());
    }
}

/// An exchange that has said one price of each of its coins, and nothing since.
async fn quiet() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, frames) = tokio::sync::mpsc::channel(64);
    tokio::spawn(exchange(listener, frames));
    let others: String =
        ["kraken", "binance", "coingecko", "yahoo"].map(|name| format!("[feeds.{name}]\nenabled = false\n")).concat();
    let daemon = Daemon::spawn(&format!(
        "[feeds.coinbase]\nws_url = \"ws://{address}\"\nsilence = \"10m\"\n{others}[channels.desktop]\nenabled = false\n[log]\nlevel = \"error\"\n"
    ));
    thirty_alerts(&daemon).await;
    send.send(ticker("BTC-USD", 6_000_000)).await.unwrap();
    send.send(ticker("ETH-USD", 300_000)).await.unwrap();

    let line = dashboard(&daemon);
    let (mut skeleton, mut data) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut screen = Screen::open(&line);
        let first = screen.shows(|screen| screen.contents().contains("bellwether"));
        skeleton.push(first - screen.started);
        // Of the snapshot: the price, and that the connection stands.
        let whole = if price(screen.seen.screen(), "BTC").is_some()
            && !screen.seen.screen().contents().contains("connecting")
        {
            first
        } else {
            screen.shows(|screen| price(screen, "BTC").is_some() && !screen.contents().contains("connecting"))
        };
        data.push(whole - screen.started);
        screen.types(b"q");
        drop(screen.script.wait());
    }
    report("first frame, from the start of the process", &mut skeleton, "30 ms in the middle");
    report("first frame with the daemon's data", &mut data, "100 ms");

    let mut screen = Screen::open(&line);
    screen.shows(|screen| price(screen, "BTC").is_some());
    screen.rest(Duration::from_secs(8));
    println!("memory at the start: {:.1} MiB resident (to reach: 15)", lab::resident(screen.program()));
    screen.watch("idle, with the clock shown", "0.1 %");
}

/// The simulated market at so many prices a second.
async fn busy(rate: u32) {
    let daemon = Daemon::spawn(&format!(
        "[feeds.simulated]\nenabled = true\nrate = {rate}\n[channels.desktop]\nenabled = false\n[log]\nlevel = \"error\"\n"
    ));
    thirty_alerts(&daemon).await;
    let file = daemon.ready().await;
    let mut screen = Screen::open(&dashboard(&daemon));
    screen.shows(|screen| price(screen, "BTC").is_some());
    // The simulated past is written in the first seconds.
    screen.rest(Duration::from_secs(15));
    screen.watch(&format!("at {rate} prices/s"), if rate == 500 { "3 %" } else { "4 %" });

    let mut taken = Vec::new();
    for n in 0_u64..100 {
        // At no fixed distance from the frames of data.
        screen.rest(Duration::from_millis(100 + (n * 37) % 90));
        let pressed = screen.types(b"?");
        taken.push(screen.shows(help).saturating_duration_since(pressed));
        screen.types(b"\x1b");
        screen.shows(|screen| !help(screen));
    }
    report(
        &format!("key to the bytes of its frame, at {rate} prices/s"),
        &mut taken,
        "5 ms in the middle, 16 ms at p99",
    );

    // A client beside it hears the same price: what comes later is the dashboard's.
    let mut client = subscribe(&file).await;
    let mut taken = Vec::new();
    while taken.len() < 100 {
        let Some(Ok(Message::Text(text))) = client.next().await else { panic!("the daemon hung up") };
        let heard = Instant::now();
        let Ok(ServerFrame::Price { ticker, .. }) = serde_json::from_str::<ServerFrame>(&text) else { continue };
        if ticker.symbol.as_str() != "BTC" {
            continue;
        }
        // Where the next price overtakes it, this one is not counted.
        let wanted = |screen: &vt100::Screen| price(screen, "BTC") == Some(ticker.price);
        if let Some(shown) = tokio::task::block_in_place(|| screen.until(Duration::from_millis(150), wanted)) {
            taken.push(shown.saturating_duration_since(heard));
        }
    }
    report(&format!("price on the daemon's socket to its bytes, at {rate} prices/s"), &mut taken, "60 ms at p99");
    screen.watch(&format!("at {rate} prices/s, some minutes later"), "25 MB");
}

fn help(screen: &vt100::Screen) -> bool {
    screen.contents().contains("type to filter")
}

/// Another program, for comparison: its first picture, and what it costs while nobody types.
fn peer(line: &str) {
    let mut screen = Screen::open(line);
    let first = screen.shows(|screen| screen.contents().lines().filter(|line| !line.trim().is_empty()).count() > 4);
    println!("beside: `{line}`, first picture after {:.1} ms", (first - screen.started).as_secs_f64() * 1_000.0);
    screen.rest(Duration::from_secs(8));
    screen.watch(&format!("beside: `{line}`"), "-");
}
