//! Trading hours as the source states them: they know holidays and half days, which no calendar here does.
//!
//! Outside trading hours the "current" period of an answer is already the next one, so on a holiday the regular hours of a
//! weekday lie on the next day. What was stated earlier is kept for a while: a price of this afternoon is of today's hours.

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    instrument::Instrument,
    tick::Session,
    time::{Span, Timestamp},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Seconds after the closing in which the closing price itself may still come.
const CLOSING: i64 = 15 * 60;
/// No trading day is longer than this; what claims to be is none.
const LONGEST: i64 = 2 * 86_400;
/// How many trading days are remembered.
const DAYS: usize = 4;
/// For how long what was stated tells that a market is closed. An answer comes each few minutes at most.
const TRUSTED: Span = Span::from_seconds(2 * 3_600);

/// What a market is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Pre,
    Regular,
    Post,
    Closed,
}

/// From (inclusive) and to (exclusive) in seconds: `{"timezone":"IST","start":1775792700,"end":1775815200,"gmtoffset":19800}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Period {
    start: i64,
    end: i64,
}

impl Period {
    const fn holds(self, seconds: i64) -> bool {
        self.start <= seconds && seconds < self.end
    }

    const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    fn sound(self) -> bool {
        self.start > 0 && self.end.checked_sub(self.start).is_some_and(|length| (0..=LONGEST).contains(&length))
    }
}

/// `{"pre":{…},"regular":{…},"post":{…}}`; a market without the outer two has empty ones or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Day {
    #[serde(default)]
    pre: Option<Period>,
    regular: Period,
    #[serde(default)]
    post: Option<Period>,
}

impl Day {
    fn part(&self, seconds: i64) -> Option<Part> {
        if self.regular.holds(seconds) {
            Some(Part::Regular)
        } else if self.pre.is_some_and(|p| p.holds(seconds)) {
            Some(Part::Pre)
        } else if self.post.is_some_and(|p| p.holds(seconds)) {
            Some(Part::Post)
        } else {
            None
        }
    }

    fn sound(&self) -> bool {
        self.regular.sound() && !self.regular.is_empty()
    }

    /// Without what cannot be.
    fn cleaned(self) -> Self {
        let part = |period: Option<Period>| period.filter(|p| p.sound() && !p.is_empty());
        Self { pre: part(self.pre), regular: self.regular, post: part(self.post) }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.regular.start < other.regular.end && other.regular.start < self.regular.end
    }
}

/// The trading hours of one instrument, as far as they were stated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hours {
    /// In their order; no two overlap.
    days: Vec<Day>,
    /// Whether there are prices outside the regular hours at all.
    pre_post: Option<bool>,
    stated: Option<Timestamp>,
}

impl Hours {
    /// Reads `currentTradingPeriod` and `tradingPeriods`; what cannot be read was not stated.
    pub(super) fn stated(
        current: Option<&RawValue>,
        periods: Option<&RawValue>,
        pre_post: Option<bool>,
        now: Timestamp,
    ) -> Self {
        let mut hours = Self { pre_post, ..Self::default() };
        let listed = periods.map(|raw| days_of(raw.get())).unwrap_or_default();
        let current = current.and_then(|raw| serde_json::from_str::<Day>(raw.get()).ok());
        for day in listed.into_iter().chain(current).filter(Day::sound) {
            hours.add(day.cleaned());
            hours.stated = Some(now);
        }
        hours
    }

    /// Takes in what was stated later.
    pub(super) fn learn(&mut self, later: Self) {
        for day in later.days {
            self.add(day);
        }
        self.pre_post = later.pre_post.or(self.pre_post);
        self.stated = later.stated.or(self.stated);
    }

    fn add(&mut self, day: Day) {
        match self.days.iter_mut().find(|known| known.overlaps(&day)) {
            // `tradingPeriods` may list the regular hours only.
            Some(known) => {
                *known = Day { pre: day.pre.or(known.pre), regular: day.regular, post: day.post.or(known.post) };
            }
            None => self.days.push(day),
        }
        self.days.sort_by_key(|day| day.regular.start);
        let surplus = self.days.len().saturating_sub(DAYS);
        self.days.drain(..surplus);
    }

