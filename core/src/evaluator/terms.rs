//! One term of an alert: levels with their latch, edges with their flags, moves with their references (`docs/alerts.md`, B7 to B9).

use rust_decimal::Decimal;

use super::{
    exact::{Threshold, Value},
    state::TermMemory,
};
use crate::{
    condition::{Anchor, Condition, Crossing, Hysteresis, Level, Sign},
    firing::Direction,
    price::Price,
};

/// The prices for which a level or a move is true.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    Above { level: Threshold, strict: bool },
    Below { level: Threshold, strict: bool },
    Inside { low: Threshold, high: Threshold },
    Outside { low: Threshold, high: Threshold, strict: bool },
}

impl Zone {
    /// The zone of a condition whose numbers all stand in its text.
    #[inline]
    pub(super) fn fixed(condition: &Condition) -> Option<Self> {
        use crate::condition::Comparison::{Above, AtLeast, AtMost, Below};
        let at = |price: Price| Threshold::at(price.decimal());
        Some(match *condition {
            Condition::Compare { cmp, level: Level::Price(level) } => match cmp {
                Above => Self::Above { level: at(level), strict: true },
                AtLeast => Self::Above { level: at(level), strict: false },
                Below => Self::Below { level: at(level), strict: true },
                AtMost => Self::Below { level: at(level), strict: false },
            },
            Condition::In(range) => Self::Inside { low: at(range.lower), high: at(range.upper) },
            Condition::Outside(range) => Self::Outside { low: at(range.lower), high: at(range.upper), strict: true },
            Condition::PercentFrom { sign, percent, reference } => {
                let reference = Value::price(reference.decimal());
                Self::percent(sign, percent, reference, reference)
            }
            _ => return None,
        })
    }

    /// So many per cent above `low` or below `high`, as the sign says.
    pub(super) fn percent(sign: Sign, percent: Decimal, low: Value, high: Value) -> Self {
        let up = Threshold::percent(low, percent);
        let down = Threshold::percent(high, -percent);
        match sign {
            Sign::Plus => Self::Above { level: up, strict: false },
            Sign::Minus => Self::Below { level: down, strict: false },
            Sign::Either => Self::Outside { low: down, high: up, strict: false },
        }
    }

    /// Whether the condition is true.
    #[inline]
    pub(super) fn holds(&self, p: &Value) -> bool {
        match self {
            Self::Above { level, strict: true } => level.place(p).is_gt(),
            Self::Above { level, strict: false } => level.place(p).is_ge(),
            Self::Below { level, strict: true } => level.place(p).is_lt(),
            Self::Below { level, strict: false } => level.place(p).is_le(),
            Self::Inside { low, high } => low.place(p).is_ge() && high.place(p).is_le(),
            Self::Outside { low, high, strict: true } => low.place(p).is_lt() || high.place(p).is_gt(),
            Self::Outside { low, high, strict: false } => low.place(p).is_le() || high.place(p).is_ge(),
        }
    }

    /// Whether the price has gone back far enough for the condition to count as over.
    #[inline]
    pub(super) fn cleared(&self, p: &Value, h: Option<Hysteresis>) -> bool {
        !self.holds(p)
            && match self {
                Self::Above { level, .. } => level.lowered(h).place(p).is_le(),
                Self::Below { level, .. } => level.raised(h).place(p).is_ge(),
                Self::Inside { low, high } => {
                    (low.place(p).is_lt() && low.lowered(h).place(p).is_le())
                        || (high.place(p).is_gt() && high.raised(h).place(p).is_ge())
                }
                Self::Outside { low, high, .. } => low.raised(h).place(p).is_ge() && high.lowered(h).place(p).is_le(),
            }
    }

    /// The direction that a percentage of this zone went.
    pub(super) fn direction(&self, p: &Value) -> Direction {
        let upward = match self {
            Self::Above { .. } | Self::Inside { .. } => true,
            Self::Below { .. } => false,
            Self::Outside { high, strict: true, .. } => high.place(p).is_gt(),
            Self::Outside { high, strict: false, .. } => high.place(p).is_ge(),
        };
        if upward { Direction::Up } else { Direction::Down }
    }
}

/// Steps a level's latch; says whether it is on.
#[inline]
pub(super) fn latch(memory: &mut TermMemory, zone: &Zone, p: &Value, h: Option<Hysteresis>) -> bool {
    memory.latch = if memory.latch { !zone.cleared(p, h) } else { zone.holds(p) };
    memory.latch
}

