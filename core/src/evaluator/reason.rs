//! A firing, and why it happened, in one sentence for people. Nothing here decides anything.

use std::{fmt::Write as _, sync::Arc};

use rust_decimal::Decimal;

use super::{
    admission::Market,
    exact::Value,
    plain::Plain,
    slot::Slot,
    state::Leg,
    step::{Outcome, Reading, Readings, Scene, shown},
    style::{Options, Style},
};
use crate::{
    condition::{Anchor, ChannelName, Comparison, Condition, Join, Level, Operand, PriceRange},
    firing::{Direction, Firing, FiringId, Story, TermValue, Told},
    price::Price,
    time::Span,
};

/// The record of a firing of `slot`, which was just evaluated.
///
/// A plain alert, as nearly all are, is only noted here: nothing is allocated, nothing is put into words. Of the others the
/// values are gone with the next price, so they are written out at once.
pub(super) fn firing(slot: &Slot, scene: &Scene<'_>, outcome: Outcome, readings: &Readings, late: bool) -> Firing {
    let market = |m: u32| &scene.markets[m as usize];
    if let Some((condition, only)) = slot.plain() {
        let market = market(only);
        let story = Untold { style: Arc::clone(&slot.style), condition }.into();
        return single(slot, scene, outcome, late, market, !market.delay.is_zero(), story);
    }
    slot.read(|terms, legs, _, _| {
        let options = slot.options();
        let markets = || legs.iter().flat_map(|leg| leg.markets()).map(market);
        let delayed = markets().any(|m| !m.delay.is_zero());
        let first = markets().next().unwrap_or(&scene.markets[0]);
        let only = slot.single().map(market);
        // What came before an indicator's value is not kept.
        let computed = matches!(legs, [Leg::Gauged { value: Some(_), .. }]);
        let previous = only.filter(|_| !computed).and_then(|m| m.track(options.session).before);
        let name = |leg: &Leg| {
            let mut out = String::with_capacity(32);
            push_name(&mut out, *leg, scene.markets);
            out
        };
        let names: Vec<String> = legs.iter().map(name).collect();
        let readings = &readings[..terms.len()];
        let teller =
            Teller { style: &slot.style, terms, names: &names, readings, direction: outcome.direction, previous };
        let story = teller.told().into();
        if let Some(only) = only {
            return single(slot, scene, outcome, late, only, delayed, story);
        }
        // Of equally new ones, the last in the order of instruments.
        let last = |m: u32| market(m).track(options.session).last.as_ref();
        let newest = slot.markets().into_iter().filter_map(last).max_by_key(|o| o.ts);
        let source = newest.map_or_else(|| first.source(), |o| o.source);
        Firing { price: None, previous, source, ..single(slot, scene, outcome, late, first, delayed, story) }
    })
}

/// The record of an alert on one instrument.
#[inline]
fn single(
    slot: &Slot,
    scene: &Scene<'_>,
    outcome: Outcome,
    late: bool,
    market: &Market,
    delayed: bool,
    story: Story,
) -> Firing {
    let options = slot.options();
    let track = market.track(options.session);
    let (time, count) = slot.time_and_count();
    Firing {
        id: FiringId { alert: slot.id, version: slot.version, number: count + 1 - outcome.fired },
        owner: options.owner,
        symbol: market.symbol,
        time: time.unwrap_or(scene.rx),
        received: scene.rx,
        price: track.last.as_ref().map(|last| last.price),
        previous: track.before,
        direction: outcome.direction,
        source: track.last.as_ref().map_or_else(|| market.source(), |last| last.source),
        late,
        more: outcome.fired - 1,
        delayed,
        urgent: options.urgent,
        story,
    }
}

/// Everything that is needed to put the firing of a plain alert into words, beside the firing itself.
#[derive(Clone, Debug)]
pub(crate) struct Untold {
    style: Arc<Style>,
    condition: Plain,
}

