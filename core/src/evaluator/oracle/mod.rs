//! The slow, obvious evaluator that the fast one must equal: written from `docs/alerts.md`, part B, alone, sentence by
//! sentence, with its own fractions, its own admission and its own evaluation. It remembers every observation, looks at
//! every alert at every input, and shares nothing with the code it judges but the vocabulary.

#![expect(clippy::many_single_char_names, clippy::similar_names, reason = "the letters of the text it is written from")]

mod commands;
mod conditions;
mod fraction;
mod indicators;
mod repeat;

use std::collections::BTreeMap;

use self::{
    conditions::{is_edge, step_edge},
    fraction::{Q, q},
    indicators::{Series, Which},
    repeat::combine,
};
use crate::{
    alert::{Alert, AlertId},
    condition::{Operand, SessionScope},
    firing::Direction,
    instrument::{Instrument, Symbol},
    tick::{Candle, Session, Tick},
    time::Timestamp,
};

#[derive(Clone, Copy)]
struct Seen {
    symbol: Symbol,
    ts: Timestamp,
    session: Session,
}

#[derive(Clone)]
struct Observed {
    ts: Timestamp,
    p: Q,
    session: Session,
    /// The last point of a candle.
    closing: bool,
}

#[derive(Clone)]
struct Market {
    settings: Instrument,
    observed: Vec<Observed>,
    held: Option<(Timestamp, Q)>,
    series: BTreeMap<Which, Series>,
    /// The last volume, and when that was, of all sessions or not.
    volumes: BTreeMap<bool, Option<(Timestamp, Q)>>,
}

impl Market {
    fn observe(&mut self, observed: Observed) {
        self.observed.push(observed);
        self.close_bars();
    }

    fn observe_tick(&mut self, ts: Timestamp, p: Q, tick: &Tick) {
        self.observe(Observed { ts, p, session: tick.session, closing: false });
        let Some(amount) = tick.day.volume else { return };
        for (all, known) in &mut self.volumes {
            if *all || tick.session == Session::Regular {
                *known = Some((ts, q(amount)));
            }
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "the flags of the text it is written from")]
#[derive(Clone, Copy, Default)]
struct TermFlags {
    latch: bool,
    up: bool,
    down: bool,
    again: bool,
    reference: Option<Q>,
    since: usize,
}

#[derive(Clone)]
struct Standing {
    alert: Alert,
    done: bool,
    activated: Timestamp,
    snoozed: Option<Timestamp>,
    terms: Vec<TermFlags>,
    /// Fired, acknowledged.
    episode: Option<(bool, bool)>,
    wait_up: Option<Timestamp>,
    wait_down: Option<Timestamp>,
    time: Option<Timestamp>,
    known: Option<Timestamp>,
    last_fired: Option<Timestamp>,
    count: u32,
    reported: Option<usize>,
}

/// A firing, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) alert: AlertId,
    pub(super) number: u32,
    pub(super) time: Timestamp,
    pub(super) direction: Option<Direction>,
    pub(super) late: bool,
    pub(super) more: u32,
}

/// What became of a tick: accepted, held, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    Held,
    No,
}

#[derive(Clone, Default)]
pub(super) struct Oracle {
    markets: BTreeMap<Symbol, Market>,
    alerts: BTreeMap<AlertId, Standing>,
    rx: Timestamp,
    fired: Vec<Fired>,
    late: bool,
    within_candle: bool,
}

fn exists(scope: SessionScope, session: Session) -> bool {
    session == Session::Regular || scope == SessionScope::Extended
}

impl Oracle {
    pub(super) fn new(instruments: Vec<Instrument>) -> Self {
        let market = |settings: Instrument| Market {
            settings,
            observed: Vec::new(),
            held: None,
            series: BTreeMap::new(),
            volumes: BTreeMap::new(),
        };
        Self { markets: instruments.into_iter().map(|i| (i.symbol, market(i))).collect(), ..Self::default() }
    }

