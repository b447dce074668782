//! What the words mean together: limits of values, and which options and terms go with which (`docs/alerts.md`, A3 to A6).

use std::ops::Range;

use rust_decimal::Decimal;

use super::{
    ParseContext,
    error::{ErrorCode, ParseError},
    number::{exact_product, exact_sum, fits, percent_level},
    operand, options, when,
};
use crate::{
    catalog::LookupError,
    condition::{
        Anchor, Condition, Family, Hysteresis, Join, Level, MAX_LINE, MAX_NOTE, MAX_TERMS, Operand, PriceRange, Repeat,
        Rule, Sign, Term,
    },
    indicator::{Indicator, Measure},
    price::Price,
    text,
    time::{LONGEST_SPAN, Span},
};

/// Where each part of a rule was written; what is not known is the whole line.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) line: Range<usize>,
    pub(super) terms: Vec<TermPlaces>,
    pub(super) repeat: Option<Range<usize>>,
    pub(super) hold: Option<Range<usize>>,
    pub(super) hysteresis: Option<Range<usize>>,
    pub(super) until: Option<Range<usize>>,
    pub(super) via: Vec<Range<usize>>,
    pub(super) note: Option<Range<usize>>,
}

/// Where the parts of a term were written.
#[derive(Clone, Debug, Default)]
pub(super) struct TermPlaces {
    pub(super) operand: Range<usize>,
    pub(super) condition: Range<usize>,
    /// The number or the range.
    pub(super) value: Range<usize>,
}

impl Places {
    /// Of a rule without a line of its own: everything is the whole canonical line.
    pub(super) fn whole(length: usize) -> Self {
        Self { line: 0..length, ..Self::default() }
    }

    fn term(&self, position: usize) -> TermPlaces {
        let whole =
            || TermPlaces { operand: self.line.clone(), condition: self.line.clone(), value: self.line.clone() };
        self.terms.get(position).cloned().unwrap_or_else(whole)
    }

    fn or_line(&self, place: Option<&Range<usize>>) -> Range<usize> {
        place.unwrap_or(&self.line).clone()
    }
}

/// Brings a rule that was not read from a line into the form that a line would have given it: `until` to the second,
/// channels once each, the note fit to be shown, one term without a join.
#[must_use]
pub fn tidy(mut rule: Rule) -> Rule {
    if rule.terms.len() < 2 {
        rule.join = Join::And;
    }
    rule.until = rule.until.map(when::to_second);
    let mut via = Vec::new();
    for channel in rule.via {
        if !via.contains(&channel) {
            via.push(channel);
        }
    }
    rule.via = via;
    rule.note = rule.note.map(|n| text::sanitize(&n)).filter(|n| !n.is_empty());
    rule
}

pub(super) fn check(rule: &Rule, context: &ParseContext<'_>, places: &Places) -> Result<(), ParseError> {
    if rule.terms.is_empty() {
        return Err(ParseError::new(ErrorCode::Syntax, places.line.clone(), "Write an alert such as BTC > 60k."));
    }
    if rule.terms.len() > MAX_TERMS {
        let message = format!("An alert has at most {MAX_TERMS} terms: make two alerts.");
        return Err(ParseError::new(ErrorCode::Combine, places.line.clone(), message));
    }
    for (position, term) in rule.terms.iter().enumerate() {
        check_term(term, context, &places.term(position))?;
    }
    check_join(rule, places)?;
    check_repeat(rule, places)?;
    if let Some(hysteresis) = rule.hysteresis {
        check_hysteresis(rule, hysteresis, &places.or_line(places.hysteresis.as_ref()))?;
    }
    check_delivery(rule, context, places)?;
    if rule.to_string().len() > MAX_LINE {
        let message = format!("Written out in full the alert has more than {MAX_LINE} bytes: shorten the note.");
        return Err(ParseError::new(ErrorCode::Value, places.or_line(places.note.as_ref()), message));
    }
    Ok(())
}

