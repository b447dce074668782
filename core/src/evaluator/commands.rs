//! What users and the shell do to alerts: changes, splits, and the restart (`docs/alerts.md`, B5 and B13).

use rust_decimal::Decimal;

use super::{
    Evaluator, Manner,
    admission::Market,
    bars::GaugeId,
    cut::{AlertMemory, Cut},
    index::{Plan, Watchlist},
    place,
    slot::Opened,
    state::{Leg, Life, Memory, counts, evaluated_text, is_price},
    step::{self, Scene, Seen},
    window::{divided, multiplied},
};
use crate::{
    alert::{Alert, AlertChange, AlertId},
    condition::{Condition, Hysteresis, Level, Operand, PriceRange, SessionScope},
    firing::Firing,
    indicator::Measure,
    instrument::{Instrument, Symbol},
    price::Price,
    time::Timestamp,
};

/// How far a fresh start goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Nothing is reset.
    None,
    /// Reset and armed, not evaluated.
    Armed,
    /// Reset, armed, and judged by the last fresh price.
    Judged,
}

/// Of how many deleted alerts what was known of them is kept.
const PARTED: usize = 64;

impl AlertMemory {
    /// Whether this is of the alert as it stands now: of the same rule, and not of a pause that is over.
    fn fits(&self, alert: &Alert) -> bool {
        let resumed = self.paused && !alert.paused;
        !resumed && self.memory.terms.len() == alert.rule.terms.len() && self.text == evaluated_text(&alert.rule)
    }
}

impl Evaluator {
    /// The evaluator as it was when the last of `memory`'s cuts was taken; nothing fires. An alert without a memory, or
    /// with one of another text, is started afresh: armed by the last known price, judged at its next observation.
    pub fn restore(instruments: impl IntoIterator<Item = Instrument>, alerts: Vec<Alert>, memory: Cut) -> Self {
        let mut evaluator = Self::new(instruments);
        for instrument in memory.instruments {
            let market = evaluator.market(instrument.symbol);
            let market = &mut evaluator.markets[market as usize];
            market.remember(instrument);
            evaluator.rx = market.last().map_or(evaluator.rx, |l| evaluator.rx.max(l.received));
        }
        let mut memories: std::collections::HashMap<AlertId, AlertMemory> =
            memory.alerts.into_iter().map(|a| (a.id, a)).collect();
        for alert in alerts {
            let known = memories.remove(&alert.id).filter(|memory| memory.fits(&alert));
            evaluator.revive(alert, known);
        }
        evaluator.markets.iter_mut().for_each(Market::sweep);
        evaluator
    }

    fn revive(&mut self, mut alert: Alert, known: Option<AlertMemory>) {
        let legs = self.legs(&alert);
        let number = if let Some(known) = known {
            let missed = known.version < alert.version && known.memory.life.snoozed != alert.snoozed_until;
            let mut memory = known.memory;
            if missed && alert.snoozed_until.is_some() {
                memory.hush(alert.snoozed_until);
            }
            alert.snoozed_until = memory.life.snoozed;
            self.insert(Opened { alert, memory, legs })
        } else {
            let memory = Memory::fresh(alert.rule.terms.len(), 0, alert.snoozed_until, alert.updated);
            let number = self.insert(Opened { alert, memory, legs });
            self.arm(number);
            self.mark(number);
            number
        };
        self.replan(number, Plan::Idle);
    }

    /// Takes a change of an alert; false where its version is not newer than the known one, and nothing happened.
    pub fn apply(&mut self, change: AlertChange, now: Timestamp, out: &mut Vec<Firing>) -> bool {
        let (id, version) = (change.id(), change.version());
        let known = self.slot(id).map(|s| s.version).max(self.buried.get(&id).copied());
        if known.is_some_and(|known| version <= known) {
            return false;
        }
        self.begin(now);
        match change {
            AlertChange::Delete { .. } => {
                if let Some(slot) = self.slot(id) {
                    let memory = slot.written(&self.markets);
                    self.parted.truncate(PARTED - 1);
                    self.parted.push_front(memory);
                }
                self.remove(id);
                self.buried.insert(id, version);
            }
            AlertChange::Put(alert) => self.change(alert, out, |_| Start::None, |_| {}),
            AlertChange::Pause(alert) => self.change(Alert { paused: true, ..alert }, out, |_| Start::None, |_| {}),
            AlertChange::Resume(alert) => {
                let stopped = |old: &Opened| old.alert.paused || old.memory.life.done;
                let start = |old: &Opened| if stopped(old) { Start::Judged } else { Start::None };
                self.change(Alert { paused: false, ..alert }, out, start, |_| {});
            }
            AlertChange::Snooze(alert) => {
                let until = alert.snoozed_until;
                let start = |old: &Opened| if old.memory.life.done { Start::Armed } else { Start::None };
                self.change(alert, out, start, |memory| memory.hush(until));
            }
            AlertChange::Acknowledge(alert) => self.change(alert, out, |_| Start::None, see),
            AlertChange::Together { alert, resumed, snoozed, acknowledged } => {
                let until = alert.snoozed_until;
                let start = |old: &Opened| match old.memory.life.done {
                    _ if resumed && (old.alert.paused || old.memory.life.done) => Start::Judged,
                    true if snoozed => Start::Armed,
                    _ => Start::None,
                };
                // Silent before it is judged: a snooze that comes with a resumption must not be a moment late.
                self.change(alert, out, start, |memory| {
                    if snoozed {
                        memory.hush(until);
                    }
                    if acknowledged {
                        see(memory);
                    }
                });
            }
        }
        true
    }

