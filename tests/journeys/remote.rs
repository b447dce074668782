//! A daemon on another machine, played by one that speaks TLS: found by its address, entered with an account.

use std::{fs, process::Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::{Exchange, Lab, PATIENCE, Settings, eventually, lab::finish, root};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_elsewhere_is_used_with_an_account_over_tls() {
    let exchange = Exchange::start().await;
    let data = root().join("daemon/src/notify/testdata");
    let tls = format!("tls = {{ cert = {:?}, key = {:?} }}", data.join("server.pem"), data.join("server.key"));
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).with("server", &tls).with("log", "format = \"json\""));
    let daemon = lab.daemon().await;
    exchange.subscribed("BTC-USD").await;
    assert!(daemon.address().starts_with("http://127.0.0.1:"), "programs of this machine need no certificate");
    let open = eventually("the log names the address", async || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("open to others"))?;
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        Some(line["fields"]["address"].as_str().expect("an address").to_owned())
    })
    .await;
    let url = open.replace("127.0.0.1", "https://localhost");

    // A machine with a home of its own, and nothing of the daemon's.
    let away = Lab::new();
    let command = |arguments: &[&str]| {
        let mut command = away.bare(arguments);
        command.env("BELLWETHER_URL", &url).env("SSL_CERT_FILE", data.join("ca.pem"));
        command
    };
    let stranger = finish(command(&["list"])).await;
    assert!(stranger.refused().contains("bellwether login --url"), "{stranger:?}");
    fs::write(away.path("password"), "secret123\n").expect("written");
    let mut login = command(&["login", "--email", "user@example.com", "--register"]);
    login.stdin(fs::File::open(away.path("password")).expect("there"));
    finish(login).await.done();
    finish(command(&["add", "BTC > 60k each"])).await.done();
    let own = finish(command(&["list", "--json"])).await.json();
    assert!(own.to_string().contains("BTC > 60000"), "{own}");
    assert_eq!(daemon.api().get("/alerts").await.json()["items"], serde_json::json!([]), "it is not the owner's");

    let mut watch = tokio::process::Command::from(command(&["watch", "BTC", "--json"]));
    let mut watch = watch.kill_on_drop(true).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    exchange.trade("BTC-USD", "60001");
    let price = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains("60001") {
                return;
            }
        }
        panic!("watch has ended");
    };
    tokio::time::timeout(PATIENCE, price).await.expect("the price comes over TLS");
    drop(watch);

    // Without its authority the certificate is none; what is wrong is said.
    let mut distrustful = command(&["list"]);
    distrustful.env_remove("SSL_CERT_FILE").env("BELLWETHER_TOKEN", "x");
    let refused = finish(distrustful).await;
    assert!(refused.refused().contains("certificate is not accepted"), "{refused:?}");
    finish(command(&["logout"])).await.done();
    assert!(finish(command(&["list"])).await.refused().contains("not logged in"));
    daemon.stop().await;
}
