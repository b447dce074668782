//! Random alerts and random tapes, with everything that can be wrong with a tape.

use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::{
    condition::{
        Anchor, Comparison, Condition, Crossing, Family, Hysteresis, Join, Level, Operand, PriceRange, Repeat, Rule,
        SessionScope, Sign, Term,
    },
    indicator::{Bars, Indicator, Measure},
    instrument::{Instrument, Symbol},
    price::Price,
    tick::Session,
    time::{Span, Timestamp},
};

pub(super) const START: i64 = 1_800_000_000;

/// One input, in the words of a tape. Times are seconds; `after` is the time since the input before.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Ticks(Vec<Quote>),
    Candles {
        market: usize,
        bars: Vec<[i64; 5]>,
        session: Session,
        backfill: bool,
    },
    Put {
        id: i64,
        rule: Rule,
    },
    Note {
        id: i64,
        until: Option<i64>,
    },
    Pause(i64),
    Resume(i64),
    Snooze(i64, i64),
    Acknowledge(i64),
    /// Several changes in one version.
    Together {
        id: i64,
        rule: Option<Rule>,
        paused: Option<bool>,
        snooze: Option<i64>,
        acknowledged: bool,
    },
    Delete(i64),
    Split {
        market: usize,
        ratio: Decimal,
    },
    /// Candles of so many seconds, the first one so many seconds ago.
    History {
        market: usize,
        back: i64,
        length: i64,
        bars: Vec<[i64; 3]>,
        session: Session,
    },
    /// What changed is written down.
    Cut,
    Restart,
    /// A restart that forgets everything since the last cut.
    Crash,
}

#[derive(Clone, Debug)]
pub(super) struct Quote {
    pub(super) market: usize,
    /// In halves.
    pub(super) price: i64,
    /// Seconds of source time before the receive time, where the source gives one.
    pub(super) age: Option<i64>,
    pub(super) session: Session,
    pub(super) volume: Option<i64>,
}

pub(super) fn symbol(market: usize) -> Symbol {
    ["AAA", "BBB", "CCC"][market].parse().unwrap()
}

pub(super) fn instruments() -> Vec<Instrument> {
    let plain = |market| Instrument::unlisted(symbol(market));
    vec![
        plain(0),
        Instrument { stale_after: Span::from_seconds(10), ..plain(1) },
        Instrument { outlier_pct: Some(Decimal::from(4)), outlier_window: Span::from_seconds(60), ..plain(2) },
    ]
}

pub(super) fn halves(price: i64) -> Price {
    Price::new(Decimal::new(price * 5, 1))
}

fn session() -> impl Strategy<Value = Session> {
    prop_oneof![8 => Just(Session::Regular), 1 => Just(Session::Pre), 1 => Just(Session::Post)]
}

fn quote(market: usize) -> impl Strategy<Value = Quote> {
    let age = prop_oneof![6 => Just(None), 4 => (0_i64..4).prop_map(Some), 1 => (-90_i64..0).prop_map(Some), 1 => (5_i64..200).prop_map(Some)];
    let volume = prop::option::weighted(0.3, 0_i64..10);
    (prop_oneof![8 => 194_i64..=206, 1 => 180_i64..=220, 1 => -1_i64..=1], age, session(), volume)
        .prop_map(move |(price, age, session, volume)| Quote { market, price, age, session, volume })
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        6 => (0_usize..3).prop_map(|m| Operand::Price(symbol(m))),
        2 => ((0_usize..3), indicator(true)).prop_map(|(m, i)| Operand::Indicator(symbol(m), i)),
        1 => prop_oneof![Just((0, 1)), Just((1, 0)), Just((2, 0))].prop_map(|(a, b)| Operand::Ratio(symbol(a), symbol(b))),
    ]
}

fn bars(least: u16) -> impl Strategy<Value = Bars> {
    let length = prop::sample::select(vec![5, 10, 20]).prop_map(Span::from_seconds);
    (least..4_u16, length).prop_map(|(count, length)| Bars { count, length })
}