    /// Takes a deleted alert back as it was: with what is known of it here, or else with the `memory` that was recorded. Nothing fires;
    /// it is judged at its next observation, as after a restart. False where its version is not newer than the known one.
    pub fn bring_back(&mut self, alert: Alert, memory: Option<AlertMemory>, now: Timestamp) -> bool {
        let id = alert.id;
        let known = self.slot(id).map(|s| s.version).max(self.buried.get(&id).copied());
        if known.is_some_and(|known| alert.version <= known) {
            return false;
        }
        self.begin(now);
        self.remove(id);
        self.buried.remove(&id);
        let own = self.parted.iter().position(|memory| memory.id == id).and_then(|at| self.parted.remove(at));
        // It is of the moment of the deletion: nothing was missed in between.
        let known = own.or(memory).filter(|memory| memory.fits(&alert));
        let known = known.map(|memory| AlertMemory { version: alert.version, ..memory });
        self.revive(alert, known);
        if let Some(number) = self.number(id) {
            self.mark(number);
        }
        true
    }

    /// Puts the new version in the place of the old one. `start` says what the command itself begins afresh; a changed rule, a
    /// pause that is over and a prolonged end do so anyway.
    fn change(
        &mut self,
        mut alert: Alert,
        out: &mut Vec<Firing>,
        start: impl FnOnce(&Opened) -> Start,
        effect: impl FnOnce(&mut Memory),
    ) {
        let legs = self.legs(&alert);
        for (market, _) in legs.iter().flat_map(|leg| leg.gauges()) {
            self.mark_market(market);
        }
        let Some(number) = self.number(alert.id) else {
            let memory = Memory::fresh(alert.rule.terms.len(), 0, alert.snoozed_until, self.rx);
            let number = self.insert(Opened { alert, memory, legs });
            self.activate(number, Start::Judged, out);
            return;
        };
        self.withdraw(number);
        let rx = self.rx;
        let Some(old) = self.slots[number as usize].as_ref().map(|slot| slot.open(&self.markets)) else { return };
        let rewritten = !old.alert.rule.evaluates_like(&alert.rule);
        let resumed = old.alert.paused && !alert.paused;
        let ended = old.alert.rule.until.is_some_and(|until| rx >= until);
        let expired = !old.alert.paused && !old.memory.life.done && ended;
        let outside_differs = old.alert.rule != alert.rule;
        let by_command = start(&old);
        let begin = if rewritten || resumed || (expired && outside_differs) { Start::Judged } else { by_command };
        let mut memory = old.memory;
        if rewritten {
            memory.life.snoozed = None;
        }
        if begin != Start::None {
            let Life { count, snoozed, .. } = memory.life;
            memory = Memory::fresh(alert.rule.terms.len(), count, snoozed, rx);
        }
        effect(&mut memory);
        alert.snoozed_until = memory.life.snoozed;
        self.put_back(number, Opened { alert, memory, legs });
        self.activate(number, begin, out);
    }

    /// The second half of a fresh start: arming from the last known price, and one evaluation with what is still fresh.
    fn activate(&mut self, number: u32, start: Start, out: &mut Vec<Firing>) {
        self.mark(number);
        if start != Start::None {
            self.arm(number);
        }
        let fresh = if start == Start::Judged { self.fresh(number) } else { Vec::new() };
        if fresh.is_empty() {
            self.replan(number, Plan::Idle);
        } else {
            self.visit(number, &fresh, Manner::default(), out);
        }
    }

    fn arm(&mut self, number: u32) {
        let Some(slot) = &mut self.slots[number as usize] else { return };
        if !slot.paused() {
            let scene = Scene { markets: &self.markets, rx: self.rx, within_candle: false };
            slot.with(|subject| step::arm(subject, &scene, |_| true));
        }
    }

