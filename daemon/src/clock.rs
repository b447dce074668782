//! The only place that asks the time. Roles get a [`Clock`]; tests get one that stands still until told otherwise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

#[cfg(test)]
use bellwether_core::time::Span;
use bellwether_core::time::Timestamp;

/// Tells the time in UTC and never goes backwards, also where the system's clock is set back.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The latest time told, in microseconds.
    latest: Arc<AtomicI64>,
    by_hand: bool,
}

impl Clock {
    /// The system's wall clock, held where it is while the system's goes back.
    pub(crate) fn system() -> Self {
        Self { latest: Arc::new(AtomicI64::new(i64::MIN)), by_hand: false }
    }

    /// A clock that shows `at` until it is [moved](Self::advance).
    #[cfg(test)]
    pub(crate) fn by_hand(at: Timestamp) -> Self {
        Self { latest: Arc::new(AtomicI64::new(at.as_micros())), by_hand: true }
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        if self.by_hand {
            return Timestamp::from_micros(self.latest.load(Ordering::SeqCst));
        }
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let before = self.latest.fetch_max(wall, Ordering::SeqCst);
        Timestamp::from_micros(wall.max(before))
    }

    /// Moves a clock by hand forward; the system's clock stays as it is.
    #[cfg(test)]
    pub(crate) fn advance(&self, span: Span) {
        if self.by_hand {
            self.latest.fetch_add(span.as_micros(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::system();
        let first = clock.now();
        clock.latest.fetch_add(60_000_000, Ordering::SeqCst);
        assert!(clock.now() >= first.plus(Span::from_seconds(60)), "a clock that was ahead must not be set back");
        let still = Clock::by_hand(first);
        assert_eq!(still.now(), first);
        still.advance(Span::from_seconds(5));
        assert_eq!(still.now(), first.plus(Span::from_seconds(5)));
    }
}