impl Untold {
    /// Writes everything out.
    pub(crate) fn tell(&self, firing: &Firing) -> Told {
        self.parts(firing).teller().told()
    }

    pub(crate) fn rule(&self, firing: &Firing) -> String {
        self.parts(firing).teller().rule()
    }

    pub(crate) fn values(&self, firing: &Firing) -> Vec<TermValue> {
        self.parts(firing).teller().values()
    }

    pub(crate) fn reason(&self, firing: &Firing) -> String {
        self.parts(firing).teller().sentence()
    }

    pub(crate) fn keyword(&self) -> &'static str {
        self.condition.keyword()
    }

    pub(crate) fn note(&self) -> Option<&str> {
        self.style.options.note.as_deref()
    }

    pub(crate) fn via(&self) -> &[ChannelName] {
        &self.style.options.via
    }

    fn parts(&self, firing: &Firing) -> Parts<'_> {
        let condition = self.condition.condition();
        let reference = match condition {
            Condition::PercentFrom { reference, .. } => Some(Value::price(reference.decimal())),
            _ => None,
        };
        let value = firing.price.map(|price| Value::price(price.decimal()));
        Parts {
            style: &self.style,
            terms: [condition],
            names: [Operand::Price(firing.symbol).to_string()],
            readings: [Reading { value, reference, direction: firing.direction, ..Reading::default() }],
            previous: firing.previous,
        }
    }
}

/// What a [`Teller`] borrows, of a plain alert.
struct Parts<'a> {
    style: &'a Style,
    terms: [Condition; 1],
    names: [String; 1],
    readings: [Reading; 1],
    previous: Option<Price>,
}

impl Parts<'_> {
    fn teller(&self) -> Teller<'_> {
        Teller {
            style: self.style,
            terms: &self.terms,
            names: &self.names,
            readings: &self.readings,
            direction: self.readings[0].direction,
            previous: self.previous,
        }
    }
}

/// Writes the terms alone, canonically: `BTC > 60000`.
pub(super) fn push_terms(out: &mut String, terms: &[Condition], legs: &[Leg], join: Join, markets: &[Market]) {
    for (i, (term, leg)) in terms.iter().zip(legs).enumerate() {
        if i > 0 {
            out.push_str(joining(join));
        }
        push_name(out, *leg, markets);
        out.push(' ');
        term.push_to(out);
    }
}

const fn joining(join: Join) -> &'static str {
    match join {
        Join::And => " and ",
        Join::Or => " or ",
    }
}

/// Writes an operand as the alert language does.
fn push_name(out: &mut String, leg: Leg, markets: &[Market]) {
    for (i, market) in leg.markets().enumerate() {
        if i > 0 {
            out.push('/');
        }
        out.push_str(&markets[market as usize].name);
    }
    if let Leg::Gauged { market, value: Some(id), .. } = leg
        && let Some(indicator) = markets[market as usize].indicator(id)
    {
        // Writing to a string cannot fail.
        let _written = write!(out, " {indicator}");
    }
}

/// What a firing is told from.
struct Teller<'a> {
    style: &'a Style,
    terms: &'a [Condition],
    /// The operands of the terms, as the alert language writes them.
    names: &'a [String],
    /// What the terms came to.
    readings: &'a [Reading],
    direction: Option<Direction>,
    /// The price before, for an alert on one instrument.
    previous: Option<Price>,
}