/// Such as may stand on the left, where `any`; else such as are prices.
fn indicator(any: bool) -> BoxedStrategy<Indicator> {
    let width = || prop::sample::select(vec!["0.5", "1", "2"]).prop_map(|k| k.parse::<Decimal>().unwrap());
    let priced = prop_oneof![
        2 => bars(1).prop_map(Indicator::Sma),
        2 => bars(1).prop_map(Indicator::Ema),
        1 => (bars(2), width()).prop_map(|(bars, k)| Indicator::BbUpper(bars, k)),
        1 => (bars(2), width()).prop_map(|(bars, k)| Indicator::BbLower(bars, k)),
    ];
    if !any {
        return priced.boxed();
    }
    prop_oneof![2 => priced, 2 => bars(2).prop_map(Indicator::Rsi), 1 => Just(Indicator::Volume)].boxed()
}

/// What a comparison or a crossing may have on its right: a number, or an indicator of the same kind.
fn target(operand: Operand) -> BoxedStrategy<Level> {
    let number = level(operand).prop_map(Level::Price);
    match operand.measure() {
        Some(Measure::Price) => prop_oneof![2 => number, 1 => indicator(false).prop_map(Level::Indicator)].boxed(),
        Some(Measure::Index) => {
            prop_oneof![3 => number, 1 => bars(2).prop_map(|b| Level::Indicator(Indicator::Rsi(b)))].boxed()
        }
        Some(Measure::Volume) | None => number.boxed(),
    }
}

/// The numbers that conditions on this operand are about: near 100, for a ratio near 1, for an index from 20 to 80.
fn number(operand: Operand, n: i64) -> Price {
    match operand.measure() {
        Some(Measure::Price) => halves(n),
        Some(Measure::Index) => Price::new(Decimal::from((n - 195) * 6 + 20)),
        Some(Measure::Volume) => Price::new(Decimal::from(n - 195)),
        None => Price::new(Decimal::new(n * 5, 3)),
    }
}

fn sign() -> impl Strategy<Value = Sign> {
    prop_oneof![Just(Sign::Plus), Just(Sign::Minus), Just(Sign::Either)]
}

fn percent() -> impl Strategy<Value = Decimal> {
    (1_i64..8).prop_map(|p| Decimal::new(p * 5, 1))
}

fn seconds(low: i64, high: i64) -> impl Strategy<Value = Span> {
    (low..high).prop_map(Span::from_seconds)
}

/// Levels.
fn level(operand: Operand) -> impl Strategy<Value = Price> + Clone {
    (195_i64..=205).prop_map(move |n| number(operand, n))
}

fn range(operand: Operand) -> impl Strategy<Value = PriceRange> {
    (195_i64..=202, 1_i64..6).prop_map(move |(n, width)| {
        let at = |n: i64| number(operand, n);
        PriceRange { lower: at(n), upper: at(n + width) }
    })
}

fn level_condition(o: Operand) -> BoxedStrategy<Condition> {
    let cmp = prop_oneof![
        Just(Comparison::Above),
        Just(Comparison::AtLeast),
        Just(Comparison::Below),
        Just(Comparison::AtMost)
    ];
    if matches!(o, Operand::Indicator(..)) {
        return prop_oneof![
            3 => (cmp, target(o)).prop_map(|(cmp, level)| Condition::Compare { cmp, level }),
            1 => range(o).prop_map(Condition::In),
            1 => range(o).prop_map(Condition::Outside),
        ]
        .boxed();
    }
    let plain = prop_oneof![
        3 => (cmp, target(o)).prop_map(|(cmp, level)| Condition::Compare { cmp, level }),
        1 => range(o).prop_map(Condition::In),
        1 => range(o).prop_map(Condition::Outside),
        1 => (sign(), percent(), level(o)).prop_map(|(sign, percent, reference)| Condition::PercentFrom { sign, percent, reference }),
    ];
    if matches!(o, Operand::Ratio(..)) {
        return plain.boxed();
    }
    let versus = (sign(), percent(), seconds(1, 40)).prop_map(|(sign, percent, ago)| Condition::PercentVs {
        sign,
        percent,
        ago,
    });
    prop_oneof![6 => plain, 1 => versus].boxed()
}

