//! The place of one alert in memory. Nearly all alerts are one plain condition on one price, and take 120 bytes; what does not
//! fit that form lies in a box beside it. Commands work on the [`Opened`] form, evaluation on borrowed parts.

use std::sync::Arc;

use super::{
    admission::Market,
    bars::GaugeId,
    cut::AlertMemory,
    index::{Plan, Reached},
    plain::Plain,
    state::{Episode, Leg, Life, Memory, TermMemory, pause_between},
    style::{Options, Style, Styles},
};
use crate::{
    alert::{Alert, AlertId},
    condition::{Condition, Family, Operand, Rule, SessionScope, Term},
    time::Timestamp,
};

/// An alert with everything the evaluator keeps beside it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: AlertId,
    created: Timestamp,
    updated: Timestamp,
    pub(super) style: Arc<Style>,
    /// In place of `plain`, the numbers of `life`, and the flags of the term.
    full: Option<Box<Full>>,
    plain: Plain,
    activated: Timestamp,
    /// [`NEVER`] stands for none.
    time: Timestamp,
    last_fired: Timestamp,
    /// How it stands in the index: the nearest keys above and below; [`i64::MAX`] and [`i64::MIN`] stand for none.
    up: i64,
    down: i64,
    market: u32,
    pub(super) version: u32,
    count: u32,
    flags: u16,
}

/// Earlier than any observation.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

const PAUSED: u16 = 1;
/// Its time is over: an observation at or after `until` was seen.
const OVER: u16 = 1 << 1;
const DIRTY: u16 = 1 << 2;
const DONE: u16 = 1 << 3;
const LATCH: u16 = 1 << 4;
const UP: u16 = 1 << 5;
const DOWN: u16 = 1 << 6;
const AGAIN: u16 = 1 << 7;
const EPISODE: u16 = 1 << 8;
const FIRED: u16 = 1 << 9;
const ACKNOWLEDGED: u16 = 1 << 10;
const ALWAYS: u16 = 1 << 11;
const WATCH: u16 = 1 << 12;
const DUE: u16 = 1 << 13;

/// Everything that does not fit the plain form.
#[derive(Debug)]
struct Full {
    terms: Vec<Condition>,
    legs: Vec<Leg>,
    memories: Vec<TermMemory>,
    life: Life,
}

/// An alert in the form in which commands change it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) alert: Alert,
    pub(super) memory: Memory,
    /// One a term.
    pub(super) legs: Vec<Leg>,
}

/// What an evaluation reads and changes.
pub(super) struct Subject<'a> {
    pub(super) terms: &'a [Condition],
    pub(super) legs: &'a [Leg],
    pub(super) options: &'a Options,
    pub(super) life: &'a mut Life,
    pub(super) memories: &'a mut [TermMemory],
}

impl Opened {
    /// Whether the plain form holds all of it.
    fn plain(&self) -> Option<(Plain, u32)> {
        let ([term], [Leg::One(market)], [memory]) =
            (&self.alert.rule.terms[..], &self.legs[..], &self.memory.terms[..])
        else {
            return None;
        };
        let Life { snoozed, waits, .. } = self.memory.life;
        let bare = snoozed.is_none() && waits == [None; 2] && memory.reference.is_none() && memory.since == 0;
        let fits = bare && self.alert.rule.hold.is_none();
        Some((Plain::of(&term.condition).filter(|_| fits)?, *market))
    }

    /// Packs it; it is in no index yet.
    pub(super) fn pack(self, styles: &mut Styles) -> Slot {
        let plain = self.plain();
        let Self { alert, memory, legs } = self;
        let Memory { life, terms: memories } = memory;
        let Alert { id, owner, version, rule, paused, snoozed_until: _, created, updated } = alert;
        let (options, terms) = Options::of(owner, rule);
        let mut slot = Slot {
            id,
            created,
            updated,
            style: styles.share(options),
            full: None,
            plain: plain.map_or(Plain::NOTHING, |p| p.0),
            activated: life.activated,
            time: NEVER,
            last_fired: NEVER,
            up: i64::MAX,
            down: i64::MIN,
            market: plain.map_or(0, |p| p.1),
            version,
            count: 0,
            flags: 0,
        };
        slot.set(PAUSED, paused);
        if let (Some(_), [memory]) = (plain, &memories[..]) {
            slot.keep(&life, memory);
        } else {
            let terms = terms.into_iter().map(|t| t.condition).collect();
            slot.full = Some(Box::new(Full { terms, legs, memories, life }));
        }
        slot
    }
}

