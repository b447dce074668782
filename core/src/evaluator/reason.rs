//! A firing, and why it happened, in one sentence for people. Nothing here decides anything.

use rust_decimal::Decimal;

use super::{
    admission::Market,
    exact::Value,
    slot::Slot,
    state::{Leg, Life},
    step::{Outcome, Reading, Readings, Scene, shown},
    style::Options,
};
use crate::{
    condition::{Anchor, Comparison, Condition, Join, PriceRange},
    firing::{Direction, Firing, FiringId, TermValue},
    instrument::FeedId,
    price::Price,
    time::Span,
};

/// The record of a firing of `slot`, which was just evaluated.
pub(super) fn firing(
    slot: &Slot,
    scene: &Scene<'_>,
    outcome: Outcome,
    readings: &Readings,
    late: bool,
    phrases: &mut Phrases,
) -> Firing {
    slot.read(|terms, legs, life, _| {
        let readings = &readings[..terms.len()];
        let teller = Teller { scene, options: slot.options(), terms, legs, readings };
        teller.firing(slot, life, outcome, late, phrases)
    })
}

/// Writes the terms alone, canonically: `BTC > 60000`.
pub(super) fn push_terms(out: &mut String, terms: &[Condition], legs: &[Leg], join: Join, markets: &[Market]) {
    for (i, (term, leg)) in terms.iter().zip(legs).enumerate() {
        if i > 0 {
            out.push_str(if join == Join::And { " and " } else { " or " });
        }
        push_operand(out, *leg, markets);
        out.push(' ');
        term.push_to(out);
    }
}

fn push_operand(out: &mut String, leg: Leg, markets: &[Market]) {
    for (i, market) in leg.markets().enumerate() {
        if i > 0 {
            out.push('/');
        }
        out.push_str(&markets[market as usize].name);
    }
}

/// The last end of a sentence: whatever fires at one price ends with the same words.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    value: Option<Value>,
    previous: Option<Price>,
    words: String,
}

impl Phrases {
    /// `: 60,012.50 now, 59,987.10 before`
    fn push_prices(&mut self, out: &mut String, value: Option<Value>, previous: Option<Price>) {
        if self.value != value || self.previous != previous {
            (self.value, self.previous) = (value, previous);
            self.words.clear();
            if let Some(value) = shown(value) {
                self.words.push_str(": ");
                push_people(&mut self.words, value);
                self.words.push_str(" now");
            }
            if let Some(previous) = previous {
                self.words.push_str(", ");
                push_people(&mut self.words, previous);
                self.words.push_str(" before");
            }
        }
        out.push_str(&self.words);
    }
}

/// What a firing is told from.
struct Teller<'a> {
    scene: &'a Scene<'a>,
    options: &'a Options,
    terms: &'a [Condition],
    legs: &'a [Leg],
    /// What the terms came to.
    readings: &'a [Reading],
}

