//! How often a channel may be used (`docs/alerts.md`, C6): a bucket of tokens, a few more for what is urgent, and a guard on the day.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    rate::{Allowance, TokenBucket},
    time::{Span, Timestamp},
};

/// What is urgent has this many tokens more, ...
const URGENT: u32 = 3;
/// ... each of which is back after so long: three an hour.
const URGENT_REFILL: Span = Span::from_seconds(20 * 60);
const DAY: Span = Span::from_seconds(86_400);

/// Why nothing may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When something may be.
    pub until: Timestamp,
    /// Whether it is the guard on the day.
    pub daily: bool,
}

/// The tokens of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    bucket: TokenBucket,
    urgent: TokenBucket,
    daily: Option<usize>,
    /// What was sent in the last 24 hours, where that is limited.
    today: VecDeque<Timestamp>,
    /// When it was last told that a day's messages are used up.
    told: Option<Timestamp>,
}

/// What must survive a restart of it, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    full_at: i64,
    urgent_full_at: i64,
    today: Vec<i64>,
    told: Option<i64>,
}

impl Limiter {
    /// With all tokens there.
    pub fn new(allowance: Allowance) -> Self {
        Self {
            bucket: TokenBucket::new(allowance.burst, allowance.refill),
            urgent: TokenBucket::new(URGENT, URGENT_REFILL),
            daily: allowance.daily.map(|daily| usize::try_from(daily).unwrap_or(usize::MAX)),
            today: VecDeque::new(),
            told: None,
        }
    }

    /// With what was spent before a restart still spent.
    #[must_use]
    pub fn resumed(self, spent: &Spent, now: Timestamp) -> Self {
        let at = Timestamp::from_micros;
        Self {
            bucket: self.bucket.resumed(at(spent.full_at), now),
            urgent: self.urgent.resumed(at(spent.urgent_full_at), now),
            // What a clock that was ahead has written counts from now: no day is longer than a day.
            today: spent.today.iter().map(|sent| at(*sent).min(now)).collect(),
            told: spent.told.map(|told| at(told).min(now)),
            ..self
        }
    }

    /// What is to be remembered.
    pub fn spent(&self) -> Spent {
        Spent {
            full_at: self.bucket.full_at().as_micros(),
            urgent_full_at: self.urgent.full_at().as_micros(),
            today: self.today.iter().map(|at| at.as_micros()).collect(),
            told: self.told.map(Timestamp::as_micros),
        }
    }

    /// Takes a token for one message, or says when there will be one. The guard on the day holds for what is urgent too.
    pub fn take(&mut self, now: Timestamp, urgent: bool) -> Result<(), Refusal> {
        if let Some(daily) = self.daily {
            while self.today.front().is_some_and(|at| now.since(*at) >= DAY) {
                self.today.pop_front();
            }
            // Of more than are allowed now, because the limit was lowered, the last ones count.
            if self.today.len() >= daily
                && let Some(at) = self.today.get(self.today.len() - daily)
            {
                return Err(Refusal { until: at.plus(DAY), daily: true });
            }
        }
        let taken = match self.bucket.take(now) {
            Err(until) if urgent => self.urgent.take(now).map_err(|other| until.min(other)),
            taken => taken,
        };
        taken.map_err(|until| Refusal { until, daily: false })?;
        if self.daily.is_some() {
            self.today.push_back(now);
        }
        Ok(())
    }

    /// Whether it is time to tell that a day's messages are used up: once in 24 hours. Then it is taken as told.
    pub fn tell(&mut self, now: Timestamp) -> bool {
        let due = self.told.is_none_or(|told| now.since(told) >= DAY);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn limiter(burst: u32, refill: i64, daily: Option<u32>) -> Limiter {
        Limiter::new(Allowance { burst, refill: Span::from_seconds(refill), daily })
    }

    #[test]
    fn urgent_has_three_tokens_more_an_hour() {
        let mut limits = limiter(2, 3_600, None);
        assert!(limits.take(at(0), false).is_ok() && limits.take(at(0), true).is_ok());
        assert_eq!(limits.take(at(0), false), Err(Refusal { until: at(3_600), daily: false }));
        for _ in 0..3 {
            assert_eq!(limits.take(at(0), true), Ok(()));
        }
        assert_eq!(limits.take(at(0), true), Err(Refusal { until: at(1_200), daily: false }));
        assert_eq!(limits.take(at(1_200), true), Ok(()));
        assert!(limits.take(at(1_200), false).is_err(), "they are not for the others");
    }

    #[test]
    fn a_days_messages_are_not_refilled_by_a_restart_and_told_once() {
        let mut limits = limiter(100, 1, Some(3));
        for second in 0..3 {
            assert_eq!(limits.take(at(second), false), Ok(()));
        }
        assert!(limits.tell(at(3)) && !limits.tell(at(4)));
        let text = serde_json::to_string(&limits.spent()).expect("JSON");
        let spent: Spent = serde_json::from_str(&text).expect("read");
        let mut again = limiter(100, 1, Some(3)).resumed(&spent, at(5));
        let refused = Err(Refusal { until: at(86_400), daily: true });
        assert_eq!((again.take(at(5), false), again.take(at(5), true)), (refused, refused));
        assert!(!again.tell(at(86_400)) && again.tell(at(86_403)));
        assert_eq!(again.take(at(86_400), false), Ok(()));
        // A lower limit holds at once, none at all too.
        let mut lower = limiter(100, 1, Some(1)).resumed(&spent, at(5));
        assert_eq!(lower.take(at(5), false), Err(Refusal { until: at(86_402), daily: true }));
        assert_eq!(limiter(100, 1, None).resumed(&spent, at(5)).take(at(5), false), Ok(()));
    }

    #[test]
    fn what_was_sent_before_a_restart_is_still_sent() {
        let mut limits = limiter(2, 10, None);
        assert!(limits.take(at(0), false).is_ok() && limits.take(at(0), false).is_ok());
        let mut again = limiter(2, 10, None).resumed(&limits.spent(), at(1));
        assert_eq!(again.take(at(1), false), Err(Refusal { until: at(10), daily: false }));
    }
}
