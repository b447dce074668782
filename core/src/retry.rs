//! When to try again: the backoff of deliveries and of reconnects. Chance comes in as a number from the caller.

use crate::time::Span;

/// An exponential backoff: attempt n waits a random time between `floor` of and all of `base * factor^(n-1)`, at most `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Span,
    factor: i64,
    cap: Span,
    /// The least share of the delay, in per cent.
    floor_pct: i64,
}

impl Backoff {
    /// Between the attempts of a delivery: half to all of 2 s, 8 s, 32 s, ... 30 min (docs/alerts.md, C4).
    pub const DELIVERY: Self =
        Self { base: Span::from_seconds(2), factor: 4, cap: Span::from_seconds(30 * 60), floor_pct: 50 };
    /// Between connection attempts of a feed: full jitter, 1 s doubling to 60 s.
    pub const FEED: Self = Self { base: Span::from_seconds(1), factor: 2, cap: Span::from_seconds(60), floor_pct: 0 };
    /// After a provider that must not be hurried said no: half to all of 60 s doubling to 15 min.
    pub const POLITE: Self =
        Self { base: Span::from_seconds(60), factor: 2, cap: Span::from_seconds(15 * 60), floor_pct: 50 };
    /// After a provider shut this address out: half to all of 4 min, 16 min, ... a day.
    pub const BANNED: Self =
        Self { base: Span::from_seconds(4 * 60), factor: 4, cap: Span::from_seconds(86_400), floor_pct: 50 };
    /// After a provider said that it does not serve this place, which does not change often: about six hours.
    pub const PLACE: Self =
        Self { base: Span::from_seconds(6 * 3600), factor: 1, cap: Span::from_seconds(6 * 3600), floor_pct: 95 };

    /// The wait after `failures` failures in a row (at least 1). `chance` is uniform in 0..1.
    #[expect(clippy::cast_possible_truncation, reason = "a share of at most 30 minutes in microseconds fits")]
    #[expect(clippy::cast_precision_loss, reason = "jitter needs no exactness")]
    pub fn delay(self, failures: u32, chance: f64) -> Span {
        let mut full = self.base;
        for _ in 1..failures.min(32) {
            full = full.times(self.factor).min(self.cap);
        }
        let full = full.min(self.cap).as_micros();
        let floor = full / 100 * self.floor_pct;
        Span::from_micros(floor + ((full - floor) as f64 * chance.clamp(0.0, 1.0)) as i64)
    }
}

/// The least and the longest wait that a `Retry-After` may ask of us.
const RETRY_AFTER: (Span, Span) = (Span::from_seconds(1), Span::from_seconds(72 * 3600));

/// Reads `Retry-After` in seconds, clamped to 1 s .. 72 h; a date must be turned into seconds by the caller.
pub fn retry_after_seconds(text: &str) -> Option<Span> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = text.parse::<i64>().unwrap_or(if text.starts_with('-') { 0 } else { i64::MAX });
    Some(clamp_retry_after(Span::from_seconds(seconds)))
}

/// The wait that was asked for, between 1 s and 72 h.
pub fn clamp_retry_after(asked: Span) -> Span {
    asked.clamp(RETRY_AFTER.0, RETRY_AFTER.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_wait_half_to_all_of_two_eight_thirtytwo_seconds() {
        for (failures, full) in [(1, 2), (2, 8), (3, 32), (4, 128), (9, 1800), (4_000_000, 1800)] {
            assert_eq!(Backoff::DELIVERY.delay(failures, 1.0), Span::from_seconds(full));
            assert_eq!(Backoff::DELIVERY.delay(failures, 0.0), Span::from_millis(full * 500));
        }
    }

    #[test]
    fn feeds_use_full_jitter_up_to_a_minute() {
        assert_eq!(Backoff::FEED.delay(1, 0.0), Span::ZERO);
        assert_eq!(Backoff::FEED.delay(20, 1.0), Span::from_seconds(60));
    }

    #[test]
    fn bans_and_places_that_are_not_served_are_left_alone_for_long() {
        assert_eq!(Backoff::BANNED.delay(1, 0.0), Span::from_seconds(120));
        assert_eq!(Backoff::BANNED.delay(9, 1.0), Span::from_seconds(86_400));
        assert!(Backoff::PLACE.delay(1, 0.0) > Span::from_seconds(20_000));
        assert_eq!(Backoff::PLACE.delay(40, 1.0), Span::from_seconds(21_600));
    }

    #[test]
    fn retry_after_is_clamped() {
        for (text, seconds) in [("0", 1), ("-1", 1), ("60", 60), (" 119 ", 119), ("99999999999999999999", 72 * 3600)] {
            assert_eq!(retry_after_seconds(text), Some(Span::from_seconds(seconds)), "{text}");
        }
        for text in ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "1.5"] {
            assert_eq!(retry_after_seconds(text), None, "{text}");
        }
    }
}
