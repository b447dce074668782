//! Old, foreign and damaged files, and files and folders that others can reach.

use std::fs;

use super::*;

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_a_byte_changes() {
    let folder = folder();
    open(&folder).close().await;
    outside(&folder).pragma_update(None, "user_version", 99).expect("set");
    let before = fs::read(database(&folder)).expect("read");
    let error = Store::open(folder.path()).expect_err("refused");
    let ours = i64::try_from(file::MIGRATIONS.len()).expect("few");
    assert!(matches!(error, OpenError::Newer { found: 99, known, .. } if known == ours), "{error:?}");
    assert!(error.to_string().contains("newer bellwether") && error.to_string().contains(DATABASE_FILE), "{error}");
    assert!(fs::read(database(&folder)).expect("read") == before);
}

#[tokio::test]
async fn an_upgrade_is_all_or_nothing_and_leaves_a_backup() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    store.close().await;
    let file = database(&folder);
    let version = |path: &Path| -> i64 {
        let connection = Connection::open(path).expect("opens");
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read")
    };
    let upgrade = |steps: &[&str]| {
        let mut connection = Connection::open(&file).expect("opens");
        file::migrate(&file, &mut connection, steps)
    };
    let known = file::MIGRATIONS;
    let ours = i64::try_from(known.len()).expect("few");
    let broken = upgrade(&[known, &["CREATE TABLE second (a); INSERT INTO nowhere VALUES (1)"]].concat());
    assert!(broken.is_err());
    assert_eq!(version(&file), ours, "a step that fails leaves the old schema");
    open(&folder).close().await;

    upgrade(&[known, &["CREATE TABLE second (a)", "CREATE TABLE third (a)"]].concat()).expect("upgraded");
    assert_eq!(version(&file), ours + 2);
    let backup = folder.path().join(format!("bellwether.db.backup-schema{ours}"));
    assert_eq!(version(&backup), ours);
    let refused = Store::open(folder.path()).expect_err("now it is newer");
    assert!(matches!(refused, OpenError::Newer { found, .. } if found == ours + 2), "{refused:?}");
    fs::rename(&backup, &file).expect("restored");
    assert_eq!(open(&folder).alerts().await, Ok(vec![alert]), "the backup is whole");
}

#[tokio::test]
async fn deliveries_of_the_first_schema_are_all_there_after_the_upgrade() {
    let folder = folder();
    open(&folder).close().await;
    // As the first version would have left it: one row in each state, and numbers that were given to rows now gone.
    fs::remove_file(database(&folder)).expect("removed");
    file::create_private(&database(&folder)).expect("made");
    let mut old = outside(&folder);
    file::migrate(&database(&folder), &mut old, &file::MIGRATIONS[..1]).expect("made");
    let alert = story::rule("60000");
    let event = firing(&one_like(&alert), 1, at(1));
    old.execute(
        "INSERT INTO firings (place, alert, version, number, owner, time, received, recorded, firing) \
         VALUES (1, 1, 1, 1, 1, ?1, ?1, ?1, ?2)",
        (at(1).as_micros(), to_json(&event).expect("JSON")),
    )
    .expect("fired");
    for (id, state, attempts) in
        [(3, "queued", 0), (4, "sending", 1), (5, "sent", 1), (6, "retry", 2), (7, "dead", 1), (8, "unknown", 1)]
    {
        let finished = ["sent", "dead", "unknown"].contains(&state).then_some(at(2).as_micros());
        let due = ["queued", "retry"].contains(&state).then_some(at(3).as_micros());
        old.execute(
            "INSERT INTO deliveries (id, firing, alert, owner, channel, state, attempts, created, next_attempt, finished) \
             VALUES (?1, 1, 1, 1, ?2, ?3, ?4, ?5, ?6, ?7)",
            rusqlite::params![id, format!("c{id}"), state, attempts, at(1).as_micros(), due, finished],
        )
        .expect("queued");
    }
    old.execute_batch("UPDATE sqlite_sequence SET seq = 20 WHERE name = 'deliveries'").expect("set");
    drop(old);
    let store = open(&folder);
    let rows = store.deliveries(UserId::OWNER, None, None, 100).await.expect("read").items;
    let states: Vec<_> = rows.iter().rev().map(|row| (row.id.0, row.state.as_str(), row.attempts)).collect();
    let expected =
        [(3, "queued", 0), (4, "sending", 1), (5, "sent", 1), (6, "retry", 2), (7, "dead", 1), (8, "unknown", 1)];
    assert_eq!(states, expected);
    assert!(rows.iter().all(|row| row.offered == at(1) && row.finished.is_some() == row.state.is_final()));
    assert_eq!(store.recover(at(4)).await, Ok(1));
    let new = fire(&store, firing(&one_like(&alert), 2, at(5)), &[email()], at(5)).await;
    assert_eq!(new[0].id.0, 21, "numbers are never given twice");
}

fn one_like(rule: &bellwether_core::condition::Rule) -> Alert {
    Alert {
        id: bellwether_core::alert::AlertId(1),
        owner: UserId::OWNER,
        version: 1,
        rule: rule.clone(),
        paused: false,
        snoozed_until: None,
        created: at(0),
        updated: at(0),
    }
}

#[test]
fn a_network_file_system_is_known_by_its_mount() {
    let mounts = "/dev/sda1 / ext4 rw 0 0\nnas:/home /home nfs4 rw 0 0\n/dev/sdb1 /home/anne/my\\040disk xfs rw 0 0\n";
    let kind = |folder: &str| file::network_kind(mounts, Path::new(folder));
    assert_eq!(kind("/home/bert/data").as_deref(), Some("nfs4"));
    assert_eq!(kind("/home/anne/my disk/data"), None);
    assert_eq!(kind("/homestead"), None);
    assert_eq!(kind("/var/lib/bellwether"), None);
}

