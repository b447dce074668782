//! Databases of every schema there ever was, each with rows in its tables, under the program of today: all rows are there afterwards and a copy
//! of before is kept. Ends inside of an upgrade, between any two of its statements, and full disks leave the old schema or the new one (docs/reliability.md, P16).

use rusqlite::{Batch, fallible_iterator::FallibleIterator as _, types::Value};

use super::{super::super::Fetched, *};

/// The rows that a user had when the schema was of this version.
fn rows(version: usize) -> Vec<String> {
    let alert = one_like();
    let event = firing(&alert, 1, at(1));
    let json = |text: String| text.replace('\'', "''");
    let rule = json(to_json(&alert.rule).expect("JSON"));
    let (fired, now) = (json(to_json(&event).expect("JSON")), at(1).as_micros());
    let mut rows = vec![
        format!("INSERT INTO users VALUES (2, 'Anne@Example.org', 'anne@example.org', 'hash', 1, {now})"),
        "INSERT INTO secrets VALUES ('login', x'0102')".to_owned(),
        format!("INSERT INTO alerts VALUES (1, 1, 3, '{rule}', 0, NULL, {now}, {now}, 'key')"),
        format!("INSERT INTO alerts VALUES (7, 2, 1, '{rule}', 1, {now}, {now}, {now}, NULL)"),
        format!("INSERT INTO firings VALUES (1, 1, 1, 1, 1, {now}, {now}, {now}, '{fired}')"),
        "INSERT INTO instruments VALUES (1, 'BTC')".to_owned(),
        "INSERT INTO bars (instrument, minute, session, open, high, low, close) VALUES (1, 30000000, 1, '1', '2', '0.5', '1.5')".to_owned(),
        "UPDATE pulse SET beats = 5".to_owned(),
    ];
    let delivery = if version < 4 {
        "(id, firing, alert, owner, channel, state, attempts, created, next_attempt) VALUES (9, 1, 1, 1, 'email', 'retry', 2"
    } else {
        "(id, firing, alert, owner, channel, lane, offered, state, attempts, created, next_attempt) VALUES (9, 1, 1, 1, 'email', 1, 0, 'retry', 2"
    };
    rows.push(format!("INSERT INTO deliveries {delivery}, {now}, {now})"));
    let later = [
        (2, format!("INSERT INTO provider_bans VALUES ('binance', 'api.binance.com', {now}, 418, 3, 'said no')")),
        (3, "INSERT INTO candles (instrument, length, start, source, open, high, low, close) VALUES (1, 3600, 1800000000, 1, '1', '2', '0.5', '1.5')".to_owned()),
        (3, "INSERT INTO candles_asked VALUES (1, 3600, 1800000000, 1800003600, 1800003700)".to_owned()),
        (4, "INSERT INTO channel_states VALUES ('email', '{}', NULL)".to_owned()),
        (5, format!("INSERT INTO instruments_added VALUES ('BTC', '{}', {now})", json(added()))),
        (6, format!("INSERT INTO channels_set VALUES ('email', '{{\"to\":[\"a@example.org\"]}}', {now})")),
    ];
    let later =
        later.into_iter().chain([(8, "UPDATE deliveries SET taken_by = 'anne@example.org' WHERE id = 9".to_owned())]);
    rows.extend(later.filter(|(since, _)| *since <= version).map(|(_, row)| row));
    rows
}

/// An instrument as it is kept.
fn added() -> String {
    to_json(&bellwether_core::catalog::Catalog::builtin().get(symbol("BTC")).expect("it is known")).expect("JSON")
}

fn one_like() -> Alert {
    Alert {
        id: bellwether_core::alert::AlertId(1),
        owner: UserId::OWNER,
        version: 3,
        rule: rule("60000"),
        paused: false,
        snoozed_until: None,
        created: at(1),
        updated: at(1),
    }
}

/// A database of this version with its rows; its connection stays open.
fn of_version(folder: &TempDir, version: usize) -> Connection {
    file::prepare(folder.path()).expect("a file");
    let mut old = outside(folder);
    old.pragma_update(None, "journal_mode", "WAL").expect("set");
    file::migrate(&database(folder), &mut old, &file::MIGRATIONS[..version]).expect("made");
    for row in rows(version) {
        old.execute_batch(&row).unwrap_or_else(|error| panic!("{row}: {error}"));
    }
    old
}

/// All rows of all tables that version 1 has, but for columns and order that later ones brought.
fn content(db: &Connection) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for query in [
        "SELECT id, email, email_key, password_hash, generation, created FROM users ORDER BY id",
        "SELECT name, value FROM secrets ORDER BY name",
        "SELECT id, owner, version, rule, paused, snoozed_until, created, updated, idempotency_key FROM alerts ORDER BY id",
        "SELECT place, alert, version, number, owner, time, received, recorded, firing FROM firings ORDER BY place",
        "SELECT id, firing, alert, owner, channel, state, attempts, created, next_attempt FROM deliveries ORDER BY id",
        "SELECT instrument, minute, session, open, high, low, close FROM bars",
        "SELECT beats FROM pulse",
    ] {
        let mut statement = db.prepare(query).expect("SQL");
        let width = statement.column_count();
        let rows = statement.query_map((), |row| (0..width).map(|column| row.get(column)).collect()).expect("read");
        all.extend(rows.map(|row| row.expect("a row")));
    }
    all
}

fn version_of(db: &Connection) -> usize {
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    version as usize
}

