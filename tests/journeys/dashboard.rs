//! The dashboard on a terminal: the first command that a stranger types, and an alert in one line.

use std::fs;

use bellwether_core::protocol::DaemonFile;

use crate::harness::{Api, Exchange, Lab, Settings, eventually, terminal::Terminal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_opens_on_a_terminal_and_gives_it_back() {
    let lab = Lab::with(&Settings::quiet());
    fs::create_dir(lab.path("tmp")).expect("a folder");
    let mut command = lab.bare(["demo", "--config"]);
    command.arg(lab.config()).env("TMPDIR", lab.path("tmp"));
    let mut terminal = Terminal::open(&lab, &command);
    for text in ["SIMULATED", "BTC", "ETH", "AAPL"] {
        terminal.shows(text).await;
    }
    terminal.types("q").await;
    terminal.ended().await;
    assert_eq!(fs::read_dir(lab.path("tmp")).expect("a folder").count(), 0, "temporary data stayed behind");
}

/// docs/reliability.md, P29.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_signal_ends_the_dashboard_it_gives_the_terminal_back() {
    for signal in ["TERM", "HUP", "INT"] {
        let lab = Lab::with(&Settings::quiet());
        fs::create_dir(lab.path("tmp")).expect("a folder");
        let mut command = lab.bare(["demo", "--config"]);
        command.arg(lab.config()).env("TMPDIR", lab.path("tmp"));
        let terminal = Terminal::open(&lab, &command);
        terminal.shows("SIMULATED").await;
        terminal.shows("AAPL").await;
        terminal.signals(signal).await;
        terminal.gives_back().await;
    }
}

/// docs/reliability.md, P29: the daemon goes, everything stays browsable, and q gives the terminal back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_that_has_lost_its_daemon_is_browsed_and_left() {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990.25");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let mut terminal = Terminal::open(&lab, &lab.command([] as [&str; 0]));
    terminal.shows("59,990.25").await;
    let text = fs::read_to_string(lab.data().join("daemon.json")).expect("it has started a daemon");
    let file: DaemonFile = serde_json::from_str(&text).expect("JSON");
    let ended = tokio::process::Command::new("kill").arg(file.pid.to_string()).status().await.expect("kill(1)");
    assert!(ended.success());
    terminal.shows("daemon").await;
    terminal.shows("last known").await;
    terminal.types("5").await;
    terminal.shows("coinbase").await;
    terminal.types("q").await;
    terminal.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_starts_the_daemon_and_takes_an_alert_in_one_line() {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990.25");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let mut terminal = Terminal::open(&lab, &lab.command([] as [&str; 0]));
    terminal.shows("59,990.25").await;
    let text = fs::read_to_string(lab.data().join("daemon.json")).expect("it has started a daemon");
    let file: DaemonFile = serde_json::from_str(&text).expect("JSON");
    let api = Api::new(&file.address, Some(&file.token));

    // The line begins with the selected instrument: Ctrl-U deletes that.
    terminal.types("a\u{15}BTC crosses 60k each").await;
    terminal.shows("crosses").await;
    // What it would have done is asked of the daemon, and a young daemon has no past, or a short one.
    terminal.shows_one_of(&["no history of it yet", "(all there is)"]).await;
    terminal.types("\r").await;
    eventually("the alert that was typed", async || {
        let alerts = api.get("/alerts").await.done();
        (alerts["items"][0]["expr"] == "BTC crosses 60000 each").then_some(())
    })
    .await;
    exchange.trade("BTC-USD", "60000.75");
    terminal.shows("60,000.75").await;
    terminal.types("q").await;
    terminal.ended().await;

    // The daemon watches on.
    eventually("the firing", async || (api.get("/alerts").await.done()["items"][0]["fired"] == 1).then_some(())).await;
    let ended = tokio::process::Command::new("kill").arg(file.pid.to_string()).status().await.expect("kill(1)");
    assert!(ended.success());
    eventually("the end of the daemon", async || (!lab.data().join("daemon.json").exists()).then_some(())).await;
}
