//! What was observed of one instrument: the last price, and as much of the past as windows need.
//!
//! Not every observation is kept. The highest price of *any* window that ends now is found among the observations that no
//! later one reached again, so one falling stack of highs and one rising stack of lows serve windows of every length. For
//! `vs D` the changes of the price are kept.

use std::{cmp::Ordering, collections::VecDeque};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    cut::{marks, micros, micros_option},
    exact::key,
};
use crate::{
    instrument::FeedId,
    price::{MAX_SCALE, Price},
    tick::Session,
    time::{Span, Timestamp},
};

/// How much of the past is kept, per list, while no alert asks for it: an alert made later can look back this far.
const SPARE: usize = 256;
/// How many observations wait until they are put in their place; no more than a `u32` has bits.
const RECENT: usize = 32;
/// How much of it is written down.
const SPARE_WRITTEN: usize = 32;

/// An accepted price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When it was the price: the source's time where it gives one.
    #[serde(with = "micros")]
    pub ts: Timestamp,
    /// The price.
    pub price: Price,
    /// The part of the trading day.
    pub session: Session,
    /// Who said so.
    pub source: FeedId,
    /// When it arrived.
    #[serde(with = "micros")]
    pub received: Timestamp,
}

/// One remembered observation of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) ts: Timestamp,
    /// Its place in the order of all observations of the instrument.
    pub(super) seq: u64,
    pub(super) price: Decimal,
    /// Sorts like the price, faster.
    key: i64,
}

impl Mark {
    pub(super) fn new(ts: Timestamp, seq: u64, price: Decimal) -> Self {
        Self { ts, seq, price, key: key(price) }
    }

    /// How the two prices lie to each other.
    fn compare(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| {
            let written = |m: &Self| (m.price.mantissa(), m.price.scale());
            if written(self) == written(other) { Ordering::Equal } else { self.price.cmp(&other.price) }
        })
    }
}

/// The longest windows that alerts on an instrument have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    /// Of `in D`.
    pub(super) within: Span,
    /// Of `vs D`.
    pub(super) ago: Span,
}

impl Reach {
    /// Whether there is any window.
    fn is_asked_for(self) -> bool {
        !self.within.is_zero() || !self.ago.is_zero()
    }
}

/// The observations that exist for one scope of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub(super) struct Track {
    /// The key of the last price.
    #[serde(skip)]
    pub(super) key: i64,
    /// The last one.
    pub(super) last: Option<Observation>,
    /// The number of the last one.
    pub(super) seq: u64,
    /// The price before the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Price>,
    /// The end of the candle that the last one is a point of.
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    pub(super) candle: Option<Timestamp>,
    /// The time of the last one before it that is a point of no candle.
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    plain: Option<Timestamp>,
    /// Observations that are in none of the lists yet, while no window asks: many are put there at a small part of what
    /// each on its own costs.
    #[serde(skip)]
    recent: Vec<Mark>,
    /// Falling prices: no later observation is as high.
    #[serde(with = "marks")]
    highs: VecDeque<Mark>,
    /// Rising prices: no later observation is as low.
    #[serde(with = "marks")]
    lows: VecDeque<Mark>,
    /// Every change of the price.
    #[serde(with = "marks")]
    past: VecDeque<Mark>,
}

impl Track {
    /// One that knows this observation only.
    pub(super) fn of(last: Observation) -> Self {
        Self { last: Some(last), ..Self::default() }
    }

    /// The time of the last one that exists for who is watching since `activated`.
    pub(super) fn last_since(&self, activated: Timestamp) -> Option<Timestamp> {
        match self.candle {
            // Earlier candles ended earlier still.
            Some(to) if to <= activated => self.plain,
            _ => self.last.map(|last| last.ts),
        }
    }

    /// Takes in the newest observation.
    pub(super) fn push(&mut self, observation: Observation, candle: Option<Timestamp>, seq: u64, reach: Reach) {
        let mark = Mark::new(observation.ts, seq, observation.price.decimal());
        self.before = self.last.map(|l| l.price);
        self.plain = match (candle, self.candle) {
            (None, _) => None,
            (Some(_), Some(_)) => self.plain,
            (Some(_), None) => self.last.map(|l| l.ts),
        };
        self.last = Some(observation);
        self.key = mark.key;
        self.seq = seq;
        self.candle = candle;
        self.recent.push(mark);
        if self.recent.len() >= RECENT || reach.is_asked_for() {
            self.fold(reach);
        }
    }

    /// Puts the recent observations into their lists. Of the recent ones themselves, only those count that no later one reached.
    pub(super) fn fold(&mut self, reach: Reach) {
        let Some(&newest) = self.recent.last() else { return };
        // Backward, bit by bit, who rises above or falls below everybody after it.
        let last = self.recent.len() - 1;
        let (mut highs, mut lows) = (1_u32 << last, 1_u32 << last);
        let (mut high, mut low) = (&newest, &newest);
        for (place, mark) in self.recent[..last].iter().enumerate().rev() {
            if mark.key >= high.key && mark.compare(high).is_gt() {
                high = mark;
                highs |= 1 << place;
            } else if mark.key <= low.key && mark.compare(low).is_lt() {
                low = mark;
                lows |= 1 << place;
            }
        }
        while self.highs.pop_back_if(|m| m.key <= high.key && m.compare(high).is_le()).is_some() {}
        while self.lows.pop_back_if(|m| m.key >= low.key && m.compare(low).is_ge()).is_some() {}
        for (mut bits, stack) in [(highs, &mut self.highs), (lows, &mut self.lows)] {
            while bits != 0 {
                stack.push_back(self.recent[bits.trailing_zeros() as usize]);
                bits &= bits - 1;
            }
        }
        let mut before = self.past.back().copied();
        for mark in self.recent.drain(..) {
            if before.is_none_or(|before| before.key != mark.key || before.compare(&mark).is_ne()) {
                self.past.push_back(mark);
            }
            before = Some(mark);
        }
        let oldest = newest.ts.minus(reach.within);
        for stack in [&mut self.highs, &mut self.lows] {
            while stack.len() > SPARE && stack[0].ts < oldest {
                stack.pop_front();
            }
        }
        let oldest = newest.ts.minus(reach.ago);
        while self.past.len() > SPARE && self.past[1].ts <= oldest {
            self.past.pop_front();
        }
    }

