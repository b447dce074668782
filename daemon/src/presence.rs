//! One daemon per data folder, and how clients find it: the lock, and `daemon.json`.
//!
//! The lock is the kernel's (`flock`): it goes with the process, however that ends, so a pid in a file is never believed.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use bellwether_core::protocol::{DAEMON_FILE, DaemonFile};

/// Why this daemon may not use the folder.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// Another daemon works on the same data.
    #[error(
        "another bellwether daemon {who}uses {}\n\nhint: talk to that one, stop it, or give this one a folder of its own with --data-dir",
        folder.display()
    )]
    Taken {
        /// The data folder.
        folder: PathBuf,
        /// `(pid 17) `, or nothing where unknown.
        who: String,
    },
    /// The folder cannot be made or written.
    #[error("cannot use the folder {}: {why}\n\nhint: {hint}", folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// The reason in words.
        why: String,
        /// What to do.
        hint: String,
    },
}

/// Makes `folder` for this user alone (mode 0700), or checks that it is.
///
/// A folder of somebody else, or one that others may write, is refused: whoever can write there decides what we believe.
pub(crate) fn private_folder(folder: &Path) -> Result<(), PresenceError> {
    let refused = |why: String, hint: String| PresenceError::Folder { folder: folder.to_owned(), why, hint };
    if !folder.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| refused(plain(&e), "name a folder that can be written, with --data-dir".to_owned()))?;
        // The mode above passes through the umask; this does not.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|e| refused(plain(&e), "name a folder that can be written, with --data-dir".to_owned()))?;
    }
    let about = fs::metadata(folder).map_err(|e| refused(plain(&e), "check the path".to_owned()))?;
    if !about.is_dir() {
        return Err(refused("it is not a folder".to_owned(), "name a folder, with --data-dir".to_owned()));
    }
    let probe = folder.join(".owner");
    let mine = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&probe)
        .and_then(|file| file.metadata())
        .map_err(|e| {
            refused(
                format!("it cannot be written ({})", plain(&e)),
                "choose another with --data-dir, or free it".to_owned(),
            )
        })?;
    drop(fs::remove_file(&probe));
    if about.uid() != mine.uid() {
        return Err(refused(
            "it belongs to another user".to_owned(),
            "name a folder of your own, with --data-dir".to_owned(),
        ));
    }
    if about.mode() & 0o022 != 0 {
        return Err(refused("other users may write it".to_owned(), format!("chmod 700 {}", folder.display())));
    }
    Ok(())
}

/// The reason without Rust's error number.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// Holds the data folder and the runtime folder for this process, and `daemon.json` while it is announced.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Locked as long as they are open.
    _locks: Vec<File>,
    announced: Option<PathBuf>,
}

impl Presence {
    /// Takes both folders for this process; they may be one.
    pub(crate) fn take(data: &Path, runtime: &Path) -> Result<Self, PresenceError> {
        let mut locks = vec![lock(data)?];
        if runtime != data {
            locks.push(lock(runtime)?);
        }
        Ok(Self { _locks: locks, announced: None })
    }

    /// Tells clients where the daemon is: writes `daemon.json` (0600) into `runtime`, whole or not at all.
    pub(crate) fn announce(&mut self, runtime: &Path, file: &DaemonFile) -> Result<(), PresenceError> {
        private_folder(runtime)?;
        let path = runtime.join(DAEMON_FILE);
        let draft = runtime.join(format!("{DAEMON_FILE}.{}", std::process::id()));
        let written = serde_json::to_vec_pretty(file).map_err(io::Error::other).and_then(|text| {
            drop(fs::remove_file(&draft));
            let mut out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
            out.write_all(&text)?;
            fs::rename(&draft, &path)
        });
        written.map_err(|e| PresenceError::Folder {
            folder: runtime.to_owned(),
            why: plain(&e),
            hint: "free it, or set XDG_RUNTIME_DIR to a folder of your own".to_owned(),
        })?;
        self.announced = Some(path);
        Ok(())
    }

    /// Takes `daemon.json` away again.
    pub(crate) fn withdraw(&mut self) {
        if let Some(path) = self.announced.take() {
            drop(fs::remove_file(path));
        }
    }
}

/// Locks the folder for this process, or says who has it.
fn lock(folder: &Path) -> Result<File, PresenceError> {
    private_folder(folder)?;
    let path = folder.join("daemon.lock");
    let io = |e: &io::Error| PresenceError::Folder {
        folder: folder.to_owned(),
        why: plain(e),
        hint: "free it, or choose another with --data-dir".to_owned(),
    };
    let mut lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| io(&e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            drop(lock.read_to_string(&mut pid));
            let who = pid.trim().parse::<u32>().map_or_else(|_| String::new(), |pid| format!("(pid {pid}) "));
            return Err(PresenceError::Taken { folder: folder.to_owned(), who });
        }
        Err(TryLockError::Error(e)) => return Err(io(&e)),
    }
    // For the words above only; the lock is what counts.
    lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())).map_err(|e| io(&e))?;
    Ok(lock)
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_core::time::Timestamp;

    fn file() -> DaemonFile {
        DaemonFile {
            address: "http://127.0.0.1:8000".to_owned(),
            pid: 1,
            version: "0.1.0".to_owned(),
            protocol: 1,
            simulated: false,
            started: Timestamp::from_seconds(1),
            token: "secret".to_owned(),
        }
    }

    #[test]
    fn a_second_daemon_on_the_same_data_is_told_who_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let first = Presence::take(&data, &data).expect("free");
        let second = Presence::take(&data, &data).expect_err("taken").to_string();
        assert!(second.contains(&format!("(pid {})", std::process::id())), "{second}");
        assert!(second.contains("--data-dir"), "{second}");
        let elsewhere = folder.path().join("elsewhere");
        let same_runtime = Presence::take(&elsewhere, &data).expect_err("taken").to_string();
        assert!(same_runtime.contains("another bellwether daemon"), "{same_runtime}");
        drop(first);
        Presence::take(&elsewhere, &data).expect("free again");
    }

    #[test]
    fn everything_is_private_and_daemon_json_goes_with_the_daemon() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, runtime) = (folder.path().join("data"), folder.path().join("run"));
        let mut presence = Presence::take(&data, &data).expect("free");
        presence.announce(&runtime, &file()).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        assert_eq!(mode(&runtime), 0o700);
        assert_eq!(mode(&runtime.join(DAEMON_FILE)), 0o600);
        assert_eq!(mode(&data.join("daemon.lock")), 0o600);
        drop(presence);
        assert!(!runtime.join(DAEMON_FILE).exists());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_the_command_to_type() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        let refused = Presence::take(folder.path(), folder.path()).expect_err("refused").to_string();
        assert!(refused.contains("chmod 700"), "{refused}");
        let refused = Presence::take(Path::new("/proc/nowhere"), folder.path()).expect_err("refused").to_string();
        assert!(refused.contains("/proc/nowhere"), "{refused}");
    }
}
