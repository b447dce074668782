//! Bars and indicators (B18): every bar is found again from all observations, and every value from whole numbers over one
//! denominator, rounded once at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Market, Observed, Oracle, exists, fraction::Q, fraction::q};
use crate::{
    alert::AlertId,
    condition::{Condition, Operand, Rule, SessionScope, Term},
    indicator::{Indicator, Measure},
    instrument::Symbol,
    price::Price,
    tick::Candle,
    time::{Span, Timestamp},
};

/// The closes of one length of bar, in one scope of sessions, that are remembered.
#[derive(Clone, Default)]
pub(super) struct Series {
    /// The first observation that counts.
    since: usize,
    closes: BTreeMap<Timestamp, Q>,
    /// Bars that have been closed by observations, remembered or not.
    done: BTreeSet<Timestamp>,
    /// No more than these.
    most: usize,
}

/// Which series: of all sessions or not, and the length of its bars.
pub(super) type Which = (bool, Span);

fn which(scope: SessionScope, indicator: Indicator) -> Option<Which> {
    Some((scope == SessionScope::Extended, indicator.bars()?.length))
}

fn scope_of(all: bool) -> SessionScope {
    if all { SessionScope::Extended } else { SessionScope::Regular }
}

/// The instruments of these tests have the days of UTC, which all these lengths divide.
fn start_of(length: Span, at: Timestamp) -> Timestamp {
    let length = length.as_micros();
    Timestamp::from_micros(at.as_micros().div_euclid(length) * length)
}

/// When an observation counts for bars.
fn counted(o: &Observed) -> Timestamp {
    if o.closing { Timestamp::from_micros(o.ts.as_micros() - 1) } else { o.ts }
}

impl Series {
    fn trim(&mut self) {
        while self.closes.len() > self.most {
            self.closes.pop_first();
        }
    }
}

impl Market {
    /// The observations that exist for a series.
    fn eligible(&self, (all, _): Which, since: usize) -> Vec<&Observed> {
        self.observed.iter().skip(since).filter(|o| exists(scope_of(all), o.session)).collect()
    }

    /// Finds the bars that the newest observation closed.
    pub(super) fn close_bars(&mut self) {
        let mut series = std::mem::take(&mut self.series);
        for (&key, one) in &mut series {
            let seen = self.eligible(key, one.since);
            let Some(newest) = seen.last() else { continue };
            let running = start_of(key.1, counted(newest));
            one.closes.retain(|start, _| *start < running || one.done.contains(start));
            let starts: BTreeSet<Timestamp> = seen.iter().map(|o| start_of(key.1, counted(o))).collect();
            for start in starts {
                let mut within = seen.iter().filter(|o| start_of(key.1, counted(o)) == start);
                let Some(last) = within.next_back() else { continue };
                let over = start < running || last.ts >= start.plus(key.1);
                if over && one.done.insert(start) {
                    one.closes.insert(start, last.p);
                }
            }
            one.trim();
        }
        self.series = series;
    }

    fn fill(&mut self, candles: &[Candle], now: Timestamp) {
        let mut series = std::mem::take(&mut self.series);
        for (&key, one) in &mut series {
            let newest = self.eligible(key, 0).last().map(|o| start_of(key.1, counted(o)));
            let limit = newest.map_or(now, |running| running.min(now));
            let mut found: BTreeMap<Timestamp, &Candle> = BTreeMap::new();
            for candle in candles {
                let start = start_of(key.1, candle.from);
                let end = start.plus(key.1);
                let believed = candle.low.is_positive()
                    && candle.from < candle.to
                    && candle.low <= candle.close
                    && candle.close <= candle.high;
                if !believed || !exists(scope_of(key.0), candle.session) || candle.to > end || end > limit {
                    continue;
                }
                if found.get(&start).is_none_or(|known| known.to <= candle.to) {
                    found.insert(start, candle);
                }
            }
            for (start, candle) in found {
                one.closes.entry(start).or_insert_with(|| q(candle.close));
            }
            one.trim();
        }
        self.series = series;
    }

