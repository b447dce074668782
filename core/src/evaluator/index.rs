//! Which alerts a price can concern. Per instrument and scope of sessions: thresholds that matter going up, thresholds that
//! matter going down, and beside the last price the nearest of each: a tick that stays between them is two comparisons.
//!
//! The index only says whom to look at. It may name an alert to which nothing happens, never leave one out to which something would.

use std::collections::BTreeSet;

use super::{
    admission::Market,
    exact::{Threshold, Value, key, key_above, key_below},
    levels::Levels,
    slot::Subject,
    state::{Leg, Life, TermMemory, pause_between},
    step::Scene,
    style::Options,
    terms::{self, Edge, Zone},
    window::{Observation, Track},
};
use crate::{
    condition::{Anchor, Condition, Family, Hysteresis, Repeat, Sign},
    indicator::Indicator,
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
        up: Option<i64>,
        /// The nearest key below.
        down: Option<i64>,
        /// The end of a cooldown after which it may fire without a price passing anything.
        due: Option<Timestamp>,
    },
}

impl Plan {
    #[inline]
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
    #[inline]
    fn leaving(low: Threshold, high: Threshold) -> Self {
        Self::watch(Some(high), Some(low))
    }

    /// Until the price comes into `low..high`, from where it is.
    #[inline]
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

/// What an alert that was just evaluated waits for.
pub(super) fn next(subject: &Subject<'_>, markets: &[Market], rx: Timestamp) -> Plan {
    let Subject { terms, legs, options, life, memories } = subject;
    plan(terms, legs, options, life, memories, markets, rx)
}

/// What an alert waits for.
pub(super) fn plan(
    terms: &[Condition],
    legs: &[Leg],
    options: &Options,
    life: &Life,
    memories: &[TermMemory],
    markets: &[Market],
    rx: Timestamp,
) -> Plan {
    if life.done {
        return Plan::Idle;
    }
    match (terms, memories, legs.first()) {
        ([term], [remembered], Some(Leg::One(market))) => {
            plan_beside(term, options, life, remembered, markets[*market as usize].track(options.session), rx)
        }
        ([term], [remembered], Some(leg @ Leg::Gauged { .. })) => {
            gauged_plan(term, *leg, &Scene { markets, rx, within_candle: false }, options, life, remembered)
        }
        _ => Plan::Always,
    }
}

/// What an alert with this one term waits for beside the last price of `track`.
#[inline]
fn plan_beside(
    term: &Condition,
    options: &Options,
    life: &Life,
    remembered: &TermMemory,
    track: &Track,
    rx: Timestamp,
) -> Plan {
    let Some(last) = &track.last else { return Plan::Always };
    if life.waits.iter().any(Option::is_some) {
        return Plan::Always;
    }
    let price = Value::price(last.price.decimal());
    let snoozed = life.snoozed.is_some_and(|until| rx < until);
    match (term, term.family()) {
        (Condition::PercentVs { .. }, _) => Plan::Always,
        (_, Family::Move) => {
            let running = snoozed || life.episode.is_some();
            if running { Plan::Always } else { move_plan(term, remembered, track).unwrap_or(Plan::Always) }
        }
        (_, Family::Edge) => {
            let Some(edge) = Edge::of(term) else { return Plan::Always };
            edge_plan(&edge, remembered, options.hysteresis, &price)
        }
        (_, Family::Level) => {
            let Some(zone) = Zone::fixed(term).filter(|_| !snoozed) else { return Plan::Always };
            if remembered.latch {
                with_due(zone_plan_on(&zone, options.hysteresis, &price), options.repeat, life)
            } else {
                zone_plan_off(&zone, &price)
            }
        }
    }
}

/// What an alert waits for that names an indicator: one term, on the instrument of `track`. Between two closes of a bar an
/// indicator does not move; when a bar closes, every alert is looked at of which it does.
fn gauged_plan(
    term: &Condition,
    leg: Leg,
    scene: &Scene<'_>,
    options: &Options,
    life: &Life,
    memory: &TermMemory,
) -> Plan {
    const RESTING: Plan = Plan::Watch { up: None, down: None, due: None };
    let Leg::Gauged { market, value, .. } = leg else { return Plan::Always };
    let market = &scene.markets[market as usize];
    let track = market.track(options.session);
    let Some(last) = &track.last else { return Plan::Always };
    let settled = scene.settled(term, leg, last.ts);
    let Some(value) = value else {
        return settled.map_or(RESTING, |term| plan_beside(&term, options, life, memory, track, scene.rx));
    };
    let snoozed = life.snoozed.is_some_and(|until| scene.rx < until);
    let level = term.family() == Family::Level;
    if market.indicator(value) == Some(Indicator::Volume) {
        // The volume takes the place of the price, in a list of its own.
        let amount = market.gauges.as_ref().and_then(|gauges| gauges.last_volume(options.session));
        let plan_at = |price| {
            let track = Track::of(Observation { price, ..*last });
            plan_beside(term, options, life, memory, &track, scene.rx)
        };
        return amount.map_or(RESTING, plan_at);
    }
    if life.waits.iter().any(Option::is_some) || (snoozed && level) {
        return Plan::Always;
    }
    let (Some(term), Some(p)) = (settled, market.gauge(value, last.ts)) else { return RESTING };
    let p = Value::price(p.decimal());
    // Whether looking again, at the same values, would change anything.
    let mut again = *memory;
    if let Some(edge) = Edge::of(&term) {
        let event = edge.step(&mut again, &p, options.hysteresis);
        return if event.is_none() && again == *memory { RESTING } else { Plan::Always };
    }
    let Some(zone) = Zone::fixed(&term) else { return Plan::Always };
    let on = terms::latch(&mut again, &zone, &p, options.hysteresis);
    match (on, life.episode) {
        _ if again != *memory => Plan::Always,
        (true, _) => with_due(RESTING, options.repeat, life),
        (false, None) => RESTING,
        (false, Some(_)) => Plan::Always,
    }
}

/// A true level may fire without a price passing anything, once it has cooled.
fn with_due(plan: Plan, repeat: Repeat, life: &Life) -> Plan {
    let Some(episode) = life.episode else { return Plan::Always };
    let waits = match repeat {
        Repeat::Once => return Plan::Always,
        Repeat::Each { .. } => !episode.fired,
        Repeat::Every(_) => !episode.acknowledged,
    };
    match (plan, life.last_fired) {
        (plan, _) if !waits => plan,
        (Plan::Watch { up, down, .. }, Some(fired)) => {
            Plan::Watch { up, down, due: Some(fired.plus(pause_between(repeat))) }
        }
        _ => Plan::Always,
    }
}

/// Until the price has moved far enough from where it is measured, or the place from which it is measured moves.
///
/// What a window forgets as time passes only makes the condition harder to meet, so that it needs no watching.
fn move_plan(condition: &Condition, remembered: &TermMemory, track: &Track) -> Option<Plan> {
    let (zone, high, low) = match *condition {
        Condition::Move { sign, percent, anchor } => {
            let reference = remembered.reference?;
            let here = || key(reference.num);
            let zone = Zone::percent(sign, percent, reference, reference);
            match anchor {
                Anchor::Now => (zone, None, None),
                Anchor::High => (zone, Some(here()), None),
                Anchor::Low => (zone, None, Some(here())),
            }
        }
        Condition::MoveIn { sign, percent, window } => {
            let now = track.last?.ts;
            let (low, high) = track.extremes(now.minus(window), now, remembered.since)?;
            let zone = Zone::percent(sign, percent, Value::price(low), Value::price(high));
            let (falls, rises) = (sign != Sign::Plus, sign != Sign::Minus);
            // A price that is beyond an extreme by less than keys can tell moves the threshold by less than its slack.
            (zone, falls.then(|| key_above(high)), rises.then(|| key_below(low)))
        }
        _ => return None,
    };
    let (above, below) = match zone {
        Zone::Above { level, .. } => (Some(level), None),
        Zone::Below { level, .. } => (None, Some(level)),
        Zone::Outside { low, high, .. } => (Some(high), Some(low)),
        Zone::Inside { .. } => return None,
    };
    let Plan::Watch { up, down, due } = Plan::watch(above, below) else { return None };
    let up = up.into_iter().chain(high).min();
    let down = down.into_iter().chain(low).max();
    Some(Plan::Watch { up, down, due })
}

#[inline]
fn zone_plan_off(zone: &Zone, price: &Value) -> Plan {
    match *zone {
        Zone::Above { level, .. } => Plan::watch(Some(level), None),
        Zone::Below { level, .. } => Plan::watch(None, Some(level)),
        Zone::Inside { low, high } => Plan::entering(low, high, price),
        Zone::Outside { low, high, .. } => Plan::leaving(low, high),
    }
}

#[inline]
fn zone_plan_on(zone: &Zone, h: Option<Hysteresis>, price: &Value) -> Plan {
    match *zone {
        Zone::Above { level, .. } => Plan::watch(None, Some(level.lowered(h))),
        Zone::Below { level, .. } => Plan::watch(Some(level.raised(h)), None),
        Zone::Inside { low, high } => Plan::leaving(low.lowered(h), high.raised(h)),
        Zone::Outside { low, high, .. } => Plan::entering(low.raised(h), high.lowered(h), price),
    }
}

#[inline]
fn edge_plan(edge: &Edge, flags: &TermMemory, hysteresis: Option<Hysteresis>, price: &Value) -> Plan {
    let h = if flags.again { hysteresis } else { None };
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

/// Later than any observation.
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// What a price has to reach before it concerns anybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    /// The lowest key above.
    above: i64,
    /// The highest key below.
    below: i64,
    /// The earliest time from which any price does; before any time while somebody looks at every price.
    soonest: Timestamp,
}

impl Default for Near {
    fn default() -> Self {
        Self { above: i64::MAX, below: i64::MIN, soonest: NEVER }
    }
}

impl Near {
    /// Whether a price of this key, observed at `ts`, concerns nobody.
    #[inline]
    pub(super) const fn is_quiet(&self, key: i64, ts: Timestamp) -> bool {
        key < self.above && key > self.below && ts.as_micros() < self.soonest.as_micros()
    }
}

/// The alerts that look at one instrument, by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Watchlist {
    /// Kept in step with the lists.
    near: Near,
    ups: Levels,
    /// Their keys are turned round, so that the one nearest to the price is the lowest here, too.
    downs: Levels,
    due: BTreeSet<(Timestamp, u32)>,
    always: BTreeSet<u32>,
}

