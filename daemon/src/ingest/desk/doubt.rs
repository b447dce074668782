//! Which prices are held until somebody explains them: steps by a hundred (pence for pounds) and by a small whole ratio at an
//! open (a split). Pure; one [`Doubt`] an instrument (docs/alerts.md, B16.7).

use bellwether_core::{
    instrument::FeedId,
    price::Price,
    tick::{Session, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;

use super::{Now, Split};

/// The ratios of splits that are looked for.
const RATIOS: [i64; 11] = [2, 3, 4, 5, 7, 8, 10, 15, 20, 25, 50];
/// How long a ratio must stand to be believed without an explanation, and how many prices must have said so.
const STANDS: (Span, u32) = (Span::from_seconds(15 * 60), 5);
/// How long before its time a split may show in the prices: before the opening.
const EARLY: Span = Span::from_seconds(12 * 3600);
/// The most recorded splits that are remembered.
const MOST: usize = 8;

/// The last price that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) ts: Timestamp,
    pub(super) price: Price,
    pub(super) session: Session,
}

/// What is to be done with a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It goes on.
    Believe,
    /// It waits; `first` where the one before it did not.
    Hold { first: bool },
    /// The split goes on before it.
    After(Split),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Other units.
    Hundred,
    /// Perhaps a split.
    Ratio,
}

#[derive(Clone, Debug)]
struct Held {
    kind: Kind,
    /// The newest price that waits.
    tick: Tick,
    since: Timestamp,
    count: u32,
    /// How many times the last believed price the first one was.
    step: Decimal,
}

/// What is doubtful about one instrument.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    held: Option<Held>,
    splits: Vec<Split>,
}

impl Doubt {
    /// Decides on a price at `ts` that follows `last`. `agrees` says whether another source has this price too.
    pub(super) fn judge(
        &mut self,
        tick: &Tick,
        ts: Timestamp,
        last: Option<Last>,
        stale_after: Span,
        now: Now,
        agrees: impl FnOnce(Price) -> bool,
    ) -> Judgement {
        let Some(last) = last else { return Judgement::Believe };
        self.splits.retain(|split| split.at > last.ts);
        let Some(step) = step(tick.price, last.price) else { return Judgement::Believe };
        if let Some(place) = self.splits.iter().position(|split| explains(*split, step, ts)) {
            self.held = None;
            return Judgement::After(self.splits.remove(place));
        }
        let opens = ts.since(last.ts) > stale_after || tick.session != last.session;
        let (kind, first) = match &self.held {
            Some(held) if nearer_to_one(step, held.step) => {
                self.held = None;
                return Judgement::Believe;
            }
            Some(held) => (held.kind, false),
            None => match suspicious(step, opens) {
                Some(kind) => (kind, true),
                None => return Judgement::Believe,
            },
        };
        let held =
            self.held.get_or_insert_with(|| Held { kind, tick: tick.clone(), since: now.steady, count: 0, step });
        held.tick = tick.clone();
        held.count += 1;
        let stands = now.steady.since(held.since) >= STANDS.0 && held.count >= STANDS.1;
        if agrees(tick.price) || (kind == Kind::Ratio && stands) {
            self.held = None;
            return Judgement::Believe;
        }
        Judgement::Hold { first }
    }

    /// A source records a split. Gives the price that it explains, where one waits.
    pub(super) fn record(&mut self, split: Split, last: Option<Last>) -> Option<Tick> {
        let known = self.splits.iter().any(|s| s.at == split.at);
        let sensible = split.ratio > Decimal::ZERO && split.ratio != Decimal::ONE;
        if known || !sensible || last.is_none_or(|last| split.at <= last.ts) || self.splits.len() >= MOST {
            return None;
        }
        self.splits.push(split);
        let held = self.held.as_ref()?;
        explains(split, held.step, super::time_of(&held.tick)).then(|| held.tick.clone())
    }