impl Teller<'_> {
    fn firing(&self, slot: &Slot, life: &Life, outcome: Outcome, late: bool, phrases: &mut Phrases) -> Firing {
        let Self { scene, options, terms, legs, readings } = *self;
        let markets = || legs.iter().flat_map(|leg| leg.markets()).map(|m| &scene.markets[m as usize]);
        let single = slot.single().map(|m| scene.markets[m as usize].track(options.session));
        let newest = if let Some(track) = single {
            track.last.as_ref()
        } else {
            // Of equally new ones, the last in the order of instruments.
            let last = |m: u32| scene.markets[m as usize].track(options.session).last.as_ref();
            slot.markets().into_iter().filter_map(last).max_by_key(|o| o.ts)
        };
        let previous = single.and_then(|t| t.before);
        let mut rule = String::with_capacity(64);
        push_terms(&mut rule, terms, legs, options.join, scene.markets);
        rule.push_str(&slot.style.text);
        let value = |(i, reading): (usize, &Reading)| TermValue { term: self.term(i), value: shown(reading.value) };
        let first = markets().next();
        Firing {
            id: FiringId { alert: slot.id, version: slot.version, number: life.count + 1 - outcome.fired },
            owner: options.owner,
            symbol: first.map_or_else(|| scene.markets[0].symbol, |m| m.symbol),
            rule,
            condition: self.keyword().to_owned(),
            time: life.time.unwrap_or(scene.rx),
            received: scene.rx,
            price: single.and_then(|t| t.last).map(|o| o.price),
            previous,
            direction: outcome.direction,
            values: readings.iter().enumerate().map(value).collect(),
            source: newest.map_or_else(|| first.map_or(FeedId::Tape, Market::source), |o| o.source),
            late,
            more: outcome.fired - 1,
            delayed: markets().any(|m| !m.delay.is_zero()),
            reason: self.sentence(outcome, previous, phrases),
            urgent: options.urgent,
            note: options.note.clone(),
            via: options.via.clone(),
        }
    }

    /// The word that names the condition in the API and in metrics.
    fn keyword(&self) -> &'static str {
        match (self.terms, self.options.join) {
            ([one], _) => one.keyword(),
            (_, Join::And) => "and",
            (_, Join::Or) => "or",
        }
    }

    /// One term, canonically.
    fn term(&self, place: usize) -> String {
        let mut out = String::with_capacity(32);
        let (term, leg) = (&self.terms[place..=place], &self.legs[place..=place]);
        push_terms(&mut out, term, leg, Join::And, self.scene.markets);
        out
    }

    fn sentence(&self, outcome: Outcome, previous: Option<Price>, phrases: &mut Phrases) -> String {
        let mut out = String::with_capacity(96);
        if self.terms.len() == 1 {
            self.one_term(&mut out, &self.readings[0], outcome.direction, previous);
            phrases.push_prices(&mut out, self.readings[0].value, previous);
        } else {
            self.several_terms(&mut out);
        }
        if let Some(hold) = self.options.hold {
            out.push_str(", held for ");
            out.push_str(&hold.to_string());
        }
        out
    }

    /// `BTC > 60000 (60,100.00 now) and ETH > 4000 (4,100.00 now)`; of an `or` only what is true.
    fn several_terms(&self, out: &mut String) {
        let join = self.options.join;
        let told = (0..).zip(self.readings).filter(|(_, r)| join == Join::And || r.truth == Some(true));
        for (i, (place, reading)) in told.enumerate() {
            if i > 0 {
                out.push_str(if join == Join::And { " and " } else { ", " });
            }
            out.push_str(&self.term(place));
            if let Some(value) = shown(reading.value) {
                out.push_str(" (");
                push_people(out, value);
                out.push_str(" now)");
            }
        }
    }

    /// `BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before`
    fn one_term(&self, out: &mut String, reading: &Reading, direction: Option<Direction>, previous: Option<Price>) {
        push_operand(out, self.legs[0], self.scene.markets);
        out.push(' ');
        match &self.terms[0] {
            Condition::Compare { cmp, level } => {
                out.push_str(match (cmp, came_from(*cmp, *level, previous)) {
                    (Comparison::Above, true) => "rose above ",
                    (Comparison::AtLeast, true) => "reached ",
                    (Comparison::Below, true) => "fell below ",
                    (Comparison::AtMost, true) => "fell to ",
                    (Comparison::Above, false) => "is above ",
                    (Comparison::AtLeast, false) => "is at or above ",
                    (Comparison::Below, false) => "is below ",
                    (Comparison::AtMost, false) => "is at or below ",
                });
                push_people(out, *level);
            }
            Condition::Crosses { level, .. } => {
                let fell = direction == Some(Direction::Down);
                out.push_str(if fell { "fell through " } else { "rose through " });
                push_people(out, *level);
            }
            Condition::In(range) => push_bounds(out, "is within ", range),
            Condition::Outside(range) => push_bounds(out, "is outside ", range),
            Condition::Enters(range) => push_bounds(out, "entered ", range),
            Condition::Exits(range) => push_bounds(out, "left ", range),
            Condition::PercentFrom { .. } => out.push_str(&distance(reading, direction, "")),
            Condition::PercentVs { ago, .. } => {
                out.push_str(&distance(reading, direction, &format!("its price {ago} ago, ")));
            }
            Condition::Move { anchor, .. } => out.push_str(&moved(reading, *anchor)),
            Condition::MoveIn { window, .. } => out.push_str(&moved_within(reading, *window)),
        }
    }
}

/// Whether the price before lay where a comparison was not yet true.
fn came_from(cmp: Comparison, level: Price, previous: Option<Price>) -> bool {
    previous.is_some_and(|before| match cmp {
        Comparison::Above => before <= level,
        Comparison::AtLeast => before < level,
        Comparison::Below => before >= level,
        Comparison::AtMost => before > level,
    })
}

/// `is 10.0 % above 58,000.00`
fn distance(reading: &Reading, direction: Option<Direction>, of: &str) -> String {
    let side = if direction == Some(Direction::Down) { "below" } else { "above" };
    format!("is{} {side} {of}{}", per_cent(reading), reference(reading))
}

/// `fell 5.0 % from its high of 120,000.00`
fn moved(reading: &Reading, anchor: Anchor) -> String {
    let of = match anchor {
        Anchor::Now => "",
        Anchor::High => "its high of ",
        Anchor::Low => "its low of ",
    };
    format!("{}{} from {of}{}", went(reading), per_cent(reading), reference(reading))
}

/// `fell 5.1 % within 1h, from 100.00`
fn moved_within(reading: &Reading, window: Span) -> String {
    format!("{}{} within {window}, from {}", went(reading), per_cent(reading), reference(reading))
}

fn went(reading: &Reading) -> &'static str {
    if reading.direction == Some(Direction::Down) { "fell" } else { "rose" }
}

/// ` 5.1 %`, the distance without its sign; nothing where it cannot be said.
fn per_cent(reading: &Reading) -> String {
    let percent = || {
        let (value, reference) = (reading.value?.decimal()?, reading.reference?.decimal()?);
        let moved = value.checked_sub(reference)?.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(reference)?;
        Some(moved.abs().round_dp(1))
    };
    percent().map_or_else(String::new, |percent| format!(" {percent:.1} %"))
}

fn reference(reading: &Reading) -> String {
    let mut out = String::new();
    if let Some(reference) = shown(reading.reference) {
        push_people(&mut out, reference);
    }
    out
}

fn push_bounds(out: &mut String, word: &str, range: &PriceRange) {
    out.push_str(word);
    push_people(out, range.lower);
    out.push_str("..");
    push_people(out, range.upper);
}

fn push_people(out: &mut String, price: Price) {
    price.push_grouped(price.natural_places(), out);
}
