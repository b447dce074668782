//! `backup` and `restore`: the database as a file. Both work without a daemon; `backup` beside one too, `restore` only without.

use std::path::Path;

use serde_json::json;

use super::daemon;
use crate::{cli::Global, folders::Folders, out};

/// Copies the database to a new file.
pub(super) fn back_up(global: &Global, file: &Path) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    daemon::back_up(&folders.data, file)?;
    if global.json {
        return out::json(&json!({"file": file}));
    }
    out::line(&format!("backed up to {}", file.display()))
}

/// Puts a backup in the place of the database.
pub(super) fn restore(global: &Global, file: &Path) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    let kept = daemon::restore(&folders.data, &folders.runtime, file)?;
    if global.json {
        return out::json(&json!({"restored": file, "kept": kept}));
    }
    if let Some(kept) = kept {
        out::note(&format!("what was there is kept as {}", kept.display()));
    }
    out::line(&format!("restored from {}", file.display()))
}
