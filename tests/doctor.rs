//! `bellwether doctor` on faults that are made here: each is named, with what to do, and the exit status says whether any was found.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::harness::{Exchange, Lab, MailServer, Receiver, Settings, eventually, hung::Hung};

/// The finding about this.
fn about<'a>(found: &'a Value, about: &str) -> &'a Value {
    let findings = found["findings"].as_array().expect("findings");
    findings.iter().find(|f| f["about"] == about).unwrap_or_else(|| panic!("nothing about {about}: {found:#}"))
}

/// What it found, and its exit status.
async fn examined(lab: &Lab) -> (Value, Option<i32>) {
    let said = lab.run(["doctor", "--json"]).await;
    let found: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    assert_eq!(found["ok"] == true, said.code == Some(0), "{said:?}");
    for finding in found["findings"].as_array().expect("findings") {
        let is_fine = finding["verdict"] == "fine";
        assert_eq!(is_fine, finding["todo"].is_null(), "what to do: {finding}");
    }
    (found, said.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_wrong_doctor_says_so_with_and_without_a_daemon() {
    let server = MailServer::start().await;
    let lab = Lab::with(&Settings::quiet().mail(&server).by_default("email"));
    let (found, code) = examined(&lab).await;
    assert_eq!(code, Some(0), "{found:#}");
    assert_eq!(about(&found, "daemon")["verdict"], "note", "it does not run");
    assert_eq!(about(&found, "database")["said"], "there is none yet");
    assert_eq!(about(&found, "channel email")["verdict"], "fine", "{found:#}");

    let daemon = lab.daemon().await;
    let (found, code) = examined(&lab).await;
    assert_eq!(code, Some(0), "{found:#}");
    assert_eq!(about(&found, "database")["said"], "whole");
    assert!(about(&found, "daemon")["said"].as_str().is_some_and(|said| said.starts_with("ready")), "{found:#}");
    assert_eq!(about(&found, "version")["verdict"], "fine");
    let words = lab.run(["doctor"]).await;
    assert!(
        words.done().lines().all(|line| line.starts_with("ok ") || line.starts_with("note") || line.contains("->"))
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_named_with_what_to_do() {
    let refusing = MailServer::refusing().await;
    let settings = Settings::quiet()
        .mail(&refusing)
        .with("channels.email", "username = \"me\"")
        .with("channels.email", "password = \"canary-secret\"")
        .with("feeds.coingecko", "enabled = true")
        .with("feeds.coingecko", "base_url = \"http://127.0.0.1:9/api\"")
        .by_default("email");
    let lab = Lab::with(&settings);
    fs::set_permissions(lab.config(), fs::Permissions::from_mode(0o644)).expect("chmod");
    fs::create_dir(lab.data()).expect("a folder");
    fs::set_permissions(lab.data(), fs::Permissions::from_mode(0o777)).expect("chmod");
    fs::write(lab.data().join("bellwether.db"), vec![b'x'; 8_192]).expect("written");
    let (found, code) = examined(&lab).await;
    assert_eq!(code, Some(1), "{found:#}");
    for (what, said, todo) in [
        ("configuration", "other users can read it", "chmod 600 "),
        ("data folder", "other users may write", "chmod 700 "),
        ("database", "is not a database", ""),
        ("channel email", "535", "[channels.email]"),
        ("feed coingecko", "127.0.0.1 cannot be reached", "feeds.coingecko.enabled = false"),
    ] {
        let finding = about(&found, what);
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("verdict"), "wrong", "{what}: {finding}");
        assert!(text("said").contains(said) && text("todo").contains(todo), "{what}: {finding}");
    }
    assert!(!found.to_string().contains("canary-secret"), "{found:#}");

    lab.configure("[servr]\n");
    let (found, _) = examined(&lab).await;
    let finding = about(&found, "configuration");
    assert!(finding["said"].as_str().is_some_and(|said| said.contains(":1:2: unknown key `servr`")), "{finding}");
}

/// The verdict about this, and the words of the finding.
fn verdict(found: &Value, what: &str) -> (String, String) {
    let finding = about(found, what);
    (finding["verdict"].as_str().unwrap_or_default().to_owned(), finding.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_reached_for_without_a_message() {
    let (receiver, silent) = (Receiver::start().await, Hung::silent().await);
    let at = |name: &str, url: &str| (format!("channels.webhook.{name}"), format!("url = \"{url}\""));
    let mut settings = Settings::quiet().webhook("there", &receiver);
    for (section, line) in [
        at("gone", "http://127.0.0.1:9/canary"),
        at("nameless", "http://nobody.invalid/canary"),
        at("plain", &receiver.url("x").replace("http://", "https://")),
        at("silent", &format!("https://127.0.0.1:{}/canary", silent.port())),
    ] {
        settings = settings.with(&section, &line);
    }
    let lab = Lab::with(&settings);
    let (found, code) = examined(&lab).await;
    assert_eq!(code, Some(1), "{found:#}");
    for (name, is, said) in [
        ("there", "fine", "takes connections; bellwether notify test webhook:there"),
        ("gone", "wrong", "127.0.0.1 cannot be reached"),
        ("nameless", "wrong", "nobody.invalid cannot be reached"),
        ("plain", "wrong", "TLS fails"),
        ("silent", "wrong", "no answer to TLS in time"),
    ] {
        let (verdict, text) = verdict(&found, &format!("channel webhook:{name}"));
        assert!(verdict == is && text.contains(said), "{name}: {text}");
    }
    assert_eq!(receiver.count(), 0, "a message went out");
    assert!(!found.to_string().contains("canary"), "{found:#}");
}

/// Makes a fault in a lab.
type Fault = Box<dyn Fn(&Lab)>;

/// What [`docs/reliability.md`] promises to survive is told apart here: each fault that can be made without being somebody else, with the
/// finding that names it. Full and read-only disks, bans and damage have tests beside the code (`tui/src/doctor/running.rs`, P13, P14).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_machine_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let write = |name: &'static str, text: &'static str| -> Fault {
        Box::new(move |lab: &Lab| {
            fs::create_dir_all(lab.data()).expect("a folder");
            fs::set_permissions(lab.data(), fs::Permissions::from_mode(0o700)).expect("chmod");
            fs::write(lab.data().join(name), text).expect("written");
            fs::set_permissions(lab.data().join(name), fs::Permissions::from_mode(0o600)).expect("chmod");
        })
    };
    let newer: Fault = Box::new(|lab: &Lab| {
        write_database(lab, "PRAGMA application_id = 0x42656c6c; PRAGMA user_version = 999; CREATE TABLE t (a)");
    });
    let foreign: Fault = Box::new(|lab: &Lab| write_database(lab, "CREATE TABLE t (a)"));
    let readable: Fault = Box::new(|lab: &Lab| {
        write_database(lab, "PRAGMA application_id = 0x42656c6c");
        fs::set_permissions(lab.data().join("bellwether.db"), fs::Permissions::from_mode(0o644)).expect("chmod");
    });
    let nothing = || -> Fault { Box::new(|_: &Lab| {}) };
    let stale = "{\"address\":\"http://127.0.0.1:9\",\"pid\":1,\"version\":\"0.1.0\",\"protocol\":PROTOCOL,\"simulated\":false,\"started\":\"2026-11-22T00:00:00Z\",\"token\":\"x\"}";
    let stale: &'static str =
        Box::leak(stale.replace("PROTOCOL", &bellwether_core::protocol::PROTOCOL.to_string()).into_boxed_str());
    let faults: [(&str, Settings, Fault, &str, &str, &str); 9] = [
        (
            "a port that another program has",
            Settings::quiet().with("server", &format!("listen = \"{address}\"")),
            nothing(),
            "port",
            "cannot listen",
            "server.listen",
        ),
        ("a database of a newer program", Settings::quiet(), newer, "database", "newer", ""),
        ("a database of another program", Settings::quiet(), foreign, "database", "bellwether.db", ""),
        (
            "a database that others can read",
            Settings::quiet(),
            readable,
            "data folder",
            "other users can read",
            "chmod 600",
        ),
        (
            "a daemon.json left behind",
            Settings::quiet(),
            write("daemon.json", stale),
            "daemon",
            "does not answer",
            "start it again",
        ),
        (
            "a daemon.json of somebody else",
            Settings::quiet(),
            write("daemon.json", "{}"),
            "daemon",
            "is not what",
            "remove it",
        ),
        (
            "a daemon of another version",
            Settings::quiet(),
            write("daemon.json", "{\"address\":\"http://127.0.0.1:9\",\"version\":\"9.0\",\"protocol\":999}"),
            "daemon",
            "do not understand each other",
            "install the newer",
        ),
        (
            "no channel at all",
            Settings::quiet(),
            nothing(),
            "channels",
            "nothing that fires reaches you",
            "bellwether init",
        ),
        (
            "a feed whose name has no address",
            Settings::quiet()
                .with("feeds.coingecko", "enabled = true")
                .with("feeds.coingecko", "base_url = \"http://nobody.invalid/api\""),
            nothing(),
            "feed coingecko",
            "has no address",
            "DNS",
        ),
    ];
    for (name, settings, fault, what, said, todo) in faults {
        let lab = Lab::with(&settings);
        fault(&lab);
        let (found, code) = examined(&lab).await;
        let findings = found["findings"].as_array().expect("findings");
        let named = findings.iter().any(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap_or_default();
            finding["about"] == what
                && finding["verdict"] == "wrong"
                && text("said").contains(said)
                && text("todo").contains(todo)
        });
        assert!(named && code == Some(1), "{name}: {found:#}");
    }
}

fn write_database(lab: &Lab, sql: &str) {
    fs::create_dir_all(lab.data()).expect("a folder");
    fs::set_permissions(lab.data(), fs::Permissions::from_mode(0o700)).expect("chmod");
    let file = lab.data().join("bellwether.db");
    rusqlite::Connection::open(&file).expect("a database").execute_batch(sql).expect("SQL");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("chmod");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_daemon_suffers_from_is_named() {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let limits = "channels.webhook.slow.limits";
    let settings = Settings::quiet()
        .coinbase(&exchange)
        .webhook("slow", &receiver)
        .with(limits, "burst = 1")
        .with(limits, "refill = \"1h\"")
        .with(limits, "group = \"0s\"")
        .webhook("refusing", &receiver);
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    exchange.trade("BTC-USD", "60010");
    daemon.api().price("BTC", "60010").await;
    receiver.answer([404]);
    daemon.api().alert("BTC > 60k once via webhook:refusing").await;
    receiver.wait(1).await;
    for note in ["one", "two"] {
        daemon.api().alert(&format!("BTC > 60k once via webhook:slow note \"{note}\"")).await;
    }
    receiver.wait(2).await;
    exchange.close();
    lab.configure(&format!("{settings}[servr]\n"));
    for (what, said) in [
        ("daemon: configuration", "cannot be used"),
        ("deliveries", "bellwether deliveries retry"),
        ("limits of webhook:slow", "[channels.webhook.slow.limits]"),
        ("feed coinbase, in the daemon", "tries again"),
    ] {
        let named = async || {
            let (found, _) = examined(&lab).await;
            let findings = found["findings"].as_array().expect("findings").clone();
            findings
                .iter()
                .any(|f| f["about"] == what && f["verdict"] != "fine" && f.to_string().contains(said))
                .then_some(())
        };
        eventually(&format!("{what}: {said}"), named).await;
    }
    daemon.stop().await;
}

/// A machine without any certificate: a small container, or a static program in an empty folder.
fn without_certificates(mut command: Command) -> Command {
    command.env("SSL_CERT_FILE", "/nonexistent/file").env("SSL_CERT_DIR", "/nonexistent/folder");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_certificate_all_works_that_needs_none_and_doctor_says_what_is_missing() {
    let lab = Lab::with(&Settings::quiet().with("feeds.coingecko", "enabled = true"));
    let daemon = lab.daemon().await;
    let run = |arguments: Vec<&'static str>| {
        let mut command = without_certificates(lab.command(arguments));
        tokio::task::spawn_blocking(move || -> Output { command.stderr(Stdio::piped()).output().expect("it runs") })
    };
    let made = run(vec!["add", "BTC > 1m"]).await.expect("no panic");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let found = run(vec!["doctor", "--json"]).await.expect("no panic");
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let finding = about(&found, "certificates");
    assert!(finding["todo"].as_str().is_some_and(|todo| todo.contains("ca-certificates")), "{finding}");
    daemon.stop().await;
}
