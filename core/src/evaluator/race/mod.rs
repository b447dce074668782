//! The fast evaluator against the slow obvious one: random alerts of every kind, random tapes with everything that can be
//! wrong with a tape, commands, splits, restarts from what was written down, and crashes that forget what was not. After every
//! input both must have fired the same and show the same states.
//!
//! `BELLWETHER_TAPES` says how many random tapes are run, `BELLWETHER_SEED` repeats a run; `.ci/fuzz` lets a fuzzer write tapes.

mod tapes;
mod tests;
mod text;

use std::fmt::Write as _;

use rust_decimal::Decimal;

use self::tapes::{Input, Quote, START, halves, symbol};
use super::{
    Admission, Cut, Evaluator,
    oracle::{Fired, Oracle, Taken},
};
use crate::{
    alert::{Alert, AlertChange, AlertId, AlertState, UserId},
    condition::Rule,
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::{Candle, DayStats, Session, Tick},
    time::{Span, Timestamp},
};

/// How far a source time may run ahead of the receive time.
const AHEAD: Span = Span::from_seconds(60);

/// Both evaluators, the stored alerts, and what was written down.
struct Race {
    instruments: Vec<Instrument>,
    fast: Evaluator,
    slow: Oracle,
    stored: Cut,
    /// The slow one as it was at the last cut.
    slow_stored: Oracle,
    versions: [u32; 4],
    /// The tape's clock. It may go back, but not behind a restart: a program that starts again has learnt the time.
    now: Timestamp,
    not_before: Timestamp,
    /// The latest that the clock has shown.
    latest: Timestamp,
    /// What a split has done to the prices of each instrument.
    scale: [Decimal; 3],
}

impl Race {
    fn new(instruments: Vec<Instrument>, start: i64) -> Self {
        let now = Timestamp::from_seconds(start);
        Self {
            fast: Evaluator::new(instruments.clone()),
            slow: Oracle::new(instruments.clone()),
            stored: Cut::default(),
            slow_stored: Oracle::new(instruments.clone()),
            instruments,
            versions: [0; 4],
            now,
            not_before: Timestamp::from_micros(i64::MIN),
            latest: now,
            scale: [Decimal::ONE; 3],
        }
    }

    /// Sets the tape's clock.
    fn set_clock(&mut self, now: Timestamp) {
        self.now = now.max(self.not_before);
        self.latest = self.latest.max(self.now);
    }

    fn price(&self, market: usize, price: i64) -> Price {
        Price::new(halves(price).decimal() / self.scale[market])
    }

    fn tick(&self, quote: &Quote) -> Tick {
        let day = DayStats { volume: quote.volume.map(|v| Price::new(v.into())), ..DayStats::default() };
        Tick {
            day,
            exchange_time: quote.age.map(|age| Timestamp::from_micros(self.now.as_micros() - age * 1_000_000)),
            session: quote.session,
            ..Tick::new(symbol(quote.market), self.price(quote.market, quote.price), FeedId::Tape, self.now)
        }
    }

    /// The stored alert under its next version.
    fn next(&mut self, id: i64) -> Option<Alert> {
        let alert = self.slow.alert(AlertId(id))?.clone();
        self.versions[usize::try_from(id).unwrap()] = alert.version + 1;
        Some(Alert { version: alert.version + 1, ..alert })
    }

    fn change(&mut self, change: Option<AlertChange>, out: &mut Vec<Firing>) {
        if let Some(change) = change {
            assert!(self.fast.apply(change.clone(), self.now, out), "a new version is taken");
            assert!(!self.fast.apply(change.clone(), self.now, out), "the same version again is not");
            self.slow.change(&change, self.now);
            self.cut();
        }
    }

    fn put(&mut self, id: i64, rule: Rule) -> AlertChange {
        let known = self.next(id);
        let place = usize::try_from(id).unwrap();
        if known.is_none() {
            self.versions[place] += 1;
        }
        let created = known.unwrap_or(Alert {
            id: AlertId(id),
            owner: UserId::OWNER,
            version: self.versions[place],
            rule: rule.clone(),
            paused: false,
            snoozed_until: None,
            created: self.now,
            updated: self.now,
        });
        AlertChange::Put(Alert { rule, updated: self.now, ..created })
    }