fn edge_condition(o: Operand) -> BoxedStrategy<Condition> {
    let way = prop_oneof![Just(Crossing::Up), Just(Crossing::Down), Just(Crossing::Either)];
    prop_oneof![
        3 => (way, target(o)).prop_map(|(direction, level)| Condition::Crosses { direction, level }),
        1 => range(o).prop_map(Condition::Enters),
        1 => range(o).prop_map(Condition::Exits),
    ]
    .boxed()
}

fn move_condition(o: Operand) -> BoxedStrategy<Condition> {
    let anchored = prop_oneof![
        (sign(), percent()).prop_map(|(sign, percent)| Condition::Move { sign, percent, anchor: Anchor::Now }),
        percent().prop_map(|percent| Condition::Move { sign: Sign::Minus, percent, anchor: Anchor::High }),
        percent().prop_map(|percent| Condition::Move { sign: Sign::Plus, percent, anchor: Anchor::Low }),
    ];
    if matches!(o, Operand::Ratio(..)) {
        return anchored.boxed();
    }
    let within = (sign(), percent(), seconds(1, 40)).prop_map(|(sign, percent, window)| Condition::MoveIn {
        sign,
        percent,
        window,
    });
    prop_oneof![anchored, within].boxed()
}

fn term(family: Family) -> impl Strategy<Value = Term> {
    let fits = move |operand: &Operand| match operand {
        Operand::Price(_) | Operand::Ratio(..) => true,
        Operand::Indicator(_, Indicator::Volume) => family == Family::Level,
        Operand::Indicator(..) => family != Family::Move,
    };
    operand().prop_filter("asked of such an operand", fits).prop_flat_map(move |operand| {
        let condition = match family {
            Family::Level => level_condition(operand),
            Family::Edge => edge_condition(operand),
            Family::Move => move_condition(operand),
        };
        condition.prop_map(move |condition| Term { operand, condition })
    })
}

fn any_family() -> impl Strategy<Value = Family> {
    prop_oneof![5 => Just(Family::Level), 3 => Just(Family::Edge), 2 => Just(Family::Move)]
}

fn terms() -> impl Strategy<Value = (Vec<Term>, Join)> {
    let single = any_family().prop_flat_map(term).prop_map(|t| (vec![t], Join::And));
    let either =
        any_family().prop_flat_map(|f| prop::collection::vec(term(f), 2..4)).prop_map(|terms| (terms, Join::Or));
    let non_edge = || prop_oneof![2 => Just(Family::Level), 1 => Just(Family::Move)].prop_flat_map(term);
    let both =
        (any_family().prop_flat_map(term), prop::collection::vec(non_edge(), 1..3)).prop_map(|(first, mut rest)| {
            rest.insert(rest.len() / 2, first);
            (rest, Join::And)
        });
    prop_oneof![5 => single, 2 => either, 2 => both]
}

fn repeat() -> impl Strategy<Value = Repeat> {
    prop_oneof![
        1 => Just(Repeat::Once),
        2 => Just(Repeat::Each { cooldown: Span::ZERO }),
        2 => seconds(1, 30).prop_map(|cooldown| Repeat::Each { cooldown }),
        2 => seconds(1, 30).prop_map(Repeat::Every),
    ]
}

