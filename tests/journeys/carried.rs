//! Alerts move from one daemon to another: exported, looked at, imported, and imported again.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Exchange, Lab, Settings, lab::finish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_move_to_another_daemon_as_they_are() {
    let exchange = Exchange::start().await;
    let old = Lab::with(&Settings::quiet().coinbase(&exchange));
    let daemon = old.daemon().await;
    exchange.trade("BTC-USD", "59990");
    daemon.api().alert("BTC > 60k each cooldown 10m note \"=HYPERLINK(1), \\\"dear\\\"\"").await;
    daemon.api().alert("ETH -5% in 1h").await;
    daemon.api().alert("BTC < 1 once until 2099-12-31").await;
    old.run(["pause", "a2"]).await.done();
    let as_json = old.run(["export"]).await.done().to_owned();
    let as_table = old.run(["export", "--format", "csv"]).await.done().to_owned();
    let same = old.path("alerts.json");
    fs::write(&same, &as_json).expect("written");
    let told = old.run(["--json", "import", same.to_str().expect("text")]).await.json();
    assert_eq!((told["made"].as_array().map(Vec::len), told["existing"].as_array().map(Vec::len)), (Some(0), Some(3)));
    daemon.stop().await;

    let wishes = |exported: &str| -> Vec<Value> {
        let document: Value = serde_json::from_str(exported).expect("JSON");
        let alerts = document["alerts"].as_array().expect("alerts").iter();
        alerts.map(|a| json!([a["expr"], a["paused"], a["snoozed_until"]])).collect()
    };
    for (name, text) in [("moved.json", &as_json), ("moved.csv", &as_table)] {
        let new = Lab::with(&Settings::quiet().coinbase(&exchange));
        let daemon = new.daemon().await;
        let file = new.path(name);
        fs::write(&file, text).expect("written");
        let shown = file.to_str().expect("text");
        assert!(new.run(["import", shown]).await.done().contains("a1 made: BTC > 60000 each"), "{name}");
        assert_eq!(wishes(new.run(["export"]).await.done()), wishes(&as_json), "{name}");

        let broken = text.replace("ETH", "NOSUCHTHING").replace("60000", "70000");
        fs::write(&file, broken).expect("written");
        let refused = new.run(["import", shown]).await.refused().to_owned();
        assert!(refused.contains("line") && refused.contains("NOSUCHTHING"), "{refused}");
        fs::write(&file, &text[..text.len() - 9]).expect("written");
        new.run(["import", shown]).await.refused();
        assert_eq!(wishes(new.run(["export"]).await.done()), wishes(&as_json), "all or nothing");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_alerts_move_and_an_account_takes_as_many_as_it_may_have() {
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    let file = |count: usize| {
        let rows: Vec<String> = (1..=count).map(|n| format!("BTC > {n} once,\n")).collect();
        let path = lab.path(&format!("{count}.csv"));
        fs::write(&path, format!("expr,paused\n{}", rows.concat())).expect("written");
        path.display().to_string()
    };
    let exported = |text: &str| -> Vec<String> {
        let document: Value = serde_json::from_str(text).expect("JSON");
        let alerts = document["alerts"].as_array().expect("alerts").iter();
        alerts.map(|alert| alert["expr"].as_str().expect("a line").to_owned()).collect()
    };
    let all: Vec<String> = (1..=2_300).map(|n| format!("BTC > {n} once")).collect();
    lab.run(["import", &file(all.len())]).await.done();
    assert_eq!(exported(lab.run(["export"]).await.done()), all, "each of them, in order");

    // The same as somebody with an account, over the address.
    let command = |arguments: &[&str]| {
        let mut command = lab.bare(arguments);
        command.env("BELLWETHER_URL", daemon.address());
        command
    };
    fs::write(lab.path("password"), "secret123\n").expect("written");
    let mut login = command(&["login", "--email", "user@example.com", "--register"]);
    login.stdin(fs::File::open(lab.path("password")).expect("there"));
    finish(login).await.done();
    let refused = finish(command(&["import", &file(1_001)])).await;
    assert!(refused.refused().contains("1000"), "how many there may be: {refused:?}");
    assert!(exported(finish(command(&["export"])).await.done()).is_empty(), "all or nothing");
    finish(command(&["import", &file(1_000)])).await.done();
    assert_eq!(exported(finish(command(&["export"])).await.done()), all[..1_000]);
    daemon.stop().await;
}