fn backup_of(folder: &Path, version: usize) -> PathBuf {
    folder.join(format!("{DATABASE_FILE}.backup-schema{version}"))
}

/// Opens it as the daemon does and looks whether everything is there.
async fn all_is_there(folder: &TempDir, before: &[Vec<Value>], version: usize) {
    let store = open(folder);
    let alerts = store.alerts().await.expect("alerts");
    assert_eq!((alerts.len(), &alerts[0]), (2, &one_like()), "schema {version}");
    assert_eq!(store.recent().await.expect("firings").0.len(), 1, "schema {version}");
    assert_eq!(store.bans().await.expect("bans").len(), usize::from(version >= 2), "schema {version}");
    assert_eq!(store.channels_set().await.expect("channels").len(), usize::from(version >= 6), "schema {version}");
    assert_eq!(store.added_instruments().await.expect("read").len(), usize::from(version >= 5), "schema {version}");
    let hour = Span::from_seconds(3_600);
    let (from, to) = (Timestamp::from_seconds(1_800_000_000), Timestamp::from_seconds(1_800_003_600));
    let kept = store.fetched(symbol("BTC"), hour, from, to).await.expect("bars");
    assert_eq!(kept.len(), usize::from(version >= 3), "schema {version}");
    // And it is written to as one of today.
    let candles = kept.into_iter().map(|(candle, _)| candle).collect();
    let source = bellwether_core::instrument::FeedId::Kraken;
    let fetched = Fetched { symbol: symbol("BTC"), length: hour, source, candles, asked: None };
    store.put_candles(fetched, at(9)).await.expect("written");
    let now = outside(folder);
    assert_eq!(version_of(&now), file::MIGRATIONS.len());
    assert_eq!(content(&now), before, "schema {version}");
    drop(now);
    // What waited is sent, and who had got it already is not forgotten.
    let take = Take { lane: Lane::Again, grouping: Grouping::OFF, memory: None, now: at(3) };
    let taken = store.take(email(), take).await.expect("taken").expect("due");
    assert_eq!((taken.due.delivery.id.0, taken.had_by.is_some()), (9, version >= 8), "schema {version}");
    store.close().await;
}

#[tokio::test]
async fn a_database_of_every_schema_is_taken_over_whole_and_a_copy_of_before_is_kept() {
    let newest = file::MIGRATIONS.len();
    for version in 1..=newest {
        let folder = folder();
        let old = of_version(&folder, version);
        let before = content(&old);
        drop(old);
        all_is_there(&folder, &before, version).await;
        let backup = backup_of(folder.path(), version);
        assert_eq!(backup.exists(), version < newest, "schema {version}");
        if version < newest {
            let copy = Connection::open(backup).expect("opens");
            assert_eq!((version_of(&copy), content(&copy)), (version, before), "schema {version}");
        }
    }
}

#[tokio::test]
async fn an_end_between_any_two_statements_of_an_upgrade_leaves_the_old_schema_whole() {
    for version in 1..file::MIGRATIONS.len() {
        let step = file::MIGRATIONS[version];
        for done in 0.. {
            let folder = folder();
            let old = of_version(&folder, version);
            let before = content(&old);
            // With no room in memory its pages are in the journal before the commit, as with a large database.
            old.pragma_update(None, "cache_size", 1).expect("set");
            old.execute_batch("BEGIN IMMEDIATE").expect("begun");
            let mut statements = Batch::new(&old, step);
            let mut ran = 0;
            while ran < done {
                let Some(mut statement) = statements.next().expect("SQL") else { break };
                statement.raw_execute().expect("taken");
                ran += 1;
            }
            let image = dead(&folder);
            let opened = Connection::open(database(&image)).expect("opens");
            assert_eq!((version_of(&opened), content(&opened)), (version, before.clone()), "schema {version}, {ran}");
            drop(opened);
            all_is_there(&image, &before, version).await;
            if ran < done {
                break;
            }
        }
    }
}

/// The files as a process leaves them that ends now.
fn dead(folder: &TempDir) -> TempDir {
    let image = self::folder();
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        if folder.path().join(&name).exists() {
            fs::copy(folder.path().join(&name), image.path().join(&name)).expect("copied");
        }
    }
    image
}

#[tokio::test]
async fn a_disk_that_is_full_leaves_the_schema_as_it_was_and_the_next_start_finishes() {
    let mut tight = 0;
    for version in 1..file::MIGRATIONS.len() {
        let folder = folder();
        let mut old = of_version(&folder, version);
        let before = content(&old);
        let pages: i64 = old.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count");
        let mut refused = 0;
        for room in 0.. {
            old.pragma_update_and_check(None, "max_page_count", pages + room, |_| Ok(())).expect("set");
            let upgraded = file::migrate(&database(&folder), &mut old, &file::MIGRATIONS[..=version]);
            if upgraded.is_ok() {
                break;
            }
            refused += 1;
            assert!(upgraded.is_err_and(|error| error.to_string().contains("full")), "schema {version}, {room} pages");
            assert_eq!((version_of(&old), content(&old)), (version, before.clone()), "schema {version}, {room} pages");
        }
        tight += usize::from(refused > 0);
        assert_eq!(version_of(&old), version + 1);
        drop(old);
        all_is_there(&folder, &before, version).await;
    }
    // The others give room back, need none, or fit into what was given back before.
    assert!(tight >= 4, "{tight} steps met a full disk");
}
