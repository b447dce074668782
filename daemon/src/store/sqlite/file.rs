//! The files: whether the folder will do, making them private, refusing what is not ours, pragmas, migrations.
//!
//! The database is only ever opened by `SQLite` itself: closing another descriptor of it would drop `SQLite`'s locks.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{super::DATABASE_FILE, BUSY, OpenError, StoreError, room};

type Result<T, E = OpenError> = std::result::Result<T, E>;

/// Marks a database as bellwether's (`PRAGMA application_id`): `Bell`.
const APPLICATION: i64 = 0x4265_6c6c;
/// The schema, step by step; the database's `user_version` is the number of steps it has taken.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_init.sql"),
    include_str!("migrations/0002_provider_bans.sql"),
    include_str!("migrations/0003_history.sql"),
    include_str!("migrations/0004_delivery_pipeline.sql"),
    include_str!("migrations/0005_instruments_added.sql"),
    include_str!("migrations/0006_channels_set.sql"),
    include_str!("migrations/0007_fewer_pages.sql"),
    include_str!("migrations/0008_taken_by.sql"),
    include_str!("migrations/0009_volume.sql"),
    include_str!("migrations/0010_deleted_alerts.sql"),
    include_str!("migrations/0011_answers.sql"),
];
/// Databases up to this size are checked whole at every start, larger ones after an unclean stop and with each daily backup: a check
/// takes some seven milliseconds for each MiB.
const CHECK_ALWAYS: u64 = 8 << 20;
/// How many free bytes make a database worth being written anew at the start.
const MUCH: u64 = 64 << 20;
/// What the journal is cut back to after a checkpoint, in bytes.
const JOURNAL_LIMIT: i64 = 16 << 20;

/// Checks the folder, making it where it is missing, and sees to it that the database file is there and private.
pub(super) fn prepare(folder: &Path) -> Result<PathBuf> {
    let unusable = |e: io::Error| OpenError::Folder { folder: folder.to_owned(), why: e.to_string() };
    if !folder.exists() {
        make_private_folder(folder).map_err(unusable)?;
    }
    let folder = &folder.canonicalize().map_err(unusable)?;
    if let Some(kind) = fs::read_to_string("/proc/self/mounts").ok().and_then(|mounts| network_kind(&mounts, folder)) {
        return Err(OpenError::Network { folder: folder.clone(), kind });
    }
    check_folder(folder)?;
    let file = folder.join(DATABASE_FILE);
    let unwritable = |e: io::Error| OpenError::Unwritable { folder: folder.clone(), why: e.to_string() };
    match create_private(&file) {
        Ok(()) => sync_folder(folder).map_err(unwritable)?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => make_private(&file)?,
        Err(e) => return Err(unwritable(e)),
    }
    Ok(file)
}

/// The name of the network file system that `folder` lies on, if it does: `mounts` as in `/proc/self/mounts`.
pub(super) fn network_kind(mounts: &str, folder: &Path) -> Option<String> {
    const NETWORK: [&str; 8] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "ceph"];
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (words.next(), words.next()) else { continue };
        let place = place.replace("\\040", " ");
        if folder.starts_with(&place) && best.is_none_or(|(length, _)| place.len() >= length) {
            best = Some((place.len(), kind));
        }
    }
    best.map(|(_, kind)| kind).filter(|kind| NETWORK.contains(kind)).map(str::to_owned)
}

/// Opens the database for writing: inspected first, without changing a byte, then with our pragmas, then migrated.
pub(super) fn open_for_writing(file: &Path) -> Result<Connection> {
    let why = |error: rusqlite::Error| open_error(file, &error);
    inspect(file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(why)?;
    connection.busy_timeout(BUSY).map_err(why)?;
    // Only a file without a page takes this up: later pages could not be told apart.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(why)?;
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(why)?;
    if journal != "wal" {
        let why = format!("its file system cannot keep a write-ahead journal ({journal})");
        return Err(OpenError::Other { file: file.to_owned(), why });
    }
    settle(&connection).map_err(why)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT).map_err(why)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(why)?;
    migrate(file, &mut connection, MIGRATIONS)?;
    if let Err(error) = make_anew(file, &connection, MUCH) {
        tracing::warn!(%error, "the database could not be made smaller; the next start tries again");
    }
    Ok(connection)
}

