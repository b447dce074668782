//! One term: levels (B7), edges (B8) and moves (B9).

use super::{
    Oracle, TermFlags, exists,
    fraction::{Q, distance_true, h_of, percents, q},
};
use crate::{
    condition::{Anchor, Comparison, Condition, Crossing, Hysteresis, Level, Operand, PriceRange, Rule},
    firing::Direction,
    time::Timestamp,
};

impl Oracle {
    // B7 and B9

    pub(super) fn judge(
        &self,
        condition: &Condition,
        operand: &Operand,
        flags: &mut TermFlags,
        p: Q,
        now: Timestamp,
        rule: &Rule,
    ) -> (Option<bool>, Option<Direction>) {
        let scope = rule.session;
        let window = |from: Timestamp, since: usize| {
            let Operand::Price(symbol) = *operand else { return Vec::new() };
            let all = self.markets[&symbol].observed.iter().enumerate();
            all.filter(|(i, o)| *i >= since && exists(scope, o.session) && o.ts >= from && o.ts <= now)
                .map(|(_, o)| o.p)
                .collect::<Vec<Q>>()
        };
        match *condition {
            Condition::Move { sign, percent, anchor } => {
                let reference = flags.reference.unwrap_or(p);
                let reference = match anchor {
                    Anchor::Now => reference,
                    Anchor::High => reference.max(p),
                    Anchor::Low => reference.min(p),
                };
                flags.reference = Some(reference);
                let (truth, direction) = distance_true(p, percents(sign, percent, reference, reference));
                (Some(truth), Some(direction))
            }
            Condition::MoveIn { sign, percent, window: length } => {
                let prices = window(now.minus(length), flags.since);
                // The one liberty: a window that ends before the last observation is unknown (see `Track::extremes`).
                if let Operand::Price(symbol) = *operand
                    && self.last(symbol, scope).is_some_and(|last| last.ts > now)
                {
                    return (None, None);
                }
                let (Some(low), Some(high)) = (prices.iter().min(), prices.iter().max()) else { return (None, None) };
                let (truth, direction) = distance_true(p, percents(sign, percent, *low, *high));
                (Some(truth), Some(direction))
            }
            Condition::PercentVs { sign, percent, ago } => {
                let Operand::Price(symbol) = *operand else { return (None, None) };
                let then = now.minus(ago);
                let all = &self.markets[&symbol].observed;
                let Some(n) = all.iter().rev().find(|o| exists(scope, o.session) && o.ts <= then) else {
                    return (None, None);
                };
                let (truth, direction) = distance_true(p, percents(sign, percent, n.p, n.p));
                flags.latch = truth;
                (Some(truth), Some(direction))
            }
            Condition::PercentFrom { sign, percent, reference } => {
                let bounds = percents(sign, percent, q(reference), q(reference));
                let (truth, direction) = distance_true(p, bounds);
                flags.latch = if flags.latch {
                    let h = |level| h_of(rule.hysteresis, level);
                    !match bounds {
                        (Some(l), None) => p <= l.minus(h(l)) && p < l,
                        (None, Some(l)) => p >= l.plus(h(l)) && p > l,
                        (Some(hi), Some(lo)) => lo < p && p < hi && lo.plus(h(lo)) <= p && p <= hi.minus(h(hi)),
                        (None, None) => true,
                    }
                } else {
                    truth
                };
                (Some(flags.latch), Some(direction))
            }
            _ => {
                flags.latch =
                    if flags.latch { !level_cleared(condition, p, rule.hysteresis) } else { level_true(condition, p) };
                (Some(flags.latch), None)
            }
        }
    }
}

pub(super) fn is_edge(condition: &Condition) -> bool {
    matches!(condition, Condition::Crosses { .. } | Condition::Enters(_) | Condition::Exits(_))
}

pub(super) fn is_move(condition: &Condition) -> bool {
    matches!(condition, Condition::Move { .. } | Condition::MoveIn { .. })
}

/// The number that a level is: indicators have been put in before.
fn at(level: Level) -> Q {
    q(level.price().expect("a condition is settled before it is judged"))
}

