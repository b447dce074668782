//! Which alerts a price can concern. Per instrument and scope of sessions: thresholds that matter going up, thresholds that
//! matter going down, and beside the last price the nearest of each: a tick that stays between them is two comparisons.
//!
//! The index only says whom to look at. It may name an alert to which nothing happens, never leave one out to which something would.

use std::collections::BTreeSet;

use super::{
    exact::{Threshold, Value},
    state::Memory,
    terms::{Edge, Zone},
};
use crate::{
    condition::{Condition, Family, Operand, Repeat, Rule},
    time::Timestamp,
};

/// When an alert has to be looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Plan {
    /// Not for a price.
    #[default]
    Idle,
    /// At every observation of any of its instruments.
    Always,
    /// At a price of at least `up` or at most `down`, or from `due` on.
    Watch {
        /// The nearest key above.
        up: Option<i128>,
        /// The nearest key below.
        down: Option<i128>,
        /// The end of a cooldown after which it may fire without a price passing anything.
        due: Option<Timestamp>,
    },
}

impl Plan {
    fn watch(up: Option<Threshold>, down: Option<Threshold>) -> Self {
        let above = up.map(|t| t.key_from_below());
        let below = down.map(|t| t.key_from_above());
        match (above, below) {
            // A threshold beyond all digits: rather look too often.
            (Some(None), _) | (_, Some(None)) => Self::Always,
            _ => Self::Watch { up: above.flatten(), down: below.flatten(), due: None },
        }
    }

    /// Until the price leaves `low..high`.
    fn leaving(low: Threshold, high: Threshold) -> Self {
        Self::watch(Some(high), Some(low))
    }

    /// Until the price comes into `low..high`, from where it is.
    fn entering(low: Threshold, high: Threshold, price: &Value) -> Self {
        if low.place(price).is_lt() {
            Self::watch(Some(low), None)
        } else if high.place(price).is_gt() {
            Self::watch(None, Some(high))
        } else {
            Self::Always
        }
    }
}

/// What an alert waits for. `price` is the last one that exists for it.
pub(super) fn plan(rule: &Rule, memory: &Memory, price: Option<Value>, rx: Timestamp) -> Plan {
    let ([term], Some(price)) = (&rule.terms[..], price) else { return Plan::Always };
    if matches!(term.operand, Operand::Ratio(..)) || memory.waits.iter().any(Option::is_some) {
        return Plan::Always;
    }
    let remembered = memory.terms.first().copied().unwrap_or_default();
    match (&term.condition, term.condition.family()) {
        (Condition::PercentVs { .. }, _) | (_, Family::Move) => Plan::Always,
        (condition, Family::Edge) => {
            let Some(edge) = Edge::of(condition) else { return Plan::Always };
            edge_plan(&edge, &remembered, rule, &price)
        }
        (condition, Family::Level) => {
            if memory.snoozed.is_some_and(|until| rx < until) {
                return Plan::Always;
            }
            let Some(zone) = Zone::fixed(condition) else { return Plan::Always };
            if remembered.latch {
                with_due(zone_plan_on(&zone, rule, &price), rule, memory)
            } else {
                zone_plan_off(&zone, &price)
            }
        }
    }
}

/// A true level may fire without a price passing anything, once it has cooled.
fn with_due(plan: Plan, rule: &Rule, memory: &Memory) -> Plan {
    let Some(episode) = memory.episode else { return Plan::Always };
    let waits_for = match rule.repeat {
        Repeat::Once => return Plan::Always,
        Repeat::Each { cooldown } => (!episode.fired).then_some(cooldown),
        Repeat::Every(span) => (!episode.acknowledged).then_some(span),
    };
    match (plan, waits_for, memory.last_fired) {
        (plan, None, _) => plan,
        (Plan::Watch { up, down, .. }, Some(span), Some(fired)) => {
            Plan::Watch { up, down, due: Some(fired.plus(span)) }
        }
        _ => Plan::Always,
    }
}

fn zone_plan_off(zone: &Zone, price: &Value) -> Plan {
    match *zone {
        Zone::Above { level, .. } => Plan::watch(Some(level), None),
        Zone::Below { level, .. } => Plan::watch(None, Some(level)),
        Zone::Inside { low, high } => Plan::entering(low, high, price),
        Zone::Outside { low, high, .. } => Plan::leaving(low, high),
    }
}

