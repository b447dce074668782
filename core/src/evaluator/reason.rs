//! A firing, and why it happened, in one sentence for people. Nothing here decides anything.

use rust_decimal::Decimal;

use super::{
    state::Slot,
    step::{Outcome, Reading, Scene, shown, single_price},
};
use crate::{
    condition::{Anchor, Comparison, Condition, Join, PriceRange, Rule, Term},
    firing::{Direction, Firing, FiringId, TermValue},
    price::Price,
    time::Span,
};

/// The record of a firing of `slot`, which was just evaluated.
pub(super) fn firing(slot: &Slot, scene: &Scene<'_>, outcome: &Outcome, late: bool) -> Firing {
    let Slot { alert, memory, .. } = slot;
    let rule = &alert.rule;
    let markets = slot.markets();
    let last = |market: &u32| scene.markets[*market as usize].track(rule.session).last;
    let newest = markets.iter().filter_map(last).max_by_key(|o| o.ts);
    let single = single_price(rule).then(|| scene.markets[markets[0] as usize].track(rule.session));
    let previous = single.and_then(|t| t.before);
    Firing {
        id: FiringId { alert: alert.id, version: alert.version, number: memory.count + 1 - outcome.fired },
        owner: alert.owner,
        symbol: rule.symbol(),
        rule: rule.to_string(),
        condition: rule.keyword().to_owned(),
        time: memory.time.unwrap_or(scene.rx),
        received: scene.rx,
        price: single.and_then(|t| t.last).map(|o| o.price),
        previous,
        direction: outcome.direction,
        values: rule
            .terms
            .iter()
            .zip(&outcome.readings)
            .map(|(term, reading)| TermValue { term: term.to_string(), value: shown(reading.value) })
            .collect(),
        source: newest.map_or_else(|| scene.markets[markets[0] as usize].source(), |o| o.source),
        late,
        more: outcome.fired - 1,
        delayed: markets.iter().any(|m| !scene.markets[*m as usize].delay.is_zero()),
        reason: sentence(rule, outcome, previous),
        urgent: rule.urgent,
        note: rule.note.clone(),
        via: rule.via.clone(),
    }
}

fn sentence(rule: &Rule, outcome: &Outcome, previous: Option<Price>) -> String {
    let what = match &rule.terms[..] {
        [term] => one_term(term, &outcome.readings[0], outcome.direction, previous),
        terms => several_terms(terms, &outcome.readings, rule.join),
    };
    match rule.hold {
        Some(hold) => format!("{what}, held for {hold}"),
        None => what,
    }
}

/// `BTC > 60000 (60,100.00 now) and ETH > 4000 (4,100.00 now)`; of an `or` only what is true.
fn several_terms(terms: &[Term], readings: &[Reading], join: Join) -> String {
    let told = terms.iter().zip(readings).filter(|(_, r)| join == Join::And || r.truth == Some(true));
    let parts: Vec<String> = told
        .map(|(term, reading)| match shown(reading.value) {
            Some(value) => format!("{term} ({} now)", people(value)),
            None => term.to_string(),
        })
        .collect();
    parts.join(if join == Join::And { " and " } else { ", " })
}

/// `BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before`
fn one_term(term: &Term, reading: &Reading, direction: Option<Direction>, previous: Option<Price>) -> String {
    let value = shown(reading.value);
    let happened = match &term.condition {
        Condition::Compare { cmp, level } => {
            let word = match (cmp, came_from(*cmp, *level, previous)) {
                (Comparison::Above, true) => "rose above",
                (Comparison::AtLeast, true) => "reached",
                (Comparison::Below, true) => "fell below",
                (Comparison::AtMost, true) => "fell to",
                (Comparison::Above, false) => "is above",
                (Comparison::AtLeast, false) => "is at or above",
                (Comparison::Below, false) => "is below",
                (Comparison::AtMost, false) => "is at or below",
            };
            format!("{word} {}", people(*level))
        }
        Condition::Crosses { level, .. } => {
            let word = if direction == Some(Direction::Down) { "fell through" } else { "rose through" };
            format!("{word} {}", people(*level))
        }
        Condition::In(range) => format!("is within {}", bounds(range)),
        Condition::Outside(range) => format!("is outside {}", bounds(range)),
        Condition::Enters(range) => format!("entered {}", bounds(range)),
        Condition::Exits(range) => format!("left {}", bounds(range)),
        Condition::PercentFrom { .. } => distance(reading, direction, ""),
        Condition::PercentVs { ago, .. } => distance(reading, direction, &format!("its price {ago} ago, ")),
        Condition::Move { anchor, .. } => moved(reading, *anchor),
        Condition::MoveIn { window, .. } => moved_within(reading, *window),
    };
    let now = value.map_or_else(String::new, |value| format!(": {} now", people(value)));
    let before = previous.map_or_else(String::new, |previous| format!(", {} before", people(previous)));
    format!("{} {happened}{now}{before}", term.operand)
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
    shown(reading.reference).map_or_else(String::new, people)
}

fn bounds(range: &PriceRange) -> String {
    format!("{}..{}", people(range.lower), people(range.upper))
}

fn people(price: Price) -> String {
    price.grouped(price.natural_places())
}
