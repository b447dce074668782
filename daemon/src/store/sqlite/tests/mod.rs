//! What only this database can get wrong: crashes, locks, full disks, slow queries. What its files can be is in `files.rs`.

mod backups;
mod files;
#[cfg(target_os = "linux")]
mod power;
mod rooms;
mod schemas;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use bellwether_core::{
    alert::{Alert, UserId},
    delivery::{DeliveryState, group::Grouping},
    evaluator::Cut,
    instrument::Symbol,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};
use tempfile::TempDir;

use super::{
    super::{
        ACCOUNTS, ALERTS_PER_ACCOUNT, AlertEdit, DATABASE_FILE, Lane, Outcome, Record, Route, Store, Take,
        story::{self, at, cut, email, fire, firing, price, rule, symbol},
    },
    *,
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join(DATABASE_FILE)
}

fn open(folder: &TempDir) -> Store {
    Store::open(folder.path()).expect("opens")
}

/// A connection of another program.
fn outside(folder: &TempDir) -> Connection {
    Connection::open(database(folder)).expect("opens")
}

async fn one_alert(store: &Store) -> Alert {
    store.insert_alert(UserId::OWNER, rule("60000"), at(0), None).await.expect("made").0
}

/// Does something on the writing connection, outside of a transaction.
async fn on_writer(store: &Store, work: impl FnOnce(&Connection) + Send + 'static) {
    let (answer, got) = oneshot::channel();
    let job = Job::Run(Box::new(move |database| {
        work(&database.connection);
        let _ = answer.send(());
    }));
    assert!(store.database.writer.send(job).await.is_ok());
    got.await.expect("done");
}

/// Holds the writing thread until the sender is used or dropped.
async fn hold_writer(store: &Store) -> std::sync::mpsc::Sender<()> {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (held, holds) = oneshot::channel();
    let job = Job::Run(Box::new(move |_| {
        let _ = held.send(());
        let _ = wait.recv();
    }));
    assert!(store.database.writer.send(job).await.is_ok());
    holds.await.expect("held");
    go
}

#[tokio::test]
async fn sqlite_tells_the_story() {
    let folder = folder();
    story::tell(|| open(&folder)).await;
}

#[tokio::test]
async fn a_record_that_is_not_committed_leaves_nothing() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    store.close().await;

    let mut connection = outside(&folder);
    let event = firing(&alert, 1, at(1));
    let record = Record {
        routes: vec![Route::new(event.id, email())],
        firings: vec![event],
        cut: cut(&[&alert], &["BTC"]),
        now: at(1),
        ..Record::default()
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("begun");
    assert_eq!(outbox::record(&transaction, &record).expect("written").len(), 1);
    // Whatever reached the disk at this moment is what a crash would leave.
    let crashed = self::folder();
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        drop(fs::copy(folder.path().join(&name), crashed.path().join(&name)));
    }
    drop(transaction);
    drop(connection);
    for folder in [folder, crashed] {
        let store = open(&folder);
        assert_eq!(store.recent().await, Ok((Vec::new(), Vec::new())));
        assert_eq!(store.memory().await, Ok(Cut::default()));
        assert_eq!(store.alerts().await, Ok(vec![alert.clone()]));
        store.close().await;
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    let deliveries = fire(&store, firing(&alert, 1, at(1)), &[email()], at(1)).await;
    let crashed = self::folder();
    // Copied without a close, as a killed process leaves them. The copying drops the locks of this process: nothing follows.
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        fs::copy(folder.path().join(&name), crashed.path().join(&name)).expect("copied");
    }
    let store = open(&crashed);
    assert_eq!(store.recent().await, Ok((vec![firing(&alert, 1, at(1))], deliveries)));
}

#[tokio::test]
async fn records_that_wait_together_are_one_commit_and_a_bad_one_harms_no_other() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    for bad in [None, Some(3_u32)] {
        let go = hold_writer(&store).await;
        let mut waiting = Vec::new();
        for number in 1..=5_u32 {
            let event = firing(&alert, number + if bad.is_some() { 10 } else { 0 }, at(1));
            let target = if bad == Some(number) { firing(&alert, 999, at(1)).id } else { event.id };
            let (answer, got) = oneshot::channel();
            let record = Record {
                firings: vec![event],
                routes: vec![Route::new(target, email())],
                now: at(2),
                ..Record::default()
            };
            assert!(store.database.writer.send(Job::Record(record, answer)).await.is_ok());
            waiting.push((number, got));
        }
        drop(go);
        for (number, got) in waiting {
            let outcome = got.await.expect("an answer");
            assert_eq!(outcome.is_err(), bad == Some(number), "record {number}: {outcome:?}");
        }
    }
    let (firings, deliveries) = store.recent().await.expect("read");
    assert_eq!((firings.len(), deliveries.len()), (9, 9));
}