    fn stated_part(&self, seconds: i64) -> Option<Part> {
        self.days.iter().find_map(|day| day.part(seconds))
    }

    /// What the market is doing at `now`: as stated, else by its usual hours.
    pub(super) fn now(&self, instrument: &Instrument, now: Timestamp) -> Part {
        if let Some(part) = self.stated_part(now.as_seconds()) {
            return part;
        }
        // The next hours are known, and they have not begun: a night, a weekend, a holiday.
        if self.stated.is_some_and(|at| now.since(at) <= TRUSTED) {
            return Part::Closed;
        }
        match market_hours(&instrument.session, &instrument.timezone, now) {
            MarketHours::Open | MarketHours::Unknown => Part::Regular,
            MarketHours::Pre => Part::Pre,
            MarketHours::Post => Part::Post,
            MarketHours::Closed => Part::Closed,
        }
    }

    /// When the part of the day that holds `now` began, where that was stated.
    pub(super) fn began(&self, now: Timestamp) -> Option<Timestamp> {
        let seconds = now.as_seconds();
        let parts = self.days.iter().flat_map(|day| [Some(day.regular), day.pre, day.post]);
        parts.flatten().find(|part| part.holds(seconds)).map(|part| Timestamp::from_seconds(part.start))
    }

    /// The session of a price of that time; `regular` where its sender means the regular session's. The closing price may bear a
    /// time of just after the closing.
    pub(super) fn session(&self, instrument: &Instrument, seconds: i64, regular: bool) -> Session {
        if self.pre_post == Some(false) {
            return Session::Regular;
        }
        let closing =
            self.days.iter().any(|day| (day.regular.end..day.regular.end.saturating_add(CLOSING)).contains(&seconds));
        match self.stated_part(seconds) {
            Some(Part::Regular) => return Session::Regular,
            Some(Part::Pre) => return Session::Pre,
            Some(Part::Post) if !(regular && closing) => return Session::Post,
            _ if regular && closing => return Session::Regular,
            _ => {}
        }
        let at = |seconds| market_hours(&instrument.session, &instrument.timezone, Timestamp::from_seconds(seconds));
        match at(seconds) {
            MarketHours::Pre => Session::Pre,
            MarketHours::Post if !regular || at(seconds.saturating_sub(CLOSING)) == MarketHours::Post => Session::Post,
            _ => Session::Regular,
        }
    }
}