/// Rules as the parser lets them pass (A5, A6).
pub(super) fn rule() -> impl Strategy<Value = Rule> {
    let hysteresis = prop_oneof![
        (1_i64..6).prop_map(|h| Hysteresis::Percent(Decimal::new(h, 1))),
        (1_i64..4).prop_map(|h| Hysteresis::Absolute(halves(h))),
    ];
    let options = (
        repeat(),
        prop::option::weighted(0.3, seconds(1, 20)),
        prop::option::weighted(0.4, hysteresis),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.1, 0_i64..300),
    );
    (terms(), options).prop_map(|((terms, join), (repeat, hold, hysteresis, extended, until))| {
        let edges = terms.iter().filter(|t| t.condition.family() == Family::Edge).count();
        let restarts = terms
            .iter()
            .any(|t| t.condition.family() == Family::Move || matches!(t.condition, Condition::PercentVs { .. }));
        let several =
            terms.iter().any(|t| t.operand != terms[0].operand) || matches!(terms[0].operand, Operand::Ratio(..));
        let fits = |h: &Hysteresis| !(restarts || several && matches!(h, Hysteresis::Absolute(_)));
        Rule {
            hold: hold.filter(|_| join == Join::And || edges == 0),
            hysteresis: hysteresis.filter(fits),
            session: if extended { SessionScope::Extended } else { SessionScope::Regular },
            until: until.map(|s| Timestamp::from_seconds(START + s)),
            terms,
            join,
            repeat,
            via: Vec::new(),
            urgent: false,
            note: None,
        }
    })
}

pub(super) fn input() -> impl Strategy<Value = Input> {
    let id = || 1_i64..4;
    let bar = (0_i64..20, 3_i64..15, 194_i64..=206, 194_i64..=206, 0_i64..6)
        .prop_map(|(gap, length, open, close, wick)| [gap, length, open, close, wick]);
    let bar_ = (194_i64..=206, 194_i64..=206, -1_i64..6).prop_map(|(open, close, wick)| [open, close, wick]);
    prop_oneof![
        30 => (0_usize..3).prop_flat_map(quote).prop_map(|q| Input::Ticks(vec![q])),
        4 => (quote(0), quote(1)).prop_map(|(a, b)| Input::Ticks(vec![a, b])),
        3 => (quote(2), quote(0), quote(1)).prop_map(|(a, b, c)| Input::Ticks(vec![a, b, c])),
        3 => (0_usize..3, prop::collection::vec(bar, 1..4), session(), any::<bool>())
            .prop_map(|(market, bars, session, backfill)| Input::Candles { market, bars, session, backfill }),
        5 => (id(), rule()).prop_map(|(id, rule)| Input::Put { id, rule }),
        1 => (id(), prop::option::of(0_i64..400)).prop_map(|(id, until)| Input::Note { id, until }),
        1 => id().prop_map(Input::Pause),
        2 => id().prop_map(Input::Resume),
        1 => (id(), 0_i64..60).prop_map(|(id, span)| Input::Snooze(id, span)),
        1 => id().prop_map(Input::Acknowledge),
        2 => (id(), prop::option::of(rule()), any::<Option<bool>>(), prop::option::of(0_i64..60), any::<bool>())
            .prop_map(|(id, rule, paused, snooze, acknowledged)| Input::Together { id, rule, paused, snooze, acknowledged }),
        1 => id().prop_map(Input::Delete),
        1 => (0_usize..3, prop_oneof![Just("2"), Just("0.5"), Just("4")])
            .prop_map(|(market, ratio)| Input::Split { market, ratio: ratio.parse().unwrap() }),
        2 => (0_usize..3, 0_i64..120, prop::sample::select(vec![5, 10, 20, 7]), prop::collection::vec(bar_, 1..8), session())
            .prop_map(|(market, back, length, bars, session)| Input::History { market, back, length, bars, session }),
        4 => Just(Input::Restart),
        2 => Just(Input::Cut),
        2 => Just(Input::Crash),
    ]
}

pub(super) fn after() -> impl Strategy<Value = i64> {
    prop_oneof![2 => Just(0_i64), 6 => Just(1_i64), 4 => 2_i64..8, 1 => 9_i64..30, 1 => 100_i64..200]
}
