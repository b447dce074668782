//! What holds of any rule and any line: what is printed can be read again, and nothing makes the parser panic.

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::{
    tests::{World, now, symbol},
    *,
};
use crate::{
    condition::{
        Anchor, Comparison, Condition, Crossing, Hysteresis, Join, Level, Operand, PriceRange, Repeat, SessionScope,
        Sign, Term,
    },
    indicator::{Bars, Indicator},
    price::Price,
    text,
    time::Span,
};

fn price() -> impl Strategy<Value = Price> {
    (1_i64..1_000_000_000, 0_u32..7).prop_map(|(n, scale)| Price::new(Decimal::new(n, scale)))
}

fn range() -> impl Strategy<Value = PriceRange> {
    (price(), price())
        .prop_map(|(lower, step)| PriceRange { lower, upper: Price::new(lower.decimal() + step.decimal()) })
}

fn percent() -> impl Strategy<Value = Decimal> {
    (1_i64..10_000).prop_map(|n| Decimal::new(n, 2).min(Decimal::new(9_999, 2)))
}

fn span() -> impl Strategy<Value = Span> {
    (1_i64..10_000_000).prop_map(Span::from_seconds)
}

fn sign() -> impl Strategy<Value = Sign> {
    prop::sample::select(vec![Sign::Plus, Sign::Minus, Sign::Either])
}

fn indicator() -> impl Strategy<Value = Indicator> {
    let lengths = ["1m", "5m", "15m", "90m", "4h", "8h", "12h", "1d"];
    let length = prop::sample::select(lengths.to_vec()).prop_map(|l| l.parse::<Span>().unwrap());
    let bars = || (1_u16..=500, length.clone()).prop_map(|(count, length)| Bars { count, length });
    let width = || (1_i64..=100_000).prop_map(|k| Decimal::new(k, 4).normalize());
    prop_oneof![
        bars().prop_map(Indicator::Sma),
        bars().prop_map(Indicator::Ema),
        bars().prop_map(Indicator::Rsi),
        (bars(), width()).prop_map(|(bars, k)| Indicator::BbUpper(bars, k)),
        (bars(), width()).prop_map(|(bars, k)| Indicator::BbLower(bars, k)),
        Just(Indicator::Volume),
    ]
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![3 => price().prop_map(Level::Price), 1 => indicator().prop_map(Level::Indicator)]
}

fn condition() -> impl Strategy<Value = Condition> {
    let cmp = prop::sample::select(vec![Comparison::Above, Comparison::AtLeast, Comparison::Below, Comparison::AtMost]);
    let direction = prop::sample::select(vec![Crossing::Up, Crossing::Down, Crossing::Either]);
    let anchor = prop::sample::select(vec![Anchor::Now, Anchor::High, Anchor::Low]);
    prop_oneof![
        (cmp, level()).prop_map(|(cmp, level)| Condition::Compare { cmp, level }),
        range().prop_map(Condition::In),
        range().prop_map(Condition::Outside),
        (sign(), percent(), price()).prop_map(|(sign, percent, reference)| Condition::PercentFrom {
            sign,
            percent,
            reference
        }),
        (sign(), percent(), span()).prop_map(|(sign, percent, ago)| Condition::PercentVs { sign, percent, ago }),
        (direction, level()).prop_map(|(direction, level)| Condition::Crosses { direction, level }),
        range().prop_map(Condition::Enters),
        range().prop_map(Condition::Exits),
        (sign(), percent(), anchor).prop_map(|(sign, percent, anchor)| Condition::Move { sign, percent, anchor }),
        (sign(), percent(), span()).prop_map(|(sign, percent, window)| Condition::MoveIn { sign, percent, window }),
    ]
}

fn term() -> impl Strategy<Value = Term> {
    let single =
        ["BTC", "BRK-B", "^GSPC", "GC=F", "BTC@kraken", "FOR", "IN", "BTC/USDT", "VOD.L", "S&P 500", "SOL/ETH", "WTI"];
    let operand = prop_oneof![
        4 => prop::sample::select(single.to_vec()).prop_map(|s| Operand::Price(symbol(s))),
        1 => prop::sample::select(vec![("ETH", "BTC"), ("S&P 500", "BTC"), ("SOL", "S&P 500"), ("BTC@kraken", "BTC")])
            .prop_map(|(over, under)| Operand::Ratio(symbol(over), symbol(under))),
        2 => (prop::sample::select(single.to_vec()), indicator()).prop_map(|(s, i)| Operand::Indicator(symbol(s), i)),
    ];
    (operand, condition()).prop_map(|(operand, condition)| Term { operand, condition })
}