#[tokio::test]
async fn only_commits_that_something_is_sent_on_are_synced() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    let level = || async {
        let (tell, told) = oneshot::channel();
        on_writer(&store, |db| {
            let level: i64 = db.pragma_query_value(None, "synchronous", |row| row.get(0)).expect("read");
            let _ = tell.send(level);
        })
        .await;
        told.await.expect("told")
    };
    assert_eq!(level().await, 2, "FULL for an alert");
    let memory = Record { cut: cut(&[&alert], &["BTC"]), now: at(1), ..Record::default() };
    store.record(memory).await.expect("recorded");
    assert_eq!(level().await, 1, "NORMAL for a cut");
    fire(&store, firing(&alert, 1, at(1)), &[email()], at(1)).await;
    assert_eq!(level().await, 2, "FULL for a firing");
    store.record_prices(Vec::new(), Vec::new()).await.expect("written");
    assert_eq!(level().await, 1, "NORMAL for prices");
}

#[tokio::test]
async fn another_programs_lock_is_waited_for() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    let other = outside(&folder);
    other.execute_batch("BEGIN IMMEDIATE; UPDATE pulse SET beats = 7").expect("locked");
    let asking = tokio::spawn({
        let store = store.clone();
        async move { store.edit_alert(UserId::OWNER, alert.id, None, AlertEdit::Pause, at(1)).await }
    });
    // Reading does not wait at all.
    assert_eq!(store.alerts().await.map(|alerts| alerts.len()), Ok(1));
    assert!(!asking.is_finished());
    other.execute_batch("COMMIT").expect("unlocked");
    assert!(asking.await.expect("no panic").expect("changed").paused);
}

#[tokio::test]
async fn a_full_disk_is_told_in_plain_words_and_heals() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    on_writer(&store, |db| {
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).expect("read");
        db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("set");
    })
    .await;
    let mut number = 0;
    let told = loop {
        number += 1;
        let event = firing(&alert, number, at(1));
        let routes = vec![Route::new(event.id, email())];
        let record = Record { firings: vec![event], routes, now: at(1), ..Record::default() };
        if let Err(error) = store.record(record).await {
            break error;
        }
        assert!(number < 1_000, "it never gets full");
    };
    assert_eq!(told, StoreError::Unwritable("the disk of the data folder is full".to_owned()));
    let reserve = folder.path().join("bellwether.reserve");
    assert!(!reserve.exists(), "its room was given up for the firing");
    let before = store.firings(UserId::OWNER, None, None, 1_000).await.expect("still read");
    assert_eq!(before.items.len() + 1, usize::try_from(number).expect("small"), "the failed one left nothing");
    on_writer(&store, |db| db.pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(())).expect("set"))
        .await;
    fire(&store, firing(&alert, number, at(1)), &[email()], at(1)).await;
    assert_eq!(store.writable().await, Ok(()));
    assert!(reserve.exists(), "and is kept again once there is room");
}

/// Needs a file system of its own, 16 MiB, mounted where `BELLWETHER_TEST_SMALL_DISK` says; `.ci/run` makes one.
#[tokio::test]
async fn a_thousand_firings_are_recorded_on_a_full_disk() {
    let Some(place) = std::env::var_os("BELLWETHER_TEST_SMALL_DISK") else { return };
    let folder = tempfile::tempdir_in(&place).expect("a folder");
    let store = open(&folder);
    let alert = one_alert(&store).await;
    let ballast = folder.path().join("ballast");
    let mut junk = fs::File::create(&ballast).expect("made");
    while std::io::Write::write_all(&mut junk, &[7; 4_096]).is_ok() {}
    for number in 1..=1_000 {
        fire(&store, firing(&alert, number, at(1)), &[email()], at(1)).await;
    }
    assert!(matches!(store.writable().await, Err(StoreError::Unwritable(_))), "and it is told");
    fs::remove_file(ballast).expect("removed");
    drop(junk);
    assert_eq!(store.writable().await, Ok(()));
    store.close().await;
    let store = open(&folder);
    assert_eq!(store.queue().await.expect("read")[0].1, 1_000);
}