    /// The last observations of the alert's instruments that are still fresh.
    fn fresh(&self, number: u32) -> Vec<Seen> {
        let Some(slot) = &self.slots[number as usize] else { return Vec::new() };
        let last = |market: u32| {
            let found = &self.markets[market as usize];
            let last = found.track(slot.scope()).last?;
            found.is_fresh(last.ts, self.rx).then_some(Seen { market, ts: last.ts, session: last.session })
        };
        slot.markets().into_iter().filter_map(last).collect()
    }

    /// The first price of an instrument came too late to be judged: it only arms, and only terms on that instrument alone.
    pub(super) fn arm_by_first(&mut self, seen: Seen) {
        // Before its first price, everybody looks at every price of an instrument.
        let market = &self.markets[seen.market as usize];
        let watches = [SessionScope::Regular, SessionScope::Extended].map(|scope| market.watch(scope));
        let numbers: Vec<u32> = watches.into_iter().flat_map(Watchlist::always).collect();
        for number in numbers {
            let Some(slot) = &mut self.slots[number as usize] else { continue };
            let (old, options) = (slot.plan(), slot.options());
            let concerned =
                slot.legs().iter().any(|leg| leg.only() == Some(seen.market)) && counts(options.session, seen.session);
            let over = options.until.is_some_and(|until| seen.ts >= until);
            if concerned && !over {
                let scene = Scene { markets: &self.markets, rx: self.rx, within_candle: false };
                slot.with(|subject| step::arm(subject, &scene, |leg| leg.only() == Some(seen.market)));
                self.mark(number);
                self.replan(number, old);
            }
        }
    }

    /// `ratio` new units came for one old: everything recorded or written in the old ones is divided by it. Gives the alerts
    /// whose text changed, each under its next version; what is not above zero is no split.
    pub fn on_split(&mut self, symbol: Symbol, ratio: Decimal, received: Timestamp) -> Vec<Alert> {
        self.begin(received);
        let Some(&market) = self.market_of.get(&symbol) else { return Vec::new() };
        if ratio <= Decimal::ZERO || ratio == Decimal::ONE {
            return Vec::new();
        }
        self.markets[market as usize].split(ratio);
        self.mark_market(market);
        let mut changed = Vec::new();
        for number in 0..place(self.slots.len()) {
            let Some(slot) = &self.slots[number as usize] else { continue };
            if !slot.legs().iter().any(|leg| leg.has(market)) {
                continue;
            }
            let over = slot.over();
            let mut opened = slot.open(&self.markets);
            self.withdraw(number);
            if opened.split(symbol, ratio) {
                opened.alert.version = opened.alert.version.saturating_add(1);
                opened.alert.updated = self.rx;
                changed.push(opened.alert.clone());
            }
            self.put_back(number, opened);
            if let Some(slot) = self.slots[number as usize].as_mut().filter(|_| over) {
                slot.end();
            }
            self.mark(number);
            self.replan(number, Plan::Idle);
        }
        changed.sort_by_key(|a| a.id);
        changed
    }

    /// Where the alert's operands are kept; makes room for instruments that are new, and for windows that reach further.
    fn legs(&mut self, alert: &Alert) -> Vec<Leg> {
        let mut legs = Vec::with_capacity(alert.rule.terms.len());
        for term in &alert.rule.terms {
            let leg = match term.operand {
                Operand::Price(one) | Operand::Indicator(one, _) if term.names_indicator() => {
                    let market = self.market(one);
                    let mut follow = |indicator| self.markets[market as usize].follow(alert.rule.session, indicator);
                    let value = match term.operand {
                        Operand::Indicator(_, indicator) => Some(follow(indicator)),
                        Operand::Price(_) | Operand::Ratio(..) => None,
                    };
                    Leg::Gauged { market, value, level: term.condition.level_indicator().map(follow) }
                }
                Operand::Price(one) | Operand::Indicator(one, _) => Leg::One(self.market(one)),
                Operand::Ratio(over, under) => Leg::Two(self.market(over), self.market(under)),
            };
            for market in leg.markets() {
                self.markets[market as usize].reach(&term.condition);
            }
            legs.push(leg);
        }
        legs
    }