impl Watchlist {
    pub(super) fn add(&mut self, slot: u32, plan: Plan) {
        match plan {
            Plan::Idle => {}
            Plan::Always => {
                self.always.insert(slot);
                self.settle_time();
            }
            Plan::Watch { up, down, due } => {
                if let Some(key) = up {
                    self.ups.insert(key, slot);
                    self.near.above = self.near.above.min(key);
                }
                if let Some(key) = down {
                    self.downs.insert(-key, slot);
                    self.near.below = self.near.below.max(key);
                }
                if let Some(at) = due {
                    self.due.insert((at, slot));
                    self.settle_time();
                }
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32, plan: Plan) {
        match plan {
            Plan::Idle => {}
            Plan::Always => {
                self.always.remove(&slot);
                self.settle_time();
            }
            Plan::Watch { up, down, due } => {
                if let Some(key) = up {
                    self.ups.remove(key, slot);
                    self.settle_up();
                }
                if let Some(key) = down {
                    self.downs.remove(-key, slot);
                    self.settle_down();
                }
                if let Some(at) = due {
                    self.due.remove(&(at, slot));
                    self.settle_time();
                }
            }
        }
    }

    fn settle_up(&mut self) {
        self.near.above = self.ups.lowest().unwrap_or(i64::MAX);
    }

    fn settle_down(&mut self) {
        self.near.below = self.downs.lowest().map_or(i64::MIN, |key| -key);
    }

    fn settle_time(&mut self) {
        let first = || self.due.first().map_or(NEVER, |first| first.0);
        self.near.soonest = if self.always.is_empty() { first() } else { Timestamp::from_micros(i64::MIN) };
    }

    /// What a price has to reach before it concerns anybody.
    pub(super) const fn near(&self) -> Near {
        self.near
    }

    /// Whom it concerns all the same, whatever the price.
    pub(super) fn always(&self) -> impl Iterator<Item = u32> {
        self.always.iter().copied()
    }

    /// Names everybody whom a price of this key, observed at `ts`, can concern; some perhaps twice. Levels that were reached
    /// are taken out of the list, and are named as such.
    pub(super) fn concerned(&mut self, key: i64, ts: Timestamp, mut name: impl FnMut(u32, Reached)) {
        if key >= self.near.above {
            self.ups.pop(key, |slot| name(slot, Reached::Up));
            self.settle_up();
        }
        if key <= self.near.below {
            self.downs.pop(-key, |slot| name(slot, Reached::Down));
            self.settle_down();
        }
        self.always.iter().for_each(|&slot| name(slot, Reached::Nothing));
        if ts >= self.near.soonest {
            self.due.range(..=(ts, u32::MAX)).for_each(|&(_, slot)| name(slot, Reached::Nothing));
        }
    }
}

/// Which of an alert's levels left the list, having been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Up,
    Down,
    Both,
    Nothing,
}

impl Reached {
    /// Both together.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (Self::Up, Self::Up) => Self::Up,
            (Self::Down, Self::Down) => Self::Down,
            _ => Self::Both,
        }
    }
}