fn value(span: &Range<usize>, message: impl Into<String>) -> ParseError {
    ParseError::new(ErrorCode::Value, span.clone(), message)
}

fn check_term(term: &Term, context: &ParseContext<'_>, places: &TermPlaces) -> Result<(), ParseError> {
    let nonpositive = check_operand(term.operand, context, places)?;
    let at = &places.value;
    check_indicators(term, places)?;
    let least = if nonpositive { Least::Any } else { Least::AboveZero };
    // From 0 to 100, both included: an index may well be asked whether it is at its end.
    let nonpositive = if term.operand.measure() == Some(Measure::Index) { Least::Index } else { least };
    match &term.condition {
        Condition::Compare { level: Level::Price(level), .. }
        | Condition::Crosses { level: Level::Price(level), .. } => {
            check_level(*level, nonpositive, at)?;
        }
        Condition::Compare { .. } | Condition::Crosses { .. } => {}
        Condition::In(range) | Condition::Outside(range) | Condition::Enters(range) | Condition::Exits(range) => {
            check_range(*range, nonpositive, at)?;
        }
        Condition::PercentFrom { sign, percent, reference } => {
            check_percent(*sign, *percent, at)?;
            // Per cent of nothing, or of a debt, is no distance: here also where the price itself may be negative.
            check_level(*reference, Least::AboveZero, &places.condition)?;
            if percent_bounds(*reference, *sign, *percent).is_none() {
                return Err(value(&places.condition, "The level has more than 28 digits: use fewer digits."));
            }
        }
        Condition::PercentVs { sign, percent, ago } => {
            check_percent(*sign, *percent, at)?;
            check_span(*ago, &places.condition)?;
        }
        Condition::MoveIn { sign, percent, window } => {
            check_percent(*sign, *percent, at)?;
            check_span(*window, &places.condition)?;
        }
        Condition::Move { sign, percent, anchor } => {
            check_percent(*sign, *percent, at)?;
            let needed = match anchor {
                Anchor::High if *sign != Sign::Minus => {
                    "A distance from high goes down: write - before the percentage."
                }
                Anchor::Low if *sign != Sign::Plus => "A distance from low goes up: write + before the percentage.",
                _ => return Ok(()),
            };
            return Err(ParseError::new(ErrorCode::Option, places.condition.clone(), needed));
        }
    }
    let windowed = matches!(term.condition, Condition::PercentVs { .. } | Condition::MoveIn { .. });
    if windowed && matches!(term.operand, Operand::Ratio(..)) {
        let message = "A ratio has no history to look back on: use from now, or a fixed reference.";
        return Err(ParseError::new(ErrorCode::Combine, places.condition.clone(), message));
    }
    Ok(())
}

/// Checks that the instruments exist and fit together; tells whether a price at or below zero is possible.
fn check_operand(operand: Operand, context: &ParseContext<'_>, places: &TermPlaces) -> Result<bool, ParseError> {
    let find = |symbol: crate::instrument::Symbol| {
        context.catalog.get(symbol).ok_or_else(|| {
            let suggestion = match context.catalog.resolve(symbol.as_str()) {
                Ok(instrument) => Some(instrument.symbol),
                Err(LookupError::Unknown { suggestion }) => suggestion,
                Err(LookupError::Ambiguous { .. }) => None,
            };
            operand::unknown(symbol.as_str(), places.operand.clone(), suggestion)
        })
    };
    match operand {
        Operand::Price(symbol) | Operand::Indicator(symbol, _) => Ok(find(symbol)?.allow_nonpositive),
        Operand::Ratio(over, under) => {
            let (over, under) = (find(over)?, find(under)?);
            if over.currency != under.currency {
                let message = format!(
                    "{} is quoted in {} and {} in {}: a ratio needs two names of one currency.",
                    over.symbol, over.currency, under.symbol, under.currency
                );
                return Err(ParseError::new(ErrorCode::Currency, places.operand.clone(), message));
            }
            if let Ok(own) = context.catalog.resolve(&format!("{}/{}", over.symbol, under.symbol)) {
                let message = format!("{} is an instrument of its own: name it instead of the ratio.", own.symbol);
                let error = ParseError::new(ErrorCode::Symbol, places.operand.clone(), message);
                return Err(error.suggest(own.symbol.to_string()));
            }
            Ok(over.allow_nonpositive || under.allow_nonpositive)
        }
    }
}

