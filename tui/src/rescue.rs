//! A daemon that the dashboard started has no service manager. When it dies the dashboard starts it again, a few times, and says so.
//!
//! Which daemons these are stands in a small file beside `daemon.json`: such a daemon writes its process there once it runs, and removes
//! the file when it was told to stop. So what is named there and lives no longer has died. A daemon of a service manager removes the
//! file: its manager looks after it.

use std::{
    env, fs, io,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use bellwether_core::text::sanitize;
use tokio::time::Instant;

use crate::{cli::Global, folders::Folders, launch};

/// How often a daemon is started again within [`WITHIN`].
const MOST: usize = 3;
/// In what time these are counted.
const WITHIN: Duration = Duration::from_mins(10);
/// How long a daemon that somebody else starts meanwhile is waited for.
const ANOTHERS: Duration = Duration::from_secs(5);
/// The file, in the folder of `daemon.json`.
const FILE: &str = "background.pid";
/// What tells a daemon that a dashboard starts it.
pub const VARIABLE: &str = "BELLWETHER_BACKGROUND";
/// How much of the end of a log is looked at, in bytes.
const END_OF_LOG: u64 = 16 << 10;
/// How much of what it says is shown, in characters.
const SHOWN: usize = 160;

/// What was done about a daemon that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescued {
    /// It runs again.
    Again {
        /// How often it was started in the last 10 minutes.
        times: usize,
        /// What its log said last.
        words: String,
    },
    /// It could not be started: why.
    Refused(String),
    /// It has been started often enough.
    GivenUp {
        /// What its log says.
        words: String,
    },
}

/// Starts a daemon again that was started in the background and has died.
#[derive(Debug)]
pub struct Rescue {
    global: Global,
    folders: Folders,
    started: tokio::sync::Mutex<Starts>,
}

/// When it was started, and whether it was said that it will not be.
#[derive(Debug, Default)]
struct Starts {
    times: Vec<Instant>,
    given_up: bool,
}

impl Starts {
    /// Counts one more and says how many that makes, if it is not too often.
    fn one_more(&mut self, now: Instant) -> Option<usize> {
        self.times.retain(|time| now.duration_since(*time) < WITHIN);
        (self.times.len() < MOST).then(|| {
            self.given_up = false;
            self.times.push(now);
            self.times.len()
        })
    }
}

impl Rescue {
    /// For the daemon of these folders.
    pub fn new(global: &Global, folders: &Folders) -> Self {
        Self { global: global.clone(), folders: folders.clone(), started: tokio::sync::Mutex::default() }
    }

    /// To be called whenever the daemon is lost. Nothing where it was told to stop, has a manager, or still lives; where somebody is at it
    /// already; and where it was said before that it is not started again.
    pub async fn lost(&self) -> Option<Rescued> {
        let mut started = self.started.try_lock().ok()?;
        let runtime = &self.folders.runtime;
        if !has_died(runtime) || launch::find(runtime).await.is_ok() {
            return None;
        }
        let words = last_words(&self.folders.data.join(launch::LOG)).unwrap_or_else(|| "nothing".to_owned());
        let Some(times) = started.one_more(Instant::now()) else {
            return (!std::mem::replace(&mut started.given_up, true)).then_some(Rescued::GivenUp { words });
        };
        match launch::start(&self.global, &self.folders).await {
            Ok(_) => Some(Rescued::Again { times, words }),
            // Another dashboard may have been quicker.
            Err(_) if self.is_there_soon().await => None,
            Err(error) => Some(Rescued::Refused(error.to_string())),
        }
    }

    /// It was started by hand: what was before no longer counts.
    pub async fn forget(&self) {
        *self.started.lock().await = Starts::default();
    }

