//! What the end-to-end tests are played with: the real program in a folder of its own, and stand-ins for the world around it.
//!
//! Everything listens on the loopback, on ports that are free. Nothing here sleeps and hopes: whoever waits, looks again and
//! again for what he means, and says what was missing when his patience ends.

pub(crate) mod api;
pub(crate) mod daemon;
pub(crate) mod exchange;
pub(crate) mod hung;
pub(crate) mod lab;
pub(crate) mod receiver;
pub(crate) mod settings;
pub(crate) mod site;
pub(crate) mod smtp;
pub(crate) mod stream;
pub(crate) mod terminal;

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};

pub(crate) use self::{
    api::Api,
    daemon::Daemon,
    exchange::Exchange,
    lab::{Lab, Output},
    receiver::Receiver,
    settings::Settings,
    site::Site,
    smtp::MailServer,
    stream::Stream,
};

/// Long enough for a busy machine, short enough for a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until there is something. `what` is named when there never is.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Takes a lock, also one that a failed test left behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server's task, ended with the test that started it.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of `tests/data`.
pub(crate) fn data(path: &str) -> String {
    let path = root().join("tests/data").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A small generator of numbers that are the same for the same seed (`SplitMix64`), so that a failure can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The seed that `variable` holds, or one that nobody has used.
    pub(crate) fn seeded(variable: &str) -> Self {
        let given = std::env::var(variable).ok().and_then(|seed| seed.parse().ok());
        let fresh = || u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(1);
        Self(given.unwrap_or_else(fresh))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `sides` - 1.
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }
}