/// Moves the reference of `from now | high | low` along with the price.
pub(super) fn follow(memory: &mut TermMemory, anchor: Anchor, p: Value) -> Value {
    let reference = match (anchor, memory.reference) {
        (_, None) => p,
        (Anchor::Now, Some(reference)) => reference,
        (Anchor::High, Some(reference)) => {
            if p.compare(&reference).is_gt() {
                p
            } else {
                reference
            }
        }
        (Anchor::Low, Some(reference)) => {
            if p.compare(&reference).is_lt() {
                p
            } else {
                reference
            }
        }
    };
    memory.reference = Some(reference);
    reference
}

/// A condition about getting somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    Crosses { level: Threshold, up: bool, down: bool },
    Enters { low: Threshold, high: Threshold },
    Exits { low: Threshold, high: Threshold },
}

/// An edge happened: which of the two directions, and how that is reported (ranges have none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Up,
    Down,
    Range,
}

impl Event {
    /// Its place in pairs.
    pub(super) const fn side(self) -> usize {
        match self {
            Self::Up | Self::Range => 0,
            Self::Down => 1,
        }
    }

    pub(super) const fn direction(self) -> Option<Direction> {
        match self {
            Self::Up => Some(Direction::Up),
            Self::Down => Some(Direction::Down),
            Self::Range => None,
        }
    }
}

impl Edge {
    #[inline]
    pub(super) fn of(condition: &Condition) -> Option<Self> {
        let at = |price: Price| Threshold::at(price.decimal());
        Some(match *condition {
            Condition::Crosses { direction, level: Level::Price(level) } => {
                Self::Crosses { level: at(level), up: direction != Crossing::Down, down: direction != Crossing::Up }
            }
            Condition::Enters(range) => Self::Enters { low: at(range.lower), high: at(range.upper) },
            Condition::Exits(range) => Self::Exits { low: at(range.lower), high: at(range.upper) },
            _ => return None,
        })
    }

    /// One step with an observed price (B8).
    pub(super) fn step(&self, flags: &mut TermMemory, p: &Value, h: Option<Hysteresis>) -> Option<Event> {
        let event = self.event(flags, p);
        if event.is_some() {
            (flags.up, flags.down, flags.again) = (false, false, true);
        }
        self.arm(flags, p, h);
        event
    }

    fn event(&self, flags: &TermMemory, p: &Value) -> Option<Event> {
        let inside = |low: &Threshold, high: &Threshold| low.place(p).is_ge() && high.place(p).is_le();
        match self {
            Self::Crosses { level, .. } if flags.up && level.place(p).is_ge() => Some(Event::Up),
            Self::Crosses { level, .. } if flags.down && level.place(p).is_le() => Some(Event::Down),
            Self::Enters { low, high } if flags.up && inside(low, high) => Some(Event::Range),
            Self::Exits { low, high } if flags.up && !inside(low, high) => Some(Event::Range),
            _ => None,
        }
    }

    /// Sets the flags that the price allows.
    pub(super) fn arm(&self, flags: &mut TermMemory, p: &Value, h: Option<Hysteresis>) {
        let h = if flags.again { h } else { None };
        match self {
            Self::Crosses { up, down, .. } => {
                flags.up |= *up && self.given_up(Event::Up, p, h);
                flags.down |= *down && self.given_up(Event::Down, p, h);
            }
            Self::Enters { .. } | Self::Exits { .. } => flags.up |= self.given_up(Event::Range, p, h),
        }
    }

    /// Whether the price is clearly on the side that `event` comes from.
    pub(super) fn given_up(&self, event: Event, p: &Value, h: Option<Hysteresis>) -> bool {
        match (self, event) {
            (Self::Crosses { level, .. }, Event::Down) => level.place(p).is_gt() && level.raised(h).place(p).is_ge(),
            (Self::Crosses { level, .. }, _) => level.place(p).is_lt() && level.lowered(h).place(p).is_le(),
            (Self::Enters { low, high }, _) => {
                (low.place(p).is_lt() && low.lowered(h).place(p).is_le())
                    || (high.place(p).is_gt() && high.raised(h).place(p).is_ge())
            }
            (Self::Exits { low, high }, _) => low.raised(h).place(p).is_ge() && high.lowered(h).place(p).is_le(),
        }
    }
}
