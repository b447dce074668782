//! What the alert being written would have done: asked of the daemon once typing rests, shown when the answer comes, never waited for.

use bellwether_core::{
    backtest::BacktestAnswer,
    time::{Span, Timestamp},
};
use jiff::tz::TimeZone;

/// How long typing must rest before the daemon is asked.
const REST: Span = Span::from_millis(300);
/// How far back it looks.
pub(crate) const DAYS: u32 = 30;
/// How many of its firings are named.
const MOST_DATES: usize = 4;
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// What is known of the past of the line being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// When the line was last changed.
    changed: Timestamp,
    /// The line that was last asked about.
    asked: Option<String>,
    /// What was answered, for which line.
    answer: Option<(String, String)>,
}

impl Past {
    /// The line has been changed.
    pub(crate) fn changed(&mut self, now: Timestamp) {
        self.changed = now;
    }

    /// When `line`, which is an alert, is to be asked about; never where that has been done.
    pub(crate) fn due(&self, line: &str) -> Option<Timestamp> {
        (self.asked.as_deref() != Some(line)).then(|| self.changed.plus(REST))
    }

    /// Whether to ask about `line` now. It is then taken as asked: a question that fails is not repeated.
    pub(crate) fn ask(&mut self, line: &str, now: Timestamp) -> bool {
        // A clock that is set back must not postpone it for ever.
        let due = self.due(line).is_some_and(|due| due <= now || now < self.changed);
        if due {
            self.asked = Some(line.to_owned());
        }
        due
    }

    /// The answer about a line.
    pub(crate) fn answered(&mut self, line: String, answer: &BacktestAnswer, zone: &TimeZone) {
        self.answer = Some((line, words(answer, zone)));
    }

    /// What there is to say of `line`.
    pub(crate) fn words(&self, line: &str) -> Option<&str> {
        self.answer.as_ref().filter(|(about, _)| about == line).map(|(_, words)| words.as_str())
    }
}

/// `last 30 days: 4 times (Nov 3 09:12, Nov 7 22:40, …), longest quiet 9d 4h, 2 suppressed by the cooldown; by bars of 5m`
fn words(answer: &BacktestAnswer, zone: &TimeZone) -> String {
    let summary = &answer.summary;
    let (Some(from), Some(to)) = (summary.from, summary.to) else {
        return "no history of it yet to try it on".to_owned();
    };
    let seen = to.since(from);
    let whole = seen.as_seconds() >= (i64::from(DAYS) - 1) * DAY;
    let history = if whole { format!("{DAYS} days") } else { format!("{} (all there is)", rough(seen)) };
    let bars = summary.bar.map_or(String::new(), |bar| format!("; by bars of {bar}"));
    let times = match summary.count {
        0 => return format!("last {history}: it would not have fired{bars}"),
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    let quiet = rough(summary.longest_quiet);
    let suppressed = match summary.suppressed {
        0 => String::new(),
        some => format!(", {some} suppressed by the cooldown"),
    };
    let when = dates(answer, zone);
    format!("last {history}: {times}{when}, longest quiet {quiet}{suppressed}{bars}")
}

/// When the last few would have been: ` (Nov 3 09:12, Nov 7 22:40)`.
fn dates(answer: &BacktestAnswer, zone: &TimeZone) -> String {
    // Where some were left out it is the newest that are missing.
    let newest = if answer.omitted > 0 { &[][..] } else { &answer.firings };
    let from = newest.len().saturating_sub(MOST_DATES);
    let date = |at: Timestamp| at.to_jiff().to_zoned(zone.clone()).strftime("%b %-d %H:%M").to_string();
    let mut all: Vec<String> = newest[from..].iter().map(|firing| date(firing.time)).collect();
    if from > 0 {
        all.insert(0, "…".to_owned());
    }
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

/// The two largest units: `9d 4h`, `5h 12m`, `3m`.
fn rough(span: Span) -> String {
    let seconds = span.as_seconds();
    match seconds {
        DAY.. => format!("{}d {}h", seconds / DAY, seconds % DAY / HOUR),
        HOUR.. => format!("{}h {}m", seconds / HOUR, seconds % HOUR / MINUTE),
        MINUTE.. => format!("{}m", seconds / MINUTE),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::backtest::{BacktestFiring, BacktestSummary};

    use super::*;

    fn answer(count: u64, suppressed: u64, seconds: i64) -> BacktestAnswer {
        let summary = BacktestSummary {
            count,
            suppressed,
            longest_quiet: Span::from_seconds(9 * DAY + 4 * HOUR),
            from: (seconds > 0).then_some(Timestamp::default()),
            to: (seconds > 0).then(|| Timestamp::from_seconds(seconds)),
            ..BacktestSummary::default()
        };
        BacktestAnswer { summary, alerts: Vec::new(), firings: Vec::new(), omitted: 0 }
    }

    #[test]
    fn the_past_is_told_with_how_much_of_it_there_is() {
        for (count, suppressed, seconds, expected) in [
            (4, 0, 30 * DAY - 60, "last 30 days: 4 times, longest quiet 9d 4h"),
            (1, 2, 12 * DAY, "last 12d 0h (all there is): once, longest quiet 9d 4h, 2 suppressed by the cooldown"),
            (0, 0, 5 * HOUR + 720, "last 5h 12m (all there is): it would not have fired"),
            (0, 0, 0, "no history of it yet to try it on"),
        ] {
            assert_eq!(words(&answer(count, suppressed, seconds), &TimeZone::UTC), expected);
        }
    }

    #[test]
    fn the_last_firings_are_named_and_the_bars_too() {
        let mut answer = answer(6, 0, 30 * DAY);
        answer.summary.bar = Some(Span::from_seconds(300));
        let symbol = "BTC".parse().expect("a symbol");
        answer.firings = (0..6)
            .map(|n| BacktestFiring {
                alert: 0,
                symbol,
                time: Timestamp::from_seconds(n * DAY),
                price: None,
                reason: String::new(),
            })
            .collect();
        let words = words(&answer, &TimeZone::UTC);
        let dates = "(…, Jan 3 00:00, Jan 4 00:00, Jan 5 00:00, Jan 6 00:00)";
        assert_eq!(words, format!("last 30 days: 6 times {dates}, longest quiet 9d 4h; by bars of 5m"));
    }

    #[test]
    fn the_daemon_is_asked_once_when_typing_rests() {
        let at = Timestamp::from_millis;
        let mut past = Past::default();
        past.changed(at(1_000));
        assert!(!past.ask("BTC > 5", at(1_299)));
        past.changed(at(1_200));
        assert_eq!(past.due("BTC > 5"), Some(at(1_500)));
        assert!(past.ask("BTC > 5", at(1_500)) && !past.ask("BTC > 5", at(9_000)));
        assert_eq!(past.due("BTC > 5"), None);
        past.answered("BTC > 5".to_owned(), &answer(1, 0, DAY), &TimeZone::UTC);
        assert!(past.words("BTC > 5").is_some() && past.words("BTC > 55").is_none(), "an old answer is not shown");
    }
}