/// What a level may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Least {
    Any,
    AboveZero,
    /// From 0 to 100.
    Index,
}

fn check_level(level: Price, least: Least, at: &Range<usize>) -> Result<(), ParseError> {
    if !fits(level.decimal()) {
        return Err(value(at, "Use fewer digits: at most 28 digits in all and 18 after the point."));
    }
    if least == Least::AboveZero && !level.is_positive() {
        let message = "This price is always above 0: write a level greater than 0, with at most 28 digits and 18 after the point.";
        return Err(value(at, message));
    }
    if least == Least::Index && !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&level.decimal()) {
        return Err(value(at, "rsi goes from 0 to 100: write a level in between."));
    }
    Ok(())
}

/// Which indicators a term may name, and on which side (A10).
fn check_indicators(term: &Term, places: &TermPlaces) -> Result<(), ParseError> {
    let limits = |indicator: Indicator, at: &Range<usize>| {
        indicator.check().map_err(|fault| super::indicator::limit(at.clone(), fault))
    };
    let refuse = |at: &Range<usize>, message: &str| Err(ParseError::new(ErrorCode::Combine, at.clone(), message));
    let left = match term.operand {
        Operand::Indicator(_, indicator) => Some(indicator),
        Operand::Price(_) | Operand::Ratio(..) => None,
    };
    let right = term.condition.level_indicator();
    if let Some(indicator) = left {
        limits(indicator, &places.operand)?;
        let percent = matches!(
            term.condition,
            Condition::PercentFrom { .. }
                | Condition::PercentVs { .. }
                | Condition::Move { .. }
                | Condition::MoveIn { .. }
        );
        if percent {
            let message =
                "A percentage is measured on prices: leave the indicator out, or compare it with >, <, in, crosses.";
            return refuse(&places.condition, message);
        }
    }
    if left == Some(Indicator::Volume) {
        if term.condition.family() == Family::Edge {
            return refuse(&places.condition, "The day's volume crosses nothing: write volume > 20k, or in a range.");
        }
        if right.is_some() {
            return refuse(&places.value, "Compare the volume with a number: volume > 20k.");
        }
    }
    let Some(right) = right else { return Ok(()) };
    limits(right, &places.value)?;
    if right == Indicator::Volume {
        return refuse(&places.value, "The volume stands on the left: BTC volume > 20k.");
    }
    if matches!(term.operand, Operand::Ratio(..)) {
        return refuse(&places.value, "A ratio has no bars of its own: compare it with a number.");
    }
    match (term.operand.measure(), right.measure()) {
        (Some(Measure::Price), Measure::Index) => {
            refuse(&places.value, "rsi goes from 0 to 100 and is no price: write BTC rsi(14, 1h) < 30.")
        }
        (Some(Measure::Index), Measure::Price) => {
            refuse(&places.value, "rsi goes from 0 to 100: compare it with a number or with another rsi.")
        }
        _ => Ok(()),
    }
}

fn check_range(range: PriceRange, nonpositive: Least, at: &Range<usize>) -> Result<(), ParseError> {
    check_level(range.lower, nonpositive, at)?;
    check_level(range.upper, nonpositive, at)?;
    let PriceRange { lower, upper } = range;
    if lower > upper {
        let turned = format!("{upper}..{lower}");
        return Err(value(at, format!("A range begins with its lower end: write {turned}.")).suggest(turned));
    }
    if lower == upper {
        let message = format!("The ends of a range differ: write crosses {lower}, or a range such as 60k..70k.");
        return Err(value(at, message));
    }
    Ok(())
}

