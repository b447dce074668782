//! Against real counterparts: a mail server, a notification daemon, and a judge of Twilio's requests, started by the scripts
//! in `tests/counterparts` (its README says how). They run where `BELLWETHER_COUNTERPARTS` is set, and then never skip.
//!
//! All tests share one set of counterparts, so each has recipients and titles of its own and looks for those only.

mod clock;
mod outside;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Exchange, Lab, Receiver, Settings, eventually},
    journeys::recorded::Recorded,
};

/// What a counterpart says of itself.
struct Counterpart {
    file: PathBuf,
    values: BTreeMap<String, String>,
}

impl std::ops::Index<&str> for Counterpart {
    type Output = String;

    fn index(&self, key: &str) -> &String {
        self.values.get(key).unwrap_or_else(|| panic!("{}: no {key}", self.file.display()))
    }
}

/// The counterpart whose file `variable` names; nothing where none are wanted at all.
fn counterpart(variable: &str) -> Option<Counterpart> {
    std::env::var_os("BELLWETHER_COUNTERPARTS")?;
    let file = PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set")));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let values = text.lines().filter_map(|line| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())));
    Some(Counterpart { values: values.collect(), file })
}

/// The lines of a file of JSON objects.
fn lines(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The mails in a folder to that recipient.
fn mails(folder: &str, recipient: &str) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let texts = files.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.filter(|text| text.contains(recipient)).collect()
}

/// Puts a fault where the counterpart looks for it, whole or not at all.
fn fault(folder: &str, recipient: &str, words: &str) {
    let folder = Path::new(folder);
    let hidden = folder.parent().expect("a folder above").join(format!("{recipient}.new"));
    fs::write(&hidden, words).expect("written");
    fs::rename(hidden, folder.join(recipient)).expect("renamed");
}

/// An address that nobody has used, so that the counterparts may go on from one run to the next.
fn address(name: &str) -> String {
    format!("e2e-{name}-{}@example.org", std::process::id())
}

/// A number that nobody has used.
fn number(digit: u8) -> String {
    let time = jiff::Timestamp::now().as_millisecond() % 1_000_000;
    format!("+1415{digit}{time:06}")
}

/// A daemon on a fake exchange, where BTC stands below 60k.
async fn waiting(settings: Settings, environment: &[(&str, &str)]) -> (Lab, Daemon, Exchange) {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990");
    let lab = Lab::with(&settings.coinbase(&exchange));
    let mut command = lab.command(["daemon"]);
    command.envs(environment.iter().copied());
    let daemon = Daemon::start(command, &lab.data()).await;
    daemon.api().price("BTC", "59990").await;
    (lab, daemon, exchange)
}

/// Lets BTC rise and waits until everything that fired is settled. Newest first.
async fn ring(daemon: &Daemon, exchange: &Exchange, firings: usize) -> Vec<Value> {
    exchange.trade("BTC-USD", "60010.5");
    daemon.api().settled(firings).await
}