    /// Writes down what changed, as the daemon does with every firing, soon after every command, and once a second.
    fn cut(&mut self) {
        let written = serde_json::to_string(&self.fast.take_cut()).unwrap();
        self.stored.merge(serde_json::from_str(&written).unwrap());
        self.slow_stored = self.slow.clone();
    }

    /// Everything was written down: a restart is not an event.
    fn restart(&mut self) {
        self.cut();
        self.restore();
    }

    /// What came since the last cut was never seen.
    fn crash(&mut self) {
        self.slow = self.slow_stored.clone();
        self.restore();
    }

    fn restore(&mut self) {
        let alerts = self.fast.alerts().collect();
        self.fast = Evaluator::restore(self.instruments.clone(), alerts, self.stored.clone());
        assert!(!self.fast.is_dirty(), "a restart changes nothing");
        self.not_before = self.latest;
        self.now = self.latest;
    }

    fn split(&mut self, symbol: Symbol, ratio: Decimal) {
        self.slow.split(symbol, ratio, self.now);
        for alert in self.fast.on_split(symbol, ratio, self.now) {
            let slow = self.slow.alert(alert.id).map(|a| (a.version, &a.rule));
            assert_eq!(slow, Some((alert.version, &alert.rule)));
        }
        self.cut();
    }

    fn ticks(&mut self, ticks: &[Tick], out: &mut Vec<Firing>) {
        let fast = match ticks {
            [one] => vec![self.fast.on_tick(one, out)],
            several => self.fast.on_batch(several, out),
        };
        let taken = |admission: &Admission| match admission {
            Admission::Accepted => Taken::Yes,
            Admission::Held => Taken::Held,
            Admission::Rejected(_) => Taken::No,
        };
        assert_eq!(fast.iter().map(taken).collect::<Vec<_>>(), self.slow.batch(ticks), "taken, by fast and slow");
    }

    /// One candle, or those after a gap.
    fn candles(&mut self, symbol: Symbol, candles: &[Candle], backfill: bool, out: &mut Vec<Firing>) {
        if backfill {
            self.fast.on_backfill(symbol, candles, FeedId::Tape, self.now, out);
        } else if let [candle] = candles {
            self.fast.on_candle(symbol, candle, FeedId::Tape, self.now, out);
        }
        self.slow.candles(symbol, candles, self.now, backfill);
    }

    /// The candles of a random tape; the last one ends now.
    fn bars(&self, market: usize, bars: &[[i64; 5]], session: Session) -> Vec<Candle> {
        let length: i64 = bars.iter().map(|[gap, length, ..]| gap + length).sum();
        let mut from = self.now.as_seconds() - length;
        bars.iter()
            .map(|[gap, length, open, close, wick]| {
                from += gap;
                let at = |price: i64| self.price(market, price);
                let candle = Candle {
                    from: Timestamp::from_seconds(from),
                    to: Timestamp::from_seconds(from + length),
                    open: at(*open),
                    high: at(open.max(close) + wick),
                    low: at(open.min(close) - wick),
                    close: at(*close),
                    session,
                    volume: None,
                };
                from += length;
                candle
            })
            .collect()
    }

    fn history(&mut self, market: usize, back: i64, length: i64, bars: &[[i64; 3]], session: Session) {
        let first = (self.now.as_seconds() - back).div_euclid(length) * length;
        let candle = |(place, [open, close, wick]): (i64, &[i64; 3])| Candle {
            from: Timestamp::from_seconds(first + place * length),
            to: Timestamp::from_seconds(first + (place + 1) * length),
            open: self.price(market, *open),
            high: self.price(market, open.max(close) + wick),
            low: self.price(market, open.min(close) - wick),
            close: self.price(market, *close),
            session,
            volume: None,
        };
        let candles: Vec<Candle> = (0..).zip(bars).map(candle).collect();
        self.fast.on_history(symbol(market), &candles, self.now);
        self.slow.history(symbol(market), &candles, self.now);
    }