    pub(super) fn split_closes(&mut self, r: Q) {
        self.series.values_mut().flat_map(|s| s.closes.values_mut()).for_each(|p| *p = p.over(r));
    }

    fn value(&self, scope: SessionScope, indicator: Indicator) -> Option<Q> {
        let series = self.series.get(&which(scope, indicator)?)?;
        let closes: Vec<Q> = series.closes.values().copied().collect();
        of_closes(indicator, &closes)
    }
}

impl Oracle {
    /// What all alerts need, with `rule` in the place of `id`, is kept from now on; the rest is forgotten.
    pub(super) fn keep_series(&mut self, id: AlertId, rule: Option<&Rule>) {
        let standing = self.alerts.iter().filter(|(other, _)| **other != id).map(|(_, s)| &s.alert.rule);
        let rules: Vec<Rule> = standing.chain(rule).cloned().collect();
        for (symbol, market) in &mut self.markets {
            let mut needed: BTreeMap<Which, usize> = BTreeMap::new();
            let mut volumes = BTreeSet::new();
            for rule in &rules {
                for (_, indicator) in rule.indicators().filter(|(of, _)| of == symbol) {
                    if let Some(key) = which(rule.session, indicator) {
                        let most = needed.entry(key).or_default();
                        *most = (*most).max(window(indicator));
                    } else {
                        volumes.insert(rule.session == SessionScope::Extended);
                    }
                }
            }
            market.series.retain(|key, _| needed.contains_key(key));
            let mut fresh = false;
            for (key, most) in needed {
                if let Some(known) = market.series.get_mut(&key) {
                    known.most = most;
                    known.trim();
                } else {
                    let last = market.observed.iter().rposition(|o| exists(scope_of(key.0), o.session));
                    let since = last.unwrap_or(market.observed.len());
                    market.series.insert(key, Series { since, most, ..Series::default() });
                    fresh = true;
                }
            }
            if fresh {
                market.close_bars();
            }
            market.volumes.retain(|all, _| volumes.contains(all));
            for all in volumes {
                market.volumes.entry(all).or_default();
            }
        }
    }

    pub(in super::super) fn history(&mut self, symbol: Symbol, candles: &[Candle], rx: Timestamp) {
        self.begin(rx);
        let now = self.rx;
        if let Some(market) = self.markets.get_mut(&symbol) {
            market.fill(candles, now);
        }
    }

    /// What an indicator is now.
    pub(super) fn indicator(
        &self,
        symbol: Symbol,
        scope: SessionScope,
        indicator: Indicator,
        now: Timestamp,
    ) -> Option<Q> {
        let market = &self.markets[&symbol];
        if indicator == Indicator::Volume {
            let (ts, amount) = (*market.volumes.get(&(scope == SessionScope::Extended))?)?;
            return self.fresh(symbol, ts, now).then_some(amount);
        }
        market.value(scope, indicator)
    }

    /// The condition with the number that stands now where an indicator is named.
    pub(super) fn settled(&self, term: &Term, scope: SessionScope, now: Timestamp) -> Option<Condition> {
        let Some(indicator) = term.condition.level_indicator() else { return Some(term.condition.clone()) };
        let (n, d) = parts(self.indicator(term.operand.symbol()?, scope, indicator, now)?);
        let level = Price::new(rust_decimal::Decimal::from(n) / rust_decimal::Decimal::from(d)).into();
        Some(match term.condition {
            Condition::Compare { cmp, .. } => Condition::Compare { cmp, level },
            Condition::Crosses { direction, .. } => Condition::Crosses { direction, level },
            ref other => other.clone(),
        })
    }
}

/// Whether a split of the operand's instrument changes numbers that it is compared with.
pub(super) fn splits_with(operand: &Operand, symbol: Symbol) -> bool {
    match *operand {
        Operand::Price(one) => one == symbol,
        Operand::Indicator(one, indicator) => one == symbol && indicator.measure() == Measure::Price,
        Operand::Ratio(..) => false,
    }
}

/// W.
fn window(indicator: Indicator) -> usize {
    let n = indicator.bars().map_or(0, |bars| usize::from(bars.count));
    match indicator {
        Indicator::Ema(_) => 5 * n,
        Indicator::Rsi(_) => 10 * n + 1,
        _ => n,
    }
}