    /// The lowest and the highest price between `from` and `to`, among the observations numbered `since` or later.
    ///
    /// Nothing where something later than `to` was observed: that can only be when an alert on several instruments is judged on
    /// creation by a source that lags behind another one that has fallen silent. It is judged again at the next price.
    pub(super) fn extremes(&self, from: Timestamp, to: Timestamp, since: u64) -> Option<(Decimal, Decimal)> {
        if self.last.is_some_and(|last| last.ts > to) {
            return None;
        }
        let first = |stack: &VecDeque<Mark>| {
            let place = stack.partition_point(|m| m.ts < from || m.seq < since);
            stack.get(place).map(|m| m.price)
        };
        Some((first(&self.lows)?, first(&self.highs)?))
    }

    /// The price that was the last one at `then`.
    pub(super) fn price_at(&self, then: Timestamp) -> Option<Decimal> {
        let place = self.past.partition_point(|m| m.ts <= then);
        place.checked_sub(1).map(|p| self.past[p].price)
    }

    /// Divides every price by `ratio`.
    pub(super) fn split(&mut self, ratio: Decimal, reach: Reach) {
        self.fold(reach);
        if let Some(last) = &mut self.last {
            last.price = divided(last.price, ratio);
        }
        self.before = self.before.map(|p| divided(p, ratio));
        for mark in [&mut self.highs, &mut self.lows, &mut self.past].into_iter().flatten() {
            *mark = Mark::new(mark.ts, mark.seq, divided(Price::new(mark.price), ratio).decimal());
        }
        self.settle();
    }

    /// Finds the key again after the last price was set by other means than an observation.
    pub(super) fn settle(&mut self) {
        self.key = self.last.map_or(0, |last| key(last.price.decimal()));
    }

    /// What has to outlive the process: everything that windows in use need, and a little of the rest.
    pub(super) fn written(&self, reach: Reach) -> Self {
        let mut track = self.clone();
        track.fold(reach);
        let now = track.last.map_or(Timestamp::default(), |l| l.ts);
        let oldest = now.minus(reach.within);
        for stack in [&mut track.highs, &mut track.lows] {
            while stack.len() > SPARE_WRITTEN && stack[0].ts < oldest {
                stack.pop_front();
            }
        }
        let oldest = now.minus(reach.ago);
        while track.past.len() > SPARE_WRITTEN && track.past[1].ts <= oldest {
            track.past.pop_front();
        }
        track
    }
}

/// `price / ratio`, to the places that a price may have.
pub(super) fn divided(price: Price, ratio: Decimal) -> Price {
    price.decimal().checked_div(ratio).map_or(price, |p| Price::new(p.round_dp(MAX_SCALE)))
}

/// `price * ratio`, to the places that a price may have.
pub(super) fn multiplied(price: Price, ratio: Decimal) -> Price {
    price.decimal().checked_mul(ratio).map_or(price, |p| Price::new(p.round_dp(MAX_SCALE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against looking at every observation.
        #[test]
        fn windows_find_what_a_scan_finds(
            steps in prop::collection::vec((0_i64..4, 1_i64..12), 1..80),
            window in 0_i64..20,
            since in 0_usize..90,
            folds in 0_usize..4,
        ) {
            let mut track = Track::default();
            let reach = Reach::default();
            let mut all = Vec::new();
            let mut ts = 0;
            for (seq, (step, price)) in steps.into_iter().enumerate() {
                ts += step;
                let price = Price::new(price.into());
                let at = Timestamp::from_seconds(ts);
                let observation = Observation { ts: at, price, session: Session::Regular, source: FeedId::Tape, received: at };
                track.push(observation, None, seq as u64, reach);
                all.push((at, seq, price.decimal()));
                if folds > 0 && seq % folds != 0 {
                    continue;
                }
                track.fold(reach);
                let from = at.minus(Span::from_seconds(window));
                let seen: Vec<Decimal> = all.iter().filter(|o| o.0 >= from && o.1 >= since).map(|o| o.2).collect();
                let expected = seen.iter().min().copied().zip(seen.iter().max().copied());
                prop_assert_eq!(track.extremes(from, at, since as u64), expected);
                prop_assert_eq!(track.price_at(from), all.iter().rev().find(|o| o.0 <= from).map(|o| o.2));
            }
        }
    }

    #[test]
    fn an_endless_rise_does_not_fill_the_memory() {
        let mut track = Track::default();
        let reach = Reach { within: Span::from_seconds(10), ago: Span::from_seconds(1_000) };
        for i in 1..5_000 {
            let ts = Timestamp::from_seconds(i);
            let price = Price::new(i.into());
            track.push(
                Observation { ts, price, session: Session::Regular, source: FeedId::Tape, received: ts },
                None,
                i.unsigned_abs(),
                reach,
            );
        }
        assert_eq!((track.lows.len(), track.past.len()), (SPARE, 1_001));
        assert_eq!(track.price_at(Timestamp::from_seconds(3_999)), Some(3_999.into()));
        let written = track.written(reach);
        assert_eq!((written.lows.len(), written.past.len()), (SPARE_WRITTEN, 1_001));
    }
}
