//! Why the store refuses: what its callers tell apart, and what people read when it cannot even be opened.

use std::path::{Path, PathBuf};

/// Why the store did not do what it was asked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is no such thing, or it is somebody else's.
    #[error("not found")]
    NotFound,
    /// It was there, and can no longer be brought back.
    #[error("gone for good")]
    Gone,
    /// The alert has another version than the change expects.
    #[error("it has been changed meanwhile: its version is {current}")]
    Conflict {
        /// The version it has.
        current: u32,
    },
    /// An account of this address exists.
    #[error("it exists already")]
    Exists,
    /// There are as many as there may be.
    #[error("there are {limit} already, the most there may be")]
    Quota {
        /// How many there may be.
        limit: u32,
    },
    /// The cursor is not one that this listing gave to this account.
    #[error("the cursor does not belong to this listing")]
    BadCursor,
    /// The disk is full, read-only or broken, or the database is held by another program; in words for people.
    #[error("{0}")]
    Unwritable(String),
    /// Anything else: a bug, or a database that was changed from outside.
    #[error("{0}")]
    Broken(String),
}

/// Why the database was not opened. The text is one sentence that names the file or folder and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The folder cannot be made or entered.
    #[error("the data folder {} cannot be used ({why}): make it yourself or name another one", folder.display())]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The folder does not let files be made in it.
    #[error("the data folder {0} cannot be written ({why}): run `chmod u+rwx {0}` or name another one", folder.display())]
    Unwritable {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The folder or the database is another user's.
    #[error("{0} belongs to another user: run `chown -R \"$(id -u)\" {0}` or name another data folder", path.display())]
    OtherUser {
        /// What belongs to somebody else.
        path: PathBuf,
    },
    /// Others may write into the folder.
    #[error("the data folder {0} is writable by others: run `chmod go-w {0}`", folder.display())]
    WritableByOthers {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder is on a network file system.
    #[error(
        "the data folder {} lies on a network file system ({kind}), where the database would be damaged: name one on a local disk",
        folder.display()
    )]
    Network {
        /// The data folder.
        folder: PathBuf,
        /// The file system's name.
        kind: String,
    },
    /// A newer bellwether wrote it. It was not touched.
    #[error(
        "{} was written by a newer bellwether (schema {found}, this one knows {known}): install that version again, or name another data folder",
        file.display()
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// It is no database, or another program's.
    #[error("{} is not a database of bellwether: move it away, or name another data folder", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// Its contents contradict each other.
    #[error("{} is damaged ({what}): {}", file.display(), advice(backup.as_deref()))]
    Damaged {
        /// The database.
        file: PathBuf,
        /// The first contradiction.
        what: String,
        /// The newest backup beside it.
        backup: Option<PathBuf>,
    },
    /// Another program holds it.
    #[error("{} is locked by another program: close that program and start again", file.display())]
    Locked {
        /// The database.
        file: PathBuf,
    },
    /// Anything else.
    #[error("{} cannot be opened: {why}", file.display())]
    Other {
        /// The database.
        file: PathBuf,
        /// What went wrong.
        why: String,
    },
}

fn advice(backup: Option<&Path>) -> String {
    match backup {
        Some(backup) => {
            format!("run `bellwether restore {}`, its newest backup; this file is kept beside it", backup.display())
        }
        None => "move it away to start afresh, there is no backup beside it".to_owned(),
    }
}