#[tokio::test]
async fn a_disk_gone_read_only_is_unwritable() {
    let folder = folder();
    let store = open(&folder);
    on_writer(&store, |db| db.pragma_update(None, "query_only", true).expect("set")).await;
    let told = StoreError::Unwritable("the database, its folder or its disk is read-only".to_owned());
    assert_eq!(store.writable().await, Err(told));
    on_writer(&store, |db| db.pragma_update(None, "query_only", false).expect("set")).await;
    assert_eq!(store.writable().await, Ok(()));
}

#[tokio::test]
async fn an_account_has_a_thousand_alerts_and_the_owner_any_number() {
    let folder = folder();
    let store = open(&folder);
    store.create_user("first@example.org".to_owned(), String::new(), at(0)).await.expect("made");
    on_writer(&store, |db| {
        let text = to_json(&rule("1")).expect("JSON");
        db.execute_batch("BEGIN").expect("begun");
        for owner in [1, 2] {
            for _ in 0..ALERTS_PER_ACCOUNT {
                let sql = "INSERT INTO alerts (owner, version, rule, created, updated) VALUES (?1, 1, ?2, 0, 0)";
                db.execute(sql, (owner, &text)).expect("made");
            }
        }
        db.execute_batch("COMMIT").expect("made");
    })
    .await;
    let refused = store.insert_alert(UserId(2), rule("1"), at(0), None).await;
    assert_eq!(refused, Err(StoreError::Quota { limit: ALERTS_PER_ACCOUNT }));
    assert!(store.insert_alert(UserId::OWNER, rule("1"), at(0), None).await.is_ok());
    for n in 1..ACCOUNTS {
        store.create_user(format!("u{n}@example.org"), String::new(), at(0)).await.expect("made");
    }
    let full = store.create_user("late@example.org".to_owned(), String::new(), at(0)).await;
    assert_eq!(full, Err(StoreError::Quota { limit: ACCOUNTS }));
}

#[tokio::test]
async fn the_end_of_one_message_and_the_start_of_the_next_are_one_commit() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    for number in 1..=3 {
        fire(&store, firing(&alert, number, at(1)), &[email()], at(1)).await;
    }
    let take = || Take { lane: Lane::Fresh, grouping: Grouping::OFF, memory: Some("spent".to_owned()), now: at(2) };
    let first = store.take(email(), take()).await.expect("taken").expect("due").due.delivery;
    let outcome = || Outcome::Sent { answer: "250 ok".to_owned() };
    let next = move |due: [Option<Timestamp>; 3]| {
        assert_eq!(due, [None, None, Some(at(1))], "the one before it is no longer in front");
        Some(take())
    };
    outside(&folder).execute_batch("UPDATE firings SET firing = 'x' WHERE number = 2").expect("damaged");
    let refused = store.finish_and_take(first.id, outcome(), at(2), next).await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    let rows = store.deliveries(UserId::OWNER, None, None, 9).await.expect("read").items;
    let states: Vec<_> = rows.iter().rev().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["sending", "queued", "queued"], "neither of the two was done");

    outside(&folder)
        .execute_batch("UPDATE firings SET firing = (SELECT firing FROM firings WHERE number = 3) WHERE number = 2")
        .expect("mended");
    let (sent, taken) = store.finish_and_take(first.id, outcome(), at(2), next).await.expect("done");
    assert_eq!((sent.state, sent.finished), (DeliveryState::Sent, Some(at(2))));
    let second = taken.expect("taken").due.delivery;
    assert_eq!((second.firing.number, second.state, second.attempts), (2, DeliveryState::Sending, 1));
    assert_eq!(store.channel_memory(email()).await.expect("read").as_deref(), Some("spent"));
    let (_, none) = store.finish_and_take(second.id, outcome(), at(2), |_| None).await.expect("done");
    assert_eq!(none, None, "what is not wanted is not taken");
}