    fn insert(&mut self, opened: Opened) -> u32 {
        let slot = opened.pack(&mut self.styles);
        let id = slot.id;
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = Some(slot);
            number
        } else {
            self.slots.push(Some(slot));
            place(self.slots.len() - 1)
        };
        self.slot_of.insert(id, number, |place| self.slots[place as usize].as_ref().map(|slot| slot.id));
        if !self.buried.is_empty() {
            self.buried.remove(&id);
        }
        self.enlist(number);
        number
    }

    /// Notes which indicators an alert names.
    fn enlist(&mut self, number: u32) {
        let Some(slot) = &self.slots[number as usize] else { return };
        for (market, id) in slot.gauges() {
            if let Some(gauges) = &mut self.markets[market as usize].gauges {
                gauges.enlist(id, number);
            }
        }
    }

    /// Notes that the alert at this place names these indicators no longer, but for those that it names again.
    fn discharge(&mut self, number: u32, gauges: &[(u32, GaugeId)]) {
        for (market, id) in gauges {
            if let Some(gauges) = &mut self.markets[*market as usize].gauges {
                gauges.discharge(*id, number);
            }
        }
        self.enlist(number);
        for (market, _) in gauges {
            self.markets[*market as usize].sweep();
            self.mark_market(*market);
        }
    }

    /// Puts an alert that was withdrawn and opened back into its place.
    fn put_back(&mut self, number: u32, opened: Opened) {
        let slot = opened.pack(&mut self.styles);
        if let Some(mut old) = self.slots[number as usize].replace(slot) {
            let noted = old.mark(false);
            let gauges = old.gauges();
            self.styles.release(old.style);
            if let Some(slot) = self.slots[number as usize].as_mut().filter(|_| noted) {
                slot.mark(true);
            }
            self.discharge(number, &gauges);
        }
    }

    fn remove(&mut self, id: AlertId) {
        let id_at = |place: u32| self.slots[place as usize].as_ref().map(|slot| slot.id);
        if let Some(number) = self.slot_of.remove(id, id_at) {
            self.withdraw(number);
            if let Some(slot) = self.slots[number as usize].take() {
                let gauges = slot.gauges();
                self.styles.release(slot.style);
                self.discharge(number, &gauges);
            }
            self.free.push(number);
        }
    }
}

/// What a split does to a price of this operand.
#[derive(Clone, Copy)]
enum Scale {
    Divide(Decimal),
    Multiply(Decimal),
}

impl Scale {
    fn of(operand: &Operand, symbol: Symbol, ratio: Decimal) -> Option<Self> {
        match *operand {
            Operand::Price(one) => (one == symbol).then_some(Self::Divide(ratio)),
            Operand::Indicator(one, indicator) => {
                (one == symbol && indicator.measure() == Measure::Price).then_some(Self::Divide(ratio))
            }
            Operand::Ratio(over, under) if over == under => None,
            Operand::Ratio(over, _) if over == symbol => Some(Self::Divide(ratio)),
            Operand::Ratio(_, under) => (under == symbol).then_some(Self::Multiply(ratio)),
        }
    }

    fn apply(self, price: &mut Price) {
        *price = match self {
            Self::Divide(ratio) => divided(*price, ratio),
            Self::Multiply(ratio) => multiplied(*price, ratio),
        };
    }
}

impl Opened {
    /// Rescales levels, bounds, references and hysteresis; says whether the text changed.
    fn split(&mut self, symbol: Symbol, ratio: Decimal) -> bool {
        let rule = &mut self.alert.rule;
        let before = rule.clone();
        if let Some(scale) = rule.terms.first().and_then(|t| Scale::of(&t.operand, symbol, ratio))
            && let Some(Hysteresis::Absolute(by)) = &mut rule.hysteresis
        {
            scale.apply(by);
        }
        for (term, memory) in rule.terms.iter_mut().zip(&mut self.memory.terms) {
            let Some(scale) = Scale::of(&term.operand, symbol, ratio) else { continue };
            match &mut term.condition {
                Condition::Compare { level: Level::Price(level), .. }
                | Condition::Crosses { level: Level::Price(level), .. } => scale.apply(level),
                Condition::PercentFrom { reference, .. } => scale.apply(reference),
                Condition::In(range)
                | Condition::Outside(range)
                | Condition::Enters(range)
                | Condition::Exits(range) => {
                    let PriceRange { lower, upper } = range;
                    scale.apply(lower);
                    scale.apply(upper);
                }
                Condition::Compare { .. }
                | Condition::Crosses { .. }
                | Condition::PercentVs { .. }
                | Condition::Move { .. }
                | Condition::MoveIn { .. } => {}
            }
            memory.reference = memory.reference.map(|reference| match scale {
                // A reference is a price that was seen: it is rounded as the recorded one is, so that both stay equal.
                Scale::Divide(ratio) if is_price(&term.operand) => {
                    super::exact::Value::price(divided(Price::new(reference.num), ratio).decimal())
                }
                Scale::Divide(ratio) => reference.divided_by(ratio),
                Scale::Multiply(ratio) => reference.times(ratio),
            });
        }
        *rule != before
    }
}

/// The firing of the running episode was seen.
fn see(memory: &mut Memory) {
    if let Some(episode) = &mut memory.life.episode {
        episode.acknowledged |= episode.fired;
    }
}
