//! What fires together goes out together: windows, storms, digests (`docs/alerts.md`, C7).
//!
//! The first firing for a target goes out at once and opens a window. What fires inside it waits for its end and goes out as one
//! message, which opens the next window. More than 30 firings in a minute are a storm: windows are twice as long until fewer than
//! 10 a minute have fired for 3 minutes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// The most lines of a digest; what is beyond is counted.
pub const DIGEST_LINES: usize = 20;
/// The most alerts that a digest names as flapping.
pub const FLAPPING: usize = 5;
/// From this many firings in one digest on, an alert flaps.
pub const FLAPS: u32 = 3;
/// How long firings are collected unless the configuration says otherwise.
pub const WINDOW: Span = Span::from_seconds(30);

/// More firings than this within [`MINUTE`] are a storm.
const STORM: usize = 30;
/// As many within [`MINUTE`] keep it going, ...
const UNREST: usize = 10;
/// ... and it is over when there were fewer for so long.
const CALM: Span = Span::from_seconds(180);
const MINUTE: Span = Span::from_seconds(60);

/// How long firings for one target are collected. No time: each goes out by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The window; twice as long in a storm.
    pub window: Span,
}

impl Default for Grouping {
    fn default() -> Self {
        Self { window: WINDOW }
    }
}

impl Grouping {
    /// Each firing by itself.
    pub const OFF: Self = Self { window: Span::ZERO };

    /// Whether nothing is collected.
    pub const fn is_off(self) -> bool {
        self.window.is_zero()
    }
}

/// What is known of the firings for one target in the last minutes. Survives restarts beside the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Until then, in microseconds, firings are collected.
    window_until: i64,
    /// Until then a storm goes on, as far as is known now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storm_until: Option<i64>,
    /// When the latest firings came, oldest first.
    #[serde(default)]
    latest: VecDeque<i64>,
}

impl Flow {
    /// A firing has come `now`: when it goes out at the earliest. That is `now` for one that finds no window open; it opens one.
    pub fn arrive(&mut self, now: Timestamp, grouping: Grouping) -> Timestamp {
        if grouping.is_off() {
            return now;
        }
        self.count(now);
        let until = Timestamp::from_micros(self.window_until);
        // A window is never longer than the longest; a clock that was set back must not hold anything.
        if now < until && until.since(now) <= grouping.window.times(2) {
            return until;
        }
        self.open(now, grouping);
        now
    }

    /// A message goes out `now`: the next window begins, unless one that was opened for it still runs.
    pub fn sent(&mut self, now: Timestamp, grouping: Grouping) {
        if !grouping.is_off() && self.window_until <= now.as_micros() {
            self.open(now, grouping);
        }
    }

    /// Whether so much fires that windows are longer.
    pub fn is_storm(&self, now: Timestamp) -> bool {
        self.storm_until.is_some_and(|until| now.as_micros() < until)
    }

    fn open(&mut self, now: Timestamp, grouping: Grouping) {
        let window = if self.is_storm(now) { grouping.window.times(2) } else { grouping.window };
        self.window_until = now.plus(window).as_micros();
    }