    /// What fired since the last time.
    pub(super) fn take(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.fired)
    }

    fn begin(&mut self, rx: Timestamp) {
        self.rx = self.rx.max(rx);
        self.late = false;
        self.within_candle = false;
        for alert in self.alerts.values_mut() {
            alert.reported = None;
        }
    }

    // B3

    fn admit(&mut self, tick: &Tick) -> (Taken, Option<Seen>) {
        let rx = self.rx;
        let Some(market) = self.markets.get_mut(&tick.symbol) else { return (Taken::No, None) };
        let p = q(tick.price);
        if p <= Q::ZERO && !market.settings.allow_nonpositive {
            return (Taken::No, None);
        }
        let mut ts = tick.exchange_time.unwrap_or(rx);
        if ts.as_micros() > rx.as_micros() + 60_000_000 {
            ts = rx;
        }
        let known = |last: &Observed| ts < last.ts || (ts == last.ts && p == last.p);
        if market.observed.last().is_some_and(known) {
            return (Taken::No, None);
        }
        let seen = Seen { symbol: tick.symbol, ts, session: tick.session };
        if rx.as_micros() - ts.as_micros() > market.settings.stale_after.as_micros() {
            if !market.observed.is_empty() {
                return (Taken::No, None);
            }
            market.observe_tick(ts, p, tick);
            self.arm_first(seen);
            return (Taken::Yes, None);
        }
        if let (Some(percent), Some(last)) = (market.settings.outlier_pct, market.observed.last()) {
            let window = market.settings.outlier_window.as_micros();
            let apart = |base: Q| p.minus(base).abs() > base.abs().part(Q::of(percent));
            if ts.as_micros() - last.ts.as_micros() <= window && apart(last.p) {
                let believed = market.held.is_some_and(|(at, held)| at < ts && !apart(held));
                if !believed {
                    if market.held.is_none_or(|(at, _)| at <= ts) {
                        market.held = Some((ts, p));
                    }
                    return (Taken::Held, None);
                }
            }
        }
        market.held = None;
        market.observe_tick(ts, p, tick);
        (Taken::Yes, Some(seen))
    }

    pub(super) fn batch(&mut self, ticks: &[Tick]) -> Vec<Taken> {
        self.begin(ticks.iter().map(|t| t.received_time).max().unwrap_or_default());
        let mut seen = Vec::new();
        let mut taken = Vec::new();
        for tick in ticks {
            let (how, observed) = self.admit(tick);
            taken.push(how);
            seen.extend(observed);
        }
        self.evaluate_all(&seen, |_| true);
        taken
    }

    // B4

    pub(super) fn candles(&mut self, symbol: Symbol, candles: &[Candle], rx: Timestamp, late: bool) {
        self.begin(rx);
        self.late = late;
        for candle in candles {
            self.candle(symbol, candle);
        }
    }

    fn candle(&mut self, symbol: Symbol, c: &Candle) {
        let Some(market) = self.markets.get(&symbol) else { return };
        let last = market.observed.last().map(|o| o.ts);
        let [o, h, l, e] = [c.open, c.high, c.low, c.close].map(q);
        let admissible = market.settings.allow_nonpositive || [o, h, l, e].iter().all(|p| *p > Q::ZERO);
        let consistent = l <= o && l <= e && o <= h && e <= h && c.from < c.to;
        if c.to > self.rx || !consistent || !admissible || last.is_some_and(|last| c.to <= last) {
            return;
        }
        let third = (c.to.as_micros() - c.from.as_micros()) / 3 / 1_000 * 1_000;
        let at = |n: i64| Timestamp::from_micros(c.from.as_micros() + n * third);
        let mut points = if e >= o {
            vec![(c.from, o), (at(1), l), (at(2), h), (c.to, e)]
        } else {
            vec![(c.from, o), (at(1), h), (at(2), l), (c.to, e)]
        };
        if last.is_some_and(|last| c.from < last) {
            points.drain(..3);
        }
        let count = points.len();
        for (i, (ts, p)) in points.into_iter().enumerate() {
            let closing = i + 1 == count;
            if let Some(market) = self.markets.get_mut(&symbol) {
                market.observe(Observed { ts, p, session: c.session, closing });
            }
            self.within_candle = i > 0;
            let (from, to) = (c.from, c.to);
            self.evaluate_all(&[Seen { symbol, ts, session: c.session }], |s| {
                let counts = if s.activated > from { closing && s.activated < to } else { true };
                counts && s.alert.rule.symbols().len() == 1
            });
        }
        self.within_candle = false;
    }

    // B5

    fn last(&self, symbol: Symbol, scope: SessionScope) -> Option<&Observed> {
        self.markets[&symbol].observed.iter().rev().find(|o| exists(scope, o.session))
    }

    fn fresh(&self, symbol: Symbol, ts: Timestamp, now: Timestamp) -> bool {
        now.as_micros() - ts.as_micros() <= self.markets[&symbol].settings.stale_after.as_micros()
    }

    fn value(&self, operand: &Operand, scope: SessionScope, now: Timestamp) -> Option<Q> {
        let price = |symbol| self.last(symbol, scope).filter(|o| self.fresh(symbol, o.ts, now)).map(|o| o.p);
        match *operand {
            Operand::Price(symbol) => price(symbol),
            Operand::Indicator(symbol, indicator) => {
                price(symbol)?;
                self.indicator(symbol, scope, indicator, now)
            }
            Operand::Ratio(a, b) => {
                let (a, b) = (price(a)?, price(b)?);
                (b != Q::ZERO).then(|| a.over(b))
            }
        }
    }

    fn last_known(&self, operand: &Operand, scope: SessionScope) -> Option<Q> {
        match *operand {
            Operand::Price(symbol) => self.last(symbol, scope).map(|o| o.p),
            Operand::Indicator(symbol, indicator) => self.indicator(symbol, scope, indicator, self.rx),
            Operand::Ratio(..) => self.value(operand, scope, self.rx),
        }
    }

    // B6

    fn evaluate_all(&mut self, seen: &[Seen], wanted: impl Fn(&Standing) -> bool) {
        let mut alerts = std::mem::take(&mut self.alerts);
        for s in alerts.values_mut() {
            if wanted(s) {
                self.evaluate(s, seen);
            }
        }
        self.alerts = alerts;
    }

    fn evaluate(&mut self, s: &mut Standing, seen: &[Seen]) {
        let rule = s.alert.rule.clone();
        let symbols = rule.symbols();
        let seen: Vec<&Seen> =
            seen.iter().filter(|o| symbols.contains(&o.symbol) && exists(rule.session, o.session)).collect();
        let Some(ts) = seen.iter().map(|o| o.ts).max() else { return };
        let now = s.time.map_or(ts, |t| t.max(ts));
        if s.alert.paused || s.done || rule.until.is_some_and(|until| now >= until) {
            return;
        }
        s.time = Some(now);
        let silent = s.snoozed.is_some_and(|until| self.rx < until);
        let mut truths = Vec::new();
        let mut directions = Vec::new();
        let mut event = None;
        for (term, flags) in rule.terms.iter().zip(&mut s.terms) {
            let value = self.value(&term.operand, rule.session, now).zip(self.settled(term, rule.session, now));
            let mut truth = None;
            let mut direction = None;
            if let Some((p, condition)) = value {
                if is_edge(&condition) {
                    if seen.iter().any(|o| term.operand.symbols().any(|symbol| symbol == o.symbol)) {
                        let happened = step_edge(&condition, flags, p, rule.hysteresis);
                        event = event.or(happened);
                    }
                    truth = Some(true);
                } else if !silent {
                    (truth, direction) = self.judge(&condition, &term.operand, flags, p, now, &rule);
                }
            }
            truths.push(truth);
            directions.push(direction);
        }
        if silent {
            return;
        }
        if rule.terms.iter().any(|t| is_edge(&t.condition)) {
            self.with_edge(s, &rule, now, event, &truths);
        } else {
            let value = combine(rule.join, &truths);
            let first = truths.iter().zip(&directions).find(|(t, d)| **t == Some(true) && d.is_some());
            self.without_edge(s, &rule, now, value, first.and_then(|(_, d)| *d));
        }
    }
}
