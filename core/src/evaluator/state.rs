//! What the evaluator remembers of one alert (`docs/alerts.md`, B15), and what people are shown of it (B14).

use serde::{Deserialize, Serialize};

use super::{
    bars::GaugeId,
    cut::{micros, micros_option},
    exact::Value,
    slot::Slot,
};
use crate::{
    alert::AlertState,
    condition::{Condition, Family, Operand, Repeat, Rule, SessionScope},
    firing::TermLevels,
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
    #[serde(flatten)]
    pub(super) life: Life,
    /// One a term.
    pub(super) terms: Vec<TermMemory>,
}

/// What lives on of an alert as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Life {
    /// A `once` that has fired.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) done: bool,
    /// When it was last started afresh, by the receive time.
    #[serde(with = "micros")]
    pub(super) activated: Timestamp,
    /// Silent until then, by the receive time.
    #[serde(default, with = "micros_option", skip_serializing_if = "Option::is_none")]
    pub(super) snoozed: Option<Timestamp>,
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
        let life = Life { activated, snoozed, count, ..Life::default() };
        Self { life, terms: vec![TermMemory::default(); terms] }
    }

    /// What snoozing forgets.
    pub(super) fn hush(&mut self, until: Option<Timestamp>) {
        self.life.snoozed = until;
        for term in &mut self.terms {
            term.latch = false;
        }
        self.life.waits = [None; 2];
        self.life.episode = None;
        self.life.last_fired = None;
    }
}

/// The instruments of one operand, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    One(u32),
    Two(u32, u32),
    /// One instrument of which an indicator is looked at, or compared with, or both.
    Gauged {
        market: u32,
        value: Option<GaugeId>,
        level: Option<GaugeId>,
    },
}

impl Leg {
    pub(super) fn has(self, market: u32) -> bool {
        match self {
            Self::One(one) | Self::Gauged { market: one, .. } => one == market,
            Self::Two(over, under) => over == market || under == market,
        }
    }

    /// The one instrument, where there is only one.
    pub(super) const fn only(self) -> Option<u32> {
        match self {
            Self::One(one) | Self::Gauged { market: one, .. } => Some(one),
            Self::Two(..) => None,
        }
    }

    /// The indicators that it names.
    pub(super) fn gauges(self) -> impl Iterator<Item = (u32, GaugeId)> {
        let (market, value, level) = match self {
            Self::Gauged { market, value, level } => (market, value, level),
            Self::One(_) | Self::Two(..) => (0, None, None),
        };
        value.into_iter().chain(level).map(move |id| (market, id))
    }

    pub(super) fn markets(self) -> impl Iterator<Item = u32> {
        let (first, second) = match self {
            Self::One(one) | Self::Gauged { market: one, .. } => (one, None),
            Self::Two(over, under) => (over, Some(under)),
        };
        std::iter::once(first).chain(second)
    }
}

/// Whether operands like these are several, so that the alert is judged where they meet.
pub(super) fn is_joint(legs: &[Leg]) -> bool {
    let Some(first) = legs.first().and_then(|leg| leg.only()) else { return true };
    legs.iter().any(|leg| leg.only() != Some(first))
}

impl Slot {
    /// What is shown at `now`. `time` is the alert's own time, taking into account observations that did not concern it.
    pub(super) fn state(&self, now: Timestamp, time: Option<Timestamp>) -> AlertState {
        let (options, life) = (self.options(), self.life());
        let elapsed = |since: Timestamp| time.map_or(Span::ZERO, |t| t.since(since));
        if self.paused() {
            AlertState::Paused
        } else if life.done {
            AlertState::Done
        } else if options.until.is_some_and(|until| now >= until) {
            AlertState::Expired
        } else if life.snoozed.is_some_and(|until| now < until) {
            AlertState::Snoozed
        } else if life.waits.iter().flatten().any(|&start| options.hold.is_some_and(|d| elapsed(start) < d)) {
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
        let end = self.life().last_fired?.plus(pause_between(self.options().repeat));
        time.is_none_or(|t| t < end).then_some(end)
    }

    fn has_fired(&self) -> bool {
        self.read(|terms, _, life, memories| {
            if has_edge(terms) {
                life.last_fired.is_some() && memories.iter().all(|t| !t.up && !t.down)
            } else {
                life.episode.is_some_and(|e| e.fired)
            }
        })
    }
}

/// At least this long between two firings.
pub(super) const fn pause_between(repeat: Repeat) -> Span {
    match repeat {
        Repeat::Once => Span::ZERO,
        Repeat::Each { cooldown } => cooldown,
        Repeat::Every(span) => span,
    }
}

pub(super) fn has_edge(terms: &[Condition]) -> bool {
    terms.iter().any(|t| t.family() == Family::Edge)
}

pub(super) fn has_move(terms: &[Condition]) -> bool {
    terms.iter().any(|t| t.family() == Family::Move)
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What its indicators are worth, one entry a term; empty for an alert without indicators.
    pub indicators: Vec<TermLevels>,
}
