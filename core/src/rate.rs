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
        let full_at = self.full_at.max(now);
        let next = full_at.plus(self.refill);
        // After taking, at most `burst` refills may be missing.
        let earliest = next.minus(self.refill.times(i64::from(self.burst)));
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
}
