//! Backups, damage, and the way back.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// What a backup holds, opened as a database of its own.
async fn firings_in(file: &Path) -> usize {
    let folder = folder();
    fs::copy(file, database(&folder)).expect("copied");
    let store = open(&folder);
    let found = store.firings(UserId::OWNER, None, None, 1_000).await.expect("read").items.len();
    store.close().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_much_is_written_is_whole_and_holds_all_from_before() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    for number in 1..=20 {
        fire(&store, firing(&alert, number, at(1)), &[email()], at(1)).await;
    }
    let (writing, busy) = (store.clone(), alert.clone());
    let writer = tokio::spawn(async move {
        let mut number = 20;
        loop {
            number += 1;
            fire(&writing, firing(&busy, number, at(2)), &[email()], at(2)).await;
        }
    });
    let copy = folder.path().join("copy.db");
    for _ in 0..5 {
        drop(fs::remove_file(&copy));
        let (from, to) = (folder.path().to_owned(), copy.clone());
        tokio::task::spawn_blocking(move || Store::back_up(&from, &to)).await.expect("ran").expect("backed up");
        let whole: String = Connection::open(&copy)
            .expect("opens")
            .query_row("PRAGMA integrity_check", (), |row| row.get(0))
            .expect("checked");
        assert_eq!(whole, "ok");
        assert!(firings_in(&copy).await >= 20);
    }
    writer.abort();
    drop(writer.await);
    let again = Store::back_up(folder.path(), &copy).expect_err("refused").to_string();
    assert!(again.contains("exists already"), "{again}");
    assert!(!folder.path().join("copy.db.part").exists());
}

#[tokio::test]
async fn a_damaged_database_names_the_way_back_and_is_kept_beside_it() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    fire(&store, firing(&alert, 1, at(1)), &[email()], at(1)).await;
    let backup = Store::back_up_daily(folder.path(), 3, at(0)).expect("made").expect("the first of its day");
    fire(&store, firing(&alert, 2, at(2)), &[email()], at(2)).await;
    store.close().await;
    let mut bytes = fs::read(database(&folder)).expect("read");
    let end = bytes.len() - 4_096;
    bytes[8_192..end].fill(0x5a);
    fs::write(database(&folder), &bytes).expect("written");
    let told = Store::open(folder.path()).expect_err("refused").to_string();
    assert!(told.contains(&format!("bellwether restore {}", backup.display())), "{told}");
    assert!(Store::back_up(folder.path(), &folder.path().join("x")).is_err(), "what is damaged is no backup");

    let kept = Store::restore(folder.path(), &backup, at(3)).expect("restored").expect("the damaged one");
    assert!(fs::read(kept).expect("kept") == bytes);
    let store = open(&folder);
    assert_eq!(store.alerts().await, Ok(vec![alert.clone()]));
    assert_eq!(store.recent().await.expect("read").0, vec![firing(&alert, 1, at(1))], "as of the backup");
    store.close().await;
}

