//! Alerts over history: ticks or bars in, firings out, through the very [`Evaluator`] that the daemon runs.
//!
//! Nothing here holds the history: memory grows with the alerts, never with the length of the tape. What a firing means is
//! `docs/alerts.md`; what a backtest promises beyond it is `docs/backtest.md`.

mod alerts;
mod report;
pub mod tape;

#[cfg(test)]
mod tests;

pub use alerts::{BadAlert, read_alerts, watched};
pub use report::{
    AlertSummary, BacktestAnswer, BacktestFiring, BacktestSummary, Coverage, CoverageSource, NewBacktest,
};

use crate::{
    alert::{Alert, AlertChange, AlertId, UserId},
    condition::{Repeat, Rule},
    evaluator::{Admission, Evaluator},
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    tick::{Candle, Tick},
    time::{Span, Timestamp},
};

/// Where the ids of the alerts' twins begin.
const TWINS: i64 = 1 << 40;

/// Alerts that were made at the beginning of a history and are shown all of it.
#[derive(Debug)]
pub struct Backtest {
    /// Judges ticks, and of bars the alerts on one instrument.
    first: Evaluator,
    /// Judges the alerts on several instruments where bars are shown: a bar's inside tells nothing of two of them at once.
    joint: Option<Evaluator>,
    /// Some of those alerts name indicators, so that the close of a minute must lie within it.
    joint_bars: bool,
    runs: Vec<Run>,
    from: Option<Timestamp>,
    to: Timestamp,
    total: Quiet,
    count: u64,
    /// Kept for its memory.
    fired: Vec<Firing>,
}

/// What one alert has done so far.
#[derive(Debug)]
struct Run {
    expr: String,
    count: u64,
    quiet: Quiet,
    /// The same alert without its cooldown has fired, and this one not since.
    unreported: bool,
    suppressed: u64,
}

/// The longest time between two firings.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    last: Option<Timestamp>,
    longest: Span,
}

impl Quiet {
    fn fired(&mut self, at: Timestamp, from: Timestamp) {
        self.longest = self.until(at, from);
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// The longest quiet time, were the history over at `end`, in whole seconds.
    fn until(&self, end: Timestamp, from: Timestamp) -> Span {
        Span::from_seconds(self.longest.max(end.since(self.last.unwrap_or(from))).as_seconds())
    }
}

impl Run {
    /// Takes in what one input did: whether the alert fired, and whether it would have without its cooldown.
    fn after(&mut self, fired: bool, twin_fired: bool) {
        if twin_fired {
            self.suppressed += u64::from(self.unreported);
            self.unreported = !fired;
        } else if fired {
            self.unreported = false;
        }
    }
}

impl Backtest {
    /// The alerts `rules`, made at `start`, before any price is known. Prices of instruments other than these count for nothing.
    pub fn new(instruments: impl IntoIterator<Item = Instrument>, rules: Vec<Rule>, start: Timestamp) -> Self {
        let instruments: Vec<Instrument> = instruments.into_iter().collect();
        let is_joint = |rule: &Rule| rule.symbols().len() > 1;
        let mut backtest = Self {
            joint: rules.iter().any(is_joint).then(|| Evaluator::new(instruments.clone())),
            first: Evaluator::new(instruments),
            joint_bars: rules.iter().any(|rule| is_joint(rule) && rule.indicators().next().is_some()),
            runs: Vec::with_capacity(rules.len()),
            from: None,
            to: start,
            total: Quiet::default(),
            count: 0,
            fired: Vec::new(),
        };
        for (position, rule) in rules.into_iter().enumerate() {
            let run =
                Run { expr: rule.to_string(), count: 0, quiet: Quiet::default(), unreported: false, suppressed: 0 };
            backtest.runs.push(run);
            let id = i64::try_from(position).unwrap_or(i64::MAX);
            let evaluator = match &mut backtest.joint {
                Some(joint) if is_joint(&rule) => joint,
                _ => &mut backtest.first,
            };
            if let Some(twin) = without_cooldown(&rule) {
                put(evaluator, TWINS.saturating_add(id), twin, start);
            }
            put(evaluator, id, rule, start);
        }
        backtest
    }

    /// Shows it what was before the history, for indicators that need a past: candles of one instrument, of any length that
    /// divides those of their bars, all at once. Nothing fires.
    pub fn warm_up(&mut self, symbol: Symbol, candles: &[Candle]) {
        let start = self.to;
        for evaluator in std::iter::once(&mut self.first).chain(&mut self.joint) {
            evaluator.on_history(symbol, candles, start);
        }
    }

    /// Shows it one price. Firings are added to `out`, in the order of the alerts.
    pub fn feed(&mut self, tick: &Tick, out: &mut Vec<BacktestFiring>) -> Admission {
        self.saw(tick.received_time, tick.received_time);
        let mut fired = std::mem::take(&mut self.fired);
        let admission = self.first.on_tick(tick, &mut fired);
        if let Some(joint) = &mut self.joint {
            joint.on_tick(tick, &mut fired);
        }
        self.report(fired, out, |_| Timestamp::default());
        admission
    }

