//! Many clients, by REST and by WebSocket, change the same alerts at once. In the end the database, the evaluator and every
//! client's picture are the same, also after the daemon was killed and started again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Api, Daemon, Dice, Lab, Settings, Stream, eventually};

/// How many clients of each kind.
const CLIENTS: u64 = 4;
/// What each of them does. A session may send 20 messages at once.
const REST_DEEDS: u64 = 60;
const STREAM_DEEDS: u64 = 18;
/// The alerts that all of them are after.
const ALERTS: u64 = 6;

/// An alert as its owner wished it; what it is doing is the evaluator's.
type Wish = (u64, String, bool, Option<String>);
type Picture = BTreeMap<String, Wish>;

fn wish(alert: &Value) -> (String, Wish) {
    let text = |name: &str| alert[name].as_str().unwrap_or_else(|| panic!("{name} of {alert}")).to_owned();
    let snoozed = alert["snoozed_until"].as_str().map(str::to_owned);
    let paused = alert["paused"].as_bool().unwrap_or_else(|| panic!("{alert}"));
    (text("id"), (alert["version"].as_u64().expect("a version"), text("expr"), paused, snoozed))
}

/// A change that a client may think of.
fn patch(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => json!({ "paused": true }),
        1 => json!({ "paused": false }),
        2 => json!({ "acknowledged": true }),
        3 => json!({ "snoozed_until": format!("2099-01-01T00:00:{:02}Z", dice.below(60)) }),
        4 => json!({ "expr": format!("BTC > {} each note \"n{}\"", 60_000 + dice.below(3), dice.below(9)) }),
        5 => json!({ "expr": format!("ETH < {} each", 1_000 + dice.below(500)), "paused": dice.below(2) == 0 }),
        _ => json!({ "expr": format!("BTC crosses {} each for 5s", 60_000 + dice.below(500)) }),
    }
}

/// An alert's number: one of the first, or one that somebody made meanwhile.
fn target(dice: &mut Dice) -> String {
    format!("a{}", 1 + dice.below(ALERTS + 4))
}

async fn by_rest(api: Api, mut dice: Dice) {
    for _ in 0..REST_DEEDS {
        let path = format!("/alerts/{}", target(&mut dice));
        let answer = match dice.below(12) {
            0 => api.post("/alerts", &json!({ "expr": "BTC > 70k each" })).await,
            1 => api.delete(&path).await,
            _ => api.patch(&path, &patch(&mut dice)).await,
        };
        assert!([200, 201, 204, 404].contains(&answer.status), "{answer:?}");
    }
}

async fn by_stream(stream: &mut Stream, mut dice: Dice) {
    for id in 0..STREAM_DEEDS {
        let alert = target(&mut dice);
        let command = match dice.below(12) {
            0 => json!({ "type": "create", "id": id, "alert": { "expr": "ETH > 5k each" } }),
            1 => json!({ "type": "delete", "id": id, "alert_id": alert }),
            _ => json!({ "type": "update", "id": id, "alert_id": alert, "patch": patch(&mut dice) }),
        };
        let reply = stream.command(&command).await;
        assert!(reply["ok"] == true || reply["problem"]["status"] == 404, "{reply}");
    }
}

/// The picture that a session's frames add up to, from its snapshot to the news that `mark` exists.
async fn folded(mut stream: Stream, mut picture: Picture, mark: &str) -> Picture {
    while !picture.contains_key(mark) {
        let frame = stream.next().await.expect("the session goes on");
        fold(&frame, &mut picture);
    }
    picture
}

fn fold(frame: &Value, picture: &mut Picture) {
    match frame["type"].as_str() {
        Some("snapshot") => *picture = frame["alerts"].as_array().expect("alerts").iter().map(wish).collect(),
        Some("alert") => picture.extend([wish(&frame["alert"])]),
        Some("alert_deleted") => drop(picture.remove(frame["id"].as_str().expect("an id"))),
        _ => {}
    }
}

/// The evaluator's picture: the board's rows are what it told after the last change.
async fn listed(daemon: &Daemon) -> Picture {
    daemon.api().get("/alerts").await.done()["items"].as_array().expect("items").iter().map(wish).collect()
}

/// The alerts one by one, which are read from the database.
async fn stored(daemon: &Daemon, lab: &Lab) -> Picture {
    let database = rusqlite::Connection::open(lab.data().join("bellwether.db")).expect("the database");
    let mut statement = database.prepare("SELECT id FROM alerts").expect("a table");
    let ids: Vec<i64> = statement.query_map((), |row| row.get(0)).expect("rows").map(|id| id.expect("an id")).collect();
    let mut picture = Picture::new();
    for id in ids {
        let (paused, snoozed, version) = database
            .query_row("SELECT paused, snoozed_until, version FROM alerts WHERE id = ?1", [id], |row| {
                Ok((row.get::<_, bool>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, u32>(2)?))
            })
            .expect("a row");
        let (name, seen) = wish(&daemon.api().get(&format!("/alerts/a{id}")).await.done());
        let snoozed = snoozed.map(|at| bellwether_core::time::Timestamp::from_micros(at).to_string());
        picture.insert(name, (version.into(), seen.1, paused, snoozed));
    }
    picture
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_change_the_same_alerts_at_once_end_with_one_picture() {
    let dice = Dice::seeded("BELLWETHER_SEED");
    let seed = dice.0;
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    for _ in 0..ALERTS {
        daemon.api().alert("BTC > 60k each").await;
    }
    let watcher = daemon.stream().await;
    let mut first = Picture::new();
    fold(&watcher.snapshot, &mut first);

    let mut deeds = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        deeds.spawn(by_rest(daemon.api(), Dice(seed.wrapping_add(client))));
        let mut stream = daemon.stream().await;
        deeds.spawn(async move { by_stream(&mut stream, Dice(seed.wrapping_add(100 + client))).await });
    }
    while let Some(done) = deeds.join_next().await {
        done.expect("a client");
    }
    // Everything before this alert is known to whoever knows this alert.
    let mark = daemon.api().alert("DOGE > 1 each").await;
    let folded_up = folded(watcher, first, &mark).await;
    let in_database = stored(&daemon, &lab).await;
    assert_eq!(listed(&daemon).await, in_database, "evaluator and database, BELLWETHER_SEED={seed}");
    assert_eq!(folded_up, in_database, "a client who watched, and the database, BELLWETHER_SEED={seed}");
    let mut fresh = Picture::new();
    fold(&daemon.stream().await.snapshot, &mut fresh);
    assert_eq!(fresh, in_database, "a client who came late, BELLWETHER_SEED={seed}");

    daemon.kill().await;
    let daemon = lab.daemon().await;
    eventually("the alerts after the kill", async || (listed(&daemon).await == in_database).then_some(())).await;
    daemon.stop().await;
}