/// Rules of every shape; those that no line may say are left out.
fn rule() -> impl Strategy<Value = Rule> {
    let repeat = prop_oneof![
        Just(Repeat::Once),
        Just(Repeat::Each { cooldown: Span::ZERO }),
        span().prop_map(|cooldown| Repeat::Each { cooldown }),
        span().prop_map(Repeat::Every),
    ];
    let hysteresis = prop_oneof![percent().prop_map(Hysteresis::Percent), price().prop_map(Hysteresis::Absolute)];
    let until = (1_i64..5_000_000_000).prop_map(|s| Timestamp::from_seconds(now().as_seconds() + s));
    let via = prop::sample::subsequence(vec!["desktop", "email", "sms", "webhook:home"], 0..4).prop_shuffle();
    let note = prop::option::of("[ -~é₿🚀\u{202E}]{1,40}");
    let terms = prop::collection::vec(term(), 1..4);
    (
        (terms, any::<bool>(), repeat, prop::option::weighted(0.2, span())),
        (prop::option::weighted(0.3, hysteresis), any::<bool>(), prop::option::of(until), via, any::<bool>(), note),
    )
        .prop_map(|((terms, or, repeat, hold), (hysteresis, extended, until, via, urgent, note))| {
            tidy(Rule {
                terms,
                join: if or { Join::Or } else { Join::And },
                repeat,
                hold,
                hysteresis,
                session: if extended { SessionScope::Extended } else { SessionScope::Regular },
                until,
                via: via.into_iter().map(ChannelName::new).collect(),
                urgent,
                note,
            })
        })
        .prop_filter("a line may say it", |rule| validate(rule, &World::with_odd_names().context()).is_ok())
}

/// Whether an error can be shown: its place is in the line, and nothing hidden is in its words.
fn is_presentable(error: &ParseError, line: &str) -> bool {
    let shown = format!("{}{}", error.message, error.suggestion.clone().unwrap_or_default());
    line.get(error.span.clone()).is_some()
        && text::sanitize(&shown) == shown
        && !error.render(line).contains(['\u{1b}', '\0', '\u{202e}'])
}

/// Judges any line: it is understood and printed so that it is read as the same, or there is one error, in the line.
pub(super) fn judge(line: &str, world: &World) {
    match parse(line, &world.context()) {
        Err(error) => assert!(is_presentable(&error, line), "{line:?}: {error:?}"),
        Ok(rule) => {
            let canonical = rule.to_string();
            assert_eq!(parse(&canonical, &world.context()), Ok(rule), "{canonical} from {line}");
        }
    }
    // Wherever a cursor may stand, and beyond.
    for cursor in [0, line.len() / 2, line.len(), line.len() + 1] {
        for completion in completions(line, cursor, &world.context()) {
            assert!(line.get(completion.replace).is_some(), "{line:?}, completed at {cursor}");
        }
    }
}

#[test]
fn numbers_at_the_ends_of_the_range_do_not_overflow() {
    let world = World::of_cases();
    let extremes = [Decimal::MAX, Decimal::MIN, Decimal::ZERO, Decimal::new(1, 28), Decimal::new(-1, 28), Decimal::ONE];
    let term = |condition| Term { operand: Operand::Price(symbol("WTI")), condition };
    for a in extremes {
        for b in extremes {
            let (level, other) = (Price::new(a), Price::new(b));
            for condition in [
                Condition::Outside(PriceRange { lower: level, upper: other }),
                Condition::PercentFrom { sign: Sign::Either, percent: b, reference: level },
                Condition::Compare { cmp: Comparison::Above, level: level.into() },
            ] {
                for hysteresis in [None, Some(Hysteresis::Percent(b)), Some(Hysteresis::Absolute(other))] {
                    let mut rule = parse("WTI > 5 once", &world.context()).unwrap();
                    rule.terms = vec![term(condition.clone())];
                    rule.hysteresis = hysteresis;
                    let judged = validate(&rule, &world.context());
                    let preview = crate::explain::preview(&rule, &world.catalog, &|_| Some(other));
                    assert!(preview.words.starts_with("When WTI"));
                    if judged.is_ok() {
                        assert_eq!(parse(&rule.to_string(), &world.context()), Ok(rule));
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_is_printed_is_read_as_the_same_rule(rule in rule()) {
        let world = World::with_odd_names();
        let line = rule.to_string();
        let sent = serde_json::to_string(&rule).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Rule>(&sent).unwrap(), &rule, "{}", sent);
        prop_assert_eq!(parse(&line, &world.context()), Ok(rule), "{}", line);
    }

    #[test]
    fn no_line_makes_it_panic(line in "\\PC{0,60}|[\\x00-\\x7f]{0,60}|.{0,40}", cursor in 0_usize..70) {
        let world = World::with_odd_names();
        judge(&line, &world);
        for completion in completions(&line, cursor, &world.context()) {
            prop_assert!(line.get(completion.replace).is_some());
        }
    }

    #[test]
    fn a_damaged_line_gets_an_error_or_a_canonical_form(
        rule in rule(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, prop::sample::select(vec![
            ' ', '"', '\\', '/', '.', ',', '%', '-', '+', '±', '€', '£', '$', '0', '9', 'k', 'e', '\u{412}', '\u{200d}',
            '\u{202e}', '\0', '\u{1b}', '６', '≥', '@', '^', '(', ':', 'é', '🚀',
        ])), 1..5),
    ) {
        let world = World::with_odd_names();
        let mut letters: Vec<char> = rule.to_string().chars().collect();
        for (place, how, letter) in damage {
            if letters.is_empty() {
                break;
            }
            let at = place.index(letters.len());
            match how {
                0 => letters[at] = letter,
                1 => letters.insert(at, letter),
                _ => drop(letters.remove(at)),
            }
        }
        let line: String = letters.into_iter().collect();
        judge(&line, &world);
    }
}
