//! Room on the disk that is kept for the day it is full: a file of nothing, given up so that firings are still recorded and
//! sent while everybody is told that the disk is full.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{StoreError, file};

/// Enough for a thousand firings with their deliveries and the journal they pass through.
const BYTES: u64 = 8 << 20;
/// The name of the file beside the database.
const NAME: &str = "bellwether.reserve";

/// The file that holds the room.
pub(super) struct Reserve(PathBuf);

impl Reserve {
    /// The reserve beside this database, filled if there is room.
    pub(super) fn beside(database: &Path) -> Self {
        let reserve = Self(database.with_file_name(NAME));
        if let Err(error) = reserve.fill() {
            tracing::warn!(%error, "there is no room to keep a reserve for a full disk");
        }
        reserve
    }

    /// Takes the room where it is not taken. Written, because a length alone takes none; `StoreError` if it is not to be had.
    pub(super) fn fill(&self) -> Result<(), StoreError> {
        if fs::metadata(&self.0).is_ok_and(|meta| meta.len() == BYTES) {
            return Ok(());
        }
        self.write().map_err(|error| {
            self.give_up();
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::disk_full(),
                _ => StoreError::Unwritable(format!("the data folder cannot be written: {error}")),
            }
        })
    }

    fn write(&self) -> io::Result<()> {
        self.give_up();
        file::create_private(&self.0)?;
        let mut room = fs::OpenOptions::new().write(true).open(&self.0)?;
        let nothing = vec![0; 1 << 16];
        for _ in 0..BYTES / (1 << 16) {
            room.write_all(&nothing)?;
        }
        Ok(())
    }

    /// Gives the room back to the disk; whether there was any.
    pub(super) fn give_up(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}
