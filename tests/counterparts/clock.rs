//! The daemon under a clock that jumps while it runs (libfaketime, out of Debian's package): a suspend, a clock set wrong and set right again.
//!
//! Only the wall clock is another one; monotonic time, and with it every timer, goes on as it does in reality.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::harness::{Daemon, Exchange, Lab, Receiver, Settings, eventually};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The library that lies between a program and its clock.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    let found = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime: apt-get install libfaketime")
}

/// A daemon whose wall clock is this machine's and so many seconds more.
struct Clocked {
    lab: Lab,
    exchange: Exchange,
    receiver: Receiver,
    daemon: Daemon,
}

impl Clocked {
    async fn start(refill: &str) -> Self {
        let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
        let limits = "channels.webhook.phone.limits";
        let settings = Settings::quiet()
            .coinbase(&exchange)
            .webhook("phone", &receiver)
            .with(limits, "burst = 1")
            .with(limits, &format!("refill = \"{refill}\""))
            .with(limits, "group = \"0s\"");
        let lab = Lab::with(&settings);
        fs::write(lab.path("clock"), "+0").expect("written");
        let mut command = lab.command(["daemon"]);
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", lab.path("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        let daemon = Daemon::start(command, &lab.data()).await;
        exchange.trade("BTC-USD", "59990");
        daemon.api().price("BTC", "59990").await;
        Self { lab, exchange, receiver, daemon }
    }

    /// How often it has said that time has jumped, or that it follows a clock that was set back.
    fn noticed(&self) -> usize {
        let log = self.daemon.log();
        ["time has jumped by", "the clock was set back by"].map(|words| log.matches(words).count()).iter().sum()
    }

    /// Sets its clock, and waits until it has noticed.
    async fn jump(&self, seconds: i64) {
        let before = self.noticed();
        // What it sends is judged by the clock that it has: a daemon's time goes on where its clock is set back.
        self.receiver.set_ahead(seconds.max(0));
        let new = self.lab.path("clock.new");
        fs::write(&new, format!("{seconds:+}")).expect("written");
        fs::rename(new, self.lab.path("clock")).expect("renamed");
        eventually("the jump in the log", async || (self.noticed() > before).then_some(())).await;
    }

    async fn alert(&self, id: &str) -> Value {
        self.daemon.api().get(&format!("/alerts/{id}")).await.done()
    }

    /// BTC trades at this price again and again until the alert has fired so often.
    async fn fires(&self, id: &str, price: &str, times: u64) {
        let what = format!("firing {times} of {id} at {price}");
        eventually(&what, async || {
            self.exchange.trade("BTC-USD", price);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            (self.alert(id).await["fired"] == times).then_some(())
        })
        .await;
    }
}

/// What is told of in one jump: its length in seconds, and whether it is the true time that has gone on so, as in a suspend.
async fn through(seconds: i64, suspended: bool) {
    // What is due later becomes due by a jump forward; after one back it must not wait for the time to come again.
    let (refill, cooldown) = if seconds > 0 { ("1h", "1h") } else { ("5s", "5s") };
    let mut clocked = Clocked::start(refill).await;
    let api = clocked.daemon.api();
    let login = api.account("anne@example.org", "a password of some length").await;
    let waits = api.alert("BTC > 70k each").await;
    let moves = api.alert("BTC +5% in 1d each").await;
    let cooling = api.alert(&format!("BTC > 55k every {cooldown}")).await;
    clocked.fires(&cooling, "59991", 1).await;
    for note in ["first", "second"] {
        api.alert(&format!("BTC > 60k once via webhook:phone note \"{note}\"")).await;
    }
    clocked.exchange.trade("BTC-USD", "60010");
    clocked.receiver.wait(1).await;

    if suspended {
        clocked.exchange.set_ahead(seconds);
    }
    clocked.jump(seconds).await;
    // The second one waited for the limits of its channel: an hour, or some seconds.
    clocked.receiver.wait(2).await;
    clocked.exchange.subscribed("BTC-USD").await;
    for id in [&waits, &moves] {
        assert_eq!(clocked.alert(id).await["fired"], 0, "{seconds} s: the jump itself fired {id}");
    }
    if seconds < 0 {
        clocked.fires(&cooling, "60020", 2).await;
        assert_eq!(login.get("/alerts").await.status, 200, "{seconds} s: a login ended by a clock set back");
    }
    if suspended || seconds < 0 {
        // And what happens after it is judged as always.
        clocked.fires(&waits, "70010", 1).await;
    } else {
        // A price of hours ago, by a clock that is wrong, fires nothing; it is said why.
        eventually("a word about the clock", async || {
            clocked.exchange.trade("BTC-USD", "60030");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            api.get("/health/status").await.text.contains("this machine's clock is").then_some(())
        })
        .await;
        assert_eq!(clocked.alert(&waits).await["fired"], 0);
    }
    assert_eq!(clocked.receiver.count(), 2, "{seconds} s: what had left was sent again");

    // Right again: that fires nothing either, and all goes on.
    if !suspended {
        clocked.jump(0).await;
        if seconds > 0 {
            // The time of before is taken up again by a start inside of the same process, with a token of its own.
            let Clocked { exchange, daemon, .. } = &mut clocked;
            let trading = async {
                loop {
                    exchange.trade("BTC-USD", "60040");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                () = daemon.followed() => {}
                () = trading => unreachable!("it never ends"),
            }
        }
        let before = clocked.alert(&waits).await["fired"].as_u64().expect("a number");
        let cooled = clocked.alert(&cooling).await["fired"].as_u64().expect("a number");
        clocked.fires(&waits, "69990", before).await;
        clocked.fires(&waits, "70020", before + 1).await;
        assert!(cooled <= 3, "{seconds} s: {cooled} firings");
    }
    let log = clocked.daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspend_fires_nothing_and_what_became_due_leaves_at_once() {
    if std::env::var_os("BELLWETHER_COUNTERPARTS").is_none() {
        return;
    }
    tokio::join!(through(8 * HOUR, true), through(DAY, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_wrong_fires_nothing_and_makes_nothing_wait_longer() {
    if std::env::var_os("BELLWETHER_COUNTERPARTS").is_none() {
        return;
    }
    for seconds in [8 * HOUR, -8 * HOUR, DAY, -DAY] {
        through(seconds, false).await;
    }
}
