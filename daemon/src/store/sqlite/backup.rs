//! Copies of the database, and the way back to one.
//!
//! A copy is made by `SQLite` itself, in one read transaction: it is of one moment whatever is written meanwhile, also by a daemon that
//! runs. It gets its name only when it is whole, checked and synced, so what is called a backup is one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bellwether_core::time::Timestamp;
use rusqlite::Connection;

use super::{
    super::{DATABASE_FILE, OpenError},
    file::{self, beside, create_private, damaged, inspect, open_error, open_for_inspection, sync_folder},
};

type Result<T, E = OpenError> = std::result::Result<T, E>;

/// What stands behind the database's name in that of a daily backup, before the day.
const DAILY: &str = ".backup-";

/// Copies the database of `folder` to a new file, which only its user can read. An existing file is never written over.
pub(in crate::store) fn back_up(folder: &Path, to: &Path) -> Result<()> {
    let file = folder.join(DATABASE_FILE);
    if !file.is_file() {
        return Err(OpenError::Other { file, why: "there is no such file".to_owned() });
    }
    inspect(&file)?;
    copy(&file, to)
}

/// Reads the whole database of `folder`, changing nothing, also while it is in use. `false`: there is none yet.
pub(in crate::store) fn examine(folder: &Path) -> Result<bool> {
    let file = folder.join(DATABASE_FILE);
    if fs::metadata(&file).map_or(0, |meta| meta.len()) == 0 {
        return Ok(false);
    }
    inspect(&file)?;
    let why = |error: rusqlite::Error| open_error(&file, &error);
    let connection = open_for_inspection(&file).map_err(why)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(why)?;
    if verdict == "ok" { Ok(true) } else { Err(damaged(&file, &verdict.replace('\n', " "))) }
}

/// Puts a backup in the place of the database of `folder`, which no daemon may be using. What was there is kept beside it under the name that
/// is answered. Anything but a whole database of ours is refused, and nothing is changed.
pub(in crate::store) fn restore(folder: &Path, backup: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
    let length = fs::metadata(backup).map_err(|e| OpenError::Other { file: backup.to_owned(), why: e.to_string() })?;
    if length.len() == 0 {
        return Err(OpenError::Foreign { file: backup.to_owned() });
    }
    inspect(backup)?;
    let file = file::prepare(folder)?;
    let fresh = beside(&file, ".restored");
    let failed = |e: io::Error| OpenError::Other { file: file.clone(), why: e.to_string() };
    drop(fs::remove_file(&fresh));
    copy(backup, &fresh)?;
    let kept = if fs::metadata(&file).is_ok_and(|meta| meta.len() > 0) {
        let stamp: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let kept = beside(&file, &format!(".before-restore-{stamp}"));
        // The old file has both names until the new one takes its place: at no moment is there none, which a start would take for
        // the first one ever.
        fs::hard_link(&file, &kept).or_else(|_| fs::copy(&file, &kept).map(drop)).map_err(failed)?;
        Some(kept)
    } else {
        None
    };
    // The journal belongs to the old file: beside the new one it would be taken for its own.
    for suffix in ["-wal", "-journal"] {
        let journal = beside(&file, suffix);
        if journal.exists() {
            match &kept {
                Some(kept) => fs::rename(&journal, beside(kept, suffix)).map_err(failed)?,
                None => fs::remove_file(&journal).map_err(failed)?,
            }
        }
    }
    drop(fs::remove_file(beside(&file, "-shm")));
    fs::rename(&fresh, &file).and_then(|()| sync_folder(folder)).map_err(failed)?;
    Ok(kept)
}

/// Makes the backup of this day unless it is there, and removes all but the newest `keep` daily ones. Answers the file if it was made.
pub(in crate::store) fn back_up_daily(folder: &Path, keep: u32, now: Timestamp) -> Result<Option<PathBuf>> {
    let day: String = now.to_string().chars().take("2026-11-22".len()).collect();
    let today = folder.join(format!("{DATABASE_FILE}{DAILY}{day}"));
    if keep == 0 || today.exists() {
        return Ok(None);
    }
    back_up(folder, &today)?;
    let mut all = daily(folder);
    all.sort_unstable();
    let superfluous = all.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    for old in all.drain(..superfluous) {
        drop(fs::remove_file(old));
    }
    Ok(Some(today))
}

/// The daily backups in a folder. Those from before an upgrade and those that people made have other names.
fn daily(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok);
    let is_daily = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(DATABASE_FILE)
            .and_then(|rest| rest.strip_prefix(DAILY))
            .is_some_and(|day| day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
    };
    entries.map(|entry| entry.path()).filter(is_daily).collect()
}

/// Copies a database to a file that is not there yet: privately, whole, checked and synced, or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |why: String| OpenError::Other { file: to.to_owned(), why };
    if to.exists() {
        return Err(failed("it exists already, and is not written over".to_owned()));
    }
    let draft = beside(to, ".part");
    drop(fs::remove_file(&draft));
    let made = write(from, &draft).and_then(|()| {
        fs::rename(&draft, to).map_err(|e| failed(e.to_string()))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(folder).map_err(|e| failed(e.to_string()))
    });
    if made.is_err() {
        drop(fs::remove_file(&draft));
    }
    made
}

fn write(from: &Path, draft: &Path) -> Result<()> {
    let failed = |why: String| OpenError::Other { file: draft.to_owned(), why };
    create_private(draft).map_err(|e| failed(e.to_string()))?;
    // An empty file of ours is what `SQLite` then writes into.
    let source = open_for_inspection(from).map_err(|e| open_error(from, &e))?;
    source.execute("VACUUM INTO ?1", [draft.to_string_lossy()]).map_err(|e| open_error(from, &e))?;
    drop(source);
    let copied = Connection::open(draft).map_err(|e| open_error(draft, &e))?;
    let verdict: String =
        copied.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(|e| open_error(draft, &e))?;
    drop(copied);
    if verdict != "ok" {
        return Err(damaged(draft, &verdict));
    }
    fs::File::open(draft).and_then(|file| file.sync_all()).map_err(|e| failed(e.to_string()))
}