/// The journal of the old database must not be played onto the restored one.
#[tokio::test]
async fn a_journal_left_behind_does_not_get_into_what_is_restored() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    let backup = folder.path().join("mine.db");
    Store::back_up(folder.path(), &backup).expect("made");
    fire(&store, firing(&alert, 1, at(1)), &[email()], at(1)).await;
    // As a killed daemon leaves it: with the journal.
    let crashed = self::folder();
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        fs::copy(folder.path().join(&name), crashed.path().join(&name)).expect("copied");
    }
    let kept = Store::restore(crashed.path(), &backup, at(3)).expect("restored").expect("kept");
    assert_eq!(open(&crashed).recent().await.expect("read").0, Vec::new());
    let old = self::folder();
    for suffix in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{suffix}", kept.display()));
        fs::rename(from, old.path().join(format!("{DATABASE_FILE}{suffix}"))).expect("kept with its journal");
    }
    assert_eq!(open(&old).recent().await.expect("read").0.len(), 1, "the old one still has what its journal held");
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored_and_nothing_changes() {
    let folder = folder();
    let store = open(&folder);
    one_alert(&store).await;
    store.close().await;
    let before = fs::read(database(&folder)).expect("read");
    let (empty, text, cut) = (folder.path().join("empty"), folder.path().join("text"), folder.path().join("cut"));
    fs::write(&empty, "").expect("written");
    fs::write(&text, "these are my notes\n".repeat(400)).expect("written");
    fs::write(&cut, &before[..before.len() / 2]).expect("written");
    let newer = folder.path().join("newer");
    fs::write(&newer, &before).expect("written");
    let db = Connection::open(&newer).expect("opens");
    db.pragma_update(None, "user_version", 99).expect("set");
    drop(db);
    for file in [&empty, &text, &cut, &newer, &folder.path().join("nowhere")] {
        let error = Store::restore(folder.path(), file, at(1)).expect_err("refused").to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
        assert_eq!(error.contains("was written by a newer bellwether"), *file == newer, "{error}");
        assert!(fs::read(database(&folder)).expect("read") == before, "{} changed it", file.display());
    }
    open(&folder).close().await;
}

#[tokio::test]
async fn a_backup_a_day_and_only_the_newest_are_kept() {
    let folder = folder();
    let store = open(&folder);
    let day = |n: i64| Timestamp::from_seconds(1_800_000_000 + n * 86_400);
    let own = folder.path().join("bellwether.db.backup-schema4");
    fs::write(&own, "of an upgrade").expect("written");
    for n in 0..5 {
        assert!(Store::back_up_daily(folder.path(), 3, day(n)).expect("made").is_some());
        assert_eq!(Store::back_up_daily(folder.path(), 3, day(n)).expect("there"), None, "once a day");
    }
    assert_eq!(Store::back_up_daily(folder.path(), 0, day(9)).expect("off"), None);
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("read")
        .map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("backup"))
        .collect();
    names.sort();
    let days = ["2027-01-17", "2027-01-18", "2027-01-19"].map(|day| format!("bellwether.db.backup-{day}"));
    assert_eq!(names, [&days[..], &["bellwether.db.backup-schema4".to_owned()]].concat());
    store.close().await;
}

/// Whatever is flipped, the start refuses in one sentence or works on; it never panics, and a refusal changes nothing.
#[tokio::test]
async fn flipped_bytes_are_refused_or_harmless() {
    let good = {
        let folder = folder();
        let store = open(&folder);
        let alert = one_alert(&store).await;
        for number in 1..=50 {
            fire(&store, firing(&alert, number, at(1)), &[email()], at(1)).await;
        }
        store.close().await;
        fs::read(database(&folder)).expect("read")
    };
    let mut refused = 0;
    for seed in 0..60 {
        let mut luck = StdRng::seed_from_u64(seed);
        let mut bytes = good.clone();
        for _ in 0..luck.random_range(1..40) {
            // Half of them where pages keep their own order, the rest anywhere.
            let page = luck.random_range(0..bytes.len() / 4_096) * 4_096;
            let width = if luck.random() { 16 } else { 4_096 };
            let place = page + luck.random_range(0..width);
            bytes[place] ^= 1 << luck.random_range(0..8);
        }
        let folder = folder();
        fs::write(database(&folder), &bytes).expect("written");
        match Store::open(folder.path()) {
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n') && error.to_string().contains(DATABASE_FILE), "{error}");
                assert!(fs::read(database(&folder)).expect("read") == bytes, "seed {seed} was changed");
            }
            Ok(store) => {
                let (alerts, firings) = (store.alerts().await, store.recent().await);
                drop((alerts, firings, store.memory().await));
                store.close().await;
            }
        }
    }
    assert!(refused > 30, "only {refused} of 60 were noticed");
}