fn level_true(condition: &Condition, p: Q) -> bool {
    match *condition {
        Condition::Compare { cmp: Comparison::Above, level } => p > at(level),
        Condition::Compare { cmp: Comparison::AtLeast, level } => p >= at(level),
        Condition::Compare { cmp: Comparison::Below, level } => p < at(level),
        Condition::Compare { cmp: Comparison::AtMost, level } => p <= at(level),
        Condition::In(r) => q(r.lower) <= p && p <= q(r.upper),
        Condition::Outside(r) => p < q(r.lower) || p > q(r.upper),
        _ => false,
    }
}

fn level_cleared(condition: &Condition, p: Q, h: Option<Hysteresis>) -> bool {
    let down = |level: Q| level.minus(h_of(h, level));
    let up = |level: Q| level.plus(h_of(h, level));
    match *condition {
        Condition::Compare { cmp: Comparison::Above, level } => p <= down(at(level)) && p <= at(level),
        Condition::Compare { cmp: Comparison::AtLeast, level } => p <= down(at(level)) && p < at(level),
        Condition::Compare { cmp: Comparison::Below, level } => p >= up(at(level)) && p >= at(level),
        Condition::Compare { cmp: Comparison::AtMost, level } => p >= up(at(level)) && p > at(level),
        Condition::In(r) => outside_by(r, p, h),
        Condition::Outside(r) => inside_by(r, p, h),
        _ => true,
    }
}

fn outside_by(r: PriceRange, p: Q, h: Option<Hysteresis>) -> bool {
    let (a, b) = (q(r.lower), q(r.upper));
    (p < a && p <= a.minus(h_of(h, a))) || (p > b && p >= b.plus(h_of(h, b)))
}

fn inside_by(r: PriceRange, p: Q, h: Option<Hysteresis>) -> bool {
    let (a, b) = (q(r.lower), q(r.upper));
    a.plus(h_of(h, a)) <= p && p <= b.minus(h_of(h, b))
}

// B8

/// An event: its side, and the direction it is reported with.
pub(super) fn step_edge(
    condition: &Condition,
    flags: &mut TermFlags,
    p: Q,
    h: Option<Hysteresis>,
) -> Option<(Direction, Option<Direction>)> {
    let inside = |r: &PriceRange| q(r.lower) <= p && p <= q(r.upper);
    let event = match condition {
        Condition::Crosses { level, .. } if flags.up && p >= at(*level) => Some((Direction::Up, Some(Direction::Up))),
        Condition::Crosses { level, .. } if flags.down && p <= at(*level) => {
            Some((Direction::Down, Some(Direction::Down)))
        }
        Condition::Enters(r) if flags.up && inside(r) => Some((Direction::Up, None)),
        Condition::Exits(r) if flags.up && !inside(r) => Some((Direction::Up, None)),
        _ => None,
    };
    if event.is_some() {
        flags.up = false;
        flags.down = false;
        flags.again = true;
    }
    arm_edge(condition, flags, p, h);
    event
}

pub(super) fn arm_edge(condition: &Condition, flags: &mut TermFlags, p: Q, h: Option<Hysteresis>) {
    let h = h.filter(|_| flags.again);
    match condition {
        Condition::Crosses { direction, .. } => {
            if *direction != Crossing::Down && given_up(condition, Direction::Up, p, h) {
                flags.up = true;
            }
            if *direction != Crossing::Up && given_up(condition, Direction::Down, p, h) {
                flags.down = true;
            }
        }
        Condition::Enters(_) | Condition::Exits(_) if given_up(condition, Direction::Up, p, h) => flags.up = true,
        _ => {}
    }
}

pub(super) fn given_up(condition: &Condition, side: Direction, p: Q, h: Option<Hysteresis>) -> bool {
    match (condition, side) {
        (Condition::Crosses { level, .. }, Direction::Up) => {
            let l = at(*level);
            p < l && p <= l.minus(h_of(h, l))
        }
        (Condition::Crosses { level, .. }, Direction::Down) => {
            let l = at(*level);
            p > l && p >= l.plus(h_of(h, l))
        }
        (Condition::Enters(r), Direction::Up) => outside_by(*r, p, h),
        (Condition::Exits(r), Direction::Up) => inside_by(*r, p, h),
        _ => false,
    }
}
