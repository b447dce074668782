//! Stretches of time: what is wanted, what is known, and what is missing of it.

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    instrument::Instrument,
    time::{Span, Timestamp},
};

use crate::store::Stretch;

/// How finely trading hours are looked up. All sessions begin and end on a multiple of it.
const STEP: Span = Span::from_seconds(15 * 60);

/// The start of the bar of this length that an instant lies in, counted from 1970 in UTC.
pub(crate) fn floor(at: Timestamp, length: Span) -> Timestamp {
    let micros = at.as_micros();
    Timestamp::from_micros(micros - micros.rem_euclid(length.as_micros().max(1)))
}

/// What of `wanted` lies in none of `known`, in order.
pub(super) fn missing(wanted: Stretch, mut known: Vec<Stretch>) -> Vec<Stretch> {
    known.sort_unstable();
    let (mut from, to) = wanted;
    let mut missing = Vec::new();
    for (begins, ends) in known {
        if begins > from && from < to {
            missing.push((from, begins.min(to)));
        }
        from = from.max(ends);
    }
    if from < to {
        missing.push((from, to));
    }
    missing
}

/// What of these stretches an instrument trades in, by its market's usual hours: nobody need ask what a weekend brought.
pub(super) fn trading(instrument: &Instrument, stretches: Vec<Stretch>) -> Vec<Stretch> {
    if instrument.session == "24x7" {
        return stretches;
    }
    let open = |at: Timestamp| {
        matches!(market_hours(&instrument.session, &instrument.timezone, at), MarketHours::Open | MarketHours::Unknown)
    };
    let mut trading: Vec<Stretch> = Vec::new();
    for (from, to) in stretches {
        let mut at = from;
        while at < to {
            let next = floor(at, STEP).plus(STEP).min(to);
            if open(at) {
                match trading.last_mut() {
                    Some((_, end)) if *end == at => *end = next,
                    _ => trading.push((at, next)),
                }
            }
            at = next;
        }
    }
    trading
}

/// Puts together what lies less than `gap` apart: one request for both is better than two.
pub(super) fn joined(stretches: Vec<Stretch>, gap: Span) -> Vec<Stretch> {
    let mut joined: Vec<Stretch> = Vec::new();
    for (from, to) in stretches {
        match joined.last_mut() {
            Some((_, end)) if from.since(*end) < gap => *end = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// How long these stretches are together.
pub(super) fn length(stretches: &[Stretch]) -> Span {
    Span::from_micros(stretches.iter().map(|(from, to)| to.since(*from).as_micros()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn of(list: &[(i64, i64)]) -> Vec<Stretch> {
        list.iter().map(|(from, to)| (at(*from), at(*to))).collect()
    }

    #[test]
    fn what_is_missing_is_what_nothing_covers() {
        for (known, expected) in [
            (vec![], vec![(10, 100)]),
            (vec![(0, 200)], vec![]),
            (vec![(0, 20), (90, 300)], vec![(20, 90)]),
            (vec![(50, 60), (20, 30), (25, 40)], vec![(10, 20), (40, 50), (60, 100)]),
            (vec![(0, 5), (100, 110), (110, 120)], vec![(10, 100)]),
        ] {
            assert_eq!(missing((at(10), at(100)), of(&known)), of(&expected), "{known:?}");
        }
        assert_eq!(joined(of(&[(0, 10), (12, 20), (50, 60)]), Span::from_seconds(5)), of(&[(0, 20), (50, 60)]));
        assert_eq!(length(&of(&[(0, 10), (50, 61)])), Span::from_seconds(21));
    }

    #[test]
    fn nobody_asks_what_a_weekend_brought() {
        let catalog = bellwether_core::catalog::Catalog::builtin();
        let time = |text: &str| text.parse::<Timestamp>().expect(text);
        // Friday noon to Monday noon, New York being five hours behind.
        let week_end = vec![(time("2026-11-20T17:00:00Z"), time("2026-11-23T17:00:00Z"))];
        let apple = catalog.resolve("AAPL").expect("listed");
        let expected = vec![
            (time("2026-11-20T17:00:00Z"), time("2026-11-20T21:00:00Z")),
            (time("2026-11-23T14:30:00Z"), time("2026-11-23T17:00:00Z")),
        ];
        assert_eq!(trading(apple, week_end.clone()), expected);
        let bitcoin = catalog.resolve("BTC").expect("listed");
        assert_eq!(trading(bitcoin, week_end.clone()), week_end);
    }
}
