//! `backup` and `restore`: the database as a file. Both work without a daemon; `backup` beside one too, `restore` only without.

use std::path::Path;

use serde_json::json;

use super::daemon;
use crate::{cli::Global, error::UserError, folders::Folders, out};

/// Copies the database to a new file.
pub(super) fn back_up(global: &Global, file: &Path) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    if file.exists() {
        return Err(UserError::with_hint(
            format!("{} exists already, and is not written over", file.display()),
            "name a file that is not there yet, such as bellwether-$(date +%F).db",
        )
        .into());
    }
    daemon::back_up(&folders.data, file)?;
    if global.json {
        return out::json(&json!({"file": file}));
    }
    out::line(&format!("backed up to {}", file.display()))
}

/// Puts a backup in the place of the database.
pub(super) fn restore(global: &Global, file: &Path) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    if !file.is_file() {
        return Err(UserError::with_hint(
            format!("there is no backup {}", file.display()),
            format!(
                "the daemon makes one a day beside the database: ls {}; and `bellwether backup FILE` makes one at any time",
                folders.data.join("bellwether.db.backup*").display()
            ),
        )
        .into());
    }
    let kept = daemon::restore(&folders.data, &folders.runtime, file)?;
    if global.json {
        return out::json(&json!({"restored": file, "kept": kept}));
    }
    if let Some(kept) = kept {
        out::note(&format!("what was there is kept as {}", kept.display()));
    }
    out::line(&format!("restored from {}", file.display()))
}
