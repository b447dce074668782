//! The demo, as far as it goes without a terminal: a whole market that moves, alerts that stand and ring, and nothing left of it.

use std::{collections::BTreeSet, fs, time::Duration};

use crate::harness::{Daemon, Lab, lab::finish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_moves_rings_and_leaves_nothing_behind() {
    let lab = Lab::new();
    lab.configure("[server]\nlisten = \"127.0.0.1:0\"\n");
    fs::create_dir(lab.path("tmp")).expect("a folder");
    let with = |words: &[&str]| {
        let mut command = lab.bare(words);
        command.arg("--config").arg(lab.config()).env("TMPDIR", lab.path("tmp"));
        command
    };
    let daemon = Daemon::start(with(&["daemon", "--demo"]), &lab.path("run/bellwether-demo")).await;
    let api = daemon.api();
    assert_eq!(api.get("/health/ready").await.done()["simulated"], true);
    let mut stream = daemon.stream().await;
    let half_a_minute = tokio::time::timeout(Duration::from_secs(30), async {
        let (mut moved, mut fired) = (BTreeSet::new(), false);
        while moved.len() < 50 || !fired {
            let frame = stream.next().await.expect("the session goes on");
            if frame["type"] == "price" {
                moved.insert(frame["symbol"].as_str().expect("a symbol").to_owned());
            }
            fired |= frame["type"] == "firing";
        }
    });
    half_a_minute.await.expect("within half a minute 50 instruments move and an alert fires");
    let alerts = api.get("/alerts").await.done();
    assert!(alerts["items"].as_array().is_some_and(|alerts| alerts.len() >= 5), "{alerts}");

    // It lives apart from the real one.
    assert!(finish(with(&["list", "--demo"])).await.done().contains("BTC"));
    assert!(finish(with(&["list"])).await.refused().contains("no daemon is running"));
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(fs::read_dir(lab.path("tmp")).expect("a folder").count(), 0, "temporary data stayed behind");
    assert!(!lab.path("home/.local/share").exists(), "the demo wrote into the home folder");
}