    /// A price of `source` that waits, where another source now has `price` too.
    pub(super) fn confirmed_by(&mut self, price: Price, source: FeedId) -> Option<Tick> {
        let confirmed = |held: &mut Held| held.tick.source == source && same(held.tick.price, price);
        self.held.take_if(confirmed).map(|held| held.tick)
    }

    /// The price that waits.
    pub(super) fn waiting(&self) -> Option<Price> {
        self.held.as_ref().map(|held| held.tick.price)
    }
}

/// Whether two prices are the same within two per cent.
pub(super) fn same(one: Price, other: Price) -> bool {
    step(one, other).is_some_and(|step| within(step, Decimal::ONE, Decimal::TWO))
}

/// How many times `base` the price is; `None` where either is not above zero.
fn step(price: Price, base: Price) -> Option<Decimal> {
    let (price, base) = (price.decimal(), base.decimal());
    (price > Decimal::ZERO && base > Decimal::ZERO).then(|| price.checked_div(base)).flatten().filter(|s| !s.is_zero())
}

/// Whether `step` or its inverse lies within so many per cent of `wanted`.
fn within(step: Decimal, wanted: Decimal, percent: Decimal) -> bool {
    let part = wanted * percent / Decimal::ONE_HUNDRED;
    let near = |step: Decimal| (step - wanted).abs() <= part;
    near(step) || Decimal::ONE.checked_div(step).is_some_and(near)
}

fn suspicious(step: Decimal, opens: bool) -> Option<Kind> {
    if within(step, Decimal::ONE_HUNDRED, Decimal::from(5)) {
        return Some(Kind::Hundred);
    }
    let ratio = || RATIOS.iter().any(|&ratio| within(step, Decimal::from(ratio), Decimal::TWO));
    (opens && ratio()).then_some(Kind::Ratio)
}

/// Whether `step` is nearer to none at all than to `held`, by the ratio between them.
fn nearer_to_one(step: Decimal, held: Decimal) -> bool {
    let Some(square) = step.checked_mul(step) else { return false };
    if held < Decimal::ONE { square > held } else { square < held }
}

