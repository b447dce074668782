//! Our evaluator in the form in which the benchmark shows ticks to engines.

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, UserId},
    condition::{Comparison, Condition, Crossing, Operand, PriceRange, Repeat, Rule, Sign, Term},
    evaluator::Evaluator,
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::Tick,
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;

use crate::{
    others::Engine,
    workload::{Kind, Quote, Tally, Wish},
};

/// Lengths in seconds and percentages of the windows.
pub(crate) const WINDOWS: [(i64, i64); 6] = [(10, 1), (60, 2), (300, 3), (900, 4), (3_600, 5), (86_400, 6)];

/// The evaluator and what is needed to speak to it.
pub(crate) struct Ours {
    pub(crate) evaluator: Evaluator,
    symbols: Vec<Symbol>,
    pub(crate) now: i64,
    pub(crate) out: Vec<Firing>,
    /// The ticks that [`Engine::tick`] shows, made beforehand: a feed's parser writes them, not the engine.
    next: Vec<Tick>,
}

pub(crate) fn price(value: i64) -> Price {
    Price::new(Decimal::from_i128_with_scale(i128::from(value), 8))
}

impl Ours {
    /// Every instrument has had its first price.
    pub(crate) fn new(start: &[i64]) -> Self {
        let symbols: Vec<Symbol> = (0..start.len()).map(|i| format!("S{i}").parse().expect("a symbol")).collect();
        let evaluator = Evaluator::new(symbols.iter().map(|s| Instrument::unlisted(*s)));
        let mut ours = Self { evaluator, symbols, now: 1_800_000_000_000, out: Vec::new(), next: Vec::new() };
        for (symbol, &price) in (0..).zip(start) {
            let tick = ours.make(Quote { symbol, price });
            ours.evaluator.on_tick(&tick, &mut ours.out);
        }
        ours
    }

    /// A tick one millisecond after the last.
    pub(crate) fn make(&mut self, quote: Quote) -> Tick {
        self.now += 1;
        let at = Timestamp::from_millis(self.now);
        let symbol = self.symbols[quote.symbol as usize];
        Tick { exchange_time: Some(at), ..Tick::new(symbol, price(quote.price), FeedId::Tape, at) }
    }

    pub(crate) fn alert(&self, number: usize, wish: &Wish, repeat: Repeat) -> Alert {
        let level = price(wish.low);
        let range = PriceRange { lower: level, upper: price(wish.high) };
        let condition = match wish.kind {
            Kind::Above => Condition::Compare { cmp: Comparison::AtLeast, level: level.into() },
            Kind::Below => Condition::Compare { cmp: Comparison::AtMost, level: level.into() },
            Kind::Crosses => Condition::Crosses { direction: Crossing::Either, level: level.into() },
            Kind::Enters => Condition::Enters(range),
            Kind::Exits => Condition::Exits(range),
        };
        self.with(number, wish.symbol, condition, repeat)
    }

    fn with(&self, number: usize, symbol: u32, condition: Condition, repeat: Repeat) -> Alert {
        let operand = Operand::Price(self.symbols[symbol as usize]);
        let now = Timestamp::from_millis(self.now);
        Alert {
            id: AlertId(number as i64 + 1),
            owner: UserId::OWNER,
            version: 1,
            rule: Rule {
                terms: vec![Term { operand, condition }],
                join: bellwether_core::condition::Join::And,
                repeat,
                hold: None,
                hysteresis: None,
                session: bellwether_core::condition::SessionScope::Regular,
                until: None,
                via: Vec::new(),
                urgent: false,
                note: None,
            },
            paused: false,
            snoozed_until: None,
            created: now,
            updated: now,
        }
    }

    /// Makes the alerts, each firing again whenever it becomes true again.
    pub(crate) fn stand(&mut self, wishes: impl Iterator<Item = Wish>) {
        for (number, wish) in wishes.enumerate() {
            let alert = self.alert(number, &wish, Repeat::Each { cooldown: Span::ZERO });
            self.put(alert);
        }
        self.evaluator.take_cut();
        // Rounded levels may be true from the beginning; the others count changes from here.
        self.out.clear();
    }

    pub(crate) fn put(&mut self, alert: Alert) {
        let now = Timestamp::from_millis(self.now);
        self.evaluator.apply(AlertChange::Put(alert), now, &mut self.out);
    }

    /// Twelve windows on every instrument: six lengths, both directions.
    pub(crate) fn windows(&mut self, symbols: usize) {
        let mut number = 0;
        for symbol in 0..symbols as u32 {
            for (seconds, percent) in WINDOWS {
                for sign in [Sign::Plus, Sign::Minus] {
                    let window = Span::from_seconds(seconds);
                    let condition = Condition::MoveIn { sign, percent: percent.into(), window };
                    let alert = self.with(number, symbol, condition, Repeat::Each { cooldown: Span::ZERO });
                    self.put(alert);
                    number += 1;
                }
            }
        }
        self.evaluator.take_cut();
    }
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        "bellwether"
    }

    fn prepare(&mut self, quotes: &[Quote]) {
        self.next.clear();
        for quote in quotes {
            let tick = self.make(*quote);
            self.next.push(tick);
        }
    }

    fn tick(&mut self, place: usize, _: Quote, _: u64, _: &mut Tally) {
        self.evaluator.on_tick(&self.next[place], &mut self.out);
    }

    fn settle(&mut self, tick: u64, tally: &mut Tally) {
        for firing in self.out.drain(..) {
            // Every tick has a time of its own, one millisecond after the one before: so firings of one block are told apart.
            let behind = u64::try_from(self.now - firing.time.as_millis()).unwrap_or(0);
            tally.add(firing.id.alert.0 as u64 - 1, tick - behind);
        }
    }
}