#[tokio::test]
async fn a_firing_writes_few_pages_and_its_message_no_more() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    for number in 1..=200 {
        fire(&store, firing(&alert, number, at(1)), &[email()], at(1)).await;
    }
    let written = || {
        let journal = folder.path().join(format!("{DATABASE_FILE}-wal"));
        // As its format says: a head of 32 bytes, then pages of 4,096 with a head of 24.
        fs::metadata(journal).map_or(0, |meta| meta.len().saturating_sub(32) / (4_096 + 24))
    };
    let start =
        || on_writer(&store, |db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).expect("cut"));
    let mut pages: [Vec<u64>; 3] = Default::default();
    for number in 201..=220 {
        start().await;
        let event = firing(&alert, number, at(1));
        let routes = if number % 2 == 0 { vec![Route::new(event.id, email())] } else { Vec::new() };
        let place = routes.len();
        let cut = cut(&[&alert], &["BTC"]);
        store
            .record(Record { firings: vec![event], routes, cut, now: at(1), ..Record::default() })
            .await
            .expect("recorded");
        pages[place].push(written());
    }
    let take = || Take { lane: Lane::Fresh, grouping: Grouping::OFF, memory: Some("spent".to_owned()), now: at(2) };
    let mut id = store.take(email(), take()).await.expect("taken").expect("due").due.delivery.id;
    for _ in 0..20 {
        start().await;
        let sent = Outcome::Sent { answer: "250 ok".to_owned() };
        let (_, next) = store.finish_and_take(id, sent, at(2), move |_| Some(take())).await.expect("done");
        id = next.expect("the next").due.delivery.id;
        pages[2].push(written());
    }
    // In the middle: now and then a page is full and becomes two.
    let limits = [("a firing", 3), ("one with a delivery", 9), ("the end of a message and the start of the next", 4)];
    for ((what, limit), mut pages) in limits.into_iter().zip(pages) {
        pages.sort_unstable();
        assert!(pages[pages.len() / 2] <= limit, "{what}: {pages:?}");
    }
}

#[tokio::test]
async fn long_queues_and_histories_are_read_by_their_indexes() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    fire(&store, firing(&alert, 1, at(1)), &[email()], at(1)).await;
    on_writer(&store, |db| {
        for (sql, index) in [
            (lanes::first_sql(), "deliveries_due"),
            (lanes::next_due_sql(), "deliveries_due"),
            (lanes::collected_sql(), "deliveries_ahead"),
            (history::firings_sql(), "firings_by_owner"),
            (history::firings_of_alert_sql(), "sqlite_autoindex_firings_1"),
            (history::deliveries_sql(None), "deliveries_by_owner"),
            (history::deliveries_sql(Some(DeliveryState::Sent)), "deliveries_by_owner"),
            (history::deliveries_sql(Some(DeliveryState::Dead)), "deliveries_ended"),
            (history::deliveries_sql(Some(DeliveryState::Unknown)), "deliveries_ended"),
            (history::deliveries_sql(Some(DeliveryState::Merged)), "deliveries_ended"),
            (history::deliveries_sql(Some(DeliveryState::Cancelled)), "deliveries_ended"),
        ] {
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(&sql);
            let count = statement.parameter_count();
            let steps = statement.query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get::<_, String>(3));
            let plan = steps.expect("a plan").collect::<Result<Vec<_>, _>>().expect("a plan").join("; ");
            assert!(plan.contains(index), "{sql}: {plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
        // What is open is sorted, but nothing else is looked at.
        for state in [DeliveryState::Queued, DeliveryState::Sending, DeliveryState::Retry] {
            let sql = history::deliveries_sql(Some(state));
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(&sql);
            let steps = statement.query_map([1, 1, 1], |row| row.get::<_, String>(3)).expect("a plan");
            let plan = steps.collect::<Result<Vec<_>, _>>().expect("a plan").join("; ");
            assert!(plan.contains("USING INDEX deliveries_open"), "{sql}: {plan}");
        }
    })
    .await;
}

#[tokio::test]
async fn many_bars_are_written_quickly() {
    let folder = folder();
    let store = open(&folder);
    let names: Vec<Symbol> = (0..50).map(|n| symbol(&format!("S{n}"))).collect();
    let bars = |minute: i64| {
        let from = Timestamp::from_seconds(minute * 60);
        let price = price("60000.5");
        let to = from.plus(Span::from_seconds(60));
        Candle { from, to, open: price, high: price, low: price, close: price, session: Session::Regular, volume: None }
    };
    let all: Vec<_> = (0..400).flat_map(|m| names.iter().map(move |s| (*s, bars(m)))).collect();
    let written = all.len();
    let start = Instant::now();
    store.record_prices(all, Vec::new()).await.expect("written");
    let per_row = start.elapsed() / u32::try_from(written).expect("small");
    // Loose, for an unoptimised build on a busy machine: one commit a row would take milliseconds each.
    assert!(per_row.as_micros() < 200, "{per_row:?} a bar");
    let lines = store.sparklines(Timestamp::from_seconds(0), Timestamp::from_seconds(24_000), 40).await.expect("read");
    assert_eq!((lines.len(), lines[&names[0]].len()), (50, 40));
}