fn check_percent(sign: Sign, percent: Decimal, at: &Range<usize>) -> Result<(), ParseError> {
    if !fits(percent) {
        return Err(value(at, "Use fewer digits: at most 28 digits in all and 18 after the point."));
    }
    let up = sign == Sign::Plus;
    if percent <= Decimal::ZERO || (up && percent > Decimal::from(10_000)) || (!up && percent >= Decimal::ONE_HUNDRED) {
        let limits = if up { "and at most 10000%" } else { "and below 100%" };
        return Err(value(at, format!("Write a percentage above 0% {limits}.")));
    }
    Ok(())
}

fn check_span(span: Span, at: &Range<usize>) -> Result<(), ParseError> {
    if span.is_zero() || span > LONGEST_SPAN || span.as_micros() % 1_000_000 != 0 {
        return Err(value(at, "Write a duration of whole seconds from 1s to 3650d."));
    }
    Ok(())
}

fn check_join(rule: &Rule, places: &Places) -> Result<(), ParseError> {
    let family = |term: &Term| term.condition.family();
    let refuse = |position: usize, message: &str| {
        Err(ParseError::new(ErrorCode::Combine, places.term(position).condition, message))
    };
    match rule.join {
        Join::And => {
            let mut edges = rule.terms.iter().enumerate().filter(|(_, t)| family(t) == Family::Edge);
            if let Some((second, _)) = edges.nth(1) {
                let message = "Two crossings never happen at once: keep one of crosses, enters, exits and make the others \
                               >, <, in or outside.";
                return refuse(second, message);
            }
        }
        Join::Or => {
            let first = family(&rule.terms[0]);
            if let Some(other) = rule.terms.iter().position(|t| family(t) != first) {
                let message = "Terms joined by or are all levels, all crossings or all moves: make two alerts.";
                return refuse(other, message);
            }
            if rule.hold.is_some() && first == Family::Edge && rule.terms.len() > 1 {
                let message = "for cannot wait for one of several crossings: leave for out, or make two alerts.";
                let place = places.or_line(places.hold.as_ref());
                return Err(ParseError::new(ErrorCode::Combine, place, message));
            }
        }
    }
    Ok(())
}

fn check_repeat(rule: &Rule, places: &Places) -> Result<(), ParseError> {
    let at = places.or_line(places.repeat.as_ref());
    match rule.repeat {
        Repeat::Every(span) => check_span(span, &at)?,
        Repeat::Each { cooldown } if !cooldown.is_zero() => check_span(cooldown, &at)?,
        Repeat::Once | Repeat::Each { .. } => {}
    }
    rule.hold.map_or(Ok(()), |hold| check_span(hold, &places.or_line(places.hold.as_ref())))
}

fn check_hysteresis(rule: &Rule, hysteresis: Hysteresis, at: &Range<usize>) -> Result<(), ParseError> {
    let refuse = |message: &str| Err(ParseError::new(ErrorCode::Option, at.clone(), message));
    let measured =
        |term: &Term| term.condition.family() == Family::Move || matches!(term.condition, Condition::PercentVs { .. });
    if rule.terms.iter().any(measured) {
        return refuse("A move or a comparison with earlier starts anew by itself: leave hysteresis out.");
    }
    match hysteresis {
        Hysteresis::Percent(percent) => check_percent(Sign::Either, percent, at)?,
        Hysteresis::Absolute(distance) => {
            check_level(distance, Least::AboveZero, at)?;
            if rule.terms.iter().any(|t| t.operand != rule.terms[0].operand) {
                return refuse("With more than one instrument hysteresis is a percentage: write hysteresis 0.5%.");
            }
        }
    }
    // What an indicator will be is not known: there is nothing to be judged of such a level.
    for term in rule.terms.iter().filter(|t| t.condition.level_indicator().is_none()) {
        let Some((lower, upper)) = shifted_bounds(&term.condition, hysteresis) else {
            return Err(value(at, "The level with its hysteresis has more than 28 digits: use fewer digits."));
        };
        let must_end = matches!(
            term.condition,
            Condition::Outside(_) | Condition::Exits(_) | Condition::PercentFrom { sign: Sign::Either, .. }
        );
        if must_end && lower > upper {
            return refuse("With so much hysteresis the condition could never be over: write a smaller one.");
        }
    }
    Ok(())
}