    async fn is_there_soon(&self) -> bool {
        let until = Instant::now() + ANOTHERS;
        while Instant::now() < until {
            if launch::find(&self.folders.runtime).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }
}

/// Says that this process is the daemon of these folders: one that a dashboard started, or one that somebody else looks after.
pub fn mark(runtime: &Path) {
    if env::var_os(VARIABLE).is_none() {
        drop(fs::remove_file(runtime.join(FILE)));
        return;
    }
    let pid = std::process::id().to_string();
    let written = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(runtime.join(FILE))
        .and_then(|mut file| io::Write::write_all(&mut file, pid.as_bytes()));
    if let Err(error) = written {
        tracing::warn!("no dashboard will start this daemon again if it dies: cannot write {FILE}: {error}");
    }
}

/// Says that this process ends because it was told to.
pub fn unmark(runtime: &Path) {
    if marked(runtime) == i32::try_from(std::process::id()).ok() {
        drop(fs::remove_file(runtime.join(FILE)));
    }
}

/// The process of the daemon that a dashboard started.
fn marked(runtime: &Path) -> Option<i32> {
    fs::read_to_string(runtime.join(FILE)).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Whether there was such a daemon, and its process is no more.
fn has_died(runtime: &Path) -> bool {
    let Some(pid) = marked(runtime).and_then(rustix::process::Pid::from_raw) else { return false };
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

/// The last line of a log that tells of an error, or the last one.
fn last_words(log: &Path) -> Option<String> {
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_OF_LOG))).ok()?;
    let mut end = Vec::new();
    file.take(END_OF_LOG).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let mut lines = end.lines().map(str::trim).filter(|line| !line.is_empty()).rev().peekable();
    let last = lines.peek().copied()?;
    // What an earlier life of it said is not about this one's end: a daemon says "ready" once.
    let is_error = |line: &&str| ["ERROR", "error:", "panicked"].iter().any(|word| line.contains(word));
    let line = lines.take_while(|line| !line.contains(" ready ")).find(is_error).unwrap_or(last);
    let line = sanitize(line);
    let cut = line.char_indices().nth(SHOWN).map(|(at, _)| format!("{}…", &line[..at]));
    Some(cut.unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rescue(folder: &Path) -> Rescue {
        let folders = Folders { data: folder.into(), runtime: folder.into(), config: folder.join("config.toml") };
        Rescue::new(&Global::default(), &folders)
    }

    #[tokio::test]
    async fn a_daemon_that_was_told_to_stop_or_has_a_manager_or_lives_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(rescue(folder.path()).lost().await, None, "nobody started one here");
        fs::write(folder.path().join(FILE), std::process::id().to_string()).expect("written");
        assert_eq!(rescue(folder.path()).lost().await, None, "it lives: it may be busy");
        unmark(folder.path());
        assert!(!folder.path().join(FILE).exists(), "it was told to stop");
        fs::write(folder.path().join(FILE), "rubbish").expect("written");
        assert_eq!(rescue(folder.path()).lost().await, None);
        mark(folder.path());
        assert!(!folder.path().join(FILE).exists(), "one that no dashboard started runs here now");
    }

    #[test]
    fn it_is_started_three_times_in_ten_minutes_and_again_when_these_are_over() {
        let mut starts = Starts::default();
        let now = Instant::now();
        let after = |minutes: u64| now + Duration::from_mins(minutes);
        for (minutes, times) in [(0, Some(1)), (1, Some(2)), (8, Some(3)), (9, None), (10, Some(3)), (10, None)] {
            assert_eq!(starts.one_more(after(minutes)), times, "minute {minutes}");
        }
    }

    #[test]
    fn its_last_words_are_its_last_error_of_this_life_or_its_last_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("daemon.log");
        assert_eq!(last_words(&log), None);
        for (text, words) in [
            ("1 ERROR old\n2 INFO ready address=x\n3 INFO all is well\n\n", "3 INFO all is well"),
            ("2 INFO ready address=x\n3 ERROR the disk is full\n4 INFO stopping\n", "3 ERROR the disk is full"),
            ("thread 'x' panicked at \u{1b}[1m\n", "thread 'x' panicked at \u{fffd}[1m"),
        ] {
            fs::write(&log, text).expect("written");
            assert_eq!(last_words(&log).as_deref(), Some(words));
        }
        fs::write(&log, "é".repeat(100_000)).expect("written");
        assert_eq!(last_words(&log).map(|words| words.chars().count()), Some(SHOWN + 1));
    }
}
