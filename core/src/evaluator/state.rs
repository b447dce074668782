//! What the evaluator remembers of one alert (`docs/alerts.md`, B15), and what people are shown of it (B14).

use serde::{Deserialize, Serialize};

use super::{
    cut::{micros, micros_option},
    exact::Value,
    index::Plan,
};
use crate::{
    alert::{Alert, AlertState},
    condition::{Family, Operand, Repeat, Rule, SessionScope},
    time::{Span, Timestamp},
};

/// Flags and references of one term.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent flags, named so in the definition of the language"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TermMemory {
    /// Level: the condition turned true and was not cleared since.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) latch: bool,
    /// Edge: may cross upward; for ranges: may enter or exit.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) up: bool,
    /// Edge: may cross downward.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) down: bool,
    /// Edge: had an event, so that arming needs the hysteresis.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) again: bool,
    /// Move: what the distance is measured from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<Value>,
    /// Window: the number of the first observation that counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) since: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference to `skip_serializing_if`")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference to `skip_serializing_if`")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A time in which the expression of an alert without an edge is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Episode {
    /// The alert has fired in it.
    pub(super) fired: bool,
    /// The user has seen that.
    pub(super) acknowledged: bool,
}

/// Everything that lives on between two inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// A `once` that has fired.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) done: bool,
    /// When it was last started afresh, by the receive time.
    #[serde(with = "micros")]
    pub(super) activated: Timestamp,
    /// Silent until then, by the receive time.
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    pub(super) snoozed: Option<Timestamp>,
    /// One a term.
    pub(super) terms: Vec<TermMemory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) episode: Option<Episode>,
    /// Since when the condition holds, for a `for`. With an edge: of the upward (or only) direction, and of the downward one.
    #[serde(default, with = "waits", skip_serializing_if = "no_waits")]
    pub(super) waits: [Option<Timestamp>; 2],
    /// T: the alert's own time.
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Timestamp>,
    /// The T of the last evaluation that was not unknown.
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    pub(super) known: Option<Timestamp>,
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    pub(super) last_fired: Option<Timestamp>,
    /// Firings over its whole life.
    pub(super) count: u32,
}

fn no_waits(waits: &[Option<Timestamp>; 2]) -> bool {
    waits.iter().all(Option::is_none)
}

mod waits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Timestamp;

    pub(super) fn serialize<S: Serializer>(waits: &[Option<Timestamp>; 2], serializer: S) -> Result<S::Ok, S::Error> {
        waits.map(|w| w.map(Timestamp::as_micros)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[Option<Timestamp>; 2], D::Error> {
        Ok(<[Option<i64>; 2]>::deserialize(d)?.map(|w| w.map(Timestamp::from_micros)))
    }
}

impl Memory {
    /// A memory that knows nothing but how often the alert has fired.
    pub(super) fn fresh(terms: usize, count: u32, snoozed: Option<Timestamp>, activated: Timestamp) -> Self {
        Self { terms: vec![TermMemory::default(); terms], count, snoozed, activated, ..Self::default() }
    }

    /// What snoozing forgets.
    pub(super) fn hush(&mut self, until: Option<Timestamp>) {
        self.snoozed = until;
        for term in &mut self.terms {
            term.latch = false;
        }
        self.waits = [None; 2];
        self.episode = None;
        self.last_fired = None;
    }
}

/// The instruments of one operand, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    One(u32),
    Two(u32, u32),
}

impl Leg {
    pub(super) fn has(self, market: u32) -> bool {
        match self {
            Self::One(one) => one == market,
            Self::Two(over, under) => over == market || under == market,
        }
    }

    pub(super) fn markets(self) -> impl Iterator<Item = u32> {
        let (first, second) = match self {
            Self::One(one) => (one, None),
            Self::Two(over, under) => (over, Some(under)),
        };
        std::iter::once(first).chain(second)
    }
}

/// An alert with everything the evaluator keeps beside it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) alert: Alert,
    pub(super) memory: Memory,
    /// One a term.
    pub(super) legs: Vec<Leg>,
    /// How it stands in the index.
    pub(super) plan: Plan,
    /// The last input in which it fired, and where that firing stands in the input's list.
    pub(super) fired_in: Option<(u64, usize)>,
    /// Its time is over: an observation at or after `until` was seen.
    pub(super) over: bool,
    pub(super) dirty: bool,
}