/// `[[{…}]]`, the regular hours of each day, or with the hours around them `{"pre":[[{…}]],"regular":[[{…}]],"post":[[{…}]]}`.
fn days_of(raw: &str) -> Vec<Day> {
    #[derive(Deserialize)]
    struct Parts {
        #[serde(default)]
        pre: Vec<Vec<Period>>,
        regular: Vec<Vec<Period>>,
        #[serde(default)]
        post: Vec<Vec<Period>>,
    }
    let parts = serde_json::from_str::<Parts>(raw)
        .or_else(|_| serde_json::from_str(raw).map(|regular| Parts { pre: Vec::new(), regular, post: Vec::new() }));
    let Ok(parts) = parts else { return Vec::new() };
    let nth = |list: &[Vec<Period>], day: usize| list.get(day).and_then(|day| day.first()).copied();
    let days = parts.regular.iter().enumerate().filter_map(|(place, regular)| {
        Some(Day { pre: nth(&parts.pre, place), regular: *regular.first()?, post: nth(&parts.post, place) })
    });
    days.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::test_support::instruments;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn hours(current: &str, periods: &str, now: &str) -> Hours {
        Hours::stated(Some(&raw(current)), Some(&raw(periods)), Some(true), at(now))
    }

    fn day(open: &str, close: &str) -> String {
        let (open, close) = (at(open).as_seconds(), at(close).as_seconds());
        let (pre, post) = (open - 19_800, close + 14_400);
        format!(
            r#"{{"pre":{{"start":{pre},"end":{open}}},"regular":{{"start":{open},"end":{close}}},"post":{{"start":{close},"end":{post}}}}}"#
        )
    }

    #[test]
    fn a_holiday_is_a_weekday_whose_regular_hours_lie_tomorrow() {
        let apple = &instruments(&["AAPL"])[0];
        // Thanksgiving, Thursday 26 November 2026; the Friday after it is a half day.
        let friday = day("2026-11-27T14:30:00Z", "2026-11-27T18:00:00Z");
        let stated = hours(&friday, "null", "2026-11-26T15:00:00Z");
        assert_eq!(stated.now(apple, at("2026-11-26T15:01:00Z")), Part::Closed);
        assert_eq!(Hours::default().now(apple, at("2026-11-26T15:01:00Z")), Part::Regular, "the calendar knows none");
        for (time, expected) in [
            ("2026-11-27T14:00:00Z", Part::Pre),
            ("2026-11-27T14:30:00Z", Part::Regular),
            ("2026-11-27T17:59:59Z", Part::Regular),
            ("2026-11-27T18:00:00Z", Part::Post),
        ] {
            assert_eq!(stated.now(apple, at(time)), expected, "{time}");
        }
        let session = |time: &str, regular| stated.session(apple, at(time).as_seconds(), regular);
        assert_eq!(session("2026-11-27T19:00:00Z", false), Session::Post, "regular by the calendar, but not that day");
        assert_eq!(session("2026-11-27T18:00:03Z", true), Session::Regular, "the closing price");
        assert_eq!(session("2026-11-27T18:00:03Z", false), Session::Post);
    }

    #[test]
    fn what_was_stated_this_afternoon_is_still_known_tonight() {
        let apple = &instruments(&["AAPL"])[0];
        let mut known = hours(&day("2026-11-27T14:30:00Z", "2026-11-27T18:00:00Z"), "null", "2026-11-27T17:00:00Z");
        known.learn(hours(&day("2026-11-30T14:30:00Z", "2026-11-30T21:00:00Z"), "null", "2026-11-27T23:00:00Z"));
        assert_eq!(known.session(apple, at("2026-11-27T19:00:00Z").as_seconds(), false), Session::Post);
        assert_eq!(known.now(apple, at("2026-11-27T23:01:00Z")), Part::Closed);
        assert_eq!(known.began(at("2026-11-27T19:00:00Z")), Some(at("2026-11-27T18:00:00Z")));
        assert_eq!(known.began(at("2026-11-28T19:00:00Z")), None);
    }

    #[test]
    fn all_shapes_of_trading_periods_are_read_and_nonsense_is_not_stated() {
        let list = r#"[[{"timezone":"IST","start":1775792700,"end":1775815200,"gmtoffset":19800}]]"#;
        let parts = r#"{"pre":[[{"start":1775789100,"end":1775792700}]],"regular":[[{"start":1775792700,"end":1775815200}]],
            "post":[[{"start":1775815200,"end":1775820000}]]}"#;
        let now = "2026-04-10T08:00:00Z";
        let part = |periods: &str, seconds| hours("null", periods, now).stated_part(seconds);
        assert_eq!(part(list, 1_775_800_000), Some(Part::Regular));
        assert_eq!(part(list, 1_775_790_000), None);
        assert_eq!(part(parts, 1_775_790_000), Some(Part::Pre));
        assert_eq!(part(parts, 1_775_816_000), Some(Part::Post));
        for nonsense in ["null", "[]", "{}", "[[]]", "[[{\"start\":5}]]", "\"x\"", r#"[[{"start":9,"end":1}]]"#] {
            let stated = hours(nonsense, nonsense, now);
            assert_eq!((stated.days.len(), stated.stated), (0, None), "{nonsense}");
        }
        let endless = format!(r#"{{"regular":{{"start":1,"end":{}}}}}"#, i64::MAX);
        assert_eq!(hours(&endless, "null", now).days, [], "an endless day is none");
        let merged = hours(parts.replace("[[", "").replace("]]", "").as_str(), list, now);
        assert_eq!(merged.stated_part(1_775_790_000), Some(Part::Pre), "{merged:?}");
        assert_eq!(merged.days.len(), 1);
    }
}