impl Slot {
    const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    const fn set(&mut self, flag: u16, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// The form that commands change.
    pub(super) fn open(&self, markets: &[Market]) -> Opened {
        let snoozed_until = self.life().snoozed;
        let alert = Alert {
            id: self.id,
            owner: self.style.options.owner,
            version: self.version,
            rule: self.rule(markets),
            paused: self.has(PAUSED),
            snoozed_until,
            created: self.created,
            updated: self.updated,
        };
        Opened { alert, memory: self.memory(), legs: self.legs().to_vec() }
    }

    /// What it says.
    pub(super) fn rule(&self, markets: &[Market]) -> Rule {
        let symbol = |market: u32| markets[market as usize].symbol;
        let term = |leg: &Leg, condition: Condition| Term {
            operand: match *leg {
                Leg::One(one) => Operand::Price(symbol(one)),
                Leg::Two(over, under) => Operand::Ratio(symbol(over), symbol(under)),
                Leg::Gauged { market, value, .. } => {
                    let indicator = value.and_then(|id| markets[market as usize].indicator(id));
                    indicator.map_or(Operand::Price(symbol(market)), |i| Operand::Indicator(symbol(market), i))
                }
            },
            condition,
        };
        let terms = match &self.full {
            Some(full) => full.legs.iter().zip(&full.terms).map(|(leg, c)| term(leg, c.clone())).collect(),
            None => vec![term(&Leg::One(self.market), self.plain.condition())],
        };
        self.style.options.rule(terms)
    }

    fn memory(&self) -> Memory {
        let terms = match &self.full {
            Some(full) => full.memories.clone(),
            None => vec![self.term()],
        };
        Memory { life: self.life(), terms }
    }

    /// It was looked at up to this time.
    pub(super) fn see(&mut self, time: Timestamp) {
        match &mut self.full {
            Some(full) => full.life.time = Some(time),
            None => self.time = time,
        }
    }

    /// Its life, without its terms.
    pub(super) fn life(&self) -> Life {
        if let Some(full) = &self.full {
            return full.life;
        }
        let some = |time: Timestamp| (time != NEVER).then_some(time);
        let episode = Episode { fired: self.has(FIRED), acknowledged: self.has(ACKNOWLEDGED) };
        Life {
            done: self.has(DONE),
            activated: self.activated,
            snoozed: None,
            episode: self.has(EPISODE).then_some(episode),
            waits: [None; 2],
            time: some(self.time),
            // Nobody asks for it without a `for`.
            known: None,
            last_fired: some(self.last_fired),
            count: self.count,
        }
    }

    /// The memory of its only term.
    fn term(&self) -> TermMemory {
        TermMemory {
            latch: self.has(LATCH),
            up: self.has(UP),
            down: self.has(DOWN),
            again: self.has(AGAIN),
            reference: None,
            since: 0,
        }
    }

    fn keep(&mut self, life: &Life, term: &TermMemory) {
        self.activated = life.activated;
        self.time = life.time.unwrap_or(NEVER);
        self.last_fired = life.last_fired.unwrap_or(NEVER);
        self.count = life.count;
        let episode = life.episode.unwrap_or_default();
        for (flag, on) in [
            (DONE, life.done),
            (LATCH, term.latch),
            (UP, term.up),
            (DOWN, term.down),
            (AGAIN, term.again),
            (EPISODE, life.episode.is_some()),
            (FIRED, episode.fired),
            (ACKNOWLEDGED, episode.acknowledged),
        ] {
            self.set(flag, on);
        }
    }

    /// Lets `work` read and change what evaluation is about.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(Subject<'_>) -> T) -> T {
        if let Some(full) = &mut self.full {
            let Full { terms, legs, memories, life } = &mut **full;
            return work(Subject { terms, legs, options: &self.style.options, life, memories });
        }
        let (condition, leg) = ([self.plain.condition()], [Leg::One(self.market)]);
        let (mut life, mut memories) = (self.life(), [self.term()]);
        let done = work(Subject {
            terms: &condition,
            legs: &leg,
            options: &self.style.options,
            life: &mut life,
            memories: &mut memories,
        });
        self.keep(&life, &memories[0]);
        done
    }

    /// Lets `work` read the conditions and their memories.
    pub(super) fn read<T>(&self, work: impl FnOnce(&[Condition], &[Leg], &Life, &[TermMemory]) -> T) -> T {
        match &self.full {
            Some(full) => work(&full.terms, &full.legs, &full.life, &full.memories),
            None => work(&[self.plain.condition()], &[Leg::One(self.market)], &self.life(), &[self.term()]),
        }
    }

    /// What has to outlive the process.
    pub(super) fn written(&self, markets: &[Market]) -> AlertMemory {
        let mut text = String::with_capacity(64);
        self.read(|terms, legs, _, _| super::reason::push_terms(&mut text, terms, legs, self.options().join, markets));
        text.push_str(&self.style.evaluated);
        AlertMemory { id: self.id, version: self.version, text, paused: self.paused(), memory: self.memory() }
    }