    fn count(&mut self, now: Timestamp) {
        let now = now.as_micros().max(self.latest.back().copied().unwrap_or(i64::MIN));
        if self.latest.len() > STORM {
            self.latest.pop_front();
        }
        self.latest.push_back(now);
        let within = |count: usize| {
            let at = self.latest.len().checked_sub(count).map(|place| self.latest[place]);
            at.filter(|at| now - at < MINUTE.as_micros())
        };
        // Ten within a minute: that minute is over 60 s after the first of them, and calm has to last from then on.
        let restless = within(UNREST).map(|first| first + MINUTE.as_micros() + CALM.as_micros());
        if self.storm_until.is_some_and(|until| now < until) {
            self.storm_until = self.storm_until.max(restless);
        } else {
            self.storm_until = if within(STORM + 1).is_some() { restless } else { None };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    /// Gives the firings (in seconds) to a flow whose every message is sent when its time has come; gives the messages, each with
    /// its time and how many firings it holds.
    fn messages(firings: &[i64]) -> Vec<(i64, usize)> {
        let (mut flow, mut waiting, mut out) = (Flow::default(), Vec::new(), Vec::new());
        let grouping = Grouping::default();
        let mut firings = firings.iter().copied().peekable();
        for second in 0..4_000 {
            let now = at(second * 1_000);
            while firings.next_if_eq(&second).is_some() {
                waiting.push(flow.arrive(now, grouping));
            }
            let due = waiting.iter().filter(|at| **at <= now).count();
            if due > 0 {
                waiting.retain(|at| *at > now);
                flow.sent(now, grouping);
                out.push((second, due));
            }
        }
        assert!(waiting.is_empty());
        out
    }

    #[test]
    fn the_first_goes_at_once_and_what_follows_in_thirty_seconds_goes_together() {
        for (firings, expected) in [
            (vec![5], vec![(5, 1)]),
            (vec![0, 10, 20], vec![(0, 1), (30, 2)]),
            (vec![0, 10, 31, 95], vec![(0, 1), (30, 1), (60, 1), (95, 1)]),
            // Exactly at the end of the window: not inside any more, but another message goes out just then.
            (vec![0, 29, 30], vec![(0, 1), (30, 2)]),
            (vec![0, 30], vec![(0, 1), (30, 1)]),
            (vec![7; 20], vec![(7, 1), (37, 19)]),
        ] {
            assert_eq!(messages(&firings), expected, "{firings:?}");
        }
    }

    #[test]
    fn more_than_thirty_a_minute_make_windows_of_a_minute_until_it_is_calm_for_three() {
        // 31 in the first minute, then one each 5 s for two minutes, then one each 10 s.
        let firings: Vec<i64> = (0..31).chain((35..160).step_by(5)).chain((160..600).step_by(10)).collect();
        let told = messages(&firings);
        let times: Vec<i64> = told.iter().map(|(second, _)| *second).collect();
        assert_eq!(times[..4], [0, 30, 90, 150], "{told:?}");
        // One each 10 s is six a minute: ten within a minute end at 205 or so, calm lasts 180 s from there.
        let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let last_long = times[gaps.iter().rposition(|gap| *gap == 60).expect("long windows") + 1];
        assert!((380..=480).contains(&last_long), "{told:?}");
        assert!(gaps[gaps.len() - 3..].iter().all(|gap| *gap == 30), "{told:?}");
        assert_eq!(told.iter().map(|(_, count)| count).sum::<usize>(), firings.len());
    }

    #[test]
    fn thirty_in_a_minute_are_no_storm_and_thirty_one_are() {
        for (count, storm) in [(30, false), (31, true)] {
            let mut flow = Flow::default();
            for n in 0..count {
                flow.arrive(at(n * 1_900), Grouping::default());
            }
            assert_eq!(flow.is_storm(at(count * 1_900)), storm, "{count}");
        }
    }

    #[test]
    fn off_means_off_and_a_flow_survives_being_written_down() {
        let mut flow = Flow::default();
        for n in 0..100 {
            assert_eq!(flow.arrive(at(n), Grouping::OFF), at(n));
        }
        assert_eq!(flow, Flow::default());
        for n in 0..100 {
            flow.arrive(at(n), Grouping::default());
        }
        let text = serde_json::to_string(&flow).expect("JSON");
        assert_eq!(serde_json::from_str::<Flow>(&text).expect("read"), flow);
        assert!(text.len() < 700, "it does not grow: {text}");
    }

    proptest! {
        /// Nothing waits longer than two windows, nothing leaves before it came, and messages are a window apart.
        #[test]
        fn whatever_fires_waits_for_a_minute_at_most(mut firings in prop::collection::vec(0_i64..3_000, 1..300)) {
            firings.sort_unstable();
            let told = messages(&firings);
            prop_assert_eq!(told.iter().map(|(_, count)| count).sum::<usize>(), firings.len());
            for pair in told.windows(2) {
                prop_assert!(pair[1].0 - pair[0].0 >= 30, "{:?}", told);
            }
            let mut rest = firings.iter();
            for (second, count) in &told {
                for fired in rest.by_ref().take(*count) {
                    prop_assert!(fired <= second && second - fired <= 60, "{:?}", told);
                }
            }
        }

        /// A storm ends as the slow definition says: when no minute of the last three held ten.
        #[test]
        fn a_storm_lasts_until_every_minute_of_the_last_three_held_fewer_than_ten(
            gaps in prop::collection::vec(0_i64..15, 31..200)
        ) {
            let mut flow = Flow::default();
            let (mut now, mut all, mut stormy) = (0, Vec::new(), false);
            for gap in gaps {
                for _ in 0..gap {
                    now += 1;
                    // Ten within some minute that touches the last three.
                    let restless = all.windows(10).any(|ten: &[i64]| ten[9] - ten[0] < 60 && ten[0] + 240 > now);
                    stormy = stormy && restless;
                    prop_assert_eq!(flow.is_storm(at(now * 1_000)), stormy, "at {}: {:?}", now, &all);
                }
                all.push(now);
                flow.arrive(at(now * 1_000), Grouping::default());
                stormy = stormy || all.iter().filter(|fired| now - **fired < 60).count() > 30;
                prop_assert_eq!(flow.is_storm(at(now * 1_000)), stormy);
            }
        }
    }
}
