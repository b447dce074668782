//! The outside face, judged by programs that we did not write: schemathesis, clients of the WebSocket, a browser.

use std::{ffi::OsStr, os::unix::process::CommandExt as _, process::Stdio};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{judged_by, waiting};
use crate::harness::{Daemon, Exchange, Lab, Receiver, Settings, Task, root};

fn wanted() -> bool {
    std::env::var_os("BELLWETHER_COUNTERPARTS").is_some()
}

/// Lets BTC move until it is dropped.
fn moving(exchange: Exchange) -> Task {
    Task::spawn(async move {
        for n in 0_u32.. {
            exchange.trade("BTC-USD", &format!("{}", 59_000 + n % 900));
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
}

/// Providers of the past, and of what the catalogue lacks, that nobody asks: nothing leaves this machine.
fn nobody() -> Settings {
    Settings::quiet()
        .with("feeds.coingecko", "base_url = \"http://127.0.0.1:9/api/v3\"")
        .with("feeds.yahoo", "base_url = \"http://127.0.0.1:9\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_that_the_document_does_not_promise() {
    if !wanted() {
        return;
    }
    let receiver = Receiver::start().await;
    let (_lab, daemon, exchange) = waiting(nobody().webhook("hook", &receiver).unlimited("hook", "0s"), &[]).await;
    // Something to read and to follow links to; the document's examples speak of a17.
    for n in 0..20 {
        daemon.api().alert(&format!("BTC > {} each via webhook:hook", 60_000 + n)).await;
    }
    exchange.trade("BTC-USD", "60010.5");
    daemon.api().settled(5).await;
    judged_by("schemathesis", &["check".as_ref(), daemon.address().as_ref(), daemon.token().as_ref()]).await;
    // The same as an account, which may do less; a logout would end the token that all the rest is called with.
    let account = json!({ "email": "judge@example.org", "password": "long enough" });
    daemon.stranger().post("/auth/register", &account).await.done();
    let login = daemon.stranger().post("/auth/login", &account).await.done();
    let token = login["access_token"].as_str().expect("a token");
    judged_by("schemathesis", &["check", daemon.address(), token, "post_auth_logout"].map(AsRef::as_ref)).await;
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_of_the_websocket_is_as_the_document_says() {
    if !wanted() {
        return;
    }
    let receiver = Receiver::start().await;
    let settings = nobody().webhook("hook", &receiver).by_default("webhook:hook");
    let (_lab, daemon, exchange) = waiting(settings, &[]).await;
    let _moves = moving(exchange);
    judged_by("websocket", &["check".as_ref(), daemon.address().as_ref(), daemon.token().as_ref()]).await;
    daemon.stop().await;
}

/// A program with all that it has started; they end together. What is left of a pipeline would hold the test's output open.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let whole = format!("-{}", self.0);
        drop(std::process::Command::new("kill").args(["-KILL", "--", &whole]).status());
    }
}

/// Runs the example of docs/websocket.md in that language until it has printed a price and a firing.
async fn example(language: &str, said: impl Fn(&str) -> bool, fired: impl Fn(&str) -> bool) {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990");
    let lab = Lab::with(&nobody().coinbase(&exchange));
    // Where the examples look for it, as does every user's program.
    let command = lab.bare([OsStr::new("daemon"), "--config".as_ref(), lab.config().as_os_str()]);
    let daemon = Daemon::start(command, &lab.path("run/bellwether")).await;
    daemon.api().price("BTC", "59990").await;

    let script = root().join("tests/counterparts/websocket");
    let mut asked = tokio::process::Command::new(script);
    asked.arg("example").arg(root().join("docs/websocket.md")).arg(language).arg(lab.path(""));
    // Which programs it has found, it says to whoever reads the test's output.
    let told = asked.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the script");
    let told = told.wait_with_output().await.expect("it ends");
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).expect("text");
    let mut words = told.lines();
    let Some(program) = words.next() else {
        daemon.stop().await;
        return;
    };

    let mut command = lab.program(program.as_ref(), words);
    let path = std::env::var("PATH").unwrap_or_default();
    let ours = std::path::Path::new(crate::harness::lab::PROGRAM).parent().expect("a folder");
    command.env("PATH", format!("{}:{path}", ours.display())).stdout(Stdio::piped()).process_group(0);
    let mut running =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("the example is started");
    let group = Group(running.id().expect("it runs"));
    let mut lines = BufReader::new(running.stdout.take().expect("piped")).lines();
    let _moves = moving(exchange);
    let mut next = async |what: &str, found: &dyn Fn(&str) -> bool| loop {
        let line = tokio::time::timeout(crate::harness::PATIENCE, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{language}: no line with {what}")).expect("text");
        let line = line.unwrap_or_else(|| panic!("{language}: it ended before {what}"));
        if found(&line) {
            break;
        }
    };
    next("a price", &said).await;
    daemon.api().alert("BTC > 1 once").await;
    next("a firing", &fired).await;
    drop(group);
    running.wait().await.expect("it is ended");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_websockets_page_print_prices_and_firings() {
    if !wanted() {
        return;
    }
    for language in ["python", "js", "sh"] {
        example(language, |line| line.starts_with("BTC 59"), |line| line.starts_with("FIRED BTC ")).await;
    }
    let bar = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON");
    example("bash", |line| bar(line)["class"] == "price", |line| bar(line)["class"] == "fired").await;
}

/// Ports that nobody uses at this moment.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    held.map(|listener| listener.local_addr().expect("bound").port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_of_somebody_else_reads_and_changes_nothing() {
    if !wanted() {
        return;
    }
    let [evil, friend] = free_ports();
    let allowed = format!("allowed_origins = [\"http://127.0.0.1:{friend}\"]");
    let (_lab, daemon, _exchange) = waiting(nobody().with("server", &allowed), &[]).await;
    let account = json!({ "email": "a@example.org", "password": "long enough" });
    daemon.stranger().post("/auth/register", &account).await.done();
    let (evil, friend) = (evil.to_string(), friend.to_string());
    let words = ["pages", daemon.address(), daemon.token(), &evil, &friend];
    judged_by("browser", &words.map(AsRef::as_ref)).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_opens_in_a_browser_and_asks_nobody_else() {
    if !wanted() {
        return;
    }
    let (_lab, daemon, _exchange) = waiting(nobody(), &[]).await;
    judged_by("browser", &["docs".as_ref(), daemon.address().as_ref()]).await;
    judged_by("browser", &["rebound".as_ref(), daemon.address().as_ref()]).await;
    daemon.stop().await;
}