#[tokio::test]
async fn foreign_and_damaged_files_are_refused_untouched() {
    let text = b"these are my notes, not a database\n".repeat(60);
    let other = folder();
    outside(&other).execute_batch("CREATE TABLE tunes (name TEXT)").expect("made");
    let mut torn = {
        let folder = folder();
        let store = open(&folder);
        one_alert(&store).await;
        store.close().await;
        fs::read(database(&folder)).expect("read")
    };
    let short = torn[..torn.len() / 2].to_vec();
    // The second page and all behind it, but for the last.
    let end = torn.len() - 4_096;
    torn[4_096..end].fill(0xa5);
    for (name, bytes, foreign) in [
        ("text", text, true),
        ("a few bytes", b"hello".to_vec(), true),
        ("another program's", fs::read(database(&other)).expect("read"), true),
        ("cut in half", short, false),
        ("overwritten", torn, false),
    ] {
        let folder = folder();
        fs::write(database(&folder), &bytes).expect("written");
        let error = Store::open(folder.path()).expect_err(name);
        assert_eq!(matches!(error, OpenError::Foreign { .. }), foreign, "{name}: {error:?}");
        assert_eq!(matches!(error, OpenError::Damaged { .. }), !foreign, "{name}: {error:?}");
        assert!(error.to_string().contains(DATABASE_FILE) && !error.to_string().contains('\n'), "{error}");
        assert!(fs::read(database(&folder)).expect("read") == bytes, "{name} was changed");
    }
}

#[tokio::test]
async fn a_folder_is_made_where_there_is_none() {
    let folder = folder();
    let inner = folder.path().join("a").join("b");
    Store::open(&inner).expect("opens").close().await;
    let names: Vec<_> = fs::read_dir(&inner).expect("read").map(|e| e.expect("read").file_name()).collect();
    assert_eq!(names.len(), 2, "after a close only the database and the reserve are left: {names:?}");
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("written");
    let error = Store::open(&file.join("data")).expect_err("no folder");
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
}

#[cfg(unix)]
mod unix {
    use std::{
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
        process::Command,
    };

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("is there").mode() & 0o777
    }

    const INSIDE: &str = "BELLWETHER_TEST_UMASK_FOLDER";

    /// A umask belongs to a whole process: this test runs itself again in one of its own.
    #[tokio::test]
    async fn files_are_private_under_any_umask() {
        if let Some(folder) = std::env::var_os(INSIDE) {
            let folder = PathBuf::from(folder);
            let store = Store::open(&folder).expect("opens");
            one_alert(&store).await;
            assert_eq!(mode(&folder), 0o700);
            let files: Vec<_> = fs::read_dir(&folder).expect("read").map(|e| e.expect("read").path()).collect();
            assert_eq!(files.len(), 4, "database, journal, its index, reserve: {files:?}");
            for file in files {
                assert_eq!(mode(&file), 0o600, "{}", file.display());
            }
            return;
        }
        for umask in ["000", "022", "077", "277"] {
            let folder = folder();
            let status = Command::new("sh")
                .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
                .arg(std::env::current_exe().expect("this program"))
                .args(["--exact", "store::sqlite::tests::files::unix::files_are_private_under_any_umask"])
                .env(INSIDE, folder.path().join("data"))
                .output()
                .expect("runs");
            let text = String::from_utf8_lossy(&status.stdout);
            assert!(status.status.success() && text.contains("1 passed"), "umask {umask}: {text}");
        }
    }

    #[tokio::test]
    async fn a_copy_that_others_can_read_is_made_private() {
        let folder = folder();
        open(&folder).close().await;
        fs::set_permissions(database(&folder), fs::Permissions::from_mode(0o644)).expect("set");
        open(&folder).close().await;
        assert_eq!(mode(&database(&folder)), 0o600);
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_the_chmod_to_type() {
        for bits in [0o777, 0o770, 0o702, 0o1777] {
            let folder = folder();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(bits)).expect("set");
            let error = Store::open(folder.path()).expect_err("refused");
            assert!(matches!(error, OpenError::WritableByOthers { .. }), "{bits:o}: {error:?}");
            assert!(error.to_string().contains(&format!("chmod go-w {}", folder.path().display())), "{error}");
            assert!(!database(&folder).exists());
        }
    }

    #[test]
    fn a_read_only_folder_is_refused() {
        let folder = folder();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).expect("set");
        // The superuser may write there all the same; nobody may make a file in /proc.
        let everything_goes = fs::write(folder.path().join("x"), "x").is_ok();
        let place = if everything_goes { Path::new("/proc") } else { folder.path() };
        let error = Store::open(place).expect_err("refused");
        assert!(matches!(error, OpenError::Unwritable { .. }), "{error:?}");
        assert!(error.to_string().contains(&place.display().to_string()), "{error}");
    }

    /// Only the superuser can make what belongs to somebody else; others have nothing to test.
    #[test]
    fn another_users_folder_or_database_is_refused() {
        let folder = folder();
        let file = database(&folder);
        fs::write(&file, "").expect("written");
        for path in [file.as_path(), folder.path()] {
            if std::os::unix::fs::chown(path, Some(54_321), None).is_err() {
                return;
            }
            let error = Store::open(folder.path()).expect_err("refused");
            assert!(matches!(&error, OpenError::OtherUser { .. }), "{error:?}");
        }
    }
}
