//! A backup while the daemon runs, a damaged database, and the way back that the daemon itself names.

use std::fs;

use serde_json::json;

use crate::harness::{Exchange, Lab, Settings, daemon::Starting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_refused_with_the_command_that_restores_it() {
    let exchange = Exchange::start().await;
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = lab.daemon().await;
    exchange.trade("BTC-USD", "59990");
    let alert = daemon.api().alert("BTC > 60k each").await;
    let backup = lab.data().join("my-backup.db");
    let target = backup.to_str().expect("text").to_owned();
    lab.run(["backup", &target]).await.done();
    assert!(lab.run(["backup", &target]).await.refused().contains("exists already"));
    let told = lab.run(["restore", &target]).await.refused().to_owned();
    assert!(told.contains("another bellwether daemon"), "while one runs: {told}");
    daemon.stop().await;

    let database = lab.data().join("bellwether.db");
    let mut bytes = fs::read(&database).expect("read");
    let end = bytes.len() - 4_096;
    bytes[8_192..end].fill(0x5a);
    fs::write(&database, &bytes).expect("written");
    let (status, log) = Starting::spawn(lab.command(["daemon"]), &lab.data()).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("is damaged") && log.contains(&format!("bellwether restore {target}")), "{log}");
    assert!(fs::read(&database).expect("read") == bytes, "it was touched");

    let restored = lab.run(["--json", "restore", &target]).await.json();
    let kept = restored["kept"].as_str().expect("the damaged one is kept").to_owned();
    assert!(fs::read(kept).expect("kept") == bytes);
    let daemon = lab.daemon().await;
    let found = daemon.api().get(&format!("/alerts/{alert}")).await.done();
    assert_eq!(found["fired"], json!(0));
    exchange.trade("BTC-USD", "60010");
    assert_eq!(daemon.api().settled(1).await.len(), 1, "and all goes on");
    daemon.stop().await;
}
