//! Splits, as the `chart` endpoint lists them: each share and fund is asked about once a day, and at once after a step like that
//! of a split.

use std::collections::{BTreeMap, VecDeque};

use bellwether_core::{
    instrument::Symbol,
    price::Price,
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

/// How often each is asked about.
const EVERY: Span = Span::from_seconds(86_400);
/// After a step, it is not asked about again within this time.
const AGAIN: Span = Span::from_seconds(600);
/// How far back a split is news, and how far ahead its date may lie.
const RECENT: (Span, Span) = (Span::from_seconds(7 * 86_400), Span::from_seconds(86_400));
/// How far from a ratio a step is taken for it, in per cent.
const NEAR: Decimal = Decimal::from_parts(5, 0, 0, false, 0);
/// Ratios that splits have, in tenths: 3:2, 2:1, ... 50:1.
const RATIOS: [i64; 13] = [15, 20, 30, 40, 50, 60, 70, 80, 100, 150, 200, 250, 500];

/// One split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// New units for one old: 4 where each share became four, 0.1 where ten became one.
    pub(super) ratio: Decimal,
    /// The first moment of trading in new units.
    pub(super) at: Timestamp,
}

/// Reads the recent splits of a chart:
/// `{"chart":{"result":[{"meta":{…},"timestamp":[…],"events":{"splits":{"1598880600":{"date":1598880600,"numerator":4,
/// "denominator":1,"splitRatio":"4:1"}}},…}],"error":null}}`. Nothing where it is no chart; without splits there is no `events`.
pub(super) fn parse(body: &str, now: Timestamp) -> Option<Vec<Split>> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        chart: Chart<'a>,
    }
    #[derive(Deserialize)]
    struct Chart<'a> {
        #[serde(borrow)]
        result: Vec<Entry<'a>>,
    }
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        events: Option<Events<'a>>,
    }
    #[derive(Deserialize)]
    struct Events<'a> {
        #[serde(borrow)]
        splits: Option<BTreeMap<String, &'a RawValue>>,
    }
    let wrapped: Wrapped<'_> = serde_json::from_str(body).ok()?;
    let entry = wrapped.chart.result.into_iter().next()?;
    let listed = entry.events.and_then(|events| events.splits).unwrap_or_default();
    let mut splits: Vec<Split> = listed.values().filter_map(|raw| read(raw.get())).collect();
    splits.retain(|split| split.at >= now.minus(RECENT.0) && split.at <= now.plus(RECENT.1));
    splits.sort_by_key(|split| split.at);
    Some(splits)
}

fn read(raw: &str) -> Option<Split> {
    #[derive(Deserialize)]
    struct Listed<'a> {
        date: i64,
        #[serde(borrow)]
        numerator: &'a RawValue,
        #[serde(borrow)]
        denominator: &'a RawValue,
    }
    let listed: Listed<'_> = serde_json::from_str(raw).ok()?;
    let number = |raw: &RawValue| Price::from_json(raw.get()).ok().filter(|n| n.is_positive()).map(Price::decimal);
    let ratio = number(listed.numerator)?.checked_div(number(listed.denominator)?)?.normalize();
    (ratio > Decimal::ZERO && ratio != Decimal::ONE).then(|| Split { ratio, at: Timestamp::from_seconds(listed.date) })
}

/// Whether the step from one price to the next looks like that of a split.
pub(super) fn suspicious(before: Price, after: Price) -> bool {
    let (high, low) = if before >= after { (before, after) } else { (after, before) };
    if !low.is_positive() {
        return false;
    }
    let Some(step) = high.decimal().checked_div(low.decimal()) else { return false };
    RATIOS.iter().any(|&tenths| {
        let ratio = Decimal::new(tenths, 1);
        (step - ratio).abs() * Decimal::ONE_HUNDRED <= ratio * NEAR
    })
}

/// When which instrument is asked about.
#[derive(Debug)]
pub(super) struct Rounds {
    asked: BTreeMap<Symbol, Timestamp>,
    urgent: VecDeque<Symbol>,
    /// One question in this time at most, but for urgent ones.
    every: Span,
    next: Option<Timestamp>,
}

impl Rounds {
    pub(super) const fn new(every: Span) -> Self {
        Self { asked: BTreeMap::new(), urgent: VecDeque::new(), every, next: None }
    }

    /// This one has made a step like that of a split.
    pub(super) fn suspect(&mut self, symbol: Symbol, now: Timestamp) {
        let lately = self.asked.get(&symbol).is_some_and(|at| now.since(*at) < AGAIN);
        if !lately && !self.urgent.contains(&symbol) {
            self.urgent.push_back(symbol);
        }
    }