impl Slot {
    /// Every instrument it looks at, each once.
    pub(super) fn markets(&self) -> Vec<u32> {
        let mut markets: Vec<u32> = self.legs.iter().flat_map(|leg| leg.markets()).collect();
        markets.sort_unstable();
        markets.dedup();
        markets
    }

    /// Whether it looks at several instruments.
    pub(super) fn is_joint(&self) -> bool {
        let Some(Leg::One(first)) = self.legs.first() else { return true };
        self.legs.iter().any(|leg| *leg != Leg::One(*first))
    }

    /// What is shown at `now`. `time` is the alert's own time, taking into account observations that did not concern it.
    pub(super) fn state(&self, now: Timestamp, time: Option<Timestamp>) -> AlertState {
        let (rule, memory) = (&self.alert.rule, &self.memory);
        let elapsed = |since: Timestamp| time.map_or(Span::ZERO, |t| t.since(since));
        if self.alert.paused {
            AlertState::Paused
        } else if memory.done {
            AlertState::Done
        } else if rule.until.is_some_and(|until| now >= until) {
            AlertState::Expired
        } else if memory.snoozed.is_some_and(|until| now < until) {
            AlertState::Snoozed
        } else if memory.waits.iter().flatten().any(|&start| rule.hold.is_some_and(|d| elapsed(start) < d)) {
            AlertState::Pending
        } else if self.cooling_until(time).is_some() {
            AlertState::Cooling
        } else if self.has_fired() {
            AlertState::Fired
        } else {
            AlertState::Armed
        }
    }

    /// The end of the running cooldown.
    pub(super) fn cooling_until(&self, time: Option<Timestamp>) -> Option<Timestamp> {
        let end = self.memory.last_fired?.plus(pause_between(&self.alert.rule));
        time.is_none_or(|t| t < end).then_some(end)
    }

    fn has_fired(&self) -> bool {
        if has_edge(&self.alert.rule) {
            self.memory.last_fired.is_some() && self.memory.terms.iter().all(|t| !t.up && !t.down)
        } else {
            self.memory.episode.is_some_and(|e| e.fired)
        }
    }
}

/// At least this long between two firings.
pub(super) fn pause_between(rule: &Rule) -> Span {
    match rule.repeat {
        Repeat::Once => Span::ZERO,
        Repeat::Each { cooldown } => cooldown,
        Repeat::Every(span) => span,
    }
}

pub(super) fn has_edge(rule: &Rule) -> bool {
    rule.terms.iter().any(|t| t.condition.family() == Family::Edge)
}

pub(super) fn has_move(rule: &Rule) -> bool {
    rule.terms.iter().any(|t| t.condition.family() == Family::Move)
}

/// The evaluated part of a rule, canonically.
pub(super) fn evaluated_text(rule: &Rule) -> String {
    let bare = Rule { until: None, via: Vec::new(), urgent: false, note: None, ..rule.clone() };
    bare.to_string()
}

/// Whether a price of this session exists for the alert.
pub(super) fn counts(scope: SessionScope, session: crate::tick::Session) -> bool {
    scope == SessionScope::Extended || session == crate::tick::Session::Regular
}

/// The place of the scope in pairs.
pub(super) const fn side(scope: SessionScope) -> usize {
    match scope {
        SessionScope::Regular => 0,
        SessionScope::Extended => 1,
    }
}

/// Whether the operand is one instrument's price.
pub(super) const fn is_price(operand: &Operand) -> bool {
    matches!(operand, Operand::Price(_))
}

/// An alert as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertStatus {
    /// What it is doing.
    pub state: AlertState,
    /// The time of the last firing since it was started afresh.
    pub last_fired: Option<Timestamp>,
    /// How many times it has fired in its life.
    pub count: u32,
    /// When the cooldown ends, while one runs.
    pub cooling_until: Option<Timestamp>,
    /// Until when it is silent, while it is.
    pub snoozed_until: Option<Timestamp>,
    /// Whether the condition is true; unknown for edges, which are true for a moment only, and before the first price.
    pub satisfied: Option<bool>,
}