fn zone_plan_on(zone: &Zone, rule: &Rule, price: &Value) -> Plan {
    let h = rule.hysteresis;
    match *zone {
        Zone::Above { level, .. } => Plan::watch(None, Some(level.lowered(h))),
        Zone::Below { level, .. } => Plan::watch(Some(level.raised(h)), None),
        Zone::Inside { low, high } => Plan::leaving(low.lowered(h), high.raised(h)),
        Zone::Outside { low, high, .. } => Plan::entering(low.raised(h), high.lowered(h), price),
    }
}

fn edge_plan(edge: &Edge, flags: &super::state::TermMemory, rule: &Rule, price: &Value) -> Plan {
    let h = if flags.again { rule.hysteresis } else { None };
    match *edge {
        Edge::Crosses { level, up, down } => {
            let rise = if flags.up { Some(level) } else { (down && !flags.down).then(|| level.raised(h)) };
            let fall = if flags.down { Some(level) } else { (up && !flags.up).then(|| level.lowered(h)) };
            Plan::watch(rise, fall)
        }
        Edge::Enters { low, high } if flags.up => Plan::entering(low, high, price),
        Edge::Enters { low, high } => Plan::leaving(low.lowered(h), high.raised(h)),
        Edge::Exits { low, high } if flags.up => Plan::leaving(low, high),
        Edge::Exits { low, high } => Plan::entering(low.raised(h), high.lowered(h), price),
    }
}

/// The alerts that look at one instrument, by what they wait for.
#[derive(Debug)]
pub(super) struct Watchlist {
    ups: BTreeSet<(i128, u32)>,
    downs: BTreeSet<(i128, u32)>,
    /// The lowest of `ups`.
    above: i128,
    /// The highest of `downs`.
    below: i128,
    due: BTreeSet<(Timestamp, u32)>,
    always: BTreeSet<u32>,
}

impl Default for Watchlist {
    fn default() -> Self {
        Self {
            ups: BTreeSet::new(),
            downs: BTreeSet::new(),
            above: i128::MAX,
            below: i128::MIN,
            due: BTreeSet::new(),
            always: BTreeSet::new(),
        }
    }
}

impl Watchlist {
    pub(super) fn add(&mut self, slot: u32, plan: Plan) {
        match plan {
            Plan::Idle => {}
            Plan::Always => {
                self.always.insert(slot);
            }
            Plan::Watch { up, down, due } => {
                if let Some(key) = up {
                    self.ups.insert((key, slot));
                    self.above = self.above.min(key);
                }
                if let Some(key) = down {
                    self.downs.insert((key, slot));
                    self.below = self.below.max(key);
                }
                if let Some(at) = due {
                    self.due.insert((at, slot));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32, plan: Plan) {
        match plan {
            Plan::Idle => {}
            Plan::Always => {
                self.always.remove(&slot);
            }
            Plan::Watch { up, down, due } => {
                if let Some(key) = up {
                    self.ups.remove(&(key, slot));
                    if key == self.above {
                        self.above = self.ups.first().map_or(i128::MAX, |first| first.0);
                    }
                }
                if let Some(key) = down {
                    self.downs.remove(&(key, slot));
                    if key == self.below {
                        self.below = self.downs.last().map_or(i128::MIN, |last| last.0);
                    }
                }
                if let Some(at) = due {
                    self.due.remove(&(at, slot));
                }
            }
        }
    }

    /// Names everybody whom a price of this key, observed at `ts`, can concern; some perhaps twice.
    pub(super) fn concerned(&self, key: i128, ts: Timestamp, mut name: impl FnMut(u32)) {
        if key >= self.above {
            self.ups.range(..=(key, u32::MAX)).for_each(|&(_, slot)| name(slot));
        }
        if key <= self.below {
            self.downs.range((key, 0)..).for_each(|&(_, slot)| name(slot));
        }
        self.always.iter().for_each(|&slot| name(slot));
        if !self.due.is_empty() {
            self.due.range(..=(ts, u32::MAX)).for_each(|&(_, slot)| name(slot));
        }
    }
}