    /// Whom to ask about now.
    pub(super) fn due(&self, all: impl IntoIterator<Item = Symbol>, now: Timestamp) -> Option<Symbol> {
        if let Some(symbol) = self.urgent.front() {
            return Some(*symbol);
        }
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        all.into_iter().find(|symbol| self.asked.get(symbol).is_none_or(|at| now.since(*at) >= EVERY))
    }

    /// The first round of prices is in: the daily questions may begin, one interval from now.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.next.get_or_insert(now.plus(self.every));
    }

    /// This one is being asked about.
    pub(super) fn asked(&mut self, symbol: Symbol, now: Timestamp) {
        self.urgent.retain(|urgent| *urgent != symbol);
        self.asked.insert(symbol, now);
        self.next = Some(now.plus(self.every));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHART: &str = include_str!("../../../../tests/data/captures/yahoo/AAPL-2020-08-31-to-2020-11-07.json");

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn apples_split_of_2020_is_four_for_one() {
        let split = Split { ratio: Decimal::from(4), at: at("2020-08-31T13:30:00Z") };
        assert_eq!(parse(CHART, at("2020-09-01T00:00:00Z")), Some(vec![split]));
        assert_eq!(parse(CHART, at("2020-08-30T20:00:00Z")), Some(vec![split]), "known the evening before");
        assert_eq!(parse(CHART, at("2020-11-07T00:00:00Z")), Some(Vec::new()), "no news any more");
    }

    #[test]
    fn shares_may_be_put_together_and_nonsense_is_no_split() {
        let chart = |splits: &str| {
            let body = format!(r#"{{"chart":{{"result":[{{"events":{{"splits":{splits}}}}}],"error":null}}}}"#);
            parse(&body, Timestamp::from_seconds(1_000_000))
        };
        let one = |numerator: &str, denominator: &str| {
            let split = format!(r#"{{"1":{{"date":1000000,"numerator":{numerator},"denominator":{denominator}}}}}"#);
            chart(&split).expect("a chart").first().map(|split| split.ratio.to_string())
        };
        assert_eq!(one("1", "10").as_deref(), Some("0.1"));
        assert_eq!(one("3.0", "2.0").as_deref(), Some("1.5"));
        for (numerator, denominator) in
            [("1", "1"), ("0", "1"), ("1", "0"), ("-2", "1"), ("\"NaN\"", "1"), ("null", "1")]
        {
            assert_eq!(one(numerator, denominator), None, "{numerator}:{denominator}");
        }
        assert_eq!(chart(r#"{"1":null,"2":{"date":"x"},"3":5}"#), Some(Vec::new()));
        for body in
            ["", "[]", "{}", r#"{"chart":{"result":null,"error":{"code":"Not Found"}}}"#, r#"{"chart":{"result":[]}}"#]
        {
            assert_eq!(parse(body, Timestamp::from_seconds(1)), None, "{body}");
        }
    }

    #[test]
    fn steps_of_whole_ratios_are_suspicious_in_both_directions() {
        let price = |text: &str| text.parse::<Price>().expect(text);
        for (before, after, expected) in [
            ("400", "101", true),
            ("101", "400", true),
            ("10", "98", true),
            ("300", "199", true),
            ("100", "90", false),
            ("100", "78", false),
            ("100", "40", false),
            ("-5", "10", false),
            ("0", "10", false),
        ] {
            assert_eq!(suspicious(price(before), price(after)), expected, "{before} -> {after}");
        }
    }

    #[test]
    fn each_is_asked_about_once_a_day_and_at_once_after_a_step() {
        let [apple, nvidia] = ["AAPL", "NVDA"].map(|text| text.parse::<Symbol>().expect(text));
        let now = at("2026-11-23T15:00:00Z");
        let later = |seconds| now.plus(Span::from_seconds(seconds));
        let mut rounds = Rounds::new(Span::from_seconds(90));
        assert_eq!(rounds.due([apple, nvidia], now), None, "prices come first");
        rounds.begin(now);
        assert_eq!(rounds.due([apple, nvidia], later(89)), None);
        assert_eq!(rounds.due([apple, nvidia], later(90)), Some(apple));
        rounds.asked(apple, later(90));
        assert_eq!(rounds.due([apple, nvidia], later(100)), None, "one in an interval");
        assert_eq!(rounds.due([apple, nvidia], later(180)), Some(nvidia));
        rounds.asked(nvidia, later(180));
        assert_eq!(rounds.due([apple, nvidia], later(86_000)), None);
        assert_eq!(rounds.due([apple, nvidia], later(86_490)), Some(apple));
        rounds.suspect(nvidia, later(300));
        assert_eq!(rounds.due([apple, nvidia], later(300)), None, "asked a moment ago");
        rounds.suspect(nvidia, later(800));
        assert_eq!(rounds.due([apple, nvidia], later(800)), Some(nvidia));
        rounds.asked(nvidia, later(800));
        assert_eq!(rounds.due([apple, nvidia], later(800)), None);
    }
}
