//! `bellwether doctor` on faults that are made here: each is named, with what to do, and the exit status says whether any was found.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::harness::{Lab, MailServer, Settings};

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
