//! Copies of the database: one each day while the daemon runs, and those that are asked for; and the way back to one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, presence::Presence, store::Store};

/// When it is first looked whether there is a backup of this day: a daemon that is tried for a moment makes none.
const FIRST: Duration = Duration::from_mins(1);
/// How often after that.
const EVERY: Duration = Duration::from_hours(1);

/// Copies the database of the data folder to a new file, as it is at this moment, whether a daemon uses it or not.
///
/// The file must not exist; its folder must. Only its user can read it.
pub fn back_up(data: &Path, file: &Path) -> anyhow::Result<()> {
    Store::back_up(data, file).with_context(|| format!("no backup was made to {}", file.display()))
}

/// Puts a backup in the place of the database in the data folder. No daemon may be using it.
///
/// What was there is kept, and its new name answered. A file that is not a whole database of bellwether is refused, and nothing is changed.
pub fn restore(data: &Path, runtime: &Path, file: &Path) -> anyhow::Result<Option<PathBuf>> {
    let _alone = Presence::take(data, runtime)?;
    Store::restore(data, file, Clock::system().now()).with_context(|| format!("{} was not restored", file.display()))
}

/// Makes a backup each day and keeps the newest `keep`, until it is told to stop. One that fails is told in the log, tried again within
/// the hour, and costs no older one.
pub(crate) async fn daily(data: PathBuf, keep: u32, clock: Clock, stop: CancellationToken) {
    if keep == 0 {
        return stop.cancelled().await;
    }
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => wait = EVERY,
        }
        let (data, now) = (data.clone(), clock.now());
        let copied = tokio::task::spawn_blocking(move || Store::back_up_daily(&data, keep, now));
        let copied = tokio::select! {
            // Half a copy has no name yet; the next one begins anew.
            () = stop.cancelled() => return,
            copied = copied => copied,
        };
        match copied {
            Ok(Ok(Some(file))) => tracing::info!(file = %file.display(), "backed up"),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::error!("no backup today: {error}"),
            Err(error) => tracing::error!(%error, "no backup today"),
        }
    }
}
