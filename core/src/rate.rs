//! A token bucket that is told the time: how often something may be done.

use crate::time::{Span, Timestamp};

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// So many times at once, ...
    pub burst: u32,
    /// ... then once each `refill`.
    pub refill: Span,
    /// At most so many times in 24 hours, where that is limited.
    pub daily: Option<u32>,
}

/// Holds up to `burst` tokens and gains one every `refill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    burst: u32,
    refill: Span,
    /// When the bucket will be full: the time from now until then, in refills, is what is missing.
    full_at: Timestamp,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens (at least one) that gains one every `refill`.
    pub const fn new(burst: u32, refill: Span) -> Self {
        Self { burst: if burst == 0 { 1 } else { burst }, refill, full_at: Timestamp::from_micros(i64::MIN) }
    }

    /// A bucket that was written down as [`full_at`](Self::full_at). Where its limits have become tighter since, the new ones hold.
    #[must_use]
    pub fn resumed(mut self, full_at: Timestamp, now: Timestamp) -> Self {
        // Never emptier than empty: a clock that was set back must not close it for long.
        self.full_at = full_at.min(now.plus(self.refill.times(i64::from(self.burst))));
        self
    }

    /// When it will be full again: all that there is to remember.
    pub const fn full_at(&self) -> Timestamp {
        self.full_at
    }

    /// Takes a token, or says when the next one will be there.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.take_leaving(now, 0)
    }

    /// Takes a token that leaves so many others in the bucket (at most all but one), or says when that will be possible. So who
    /// may wait keeps something back for who must not.
    pub fn take_leaving(&mut self, now: Timestamp, left: u32) -> Result<(), Timestamp> {
        let full_at = self.full_at.max(now);
        let next = full_at.plus(self.refill);
        // After taking, at most `burst` refills may be missing, less those of the tokens that are left.
        let missing = self.burst - left.min(self.burst - 1);
        let earliest = next.minus(self.refill.times(i64::from(missing)));
        if earliest <= now {
            self.full_at = next;
            Ok(())
        } else {
            Err(earliest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_every_refill() {
        let mut bucket = TokenBucket::new(5, Span::from_seconds(3));
        let at = |seconds: i64| Timestamp::from_seconds(1_000 + seconds);
        for _ in 0..5 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(at(3)));
        assert_eq!(bucket.take(at(2)), Err(at(3)));
        assert_eq!(bucket.take(at(3)), Ok(()));
        assert_eq!(bucket.take(at(3)), Err(at(6)));
        for _ in 0..5 {
            assert_eq!(bucket.take(at(100)), Ok(()));
        }
        assert!(bucket.take(at(100)).is_err());
    }

    #[test]
    fn a_restart_does_not_fill_it() {
        let new = || TokenBucket::new(2, Span::from_seconds(10));
        let at = |seconds: i64| Timestamp::from_seconds(1_000 + seconds);
        let mut bucket = new();
        assert_eq!((bucket.take(at(0)), bucket.take(at(0))), (Ok(()), Ok(())));
        let mut again = new().resumed(bucket.full_at(), at(1));
        assert_eq!(again.take(at(1)), Err(at(10)));
        let mut ahead = new().resumed(at(1_000_000), at(1));
        assert_eq!(ahead.take(at(1)), Err(at(11)), "nothing is closed for longer than an empty bucket is");
    }

    #[test]
    fn who_may_wait_leaves_something_for_who_must_not() {
        let mut bucket = TokenBucket::new(3, Span::from_seconds(10));
        let at = |seconds: i64| Timestamp::from_seconds(1_000 + seconds);
        assert_eq!(bucket.take_leaving(at(0), 2), Ok(()));
        assert_eq!(bucket.take_leaving(at(0), 2), Err(at(10)));
        assert_eq!(bucket.take_leaving(at(0), 1), Ok(()));
        assert_eq!(bucket.take_leaving(at(0), 1), Err(at(10)));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(0)), Err(at(10)));
        assert_eq!(bucket.take_leaving(at(10), 1), Err(at(20)));
        let mut single = TokenBucket::new(1, Span::from_seconds(10));
        assert_eq!(single.take_leaving(at(0), 9), Ok(()), "nothing can be kept back from one");
    }
}
