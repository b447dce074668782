//! The fast evaluator against the slow obvious one: random alerts of every kind, random tapes with everything that can be
//! wrong with a tape, commands, splits, and restarts from what was written down. After every input both must have fired the
//! same and show the same states.

mod tapes;

use std::fmt::Write as _;

use proptest::prelude::*;
use rust_decimal::Decimal;

use self::tapes::{Input, Quote, START, after, halves, input, instruments, rule, symbol};
use super::{
    Admission, Cut, Evaluator,
    oracle::{Fired, Oracle, Taken},
};
use crate::{
    alert::{Alert, AlertChange, AlertId, AlertState, UserId},
    condition::Rule,
    firing::Firing,
    instrument::FeedId,
    price::Price,
    tick::{Candle, Session, Tick},
    time::{Span, Timestamp},
};

/// How far a source time may run ahead of the receive time.
const AHEAD: Span = Span::from_seconds(60);

/// Both evaluators, the stored alerts, and what was written down.
struct Race {
    fast: Evaluator,
    slow: Oracle,
    stored: Cut,
    versions: [u32; 4],
    now: Timestamp,
    /// What a split has done to the prices of each instrument.
    scale: [Decimal; 3],
}

impl Race {
    fn new() -> Self {
        Self {
            fast: Evaluator::new(instruments()),
            slow: Oracle::new(instruments()),
            stored: Cut::default(),
            versions: [0; 4],
            now: Timestamp::from_seconds(START),
            scale: [Decimal::ONE; 3],
        }
    }

    fn price(&self, market: usize, price: i64) -> Price {
        Price::new(halves(price).decimal() / self.scale[market])
    }

    fn tick(&self, quote: &Quote) -> Tick {
        Tick {
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

    fn restart(&mut self) {
        let written = serde_json::to_string(&self.fast.take_cut()).unwrap();
        self.stored.merge(serde_json::from_str(&written).unwrap());
        let alerts = self.fast.alerts().collect();
        self.fast = Evaluator::restore(instruments(), alerts, self.stored.clone());
        assert!(!self.fast.is_dirty(), "a restart changes nothing");
    }

    fn ticks(&mut self, quotes: &[Quote], out: &mut Vec<Firing>) {
        let ticks: Vec<Tick> = quotes.iter().map(|q| self.tick(q)).collect();
        let fast = match &ticks[..] {
            [one] => vec![self.fast.on_tick(one, out)],
            several => self.fast.on_batch(several, out),
        };
        let taken = |admission: &Admission| match admission {
            Admission::Accepted => Taken::Yes,
            Admission::Held => Taken::Held,
            Admission::Rejected(_) => Taken::No,
        };
        assert_eq!(fast.iter().map(taken).collect::<Vec<_>>(), self.slow.batch(&ticks));
    }

    fn candles(&mut self, market: usize, bars: &[[i64; 5]], session: Session, backfill: bool, out: &mut Vec<Firing>) {
        let length: i64 = bars.iter().map(|[gap, length, ..]| gap + length).sum();
        let mut from = self.now.as_seconds() - length;
        let candles: Vec<Candle> = bars
            .iter()
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
                };
                from += length;
                candle
            })
            .collect();
        let (symbol, now) = (symbol(market), self.now);
        if backfill {
            self.fast.on_backfill(symbol, &candles, FeedId::Tape, now, out);
            self.slow.candles(symbol, &candles, now, true);
        } else {
            self.fast.on_candle(symbol, &candles[0], FeedId::Tape, now, out);
            self.slow.candles(symbol, &candles[..1], now, false);
        }
    }

    fn take(&mut self, input: &Input, out: &mut Vec<Firing>) {
        let change = match input.clone() {
            Input::Ticks(quotes) => return self.ticks(&quotes, out),
            Input::Candles { market, bars, session, backfill } => {
                return self.candles(market, &bars, session, backfill, out);
            }
            Input::Split { market, ratio } => {
                self.scale[market] *= ratio;
                self.slow.split(symbol(market), ratio, self.now);
                for alert in self.fast.on_split(symbol(market), ratio, self.now) {
                    assert_eq!(
                        self.slow.alert(alert.id).map(|a| (a.version, &a.rule)),
                        Some((alert.version, &alert.rule))
                    );
                }
                return;
            }
            Input::Restart => return self.restart(),
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
            Input::Delete(id) => self.next(id).map(|a| AlertChange::Delete { id: a.id, version: a.version }),
        };
        self.change(change, out);
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

fn run(inputs: &[(i64, Input)]) {
    let mut race = Race::new();
    for (i, (after, input)) in inputs.iter().enumerate() {
        race.now = race.now.plus(Span::from_seconds(*after));
        let mut out = Vec::new();
        race.take(input, &mut out);
        let mut slow = race.slow.take();
        let mut fast: Vec<Fired> = out.iter().map(told).collect();
        // Within one input the order of firings is no promise across candles.
        slow.sort_by_key(|f| f.alert);
        fast.sort_by_key(|f| f.alert);
        assert_eq!(fast, slow, "fast, slow, after\n{}", tape(&inputs[..=i]));
        for id in (1..4).map(AlertId) {
            let states = (race.fast.state(id, race.now), race.slow.state(id, race.now));
            // A source that runs ahead of the clock may end an alert before its time is up; what is shown in between is no promise.
            let ending =
                race.slow.alert(id).and_then(|a| a.rule.until).is_some_and(|until| race.now.plus(AHEAD) >= until);
            let shaky = ending && (states.0 == Some(AlertState::Cooling) || states.1 == Some(AlertState::Cooling));
            assert!(shaky || states.0 == states.1, "states of {id}, {states:?}, after\n{}", tape(&inputs[..=i]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_evaluator_equals_the_slow_obvious_one(
        first in prop::collection::vec(rule(), 3),
        inputs in prop::collection::vec((after(), input()), 1..70),
    ) {
        let puts = first.into_iter().zip(1..).map(|(rule, id)| (0, Input::Put { id, rule }));
        run(&puts.chain(inputs).collect::<Vec<_>>());
    }
}
