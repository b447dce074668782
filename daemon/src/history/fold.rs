//! Bars made of bars, and bars that are believed.

use std::collections::BTreeMap;

use bellwether_core::{
    instrument::Instrument,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};

use super::{Sourced, stretch::floor};
use crate::store::Stretch;

/// Bars of `length`, counted from 1970 in UTC, made of shorter ones, which come oldest first.
pub(super) fn fold(bars: impl IntoIterator<Item = Candle>, length: Span) -> Vec<Candle> {
    let mut folded: Vec<Candle> = Vec::new();
    for bar in bars {
        let from = floor(bar.from, length);
        match folded.last_mut() {
            Some(whole) if whole.from == from => {
                whole.volume = whole.volume_with(&bar);
                whole.high = whole.high.max(bar.high);
                whole.low = whole.low.min(bar.low);
                whole.close = bar.close;
                if bar.session == Session::Regular {
                    whole.session = Session::Regular;
                }
            }
            _ => folded.push(Candle { from, to: from.plus(length), ..bar }),
        }
    }
    folded
}

/// Of what a provider gave, what can be believed: closed bars within `asked`, each once, oldest first, with prices that an instrument
/// can have, the extremes beyond open and close.
pub(super) fn sieve(bars: Vec<Candle>, instrument: &Instrument, asked: Stretch, now: Timestamp) -> Vec<Candle> {
    let mut kept = BTreeMap::new();
    for mut bar in bars {
        let prices = [bar.open, bar.high, bar.low, bar.close];
        let believable = prices.iter().all(|price| price.is_positive() || instrument.allow_nonpositive);
        if !believable || bar.from < asked.0 || bar.from >= asked.1 || bar.to > now || bar.high < bar.low {
            continue;
        }
        bar.high = prices.into_iter().max().unwrap_or(bar.high);
        bar.low = prices.into_iter().min().unwrap_or(bar.low);
        kept.insert(bar.from, bar);
    }
    kept.into_values().collect()
}

/// Fetched bars, and between them what was recorded here.
///
/// A fetched bar gives way where its whole length was recorded at a finer grain (`fine`), otherwise what was recorded within it gives way.
pub(super) fn merge(fetched: Vec<Sourced>, recorded: Vec<Sourced>, whole: &[Stretch], fine: bool) -> Vec<Sourced> {
    let is_recorded = |(bar, _): &Sourced| fine && whole.iter().any(|(from, to)| *from <= bar.from && bar.to <= *to);
    let fetched: Vec<Sourced> = fetched.into_iter().filter(|bar| !is_recorded(bar)).collect();
    let mut merged = Vec::with_capacity(fetched.len() + recorded.len());
    let mut recorded = recorded.into_iter().peekable();
    let mut end = Timestamp::from_micros(i64::MIN);
    for bar in fetched {
        while let Some(own) = recorded.next_if(|(own, _)| own.from < bar.0.from) {
            if own.0.from >= end && own.0.to <= bar.0.from {
                merged.push(own);
            }
        }
        end = bar.0.to;
        merged.push(bar);
    }
    merged.extend(recorded.filter(|(own, _)| own.from >= end));
    merged
}

#[cfg(test)]
mod tests {
    use bellwether_core::instrument::FeedId;

    use super::*;

    fn bar(minute: i64, minutes: i64, prices: [&str; 4]) -> Candle {
        let [open, high, low, close] = prices.map(|p| p.parse().expect("a price"));
        let from = Timestamp::from_seconds(minute * 60);
        let to = from.plus(Span::from_seconds(minutes * 60));
        Candle { from, to, open, high, low, close, session: Session::Regular, volume: None }
    }

    fn minutes(bars: &[Sourced]) -> Vec<i64> {
        bars.iter().map(|(bar, _)| bar.from.as_seconds() / 60).collect()
    }

    fn fetched(bars: Vec<Candle>) -> Vec<Sourced> {
        bars.into_iter().map(|bar| (bar, Some(FeedId::Coinbase))).collect()
    }

    #[test]
    fn long_bars_have_the_extremes_of_the_short_ones() {
        let bars = [bar(3, 1, ["5", "9", "4", "6"]), bar(4, 1, ["6", "7", "1", "2"]), bar(7, 1, ["8"; 4])];
        let folded = fold(bars, Span::from_seconds(300));
        assert_eq!(folded, [bar(0, 5, ["5", "9", "1", "2"]), bar(5, 5, ["8"; 4])]);
    }

    #[test]
    fn only_closed_bars_of_the_time_that_was_asked_for_are_believed() {
        let instrument = Instrument::unlisted("X".parse().expect("a symbol"));
        let bars = vec![
            bar(12, 1, ["5", "6", "4", "5"]),
            bar(11, 1, ["5", "5", "5", "7"]),
            bar(11, 1, ["5", "5", "5", "8"]),
            bar(13, 1, ["0"; 4]),
            bar(14, 1, ["5", "4", "6", "5"]),
            bar(2, 1, ["5"; 4]),
            bar(19, 1, ["5"; 4]),
            bar(99_999, 1, ["5"; 4]),
        ];
        let asked = (Timestamp::from_seconds(600), Timestamp::from_seconds(6_000));
        let kept = sieve(bars, &instrument, asked, Timestamp::from_seconds(1_190));
        assert_eq!(kept, [bar(11, 1, ["5", "8", "5", "8"]), bar(12, 1, ["5", "6", "4", "5"])]);
    }

    #[test]
    fn recorded_bars_fill_what_was_not_fetched_and_never_double_it() {
        let recorded = |range: std::ops::Range<i64>| range.map(|m| (bar(m, 1, ["5"; 4]), None)).collect::<Vec<_>>();
        // Of the hour 0..60 only its end was recorded: the fetched bar tells all of it.
        let merged = merge(fetched(vec![bar(0, 60, ["5"; 4])]), recorded(50..63), &[], true);
        assert_eq!(minutes(&merged), [0, 60, 61, 62]);
        // An hour that was recorded whole is finer.
        let whole = [(Timestamp::from_seconds(0), Timestamp::from_seconds(3_900))];
        let merged = merge(fetched(vec![bar(0, 60, ["5"; 4]), bar(120, 60, ["5"; 4])]), recorded(0..65), &whole, true);
        assert_eq!(minutes(&merged), (0..65).chain([120]).collect::<Vec<_>>());
        // Bars of one length: what an exchange says is better than what was seen here.
        let merged = merge(fetched(vec![bar(1, 1, ["6"; 4])]), recorded(0..3), &whole, false);
        assert_eq!(minutes(&merged), [0, 1, 2]);
        assert_eq!((merged[1].0.open, merged[1].1), ("6".parse().expect("a price"), Some(FeedId::Coinbase)));
    }
}
