//! The dashboard on a terminal: the first command that a stranger types, and an alert in one line.

use std::fs;

use bellwether_core::protocol::DaemonFile;

use crate::harness::{Api, Exchange, Lab, Receiver, Settings, eventually, lab::PROGRAM, terminal::Terminal};

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
async fn a_channel_is_set_up_in_the_dashboard_and_its_test_says_what_was_answered() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    let mut terminal = Terminal::open(&lab, &lab.command([] as [&str; 0]));
    terminal.shows("Watch").await;
    terminal.types("5").await;
    terminal.shows("new channel").await;
    terminal.types("n").await;
    terminal.shows("TOPIC").await;
    terminal.types(&format!("{}\r", receiver.url("phone"))).await;
    // The receiver wants signed messages, and this webhook has no secret: that is what its owner has to know.
    terminal.shows("test over webhook:hook failed: 401").await;
    terminal.types("q").await;
    terminal.ended().await;
    assert!(daemon.api().get("/channels").await.text.contains("webhook:hook"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_moved_on_the_chart_and_silenced_in_the_list() {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990.25");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = lab.daemon().await;
    let id = daemon.api().alert("BTC crosses up 60100 each").await;
    let mut terminal = Terminal::open(&lab, &lab.command([] as [&str; 0]));
    terminal.shows("59,990.25").await;
    terminal.types("2").await;
    terminal.shows("60,100").await;
    // Into the hand, a hundred up by the keys, then by the number itself.
    terminal.types("\t").await;
    terminal.shows("tick up").await;
    terminal.types("60250").await;
    terminal.types("\r").await;
    let path = format!("/alerts/{id}");
    eventually("the level where it was put", async || {
        (daemon.api().get(&path).await.json()["target_price"] == "60250").then_some(())
    })
    .await;
    terminal.types("3z").await;
    terminal.shows("Silence").await;
    terminal.types("1").await;
    eventually("the alert silenced", async || daemon.api().get(&path).await.json()["snoozed_until"].as_str().map(drop))
        .await;
    terminal.types("q").await;
    terminal.ended().await;
    daemon.stop().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_is_started_again_by_the_dashboard_three_times_and_then_its_log_is_shown() {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990.25");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let mut terminal = Terminal::open(&lab, &lab.command([] as [&str; 0]));
    terminal.shows("59,990.25").await;
    let running = async |but: u32| {
        eventually("a daemon that a dashboard has started", async || {
            let text = fs::read_to_string(lab.data().join("daemon.json")).ok()?;
            let file: DaemonFile = serde_json::from_str(&text).ok().filter(|file: &DaemonFile| file.pid != but)?;
            let marked = fs::read_to_string(lab.data().join("background.pid")).ok()?;
            (marked == file.pid.to_string()).then_some(file)
        })
        .await
    };
    let signal = async |name: &str, pid: u32| {
        let arguments = [format!("-{name}"), pid.to_string()];
        let status = tokio::process::Command::new("kill").args(arguments).status().await.expect("kill(1)");
        assert!(status.success());
    };
    let mut file = running(0).await;
    for first in [true, false, false] {
        signal("KILL", file.pid).await;
        file = running(file.pid).await;
        if first {
            // Only what changes is drawn: a word is there whole, a sentence need not be.
            terminal.shows_one_of(&["again", "minutes"]).await;
        }
    }
    signal("KILL", file.pid).await;
    terminal.shows_one_of(&["dies", "once"]).await;

    // By hand it is started all the same; and one that is told to stop is no longer the dashboard's to start.
    terminal.types("S").await;
    file = running(file.pid).await;
    signal("TERM", file.pid).await;
    eventually("its end", async || (!lab.data().join("daemon.json").exists()).then_some(())).await;
    assert!(!lab.data().join("background.pid").exists(), "told to stop, and yet it would be started again");
    terminal.types("q").await;
    terminal.ended().await;
}

/// The dashboard of this lab, by what stands in its command line.
async fn dashboard(lab: &Lab) -> u32 {
    let data = lab.data().display().to_string();
    eventually("the dashboard's process", async || {
        fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).ok()?).into_owned();
            let mut words = line.split('\0');
            let ours = words.next() == Some(PROGRAM) && words.clone().any(|word| word == data);
            (ours && words.all(|word| word != "daemon")).then_some(pid)
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_signal_ends_the_dashboard_the_terminal_is_given_back() {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990.25");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = lab.daemon().await;
    for signal in ["TERM", "HUP", "INT", "QUIT"] {
        let terminal = Terminal::open(&lab, &lab.command([] as [&str; 0]));
        terminal.shows("59,990.25").await;
        let arguments = [format!("-{signal}"), dashboard(&lab).await.to_string()];
        let sent = tokio::process::Command::new("kill").args(arguments).status().await.expect("kill(1)");
        assert!(sent.success(), "{signal}");
        terminal.ended().await;
    }
    // The daemon is none of theirs.
    daemon.stop().await;
}
