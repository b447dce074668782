//! The real program killed while it takes over a database of the first schema, at random moments: each time the schema is one that there
//! was, whole, with every row; and the start that is not killed finishes (docs/reliability.md, P16).
//!
//! The database is large enough that rebuilding its largest table takes a while. `BELLWETHER_KILLS` and `BELLWETHER_SEED` repeat a run.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, UserId},
    catalog::Catalog,
    evaluator::Evaluator,
    instrument::FeedId,
    parse::{ParseContext, parse},
    tick::Tick,
    time::Timestamp,
};
use rusqlite::{Connection, OpenFlags};

use crate::harness::{Dice, Lab, Settings, daemon::Starting, eventually, root};

/// Firings in the database, each with two deliveries.
const FIRINGS: u32 = 30_000;

/// Every schema there was, step by step.
fn steps() -> Vec<String> {
    let folder = root().join("daemon/src/store/sqlite/migrations");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).expect("SQL")).collect()
}

/// A firing as it is recorded.
fn firing() -> String {
    let (catalog, now) = (Catalog::builtin(), Timestamp::from_seconds(1_795_000_000));
    let context = ParseContext { catalog: &catalog, now, timezone: &jiff::tz::TimeZone::UTC, channels: &[] };
    let rule = parse("BTC > 60k each", &context).expect("an alert");
    let alert = Alert {
        id: AlertId(1),
        owner: UserId::OWNER,
        version: 1,
        rule,
        paused: false,
        snoozed_until: None,
        created: now,
        updated: now,
    };
    let mut evaluator = Evaluator::new(catalog.instruments().iter().cloned());
    assert!(evaluator.apply(AlertChange::Put(alert), now, &mut Vec::new()));
    let price = "60010".parse().expect("a price");
    let mut tick = Tick::new("BTC".parse().expect("a symbol"), price, FeedId::Coinbase, now);
    tick.exchange_time = Some(now);
    let mut fired = Vec::new();
    evaluator.on_tick(&tick, &mut fired);
    serde_json::to_string(&fired[0]).expect("JSON")
}

/// A database as the first release left it.
fn first(lab: &Lab) {
    let data = lab.data();
    fs::create_dir(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("chmod");
    let file = data.join("bellwether.db");
    let old = Connection::open(&file).expect("a database");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
    old.pragma_update(None, "journal_mode", "WAL").expect("set");
    old.execute_batch(&steps()[0]).expect("the first schema");
    let fired = firing().replace('\'', "''");
    old.execute_batch(&format!(
        "PRAGMA application_id = {};
         PRAGMA user_version = 1;
         BEGIN;
         CREATE TEMP TABLE many AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {FIRINGS}) SELECT n FROM n;
         INSERT INTO firings SELECT n, 1, 1, n, 1, 1795000000000000 + n, 1795000000000000 + n, 1795000000000000 + n, json_set('{fired}', '$.id', 'a1.1.' || n) FROM many;
         INSERT INTO deliveries (firing, alert, owner, channel, state, attempts, created, finished, answer)
             SELECT n, 1, 1, channel, 'sent', 1, 1795000000000000 + n, 1795000000000001 + n, 'accepted ' || n
             FROM many, (SELECT 'email' AS channel UNION ALL SELECT 'sms');
         COMMIT;",
        0x4265_6c6c
    ))
    .expect("rows");
}

/// The schema's number, and how much of what was there is there.
fn look(data: &Path) -> (i64, [i64; 5]) {
    // As the next start would: what was half done is taken back.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(data.join("bellwether.db"), flags).expect("it opens");
    let number = |query: &str| database.query_row(query, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(database.query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0)).expect("checked"), "ok");
    let rows = [
        number("SELECT count(*) FROM firings"),
        number("SELECT sum(length(firing)) FROM firings"),
        number("SELECT count(*) FROM deliveries WHERE state = 'sent' AND finished = created + 1"),
        number("SELECT sum(length(answer) + firing) FROM deliveries"),
        number("SELECT max(seq) FROM sqlite_sequence WHERE name = 'deliveries'"),
    ];
    (number("PRAGMA user_version"), rows)
}

/// The tables and indices of the schema that this many steps make.
fn shape_of(database: &Connection) -> Vec<String> {
    let mut select = database
        .prepare("SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1")
        .expect("SQL");
    select.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect()
}

/// That it is the schema which its number says, and no mixture.
fn is_whole(data: &Path, version: i64, steps: &[String]) {
    let is = Connection::open(data.join("bellwether.db")).expect("it opens");
    let pure = Connection::open_in_memory().expect("a database");
    for step in steps.iter().take(usize::try_from(version).expect("a number of steps")) {
        pure.execute_batch(step).expect("SQL");
    }
    assert_eq!(shape_of(&is), shape_of(&pure), "schema {version}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_killed_in_the_middle_of_an_upgrade_leaves_one_schema_whole_and_the_next_start_finishes() {
    let kills = std::env::var("BELLWETHER_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(if std::env::var_os("CI").is_some() { 60 } else { 8 });
    let mut dice = Dice::seeded("BELLWETHER_SEED");
    let seed = dice.0;
    let steps = steps();
    let newest = i64::try_from(steps.len()).expect("few");
    let original = Lab::with(&Settings::quiet());
    first(&original);
    let (_, before) = look(&original.data());
    let anew = || {
        let lab = Lab::with(&Settings::quiet());
        fs::create_dir(lab.data()).expect("a folder");
        fs::set_permissions(lab.data(), fs::Permissions::from_mode(0o700)).expect("chmod");
        let (from, to) = (original.data().join("bellwether.db"), lab.data().join("bellwether.db"));
        fs::copy(from, to).expect("copied");
        lab
    };

    // How long it takes when nobody interferes: the kills come within that time.
    let lab = anew();
    let at = Instant::now();
    let daemon = lab.daemon().await;
    let taken = at.elapsed();
    daemon.stop().await;
    assert_eq!(look(&lab.data()), (newest, before));

    let (mut lab, mut met) = (anew(), std::collections::BTreeMap::<i64, u32>::new());
    for kill in 0..kills {
        let starting = Starting::spawn(lab.command(["daemon"]), &lab.data());
        tokio::time::sleep(taken * u32::try_from(dice.below(1_000)).expect("small") / 1_000).await;
        starting.kill().await;
        let (version, rows) = look(&lab.data());
        assert_eq!(rows, before, "kill {kill}, schema {version}: rows are missing");
        is_whole(&lab.data(), version, &steps);
        *met.entry(version).or_default() += 1;
        if version == newest || kill % 4 == 3 {
            // The start that nobody kills finishes, and knows what was there.
            let daemon = lab.daemon().await;
            daemon.stop().await;
            assert_eq!(look(&lab.data()), (newest, before), "after kill {kill}");
            is_whole(&lab.data(), newest, &steps);
            lab = anew();
        }
    }
    let daemon = lab.daemon().await;
    eventually("an answer", async || (daemon.api().try_get("/health/ready").await == Some(200)).then_some(())).await;
    daemon.stop().await;
    writeln!(std::io::stderr(), "{kills} kills within {taken:?}; schemas found afterwards: {met:?}; seed {seed}").ok();
}