/// Writes a database anew that is from before free pages could be given back, where more than `much` and a quarter of it are free. It
/// takes about two seconds for each hundred megabytes that are in use, once: afterwards [`room`] gives pages back while all goes on.
///
/// `VACUUM` puts the new one into a temporary file, then into the journal, then into its place: it is left alone where the disk has
/// not three times the room. Whatever fails leaves the old one. Whether it was done.
pub(super) fn make_anew(file: &Path, connection: &Connection, much: u64) -> Result<bool, StoreError> {
    let room = room::room(connection)?;
    if room.gives_back || !room.is_mostly_air(much) {
        return Ok(false);
    }
    let needed = (room.bytes - room.free).saturating_mul(3);
    if let Some(free) = free_on_disk(file).filter(|free| *free < needed) {
        tracing::warn!(
            "{} of {} bytes of {} are free; to give them back needs {needed} bytes on the disk, which has {free}",
            room.free,
            room.bytes,
            file.display()
        );
        return Ok(false);
    }
    tracing::info!(
        free = room.free,
        of = room.bytes,
        "the database is written anew, to give free room back to the disk"
    );
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.execute_batch("VACUUM")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    Ok(true)
}

/// How many bytes the disk of a file has left for us, where the system says so.
#[cfg(unix)]
fn free_on_disk(file: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(file).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_on_disk(_: &Path) -> Option<u64> {
    None
}

/// Opens the database, which stands already, for reading only.
pub(super) fn open_for_reading(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    settle(&connection)?;
    Ok(connection)
}

/// Opens it for reading. Only a database that a crash has interrupted before it had its write-ahead journal is opened for writing: what is
/// half done has to be taken back before anything can be read, and a connection for reading cannot do that.
pub(super) fn open_for_inspection(file: &Path) -> rusqlite::Result<Connection> {
    if !beside(file, "-journal").exists() {
        return open_for_reading(file);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    settle(&connection)?;
    Ok(connection)
}

/// What both connections want.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Refuses what is damaged, newer or not ours, reading only.
pub(super) fn inspect(file: &Path) -> Result<()> {
    let why = |error: rusqlite::Error| open_error(file, &error);
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    if size(file) == 0 {
        return Ok(());
    }
    let unclean = size(&beside(file, "-wal")) > 0;
    let connection = open_for_inspection(file).map_err(why)?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(why);
    let (application, found) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(why)?;
    if application != APPLICATION && (application, found, tables) != (0, 0, 0) {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer { file: file.to_owned(), found, known });
    }
    if unclean || size(file) <= CHECK_ALWAYS {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(why)?;
        if verdict != "ok" {
            return Err(damaged(file, &verdict));
        }
    }
    Ok(())
}

/// Takes the steps that are missing, each in a transaction of its own: after a crash the schema is the old or the new one.
/// A database that holds something is copied first, to `bellwether.db.backup-schemaN`.
pub(super) fn migrate(file: &Path, connection: &mut Connection, steps: &[&str]) -> Result<()> {
    let why = |error: rusqlite::Error| open_error(file, &error);
    let schema = |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).map_err(why);
    let old = schema(connection)?;
    if old > 0 && usize::try_from(old).is_ok_and(|old| old < steps.len()) {
        back_up(connection, &beside(file, &format!(".backup-schema{old}")))?;
    }
    for (number, step) in (1_i64..).zip(steps) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(why)?;
        if schema(&transaction)? < number {
            transaction.execute_batch(step).map_err(why)?;
            transaction.pragma_update(None, "application_id", APPLICATION).map_err(why)?;
            transaction.pragma_update(None, "user_version", number).map_err(why)?;
        }
        transaction.commit().map_err(why)?;
    }
    Ok(())
}