    fn take(&mut self, input: &Input, out: &mut Vec<Firing>) {
        let change = match input.clone() {
            Input::Ticks(quotes) => {
                let ticks: Vec<Tick> = quotes.iter().map(|q| self.tick(q)).collect();
                return self.ticks(&ticks, out);
            }
            Input::Candles { market, bars, session, backfill } => {
                let candles = self.bars(market, &bars, session);
                let taken = if backfill { &candles[..] } else { &candles[..1] };
                return self.candles(symbol(market), taken, backfill, out);
            }
            Input::Split { market, ratio } => {
                self.scale[market] *= ratio;
                return self.split(symbol(market), ratio);
            }
            Input::History { market, back, length, bars, session } => {
                return self.history(market, back, length, &bars, session);
            }
            Input::Cut => return self.cut(),
            Input::Restart => return self.restart(),
            Input::Crash => return self.crash(),
            Input::Put { id, rule } => Some(self.put(id, rule)),
            Input::Note { id, until } => self.next(id).map(|mut alert| {
                alert.rule.until = until.map(|s| Timestamp::from_seconds(START + s));
                AlertChange::Put(alert)
            }),
            Input::Pause(id) => self.next(id).map(|a| AlertChange::Pause(Alert { paused: true, ..a })),
            Input::Resume(id) => self.next(id).map(|a| AlertChange::Resume(Alert { paused: false, ..a })),
            Input::Snooze(id, span) => {
                let until = Some(self.now.plus(Span::from_seconds(span)));
                self.next(id).map(|a| AlertChange::Snooze(Alert { snoozed_until: until, ..a }))
            }
            Input::Acknowledge(id) => self.next(id).map(AlertChange::Acknowledge),
            Input::Together { id, rule, paused, snooze, acknowledged } => self.next(id).map(|mut alert| {
                if let Some(rule) = rule {
                    if !rule.evaluates_like(&alert.rule) {
                        alert.snoozed_until = None;
                    }
                    alert.rule = rule;
                }
                alert.paused = paused.unwrap_or(alert.paused);
                let until = snooze.map(|span| self.now.plus(Span::from_seconds(span)));
                alert.snoozed_until = until.or(alert.snoozed_until);
                AlertChange::Together { alert, resumed: paused == Some(false), snoozed: until.is_some(), acknowledged }
            }),
            Input::Delete(id) => self.next(id).map(|a| AlertChange::Delete { id: a.id, version: a.version }),
        };
        self.change(change, out);
    }

    /// Both must have fired the same and show the same states; then a firing is written down with all that changed.
    fn compare(&mut self, out: &[Firing], tape: impl Fn() -> String) {
        let mut slow = self.slow.take();
        let mut fast: Vec<Fired> = out.iter().map(told).collect();
        // Within one input the order of firings is no promise across candles.
        slow.sort_by_key(|f| f.alert);
        fast.sort_by_key(|f| f.alert);
        assert_eq!(fast, slow, "fast, slow, after\n{}", tape());
        for id in (1..4).map(AlertId) {
            let states = (self.fast.state(id, self.latest), self.slow.state(id, self.latest));
            // A source that runs ahead of the clock may end an alert before its time is up; what is shown in between is no promise.
            let ending =
                self.slow.alert(id).and_then(|a| a.rule.until).is_some_and(|until| self.latest.plus(AHEAD) >= until);
            let shaky = ending && (states.0 == Some(AlertState::Cooling) || states.1 == Some(AlertState::Cooling));
            assert!(shaky || states.0 == states.1, "states of {id}, {states:?}, after\n{}", tape());
        }
        if !out.is_empty() {
            self.cut();
        }
    }
}

fn told(firing: &Firing) -> Fired {
    Fired {
        alert: firing.id.alert,
        number: firing.id.number,
        time: firing.time,
        direction: firing.direction,
        late: firing.late,
        more: firing.more,
    }
}

/// The tape, one input a line, as far as it was played.
fn tape(inputs: &[(i64, Input)]) -> String {
    let mut text = String::new();
    for (after, input) in inputs {
        let line = match input {
            Input::Put { id, rule } => format!("a{id}: {rule}"),
            Input::Ticks(quotes) => {
                let quotes = quotes
                    .iter()
                    .map(|q| format!("{} {} age {:?} {:?}", symbol(q.market), halves(q.price), q.age, q.session));
                quotes.collect::<Vec<_>>().join(", ")
            }
            other => format!("{other:?}"),
        };
        let _written = writeln!(text, "+{after}s {line}");
    }
    text
}

/// Runs a random tape.
fn run(inputs: &[(i64, Input)]) {
    let mut race = Race::new(tapes::instruments(), START);
    for (i, (after, input)) in inputs.iter().enumerate() {
        race.set_clock(race.now.plus(Span::from_seconds(*after)));
        let mut out = Vec::new();
        race.take(input, &mut out);
        race.compare(&out, || tape(&inputs[..=i]));
    }
}