/// The lowest and highest level of a condition, moved inward by the hysteresis, where they and the levels moved outward
/// can be kept exactly.
fn shifted_bounds(condition: &Condition, hysteresis: Hysteresis) -> Option<(Decimal, Decimal)> {
    let (lower, upper) = bounds(condition)?;
    let distance = |level: Decimal| match hysteresis {
        Hysteresis::Percent(percent) => exact_product(exact_product(level.abs(), percent)?, Decimal::new(1, 2)),
        Hysteresis::Absolute(distance) => Some(distance.decimal()),
    };
    let (below, above) = (distance(lower)?, distance(upper)?);
    exact_sum(lower, -below)?;
    exact_sum(upper, above)?;
    Some((exact_sum(lower, below)?, exact_sum(upper, -above)?))
}

/// The lowest and the highest level of a level or edge condition; the same one twice where it has one.
fn bounds(condition: &Condition) -> Option<(Decimal, Decimal)> {
    match condition {
        Condition::Compare { level, .. } | Condition::Crosses { level, .. } => {
            level.price().map(|level| (level.decimal(), level.decimal()))
        }
        Condition::In(range) | Condition::Outside(range) | Condition::Enters(range) | Condition::Exits(range) => {
            Some((range.lower.decimal(), range.upper.decimal()))
        }
        Condition::PercentFrom { sign, percent, reference } => percent_bounds(*reference, *sign, *percent),
        Condition::PercentVs { .. } | Condition::Move { .. } | Condition::MoveIn { .. } => None,
    }
}

fn percent_bounds(reference: Price, sign: Sign, percent: Decimal) -> Option<(Decimal, Decimal)> {
    let level = |sign| percent_level(reference, sign, percent).map(Price::decimal);
    match sign {
        Sign::Plus => level(Sign::Plus).map(|l| (l, l)),
        Sign::Minus => level(Sign::Minus).map(|l| (l, l)),
        Sign::Either => Some((level(Sign::Minus)?, level(Sign::Plus)?)),
    }
}

fn check_delivery(rule: &Rule, context: &ParseContext<'_>, places: &Places) -> Result<(), ParseError> {
    if let Some(until) = rule.until {
        let at = places.or_line(places.until.as_ref());
        if until <= context.now {
            return Err(value(&at, "This time is over: write a date or time in the future."));
        }
        if until != when::to_second(until) {
            return Err(value(&at, "Write the time in whole seconds."));
        }
    }
    for (position, channel) in rule.via.iter().enumerate() {
        let at = places.or_line(places.via.get(position));
        if !context.channels.contains(channel) {
            return Err(options::unknown_channel(channel.as_str(), at, context.channels));
        }
        if rule.via[..position].contains(channel) {
            let message = format!("The channel {channel} is named twice: leave one out.");
            return Err(ParseError::new(ErrorCode::Option, at, message));
        }
    }
    if let Some(note) = &rule.note {
        let at = places.or_line(places.note.as_ref());
        if note.chars().count() > MAX_NOTE {
            return Err(value(&at, format!("A note has at most {MAX_NOTE} characters: write a shorter one.")));
        }
        if note.is_empty() || *note != text::sanitize(note) {
            return Err(value(&at, "Write the note in visible characters."));
        }
    }
    Ok(())
}
