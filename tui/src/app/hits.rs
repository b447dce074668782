//! How often each alert would have fired in the last thirty days: asked of the daemon a few at a time, for what is looked at.

use std::collections::BTreeMap;

use bellwether_core::{
    alert::{AlertId, AlertState},
    backtest::BacktestAnswer,
    event::AlertRow,
    time::{Span, Timestamp},
};

/// How many alerts the daemon is asked about at once; it takes eight.
const AT_ONCE: usize = 8;
const DAY: i64 = 86_400;
/// After which time a count is asked for again.
const KEEP: Span = Span::from_seconds(900);
/// How often it is looked for unknown ones.
const LOOK: Span = Span::from_seconds(1);
/// When an answer is no longer waited for.
const PATIENCE: Span = Span::from_seconds(60);

/// One alert's count.
#[derive(Clone, Copy, Debug)]
struct Count {
    version: u32,
    asked: Timestamp,
    /// None where it could not be told.
    times: Option<Times>,
}

/// How often, in how many days: fewer than thirty where there is no more history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) days: i64,
}

/// What is asked: an alert, its version, its line.
pub(crate) type Question = (AlertId, u32, String);

/// The counts that are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hits {
    counts: BTreeMap<AlertId, Count>,
    waiting: Option<Timestamp>,
    /// When it was last looked whether anything is unknown: not with each price.
    looked: Option<Timestamp>,
    /// After a refusal alerts are asked about singly: one of them has spoilt it for the others.
    singly: bool,
}

impl Hits {
    /// How often this alert, as it stands, would have fired.
    pub(crate) fn of(&self, row: &AlertRow) -> Option<Times> {
        self.counts.get(&row.alert.id).filter(|count| count.version == row.alert.version)?.times
    }

    /// Whether to look now for alerts that nothing is known of: at most once a second. It then counts as looked.
    pub(crate) fn is_due(&mut self, now: Timestamp) -> bool {
        let rested = self.looked.is_none_or(|at| now.since(at) >= LOOK || now < at);
        if rested {
            self.looked = Some(now);
        }
        rested
    }

    /// What to ask now about these alerts; it then counts as asked.
    pub(crate) fn wanted<'a>(&mut self, rows: impl Iterator<Item = &'a AlertRow>, now: Timestamp) -> Vec<Question> {
        if self.waiting.is_some_and(|since| now.since(since) < PATIENCE && now >= since) {
            return Vec::new();
        }
        let unknown = |row: &&AlertRow| {
            let id = row.alert.id;
            row.state != AlertState::Expired
                && self
                    .counts
                    .get(&id)
                    .is_none_or(|count| count.version != row.alert.version || now.since(count.asked) > KEEP)
        };
        let most = if self.singly { 1 } else { AT_ONCE };
        let out: Vec<Question> = rows
            .filter(unknown)
            .take(most)
            .map(|row| (row.alert.id, row.alert.version, row.alert.rule.to_string()))
            .collect();
        if !out.is_empty() {
            self.waiting = Some(now);
        }
        out
    }

    /// What was answered.
    pub(crate) fn answered(&mut self, asked: &[Question], answer: Option<&BacktestAnswer>, now: Timestamp) {
        self.waiting = None;
        if answer.is_none() && asked.len() > 1 {
            self.singly = true;
            return;
        }
        self.singly &= answer.is_none();
        for (place, (id, version, _)) in asked.iter().enumerate() {
            let of_this = |answer: &BacktestAnswer| {
                let (from, to) = answer.summary.from.zip(answer.summary.to)?;
                let days = to.since(from).as_seconds().saturating_add(DAY / 2) / DAY;
                let count = answer.alerts.iter().find(|alert| alert.alert == place)?.count;
                Some(Times { count, days: days.max(1) })
            };
            self.counts.insert(*id, Count { version: *version, asked: now, times: answer.and_then(of_this) });
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::backtest::{AlertSummary, BacktestSummary};

    use super::*;
    use crate::app::fixture::{alert, noon};

    fn answer(counts: &[u64]) -> BacktestAnswer {
        let one = |(alert, &count): (usize, &u64)| AlertSummary {
            alert,
            expr: String::new(),
            count,
            longest_quiet: Span::ZERO,
            suppressed: 0,
        };
        BacktestAnswer {
            summary: BacktestSummary {
                from: Some(noon().minus(Span::from_seconds(30 * DAY))),
                to: Some(noon()),
                ..BacktestSummary::default()
            },
            alerts: counts.iter().enumerate().map(one).collect(),
            firings: Vec::new(),
            omitted: 0,
        }
    }

    #[test]
    fn alerts_are_counted_once_and_anew_when_they_change() {
        let times = |count| Some(Times { count, days: 30 });
        let mut rows = [
            alert(1, "BTC > 1", AlertState::Armed),
            alert(2, "BTC > 2", AlertState::Paused),
            alert(3, "BTC > 3", AlertState::Expired),
        ];
        let mut hits = Hits::default();
        let asked = hits.wanted(rows.iter(), noon());
        assert_eq!(asked.iter().map(|(id, _, _)| id.0).collect::<Vec<_>>(), [1, 2]);
        assert!(hits.wanted(rows.iter(), noon()).is_empty(), "one question at a time");
        hits.answered(&asked, Some(&answer(&[4, 0])), noon());
        assert_eq!((hits.of(&rows[0]), hits.of(&rows[1]), hits.of(&rows[2])), (times(4), times(0), None));
        assert!(hits.wanted(rows.iter(), noon()).is_empty());
        rows[0].alert.version = 2;
        assert_eq!(hits.of(&rows[0]), None, "the count of what it was is not its own");
        assert_eq!(hits.wanted(rows.iter(), noon()).len(), 1);
    }

    #[test]
    fn one_that_cannot_be_counted_does_not_spoil_the_others() {
        let times = |count| Some(Times { count, days: 30 });
        let rows = [alert(1, "BTC > 1", AlertState::Armed), alert(2, "BTC > 2", AlertState::Armed)];
        let mut hits = Hits::default();
        let asked = hits.wanted(rows.iter(), noon());
        hits.answered(&asked, None, noon());
        let first = hits.wanted(rows.iter(), noon());
        assert_eq!(first.len(), 1);
        hits.answered(&first, None, noon());
        let second = hits.wanted(rows.iter(), noon());
        assert_eq!(second[0].0, AlertId(2));
        hits.answered(&second, Some(&answer(&[7])), noon());
        assert_eq!((hits.of(&rows[0]), hits.of(&rows[1])), (None, times(7)));
    }
}