    /// Shows it the bars of several instruments that ended at one time, each instrument once. Firings are added to `out`, in the
    /// order of their times. Alerts on several instruments are judged by the closes, together.
    pub fn feed_bars(&mut self, bars: &[(Symbol, Candle)], out: &mut Vec<BacktestFiring>) {
        let mut fired = std::mem::take(&mut self.fired);
        for (symbol, bar) in bars {
            self.saw(bar.from, bar.to);
            self.first.on_candle(*symbol, bar, FeedId::Tape, bar.to, &mut fired);
        }
        if let Some(joint) = &mut self.joint {
            // A close lies in the bar that ends with it; a tick at that very instant would lie in the next one.
            let early = Span::from_micros(i64::from(self.joint_bars));
            let close = |(symbol, bar): &(Symbol, Candle)| Tick {
                exchange_time: Some(bar.to.minus(early)),
                session: bar.session,
                ..Tick::new(*symbol, bar.close, FeedId::Tape, bar.to)
            };
            let alone = fired.len();
            joint.on_batch(&bars.iter().map(close).collect::<Vec<_>>(), &mut fired);
            for firing in &mut fired[alone..] {
                firing.time = firing.time.plus(early);
            }
        }
        self.report(fired, out, |firing| firing.time);
    }

    /// What has happened so far.
    pub fn summary(&self) -> BacktestSummary {
        let from = self.from.unwrap_or(self.to);
        BacktestSummary {
            count: self.count,
            longest_quiet: self.total.until(self.to, from),
            suppressed: self.alerts().iter().map(|alert| alert.suppressed).sum(),
            from: self.from,
            to: self.from.map(|_| self.to),
            bar: None,
            bars: 0,
            coverage: Vec::new(),
        }
    }

    /// What has happened so far, alert by alert.
    pub fn alerts(&self) -> Vec<AlertSummary> {
        let from = self.from.unwrap_or(self.to);
        let summary = |(alert, run): (usize, &Run)| AlertSummary {
            alert,
            expr: run.expr.clone(),
            count: run.count,
            longest_quiet: run.quiet.until(self.to, from),
            suppressed: run.suppressed + u64::from(run.unreported),
        };
        self.runs.iter().enumerate().map(summary).collect()
    }

    fn saw(&mut self, from: Timestamp, to: Timestamp) {
        self.from = Some(self.from.map_or(from, |known| known.min(from)));
        self.to = self.to.max(to);
    }

    /// Counts what one input did, and passes it on, in this order and that of the alerts.
    fn report(&mut self, mut fired: Vec<Firing>, out: &mut Vec<BacktestFiring>, order: fn(&Firing) -> Timestamp) {
        if !fired.is_empty() {
            // An alert's firing and its twin's stand side by side, the alerts in their order.
            fired.sort_by_key(|firing| place(firing.id.alert));
            for of_alert in fired.chunk_by(|a, b| place(a.id.alert).0 == place(b.id.alert).0) {
                let own = of_alert.iter().any(|firing| !place(firing.id.alert).1);
                let twin = of_alert.iter().any(|firing| place(firing.id.alert).1);
                self.runs[place(of_alert[0].id.alert).0].after(own, twin);
            }
            fired.retain(|firing| !place(firing.id.alert).1);
            fired.sort_by_key(order);
            let from = self.from.unwrap_or(self.to);
            for firing in fired.drain(..) {
                let (alert, _) = place(firing.id.alert);
                self.count += 1;
                self.total.fired(firing.time, from);
                self.runs[alert].count += 1;
                self.runs[alert].quiet.fired(firing.time, from);
                let reason = firing.reason().into_owned();
                let Firing { symbol, time, price, .. } = firing;
                out.push(BacktestFiring { alert, symbol, time, price, reason });
            }
        }
        self.fired = fired;
    }
}

/// Appends bars, oldest first, to `into`, those of one stretch of `length` and one session merged into one.
pub fn condense(into: &mut Vec<Candle>, bars: impl IntoIterator<Item = Candle>, length: Span) {
    let stretch = |bar: &Candle| bar.from.as_micros().div_euclid(length.as_micros().max(1));
    for bar in bars {
        match into.last_mut().filter(|last| stretch(last) == stretch(&bar) && last.session == bar.session) {
            Some(last) => {
                (last.to, last.close) = (bar.to, bar.close);
                (last.high, last.low) = (last.high.max(bar.high), last.low.min(bar.low));
            }
            None => into.push(bar),
        }
    }
}

/// The position of an alert, and whether it is the twin.
fn place(id: AlertId) -> (usize, bool) {
    let twin = id.0 >= TWINS;
    let position = if twin { id.0 - TWINS } else { id.0 };
    (usize::try_from(position).unwrap_or(usize::MAX), twin)
}

fn put(evaluator: &mut Evaluator, id: i64, rule: Rule, start: Timestamp) {
    let alert = Alert {
        id: AlertId(id),
        owner: UserId::OWNER,
        version: 1,
        rule,
        paused: false,
        snoozed_until: None,
        created: start,
        updated: start,
    };
    // No price is known yet, so nothing can fire, and a first version is never refused.
    evaluator.apply(AlertChange::Put(alert), start, &mut Vec::new());
}

/// The same alert without its cooldown, where it has one.
fn without_cooldown(rule: &Rule) -> Option<Rule> {
    match rule.repeat {
        Repeat::Once => None,
        Repeat::Each { cooldown } if cooldown.is_zero() => None,
        Repeat::Each { .. } | Repeat::Every(_) => {
            Some(Rule { repeat: Repeat::Each { cooldown: Span::ZERO }, ..rule.clone() })
        }
    }
}