/// Numerator and denominator, of numbers as short as those of random tapes.
fn parts(q: Q) -> (i128, i128) {
    match q {
        Q::Small(n, d) => (n, d),
        Q::Large(..) => panic!("indicators are raced with short numbers only"),
    }
}

fn of_closes(indicator: Indicator, closes: &[Q]) -> Option<Q> {
    let n = usize::from(indicator.bars()?.count);
    let closes = &closes[closes.len() - closes.len().min(window(indicator))..];
    if closes.len() < n + usize::from(matches!(indicator, Indicator::Rsi(_))) {
        return None;
    }
    // Whole numbers over one denominator.
    let unit = closes.iter().map(|c| parts(*c).1).max()?;
    assert!(closes.iter().all(|c| unit % parts(*c).1 == 0), "prices of these tests are halves of halves");
    let c: Vec<i128> = closes.iter().map(|c| parts(*c)).map(|(n, d)| n * (unit / d)).collect();
    let count = i128::try_from(n).ok()?;
    Some(match indicator {
        Indicator::Sma(_) => rounded(c.iter().sum(), count * unit),
        Indicator::Ema(_) => {
            // E = (E (N - 1) + 2 c) / (N + 1), over N (N + 1)^steps.
            let (mut e, mut over) = (c[..n].iter().sum::<i128>(), count);
            for close in &c[n..] {
                e = e * (count - 1) + 2 * close * over;
                over *= count + 1;
            }
            rounded(e, over * unit)
        }
        Indicator::Rsi(_) => {
            let change: Vec<i128> = c.windows(2).map(|w| w[1] - w[0]).collect();
            let (mut gain, mut loss, mut over) = (0, 0, 1);
            for x in &change[..n] {
                (gain, loss) = (gain + x.max(&0), loss + (-x).max(0));
            }
            for x in &change[n..] {
                // Everything times N once more.
                (gain, loss) =
                    (gain * (count - 1) + x.max(&0) * over * count, loss * (count - 1) + (-x).max(0) * over * count);
                over *= count;
            }
            match (gain, loss) {
                (0, 0) => Q::Small(50, 1),
                (_, 0) => Q::Small(100, 1),
                _ => rounded(100 * gain, gain + loss),
            }
        }
        Indicator::BbUpper(_, k) | Indicator::BbLower(_, k) => {
            const MORE: i128 = 10_000_000_000_000;
            let sum: i128 = c.iter().sum();
            let squares: i128 = c.iter().map(|x| x * x).sum();
            // N times the deviation is the root of this.
            let spread = root((count * squares - sum * sum) * MORE * MORE);
            let (k, over) = parts(Q::of(k));
            let side = if matches!(indicator, Indicator::BbUpper(..)) { k } else { -k };
            rounded(sum * MORE * over + spread * side, count * unit * MORE * over)
        }
        Indicator::Volume => return None,
    })
}

/// The largest whole number whose square is at most `n`, bit by bit.
fn root(n: i128) -> i128 {
    let mut root = 0_i128;
    for bit in (0..63).rev() {
        let next = root + (1 << bit);
        if next * next <= n {
            root = next;
        }
    }
    root
}

/// `n / d`, twelve digits long, half to even, by long division.
fn rounded(n: i128, d: i128) -> Q {
    let (negative, mut rest) = ((n < 0) != (d < 0), n.abs());
    let d = d.abs();
    let mut whole = rest / d;
    rest %= d;
    let mut scale = 1_i64;
    while whole < 100_000_000_000 && scale < 1_000_000_000_000_000_000 && rest != 0 {
        rest *= 10;
        whole = whole * 10 + rest / d;
        rest %= d;
        scale *= 10;
    }
    if rest * 2 > d || (rest * 2 == d && whole % 2 == 1) {
        whole += 1;
    }
    let q = Q::of(rust_decimal::Decimal::from(whole) / rust_decimal::Decimal::from(scale));
    if negative { Q::ZERO.minus(q) } else { q }
}