impl Teller<'_> {
    fn told(&self) -> Told {
        let Options { note, via, .. } = &self.style.options;
        Told {
            rule: self.rule(),
            condition: self.keyword().into(),
            values: self.values(),
            reason: self.sentence(),
            note: note.clone(),
            via: via.clone(),
        }
    }

    fn rule(&self) -> String {
        let mut out = String::with_capacity(64);
        for place in 0..self.terms.len() {
            if place > 0 {
                out.push_str(joining(self.style.options.join));
            }
            self.push_term(&mut out, place);
        }
        out.push_str(&self.style.text);
        out
    }

    fn values(&self) -> Vec<TermValue> {
        let value = |(place, reading): (usize, &Reading)| {
            let mut term = String::with_capacity(32);
            self.push_term(&mut term, place);
            TermValue { term, value: shown(reading.value), level: reading.level }
        };
        self.readings.iter().enumerate().map(value).collect()
    }

    /// The word that names the condition in the API and in metrics.
    fn keyword(&self) -> &'static str {
        match (self.terms, self.style.options.join) {
            ([one], _) => one.keyword(),
            (_, Join::And) => "and",
            (_, Join::Or) => "or",
        }
    }

    /// One term, canonically.
    fn push_term(&self, out: &mut String, place: usize) {
        out.push_str(&self.names[place]);
        out.push(' ');
        self.terms[place].push_to(out);
    }

    fn sentence(&self) -> String {
        let mut out = String::with_capacity(96);
        if self.terms.len() == 1 {
            self.one_term(&mut out, &self.readings[0]);
            self.push_prices(&mut out, self.readings[0].value);
        } else {
            self.several_terms(&mut out);
        }
        if let Some(hold) = self.style.options.hold {
            out.push_str(", held for ");
            out.push_str(&hold.to_string());
        }
        out
    }

    /// `: 60,012.50 now, 59,987.10 before`
    fn push_prices(&self, out: &mut String, value: Option<Value>) {
        if let Some(value) = shown(value) {
            out.push_str(": ");
            push_people(out, value);
            out.push_str(" now");
        }
        if let Some(previous) = self.previous {
            out.push_str(", ");
            push_people(out, previous);
            out.push_str(" before");
        }
    }

    /// `BTC > 60000 (60,100.00 now) and ETH > 4000 (4,100.00 now)`; of an `or` only what is true.
    fn several_terms(&self, out: &mut String) {
        let join = self.style.options.join;
        let told = (0..).zip(self.readings).filter(|(_, r)| join == Join::And || r.truth == Some(true));
        for (i, (place, reading)) in told.enumerate() {
            if i > 0 {
                out.push_str(if join == Join::And { " and " } else { ", " });
            }
            self.push_term(out, place);
            if let Some(value) = shown(reading.value) {
                out.push_str(" (");
                push_people(out, value);
                out.push_str(" now)");
            }
        }
    }

    /// `BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before`
    fn one_term(&self, out: &mut String, reading: &Reading) {
        let (direction, previous) = (self.direction, self.previous);
        out.push_str(&self.names[0]);
        out.push(' ');
        match &self.terms[0] {
            Condition::Compare { cmp, level } => {
                let known = level.price().or(reading.level);
                let came = known.is_some_and(|level| came_from(*cmp, level, previous));
                out.push_str(match (cmp, came) {
                    (Comparison::Above, true) => "rose above ",
                    (Comparison::AtLeast, true) => "reached ",
                    (Comparison::Below, true) => "fell below ",
                    (Comparison::AtMost, true) => "fell to ",
                    (Comparison::Above, false) => "is above ",
                    (Comparison::AtLeast, false) => "is at or above ",
                    (Comparison::Below, false) => "is below ",
                    (Comparison::AtMost, false) => "is at or below ",
                });
                push_level(out, *level, reading.level);
            }
            Condition::Crosses { level, .. } => {
                let fell = direction == Some(Direction::Down);
                out.push_str(if fell { "fell through " } else { "rose through " });
                push_level(out, *level, reading.level);
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

/// `60,000.00`, or `its sma(20, 1d) of 60,000.00`.
fn push_level(out: &mut String, level: Level, now: Option<Price>) {
    match level {
        Level::Price(level) => push_people(out, level),
        Level::Indicator(indicator) => {
            let _written = write!(out, "its {indicator}");
            if let Some(now) = now {
                out.push_str(" of ");
                push_people(out, now);
            }
        }
    }
}

fn push_people(out: &mut String, price: Price) {
    price.push_grouped(price.natural_places(), out);
}