fn email(server: &Counterpart, port: &str, tls: &str, to: &str) -> Settings {
    Settings::quiet()
        .with("channels.email", &format!("host = \"{}\"", server["SMTP_HOST"]))
        .with("channels.email", &format!("port = {}", server[port]))
        .with("channels.email", &format!("tls = \"{tls}\""))
        .with("channels.email", &format!("username = \"{}\"", server["SMTP_USER"]))
        .with("channels.email", &format!("password = \"{}\"", server["SMTP_PASSWORD"]))
        .with("channels.email", "from = \"Bell Wether <bell@example.org>\"")
        .with("channels.email", &format!("to = [\"{to}\"]"))
        .with("channels.email", &format!("ca_file = \"{}\"", server["SMTP_CA"]))
        .by_default("email")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_arrives_over_starttls_and_over_implicit_tls() {
    let Some(server) = counterpart("BELLWETHER_SMTP_ENV") else { return };
    for (port, tls) in [("SMTP_PORT", "starttls"), ("SMTP_TLS_PORT", "implicit")] {
        let to = &address(tls);
        let (_lab, daemon, exchange) = waiting(email(&server, port, tls, to), &[]).await;
        daemon.api().alert("BTC > 60k once note \"Größe: ≥ 60k, \\\"sell\\\"\"").await;
        let event = ring(&daemon, &exchange, 1).await.remove(0);
        assert_eq!(event["deliveries"][0]["state"], "sent", "{event}");
        let mail = eventually(&format!("a mail to {to}"), async || mails(&server["SMTP_MAIL"], to).pop()).await;
        assert!(mail.contains("esmtpsa"), "TLS and AUTH: {mail}");
        for expected in ["Subject: ", "Message-ID: <", "Auto-Submitted: ", "multipart/alternative", "text/html"] {
            assert!(mail.to_lowercase().contains(&expected.to_lowercase()), "no {expected}: {mail}");
        }
        let id = mail.lines().filter(|l| l.to_ascii_lowercase().starts_with("message-id:")).count();
        assert_eq!(id, 1, "one Message-ID: {mail}");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_not_taken_now_is_tried_again_and_one_that_never_will_be_is_not() {
    let Some(server) = counterpart("BELLWETHER_SMTP_ENV") else { return };
    for (words, state, attempts, copies) in [
        ("temp 1", "sent", 2, 1),
        ("busy 1", "sent", 2, 1),
        ("cut 1", "sent", 2, 1),
        ("lost 1", "sent", 2, 2),
        ("perm", "dead", 1, 0),
        ("deny", "dead", 1, 0),
    ] {
        let to = &address(words.split(' ').next().expect("a word"));
        fault(&server["SMTP_FAULTS"], to, words);
        let (_lab, daemon, exchange) = waiting(email(&server, "SMTP_FAULT_PORT", "starttls", to), &[]).await;
        daemon.api().alert("BTC > 60k once").await;
        let event = ring(&daemon, &exchange, 1).await.remove(0);
        let delivery = &event["deliveries"][0];
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!(state), &json!(attempts)), "{words}: {event}");
        let arrived = eventually(&format!("{copies} mails to {to}"), async || {
            let arrived = mails(&server["SMTP_FAULT_MAIL"], to);
            (arrived.len() >= copies).then_some(arrived)
        })
        .await;
        assert_eq!(arrived.len(), copies, "{words}");
        // What came twice can be told by its Message-ID.
        let ids: std::collections::BTreeSet<&str> = arrived
            .iter()
            .filter_map(|mail| mail.lines().find(|l| l.to_ascii_lowercase().starts_with("message-id:")))
            .collect();
        assert_eq!(ids.len(), copies.min(1), "{words}: {ids:?}");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_told_to_a_server_that_cannot_be_trusted() {
    let Some(server) = counterpart("BELLWETHER_SMTP_ENV") else { return };
    for (port, what) in [("SMTP_EXPIRED_PORT", "an expired certificate"), ("SMTP_PLAIN_PORT", "no STARTTLS")] {
        let to = address(&port.to_ascii_lowercase().replace('_', "-"));
        let (lab, daemon, _exchange) = waiting(email(&server, port, "starttls", &to), &[]).await;
        let said = lab.run(["notify", "test", "email"]).await;
        assert_eq!(said.code, Some(1), "{what}: {said:?}");
        assert!(!said.err.contains(&server["SMTP_PASSWORD"]), "{said:?}");
        assert!(mails(&server["SMTP_FAULT_MAIL"], &to).is_empty(), "{what}: a mail went out all the same");
        daemon.stop().await;
    }
    let wrong =
        email(&server, "SMTP_PORT", "starttls", &address("wrong")).with("channels.email", "password = \"wrong\"");
    let (lab, daemon, _exchange) = waiting(wrong, &[]).await;
    let said = lab.run(["notify", "test", "email"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("535") && said.out.contains("authenticated  failed"), "{said:?}");
    daemon.stop().await;
}

fn text_messages(judge: &Counterpart, to: &str) -> Settings {
    Settings::quiet()
        .with("channels.sms", &format!("account_sid = \"{}\"", judge["TWILIO_ACCOUNT_SID"]))
        .with("channels.sms", &format!("auth_token = \"{}\"", judge["TWILIO_AUTH_TOKEN"]))
        .with("channels.sms", &format!("from = \"{}\"", judge["TWILIO_PHONE_NUMBER"]))
        .with("channels.sms", &format!("to = [\"{to}\"]"))
        .with("channels.sms", &format!("base_url = \"{}\"", judge["TWILIO_BASE_URL"]))
        .by_default("sms")
}

/// The requests that had to do with a number.
fn requests(judge: &Counterpart, to: &str) -> Vec<Value> {
    lines(&judge["TWILIO_REQUESTS"]).into_iter().filter(|request| request.to_string().contains(to)).collect()
}

fn accepted(requests: &[Value]) -> usize {
    requests.iter().filter(|r| r["method"] == "POST" && r["sid"].is_string()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_message_is_as_twilio_wants_it() {
    let Some(judge) = counterpart("BELLWETHER_TWILIO_ENV") else { return };
    let to = &number(2);
    let (_lab, daemon, exchange) = waiting(text_messages(&judge, to), &[]).await;
    daemon.api().alert(&format!("BTC > 60k once note \"it’s time {}\"", "very ".repeat(97))).await;
    let event = ring(&daemon, &exchange, 1).await.remove(0);
    assert_eq!(event["deliveries"][0]["state"], "sent", "{event}");
    let asked = requests(&judge, to);
    assert_eq!((asked.len(), asked[0]["verdict"].as_str()), (1, Some("accepted")), "{asked:?}");
    let said = asked[0]["form"]["Body"].to_string();
    assert!(
        said.contains("60,010.50") && said.contains("very...") && said.contains("it's"),
        "plain signs, cut at a word: {said}"
    );
    assert!(said.chars().count() <= 3 * 153, "more than three segments: {said}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_message_is_never_sent_twice_and_never_given_up_too_soon() {
    let Some(judge) = counterpart("BELLWETHER_TWILIO_ENV") else { return };
    for (words, to, state, messages) in [
        (Some("429 1"), &*number(3), "sent", 1),
        (Some("503 1"), &*number(4), "sent", 1),
        // Sent, and the answer lost: it is looked up, not sent again.
        (Some("lost 1"), &*number(5), "sent", 1),
        (None, "+15005550001", "dead", 0),
        (None, "+15005550009", "dead", 0),
    ] {
        if let Some(words) = words {
            fault(&judge["TWILIO_FAULTS"], to, words);
        }
        let (_lab, daemon, exchange) = waiting(text_messages(&judge, to), &[]).await;
        daemon.api().alert("BTC > 60k once").await;
        let event = ring(&daemon, &exchange, 1).await.remove(0);
        assert_eq!(event["deliveries"][0]["state"], state, "{words:?} {to}: {event}");
        let asked = requests(&judge, to);
        let sent = asked.iter().filter(|r| r["method"] == "POST" && r["verdict"] != "refused").count();
        assert!(sent >= messages && accepted(&asked) <= 1, "{words:?}: {asked:?}");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_is_shown_and_its_text_stays_text() {
    let Some(desktop) = counterpart("BELLWETHER_DESKTOP_ENV") else { return };
    let bus = [("DBUS_SESSION_BUS_ADDRESS", &*desktop["DBUS_SESSION_BUS_ADDRESS"])];
    let settings = Settings::quiet().with("channels.desktop", "enabled = true");
    let (_lab, daemon, exchange) = waiting(settings, &bus).await;
    let mark = format!("e2e-dunst-{}", std::process::id());
    daemon.api().alert(&format!("BTC > 60k once note \"{mark} <b>bold</b> <img src=x> & more\"")).await;
    let event = ring(&daemon, &exchange, 1).await.remove(0);
    assert_eq!(event["deliveries"][0]["state"], "sent", "{event}");
    let script = crate::harness::root().join("tests/counterparts/desktop");
    let folder = desktop.file.parent().expect("a folder");
    let shown = eventually("the notification in dunst's history", async || {
        let listed = tokio::process::Command::new(&script).arg("history").arg(folder).output().await.ok()?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.into_iter().find(|row| row["body"].as_str().is_some_and(|body| body.contains(&mark)))
    })
    .await;
    let body = shown["body"].as_str().expect("a text");
    assert!(!body.contains("<b>") && !body.contains("<img"), "markup: {shown}");
    assert!(body.contains("bold") && body.contains("more"), "{shown}");
    assert!(shown["summary"].as_str().is_some_and(|s| s.contains("BTC")), "{shown}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desktop_is_told_what_it_needs() {
    let Some(recorder) = counterpart("BELLWETHER_RECORDER_ENV") else { return };
    let bus = [("DBUS_SESSION_BUS_ADDRESS", &*recorder["DBUS_SESSION_BUS_ADDRESS"])];
    let settings = Settings::quiet().with("channels.desktop", "enabled = true");
    let (_lab, daemon, exchange) = waiting(settings, &bus).await;
    let mark = format!("e2e-recorder-{}", std::process::id());
    daemon.api().alert(&format!("BTC > 60k once note \"{mark} \u{1b}[31m\"")).await;
    ring(&daemon, &exchange, 1).await;
    let calls = lines(&recorder["DESKTOP_CALLS"]);
    let call = calls.iter().find(|c| c["call"] == "Notify" && c["body"].as_str().is_some_and(|b| b.contains(&mark)));
    let call = call.unwrap_or_else(|| panic!("no call: {calls:?}"));
    assert_eq!(call["app_name"], "bellwether", "{call}");
    let text = format!("{}{}", call["summary"].as_str().unwrap_or(""), call["body"].as_str().unwrap_or(""));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{call}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buttons_of_a_notification_act() {
    let Some(recorder) = counterpart("BELLWETHER_RECORDER_ENV") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let opened = folder.path().join("opened");
    let bus = [("DBUS_SESSION_BUS_ADDRESS", &*recorder["DBUS_SESSION_BUS_ADDRESS"])];
    let settings = Settings::quiet()
        .with("channels.desktop", "enabled = true")
        .with("channels.desktop", "expire = \"90s\"")
        .with("channels.desktop", &format!("open_chart = [\"/usr/bin/touch\", \"{}-{{symbol}}\"]", opened.display()));
    let (_lab, daemon, exchange) = waiting(settings, &bus).await;
    let mark = format!("e2e-buttons-{}", std::process::id());
    daemon.api().alert(&format!("BTC > 60k every 1s note \"{mark}\"")).await;
    ring(&daemon, &exchange, 1).await;
    let calls = lines(&recorder["DESKTOP_CALLS"]);
    let call = calls.iter().find(|c| c["call"] == "Notify" && c["body"].as_str().is_some_and(|b| b.contains(&mark)));
    let call = call.unwrap_or_else(|| panic!("no call: {calls:?}"));
    assert_eq!(call["expire_timeout"], 90_000, "{call}");
    let press = |key: &str| {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().append(true).open(&recorder["DESKTOP_COMMANDS"]).expect("commands");
        writeln!(file, "press {} {key}", call["id"]).expect("written");
    };
    press("snooze");
    eventually("the alert is silent", async || {
        let page = daemon.api().get("/alerts").await.done();
        page["items"][0]["snoozed_until"].as_str().map(str::to_owned)
    })
    .await;
    press("chart");
    let chart = folder.path().join("opened-BTC");
    eventually("the chart is opened", async || chart.exists().then_some(())).await;
    let tested = daemon.api().post("/channels/desktop/test", &json!({})).await.done();
    assert_eq!(tested["steps"][0]["step"], "found", "{tested}");
    assert!(tested["steps"][0]["said"].as_str().is_some_and(|said| said.contains("recorder")), "{tested}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desktop_that_hangs_delays_nobody_else() {
    let Some(_) = counterpart("BELLWETHER_RECORDER_ENV") else { return };
    // One of its own: a hang is everybody's on that bus.
    let folder = tempfile::tempdir().expect("a folder");
    let script = crate::harness::root().join("tests/counterparts/desktop");
    let desktop = |words: &[&str]| {
        let mut command = tokio::process::Command::new(&script);
        command.arg(words[0]).arg(folder.path()).args(&words[1..]);
        command
    };
    assert!(desktop(&["start", "recorder"]).status().await.expect("the script").success());
    let text = fs::read_to_string(folder.path().join("env")).expect("its file");
    let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    fs::write(values["DESKTOP_COMMANDS"], "hang on\n").expect("a command");
    eventually("the recorder hangs", async || {
        lines(values["DESKTOP_CALLS"]).iter().any(|line| line["command"] == json!(["hang", "on"])).then_some(())
    })
    .await;

    let receiver = crate::harness::Receiver::start().await;
    let settings = Settings::quiet().with("channels.desktop", "enabled = true").webhook("default", &receiver);
    let bus = [("DBUS_SESSION_BUS_ADDRESS", values["DBUS_SESSION_BUS_ADDRESS"])];
    let (_lab, daemon, exchange) = waiting(settings, &bus).await;
    daemon.api().alert("BTC > 60k once via desktop,webhook").await;
    let begun = tokio::time::Instant::now();
    exchange.trade("BTC-USD", "60010");
    receiver.wait(1).await;
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(2),
        "the webhook waited for the desktop: {:?}",
        begun.elapsed()
    );
    eventually("the desktop's delivery is to be tried again", async || {
        let page = daemon.api().get("/deliveries").await.done();
        page["items"].as_array()?.iter().any(|row| row["channel"] == "desktop" && row["state"] == "retry").then_some(())
    })
    .await;
    daemon.stop().await;
    assert!(desktop(&["stop"]).status().await.expect("the script").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_market_rings_everywhere() {
    let (Some(server), Some(judge), Some(desktop)) = (
        counterpart("BELLWETHER_SMTP_ENV"),
        counterpart("BELLWETHER_TWILIO_ENV"),
        counterpart("BELLWETHER_RECORDER_ENV"),
    ) else {
        return;
    };
    let (market, to, text_to) = (Recorded::start().await, address("market"), number(6));
    let mut settings =
        market.feeds(email(&server, "SMTP_PORT", "starttls", &to)).with("channels.desktop", "enabled = true");
    // Each firing by itself: what is asked here is what each channel makes of one.
    for channel in ["email", "desktop"] {
        settings = settings.with(&format!("channels.{channel}.limits"), "group = \"0s\"");
    }
    for key in ["account_sid", "auth_token", "from", "base_url"] {
        let name = match key {
            "from" => "TWILIO_PHONE_NUMBER".to_owned(),
            other => format!("TWILIO_{}", other.to_ascii_uppercase()),
        };
        settings = settings.with("channels.sms", &format!("{key} = \"{}\"", judge[&*name]));
    }
    let lab = Lab::with(&settings.with("channels.sms", &format!("to = [\"{text_to}\"]")));
    let mut command = lab.command(["daemon"]);
    command.env("DBUS_SESSION_BUS_ADDRESS", &desktop["DBUS_SESSION_BUS_ADDRESS"]);
    let daemon = Daemon::start(command, &lab.data()).await;
    let mark = format!("e2e-market-{}", std::process::id());
    for (symbol, channel) in [("BTC", "email"), ("AAPL", "desktop"), ("USDC", "sms"), ("TSLA", "email,desktop")] {
        daemon.api().alert(&format!("{symbol} > 0.1 once via {channel} note \"{mark}\"")).await;
    }
    market.play().await;
    let events = daemon.api().settled(4).await;
    assert!(
        events.iter().flat_map(|e| e["deliveries"].as_array().expect("rows")).all(|d| d["state"] == "sent"),
        "{events:?}"
    );
    let arrived =
        eventually("two mails", async || Some(mails(&server["SMTP_MAIL"], &to)).filter(|m| m.len() == 2)).await;
    assert!(arrived.iter().any(|mail| mail.contains("84,737.58")), "{arrived:?}");
    let sent = requests(&judge, &text_to);
    assert!(accepted(&sent) == 1 && sent[0]["form"]["Body"].to_string().contains("USDC"), "{sent:?}");
    let shown = lines(&desktop["DESKTOP_CALLS"]);
    let mine = shown.iter().filter(|c| c["call"] == "Notify" && c["body"].as_str().is_some_and(|b| b.contains(&mark)));
    assert_eq!(mine.count(), 2, "{shown:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_nothing_to_complain_about() {
    if std::env::var_os("BELLWETHER_COUNTERPARTS").is_none() {
        return;
    }
    let (lab, daemon, exchange) = waiting(Settings::quiet(), &[]).await;
    exchange.trade("BTC-USD", "60001");
    daemon.api().price("BTC", "60001").await;
    let file = lab.path("metrics");
    fs::write(&file, daemon.api().get("/metrics").await.text).expect("written");
    judged_by("prometheus", &["check".as_ref(), file.as_os_str()]).await;
    daemon.stop().await;
}

/// What a script among the counterparts says of this; it has to be content.
async fn judged_by(script: &str, words: &[&std::ffi::OsStr]) {
    let script = crate::harness::root().join("tests/counterparts").join(script);
    let judged = tokio::process::Command::new(script).args(words).output().await.expect("the script");
    assert!(judged.status.success(), "{judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_of_the_dashboard_shows_a_real_run_and_the_alarms_ring_when_they_should() {
    if std::env::var_os("BELLWETHER_COUNTERPARTS").is_none() {
        return;
    }
    let deploy = crate::harness::root().join("deploy");
    judged_by("prometheus", &["rules".as_ref(), deploy.join("prometheus").as_os_str()]).await;
    let receiver = Receiver::start().await;
    let (_lab, daemon, exchange) = waiting(Settings::quiet().webhook("hook", &receiver), &[]).await;
    daemon.api().alert("BTC crosses 60k each via webhook:hook").await;
    let trades = tokio::spawn(async move {
        // Prices go on while Prometheus looks; which of them it sees does not matter.
        for n in 0_u32.. {
            exchange.trade("BTC-USD", if n.is_multiple_of(2) { "60001" } else { "59999" });
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let dashboard = deploy.join("grafana/dashboards/bellwether.json");
    judged_by("prometheus", &["panels".as_ref(), daemon.authority().as_ref(), dashboard.as_os_str()]).await;
    trades.abort();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_lives_under_a_real_systemd() {
    if std::env::var_os("BELLWETHER_COUNTERPARTS").is_none() {
        return;
    }
    let scripts = crate::harness::root().join("tests/counterparts");
    // Not below /tmp or /var/tmp: the unit has its own.
    let folder = tempfile::tempdir_in("/var/cache").expect("a folder");
    let journey = tokio::process::Command::new(scripts.join("systemd"))
        .arg("run")
        .arg(folder.path().join("manager"))
        .arg(scripts.join("service_journey"))
        .arg(crate::harness::lab::PROGRAM)
        .output()
        .await
        .expect("the script");
    let said = String::from_utf8_lossy(&journey.stdout);
    assert!(journey.status.success(), "{said}\n{}", String::from_utf8_lossy(&journey.stderr));
    assert!(said.contains("removed, the data are there"), "{said}");
}