    pub(super) fn options(&self) -> &Options {
        &self.style.options
    }

    pub(super) fn scope(&self) -> SessionScope {
        self.style.options.session
    }

    pub(super) const fn paused(&self) -> bool {
        self.has(PAUSED)
    }

    pub(super) const fn over(&self) -> bool {
        self.has(OVER)
    }

    pub(super) const fn end(&mut self) {
        self.set(OVER, true);
    }

    /// Notes that its memory changed, or that the change was written down; says whether it had been noted before.
    pub(super) const fn mark(&mut self, dirty: bool) -> bool {
        let before = self.has(DIRTY);
        self.set(DIRTY, dirty);
        before
    }

    pub(super) fn has_edge(&self) -> bool {
        self.read(|terms, _, _, _| terms.iter().any(|t| t.family() == Family::Edge))
    }

    /// Its condition and its instrument, if it has the plain form.
    pub(super) fn plain(&self) -> Option<(Plain, u32)> {
        self.full.is_none().then_some((self.plain, self.market))
    }

    /// Its own time, and how many times it has fired.
    pub(super) fn time_and_count(&self) -> (Option<Timestamp>, u32) {
        match &self.full {
            Some(full) => (full.life.time, full.life.count),
            None => ((self.time != NEVER).then_some(self.time), self.count),
        }
    }

    /// When it was last started afresh.
    pub(super) fn activated(&self) -> Timestamp {
        self.full.as_ref().map_or(self.activated, |full| full.life.activated)
    }

    /// Where its operands are kept, one a term.
    pub(super) fn legs(&self) -> Legs<'_> {
        self.full.as_ref().map_or(Legs::Plain([Leg::One(self.market)]), |full| Legs::Full(&full.legs))
    }

    /// The instrument it looks at, where there is only one, as a price.
    pub(super) fn single(&self) -> Option<u32> {
        let legs = self.legs();
        if super::state::is_joint(&legs) { None } else { legs.first().and_then(|leg| leg.only()) }
    }

    /// The indicators that it names, each with its instrument.
    pub(super) fn gauges(&self) -> Vec<(u32, GaugeId)> {
        // The plain form has none.
        self.full.as_ref().map_or_else(Vec::new, |full| full.legs.iter().flat_map(|leg| leg.gauges()).collect())
    }

    /// Every instrument it looks at, each once.
    pub(super) fn markets(&self) -> Vec<u32> {
        let mut markets: Vec<u32> = self.legs().iter().flat_map(|leg| leg.markets()).collect();
        markets.sort_unstable();
        markets.dedup();
        markets
    }

    /// How it stands in the index.
    pub(super) fn plan(&self) -> Plan {
        if self.has(ALWAYS) {
            return Plan::Always;
        }
        if !self.has(WATCH) {
            return Plan::Idle;
        }
        let due = self.has(DUE).then(|| self.due()).flatten();
        Plan::Watch {
            up: (self.up != i64::MAX).then_some(self.up),
            down: (self.down != i64::MIN).then_some(self.down),
            due,
        }
    }

    /// The end of the pause after its last firing. In the index stands what this was when it was put there; nothing changes it
    /// without taking the alert out first.
    fn due(&self) -> Option<Timestamp> {
        self.life().last_fired.map(|fired| fired.plus(pause_between(self.style.options.repeat)))
    }

    /// These of its levels are no longer in the index.
    pub(super) const fn left(&mut self, reached: Reached) {
        if matches!(reached, Reached::Up | Reached::Both) {
            self.up = i64::MAX;
        }
        if matches!(reached, Reached::Down | Reached::Both) {
            self.down = i64::MIN;
        }
    }

    pub(super) fn set_plan(&mut self, plan: Plan) {
        let (up, down, due) = match plan {
            Plan::Watch { up, down, due } => (up, down, due),
            Plan::Idle | Plan::Always => (None, None, None),
        };
        self.up = up.unwrap_or(i64::MAX);
        self.down = down.unwrap_or(i64::MIN);
        self.set(ALWAYS, plan == Plan::Always);
        self.set(WATCH, matches!(plan, Plan::Watch { .. }));
        self.set(DUE, due.is_some());
    }
}

/// The legs of an alert, wherever they are kept.
pub(super) enum Legs<'a> {
    Plain([Leg; 1]),
    Full(&'a [Leg]),
}

impl std::ops::Deref for Legs<'_> {
    type Target = [Leg];

    fn deref(&self) -> &[Leg] {
        match self {
            Self::Plain(legs) => legs,
            Self::Full(legs) => legs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_alert_takes_little_room() {
        assert_eq!(size_of::<Option<Slot>>(), 120);
    }
}
