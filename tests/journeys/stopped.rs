//! SIGTERM while every channel hangs in the middle of a message: the daemon ends in time and with 0, and what was being sent is sent by the
//! next one. A second signal does not wait.

use std::{path::Path, process::Command};

use crate::harness::{
    Exchange, Lab, MailServer, Receiver, Settings,
    daemon::{Daemon, Starting},
    hung::Hung,
};

/// A daemon, and the alert's three messages under way to targets that hang.
struct Caught {
    lab: Lab,
    exchange: Exchange,
    hook: Hung,
    mail: Hung,
    bus: Hung,
    daemon: Daemon,
}

fn settings(exchange: &Exchange, port: u16) -> Settings {
    Settings::quiet()
        .coinbase(exchange)
        .with("channels.desktop", "enabled = true")
        .with("channels.webhook.hung", &format!("url = \"http://127.0.0.1:{port}/\""))
        .with("channels.email", "host = \"127.0.0.1\"")
        .with("channels.email", "tls = \"none\"")
        .with("channels.email", "from = \"bell@example.org\"")
        .with("channels.email", "to = [\"me@example.org\"]")
}

fn on_bus(lab: &Lab, bus: &Path) -> Command {
    let mut command = lab.command(["daemon"]);
    command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()));
    command
}

async fn caught() -> Caught {
    let exchange = Exchange::start().await;
    let lab = Lab::new();
    let (hook, mail) = (Hung::trickling().await, Hung::silent().await);
    let bus = Hung::silent_at(&lab.path("hung-bus"));
    let settings = settings(&exchange, hook.port()).with("channels.email", &format!("port = {}", mail.port()));
    lab.configure(&settings.to_string());
    let daemon = Starting::spawn(on_bus(&lab, &lab.path("hung-bus")), &lab.data()).ready().await;
    exchange.trade("BTC-USD", "59990");
    daemon.api().price("BTC", "59990").await;
    daemon.api().alert("BTC > 60k once via webhook:hung,email,desktop").await;
    exchange.trade("BTC-USD", "60010");
    for target in [&hook, &mail, &bus] {
        target.caught().await;
    }
    Caught { lab, exchange, hook, mail, bus, daemon }
}

/// The channels whose message has left, and those whose message waits for the next start.
fn outbox(lab: &Lab) -> (Vec<String>, Vec<String>) {
    let database = rusqlite::Connection::open(lab.data().join("bellwether.db")).expect("the database");
    let mut select =
        database.prepare("SELECT channel, state, finished IS NULL FROM deliveries ORDER BY channel").expect("SQL");
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)));
    let mut sorted = (Vec::new(), Vec::new());
    for (channel, state, open) in rows.expect("rows").map(|row| row.expect("a row")) {
        match (state.as_str(), open) {
            ("queued" | "sending" | "retry", true) => sorted.1.push(channel),
            _ => sorted.0.push(channel),
        }
    }
    sorted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_hang_do_not_keep_a_daemon_from_stopping_and_lose_nothing() {
    let Caught { lab, exchange, hook, mail, bus, daemon } = caught().await;
    // It gives itself ten seconds; beyond them its status would be 1.
    let log = daemon.stop().await;
    assert!(log.contains("a channel did not end in time and was cut off"), "{log}");
    let open = ["desktop", "email", "webhook:hung"].map(str::to_owned).to_vec();
    assert_eq!(outbox(&lab), (Vec::new(), open), "{log}");
    drop((hook, mail, bus));

    let (receiver, mail) = (Receiver::start().await, MailServer::start().await);
    let settings = settings(&exchange, 1)
        .with("channels.webhook.hung", &format!("url = \"{}\"", receiver.url("hung")))
        .with("channels.webhook.hung", &format!("secret = \"{}\"", Receiver::secret()))
        .mail(&mail);
    lab.configure(&settings.to_string());
    let daemon = lab.daemon().await;
    let mails = mail.wait(1).await;
    let hooks = receiver.wait(1).await;
    assert!(mails[0].text.contains("BTC") && hooks[0].text.contains("60010"), "{mails:?} {hooks:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once_and_loses_nothing() {
    let Caught { lab, daemon, .. } = &mut caught().await;
    daemon.signal("TERM").await;
    crate::harness::eventually("that it stops", async || daemon.log().contains("stopping").then_some(())).await;
    daemon.signal("INT").await;
    let (status, log) = daemon.ended().await;
    // Had it waited for the channels, its status would be 0.
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("stopped at once by a second signal"), "{log}");
    assert_eq!(outbox(lab).0, Vec::<String>::new(), "{log}");
}