/// Whether prices of new units would look like this at `ts`.
fn explains(split: Split, step: Decimal, ts: Timestamp) -> bool {
    let expected = Decimal::ONE.checked_div(split.ratio);
    ts >= split.at.minus(EARLY) && expected.is_some_and(|expected| !nearer_to_one(step, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Span = Span::from_seconds(60);

    struct Case {
        doubt: Doubt,
        last: Last,
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_795_300_000 + seconds)
    }

    fn price(text: &str) -> Price {
        text.parse().expect(text)
    }

    impl Case {
        fn after(last: &str) -> Self {
            Self { doubt: Doubt::default(), last: Last { ts: at(0), price: price(last), session: Session::Regular } }
        }

        fn judge(&mut self, seconds: i64, text: &str, other: Option<&str>) -> Judgement {
            let mut tick = Tick::new("X".parse().expect("a symbol"), price(text), FeedId::Yahoo, at(seconds));
            tick.exchange_time = Some(at(seconds));
            let now = Now { wall: at(seconds), steady: at(seconds) };
            let other = other.map(price);
            let judged = self.doubt.judge(&tick, at(seconds), Some(self.last), STALE, now, |price| {
                other.is_some_and(|other| same(price, other))
            });
            if judged != (Judgement::Hold { first: true }) && judged != (Judgement::Hold { first: false }) {
                self.last = Last { ts: at(seconds), price: tick.price, session: Session::Regular };
            }
            judged
        }
    }

    const HELD: Judgement = Judgement::Hold { first: true };
    const STILL: Judgement = Judgement::Hold { first: false };

    #[test]
    fn the_steps_that_are_held_and_those_that_are_not() {
        for (last, next, seconds, expected) in [
            ("71.20", "7120", 1, HELD), // pence
            ("7120", "71.5", 1, HELD),  // pounds
            ("100", "9600", 1, HELD),   // within 5 %
            ("100", "9400", 1, Judgement::Believe),
            ("100", "50", 61, HELD),               // two for one at an open
            ("100", "50", 60, Judgement::Believe), // the market fell while we looked
            ("100", "201", 61, HELD),              // one for two
            ("100", "9.9", 61, HELD),              // ten for one
            ("100", "47", 61, Judgement::Believe),
            ("100", "60", 61, Judgement::Believe),
            ("2", "99", 61, HELD),                     // one for fifty
            ("37.6", "-37.6", 61, Judgement::Believe), // oil
        ] {
            assert_eq!(Case::after(last).judge(seconds, next, None), expected, "{last} -> {next} after {seconds} s");
        }
    }

    #[test]
    fn a_second_source_explains_everything() {
        assert_eq!(Case::after("71.20").judge(1, "7120", Some("7100")), Judgement::Believe);
        let mut case = Case::after("71.20");
        assert_eq!(case.judge(1, "7120", Some("71.3")), HELD);
        assert_eq!(case.doubt.confirmed_by(price("71.4"), FeedId::Yahoo), None);
        assert_eq!(case.doubt.confirmed_by(price("7121"), FeedId::Yahoo).map(|t| t.price), Some(price("7120")));
    }

    #[test]
    fn a_hundredfold_never_becomes_true_by_standing() {
        let mut case = Case::after("71.20");
        assert_eq!(case.judge(1, "7120", None), HELD);
        for minute in 1..=60 {
            assert_eq!(case.judge(minute * 60, "7121", None), STILL);
        }
        assert_eq!(case.judge(3_700, "71.3", None), Judgement::Believe, "back in its own units");
        assert_eq!(case.doubt.waiting(), None);
    }

    #[test]
    fn a_ratio_is_believed_when_it_has_stood_for_a_quarter_of_an_hour() {
        let mut case = Case::after("100");
        assert_eq!(case.judge(100, "50", None), HELD);
        for seconds in [400, 700, 999] {
            assert_eq!(case.judge(seconds, "47", None), STILL, "drifting off does not make it true");
        }
        assert_eq!(case.judge(1_000, "47.1", None), Judgement::Believe);
        let mut case = Case::after("100");
        assert_eq!(case.judge(100, "50", None), HELD);
        assert_eq!(case.judge(5_000, "50", None), STILL, "two prices are not enough");
        assert_eq!(case.judge(5_001, "99", None), Judgement::Believe, "back where it was");
    }

    #[test]
    fn a_recorded_split_goes_before_the_first_price_in_new_units() {
        let split = Split { symbol: "X".parse().expect("a symbol"), ratio: Decimal::from(10), at: at(3_600) };
        let mut case = Case::after("1200");
        assert_eq!(case.doubt.record(split, Some(case.last)), None);
        assert_eq!(case.judge(10, "1201", None), Judgement::Believe, "old units until then");
        // It opened eight per cent lower, so no ratio would have shown.
        assert_eq!(case.judge(3_601, "110.4", None), Judgement::After(split));
        assert_eq!(case.doubt.record(split, Some(case.last)), None, "said again");
        assert_eq!(case.judge(3_602, "110.5", None), Judgement::Believe);
    }

    #[test]
    fn a_split_recorded_late_explains_the_price_that_waits() {
        let split = Split { symbol: "X".parse().expect("a symbol"), ratio: Decimal::from(10), at: at(3_600) };
        let mut case = Case::after("1200");
        assert_eq!(case.judge(3_601, "120.1", None), HELD);
        let tick = case.doubt.record(split, Some(case.last)).expect("the price that waits");
        assert_eq!(tick.price, price("120.1"));
        assert_eq!(case.judge(3_601, "120.1", None), Judgement::After(split));
        let reverse = Split { ratio: Decimal::new(1, 1), ..split };
        let mut case = Case::after("1200");
        case.doubt.record(reverse, Some(case.last));
        assert_eq!(case.judge(3_601, "1300", None), Judgement::Believe, "one for ten does not look like this");
        assert_eq!(case.judge(3_602, "13000", None), Judgement::Believe, "and cannot happen any more");
    }
}
