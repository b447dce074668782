//! A feed that has died is told once, and once more when it is over (docs/alerts.md, C10): pure, one [`Dead`] a feed.

use bellwether_core::time::{Span, Timestamp};

use super::Now;

/// How long all of a feed's instruments must be stale while their market is open.
const PATIENCE: Span = Span::from_seconds(15 * 60);
/// How long nothing more is said of a feed after it was told.
const AGAIN: Span = Span::from_seconds(6 * 3600);

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obituary {
    /// Nothing fresh has come since then.
    Died { since: Timestamp },
    /// It delivers again.
    Rose,
}

/// Whether a feed is dead, and what has been told of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dead {
    /// Since when all is stale, by both clocks.
    since: Option<Now>,
    told: bool,
    last_told: Option<Timestamp>,
}

impl Dead {
    /// How the feed's instruments are: how many have a market that is open, and how many of those a fresh price.
    pub(super) fn look(&mut self, open: usize, fresh: usize, now: Now) -> Option<Obituary> {
        if fresh > 0 {
            self.since = None;
            return std::mem::take(&mut self.told).then_some(Obituary::Rose);
        }
        if open == 0 {
            // Nobody expects anything; what was told stays told.
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let quiet = self.last_told.is_some_and(|told| now.wall.since(told) < AGAIN);
        if self.told || quiet || now.steady.since(since.steady) < PATIENCE {
            return None;
        }
        self.told = true;
        self.last_told = Some(now.wall);
        Some(Obituary::Died { since: since.wall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_feed_is_told_once_and_once_when_it_is_over() {
        let mut dead = Dead::default();
        let start = Timestamp::from_seconds(1_795_300_000);
        let mut look = |minute: i64, open: usize, fresh: usize| {
            let at = start.plus(Span::from_seconds(60 * minute));
            match dead.look(open, fresh, Now { wall: at, steady: at }) {
                None => "",
                Some(Obituary::Died { .. }) => "died",
                Some(Obituary::Rose) => "rose",
            }
        };
        for (minute, open, fresh, told) in [
            (0, 5, 5, ""),
            (1, 5, 0, ""),
            (15, 5, 0, ""),
            (16, 5, 0, "died"),
            (17, 5, 0, ""),
            (60, 5, 1, "rose"),
            (61, 5, 5, ""),
            (70, 5, 0, ""),
            (90, 5, 0, ""),  // six hours have not passed
            (100, 5, 1, ""), // so there is nothing to take back
            (400, 5, 0, ""),
            (410, 0, 0, ""), // the market closes
            (1_000, 0, 0, ""),
            (1_001, 5, 0, ""),
            (1_016, 5, 0, "died"),
            (1_020, 0, 0, ""),
            (2_000, 5, 5, "rose"),
        ] {
            assert_eq!(look(minute, open, fresh), told, "minute {minute}");
        }
    }
}
