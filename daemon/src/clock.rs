//! The only place that asks the time. Roles get a [`Clock`]; tests get one that stands still until told otherwise.
//!
//! Wall time at the start plus monotonic time, set forward whenever the wall clock is ahead of that, never back
//! (docs/alerts.md, B16.3), but where the parts are started anew because the sources agree with a clock that was set back.
//! Monotonic time stands still while the machine is suspended, and so do all timers of this process; [`watch_jumps`]
//! notices, and whoever holds a connection opened before lets go of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bellwether_core::time::{Span, Timestamp};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often the two clocks are compared.
const LOOK: Duration = Duration::from_secs(2);
/// From which difference time has jumped.
const JUMP: i64 = 5_000_000;
/// How far ahead of the system's clock is no matter.
const LEAD: Span = Span::from_seconds(30);
/// From which delay of a look the process must have been stopped.
const STOPPED: i64 = 30_000_000;

/// Tells the time in UTC and never goes backwards, also where the system's clock is set back.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The wall clock's time when `origin` was, in microseconds, as far ahead as it ever was; by hand: the time itself.
    base: Arc<AtomicI64>,
    origin: Instant,
    by_hand: bool,
    /// Whether the system's clock is known to be right where it shows less.
    trusts: Arc<AtomicBool>,
}

impl Clock {
    /// The system's wall clock; where that is set back, time goes on from where it was.
    pub(crate) fn system() -> Self {
        Self {
            base: Arc::new(AtomicI64::new(i64::MIN)),
            origin: Instant::now(),
            by_hand: false,
            trusts: Arc::default(),
        }
    }

    /// A clock that shows `at` until it is [moved](Self::advance).
    #[cfg(test)]
    pub(crate) fn by_hand(at: Timestamp) -> Self {
        Self {
            base: Arc::new(AtomicI64::new(at.as_micros())),
            origin: Instant::now(),
            by_hand: true,
            trusts: Arc::default(),
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        if self.by_hand {
            return Timestamp::from_micros(self.base.load(Ordering::SeqCst));
        }
        let steady = micros(self.origin.elapsed());
        let base = wall() - steady;
        let before = self.base.fetch_max(base, Ordering::SeqCst);
        Timestamp::from_micros(base.max(before) + steady)
    }

    /// How far it is ahead of the system's clock, because that was set back.
    pub(crate) fn lead(&self) -> Span {
        if self.by_hand { Span::ZERO } else { self.now().since(Timestamp::from_micros(wall())) }
    }

    /// Says that the system's clock is right, although it shows less: [`follow`](Self::follow) will.
    pub(crate) fn trust_the_system(&self) {
        self.trusts.store(true, Ordering::SeqCst);
    }

    /// Shows the system's time again, also where that is earlier, if it was [said](Self::trust_the_system) to be right. Only while nobody
    /// compares two of its times: between the parts that stop and those that are started.
    pub(crate) fn follow(&self) {
        if self.trusts.swap(false, Ordering::SeqCst) && !self.by_hand && self.lead() > LEAD {
            tracing::warn!(
                "the clock was set back by {}, to the time of the sources: that is the time from now on",
                self.lead()
            );
            self.base.store(wall() - micros(self.origin.elapsed()), Ordering::SeqCst);
        }
    }

    /// Moves a clock by hand forward; the system's clock stays as it is.
    #[cfg(test)]
    pub(crate) fn advance(&self, span: Span) {
        if self.by_hand {
            self.base.fetch_add(span.as_micros(), Ordering::SeqCst);
        }
    }
}

/// What the system's wall clock shows, in microseconds since 1970.
fn wall() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    micros(since)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// By how many seconds the wall clock went another way than monotonic time between two looks, where that is a jump: a suspend, a clock that
/// was set, or a process that was stopped for a while.
fn jumped(wall: i64, steady: i64) -> Option<i64> {
    let difference = wall.saturating_sub(steady);
    if difference.saturating_abs() > JUMP {
        return Some(difference / 1_000_000);
    }
    (steady > STOPPED).then_some(steady / 1_000_000)
}

/// Counts the jumps of time until told to stop. Connections that were open before one are not to be trusted.
pub(crate) async fn watch_jumps(jumps: watch::Sender<u64>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = (wall(), Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let now = (wall(), Instant::now());
        if let Some(by) = jumped(now.0.saturating_sub(before.0), micros(now.1.duration_since(before.1))) {
            tracing::warn!("time has jumped by {by} s: connections are opened anew");
            jumps.send_modify(|count| *count += 1);
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::system();
        let first = clock.now();
        clock.base.fetch_add(60_000_000, Ordering::SeqCst);
        assert!(clock.now() >= first.plus(Span::from_seconds(60)), "a clock that was ahead must not be set back");
        let still = Clock::by_hand(first);
        assert_eq!(still.now(), first);
        still.advance(Span::from_seconds(5));
        assert_eq!(still.now(), first.plus(Span::from_seconds(5)));
    }

    #[test]
    fn a_clock_set_back_does_not_stop_time() {
        let clock = Clock::system();
        clock.now();
        // As if the wall clock had been an hour ahead until now.
        clock.base.fetch_add(3_600_000_000, Ordering::SeqCst);
        let first = clock.now();
        while clock.now() == first {
            std::hint::spin_loop();
        }
        assert!(clock.now() > first);
    }

    #[test]
    fn a_clock_that_was_ahead_follows_the_systems_when_it_is_told_to() {
        let clock = Clock::system();
        clock.now();
        clock.base.fetch_add(3_600_000_000, Ordering::SeqCst);
        assert!(clock.lead() > Span::from_seconds(3_590), "{}", clock.lead());
        let before = clock.now();
        clock.follow();
        assert!(clock.now() >= before, "the system's clock may be the wrong one");
        clock.trust_the_system();
        clock.follow();
        assert!(clock.now() < before && clock.lead() < LEAD);
        let small = Clock::system();
        small.now();
        small.base.fetch_add(10_000_000, Ordering::SeqCst);
        let before = small.now();
        small.trust_the_system();
        small.follow();
        assert!(small.now() >= before, "some seconds are no reason to go back");
    }

    #[test]
    fn a_suspend_a_setting_and_a_stop_are_jumps_and_a_slow_machine_is_none() {
        const S: i64 = 1_000_000;
        for (wall, steady, expected) in [
            (2 * S, 2 * S, None),
            (9 * S, 9 * S, None),
            (6 * S, 2 * S, None),
            (28_802 * S, 2 * S, Some(28_800)),   // a suspend of eight hours
            (-86_398 * S, 2 * S, Some(-86_400)), // set back by a day
            (600 * S, 600 * S, Some(600)),       // stopped for ten minutes
        ] {
            assert_eq!(jumped(wall, steady), expected, "{wall} {steady}");
        }
    }
}