/// Copies the database as it is now, privately, over an older copy of this name.
fn back_up(connection: &Connection, copy: &Path) -> Result<()> {
    let failed =
        |why: String| OpenError::Other { file: copy.to_owned(), why: format!("no backup before the upgrade: {why}") };
    // An empty file of ours is what `SQLite` then writes into.
    drop(fs::remove_file(copy));
    create_private(copy).map_err(|e| failed(e.to_string()))?;
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map_err(|e| failed(e.to_string()))?;
    fs::File::open(copy).and_then(|f| f.sync_all()).map_err(|e| failed(e.to_string()))
}

/// What an error while opening means.
pub(super) fn open_error(file: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { file: file.to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => damaged(file, &error.to_string()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { file: file.to_owned() },
        Some(ErrorCode::DiskFull) => OpenError::Other { file: file.to_owned(), why: "the disk is full".to_owned() },
        _ => OpenError::Other { file: file.to_owned(), why: error.to_string() },
    }
}

pub(super) fn damaged(file: &Path, what: &str) -> OpenError {
    let entries = file.parent().and_then(|folder| fs::read_dir(folder).ok());
    let backup = entries
        .into_iter()
        .flatten()
        .filter_map(Result::<_, io::Error>::ok)
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            let ends = |end: &str| Path::new(&name).extension().is_some_and(|e| e == end);
            (name.contains("backup") || ends("bak")) && !ends("part")
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .max();
    // SQLite quotes the schema, which has lines.
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    OpenError::Damaged { file: file.to_owned(), what, backup: backup.map(|(_, path)| path) }
}

/// `bellwether.db` with something behind it.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
fn make_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

#[cfg(not(unix))]
fn make_private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Makes an empty file that nobody else can read, before `SQLite` opens it: its journal takes over the mode.
#[cfg(unix)]
pub(super) fn create_private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    // A umask may have taken even the owner's rights.
    made.set_permissions(fs::Permissions::from_mode(0o600))?;
    made.sync_all()
}

#[cfg(not(unix))]
pub(super) fn create_private(file: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).open(file)?.sync_all()
}

/// A file is only surely there after a power cut once its folder is synced.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes from others what a restored copy may have given them.
#[cfg(unix)]
fn make_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder_owner = file.parent().and_then(|f| fs::metadata(f).ok()).map(|m| m.uid());
    for path in [file.to_owned(), beside(file, "-wal"), beside(file, "-shm")] {
        let Ok(meta) = fs::metadata(&path) else { continue };
        if folder_owner.is_some_and(|owner| owner != meta.uid()) {
            return Err(OpenError::OtherUser { path });
        }
        if meta.mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .map_err(|e| OpenError::Other { file: path, why: e.to_string() })?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<()> {
    Ok(())
}

/// Refuses a folder of another user, one that others may write, and one that we may not. Who we are shows in a file that we make.
#[cfg(unix)]
fn check_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let unwritable = |e: io::Error| OpenError::Unwritable { folder: folder.to_owned(), why: e.to_string() };
    let meta = fs::metadata(folder).map_err(unwritable)?;
    if meta.mode() & 0o022 != 0 {
        return Err(OpenError::WritableByOthers { folder: folder.to_owned() });
    }
    let probe = folder.join(format!(".bellwether-probe-{}", std::process::id()));
    drop(fs::remove_file(&probe));
    create_private(&probe).map_err(unwritable)?;
    let ours = fs::metadata(&probe).map_err(unwritable)?.uid();
    fs::remove_file(&probe).map_err(unwritable)?;
    if ours != meta.uid() {
        return Err(OpenError::OtherUser { path: folder.to_owned() });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_folder(folder: &Path) -> Result<()> {
    let unwritable = |e: io::Error| OpenError::Unwritable { folder: folder.to_owned(), why: e.to_string() };
    let probe = folder.join(format!(".bellwether-probe-{}", std::process::id()));
    drop(fs::remove_file(&probe));
    create_private(&probe).map_err(unwritable)?;
    fs::remove_file(&probe).map_err(unwritable)
}
