//! A token bucket that is told the time: how often something may be done.

use crate::time::{Span, Timestamp};

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
