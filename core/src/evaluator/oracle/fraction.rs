//! Fractions, and what percentages and hysteresis make of them.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use crate::{
    condition::{Hysteresis, Sign},
    firing::Direction,
    price::Price,
};

/// Whole numbers in which no product of this file's callers overflows: prices have 96 bits and 28 places, ratios twice that.
type Wide = bnum::BInt<12>;

/// A fraction, reduced, the denominator above zero; in small numbers wherever these hold it, so that equal ones look equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Q {
    Small(i128, i128),
    Large(Wide, Wide),
}

impl Q {
    pub(super) const ZERO: Self = Self::Small(0, 1);
    const HUNDRED: Self = Self::Small(100, 1);

    fn small(n: i128, d: i128) -> Option<Self> {
        let (mut a, mut b) = (n.checked_abs()?, d.checked_abs()?);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let a = a.max(1) * d.signum();
        Some(Self::Small(n / a, d / a))
    }

    fn large(n: Wide, d: Wide) -> Self {
        let (mut a, mut b) = (n.abs(), d.abs());
        while b != Wide::ZERO {
            (a, b) = (b, a % b);
        }
        let a = a.max(Wide::ONE) * d.signum();
        let (n, d) = (n / a, d / a);
        match (i128::try_from(n), i128::try_from(d)) {
            (Ok(n), Ok(d)) => Self::Small(n, d),
            _ => Self::Large(n, d),
        }
    }

    fn wide(self) -> (Wide, Wide) {
        match self {
            Self::Small(n, d) => (Wide::from(n), Wide::from(d)),
            Self::Large(n, d) => (n, d),
        }
    }

    pub(super) fn of(d: Decimal) -> Self {
        let (n, d) = (d.mantissa(), 10_i128.pow(d.scale()));
        Self::small(n, d).unwrap_or_else(|| Self::large(Wide::from(n), Wide::from(d)))
    }

    pub(super) fn plus(self, o: Self) -> Self {
        let small = |a: i128, b: i128, c: i128, d: i128| {
            Self::small(a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?)
        };
        self.with(o, small, |a, b, c, d| Self::large(a * d + c * b, b * d))
    }

    pub(super) fn minus(self, o: Self) -> Self {
        self.plus(o.times(Self::Small(-1, 1)))
    }

    pub(super) fn times(self, o: Self) -> Self {
        let small = |a: i128, b: i128, c: i128, d: i128| Self::small(a.checked_mul(c)?, b.checked_mul(d)?);
        self.with(o, small, |a, b, c, d| Self::large(a * c, b * d))
    }

    pub(super) fn over(self, o: Self) -> Self {
        let small = |a: i128, b: i128, c: i128, d: i128| Self::small(a.checked_mul(d)?, b.checked_mul(c)?);
        self.with(o, small, |a, b, c, d| Self::large(a * d, b * c))
    }

    pub(super) fn abs(self) -> Self {
        if self < Self::ZERO { self.times(Self::Small(-1, 1)) } else { self }
    }

    pub(super) fn part(self, percent: Self) -> Self {
        self.times(percent).over(Self::HUNDRED)
    }

    /// `small` where both are and what it makes is, else `large`.
    fn with<T>(
        self,
        o: Self,
        small: impl FnOnce(i128, i128, i128, i128) -> Option<T>,
        large: impl FnOnce(Wide, Wide, Wide, Wide) -> T,
    ) -> T {
        let made = if let (Self::Small(a, b), Self::Small(c, d)) = (self, o) { small(a, b, c, d) } else { None };
        made.unwrap_or_else(|| {
            let ((a, b), (c, d)) = (self.wide(), o.wide());
            large(a, b, c, d)
        })
    }
}

impl PartialOrd for Q {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Q {
    fn cmp(&self, other: &Self) -> Ordering {
        let small = |a: i128, b: i128, c: i128, d: i128| Some(a.checked_mul(d)?.cmp(&c.checked_mul(b)?));
        self.with(*other, small, |a, b, c, d| (a * d).cmp(&(c * b)))
    }
}

pub(super) fn q(price: Price) -> Q {
    Q::of(price.decimal())
}
/// What a level or edge is about: `h(level)`.
pub(super) fn h_of(h: Option<Hysteresis>, level: Q) -> Q {
    match h {
        None => Q::ZERO,
        Some(Hysteresis::Percent(percent)) => level.abs().part(Q::of(percent)),
        Some(Hysteresis::Absolute(by)) => q(by),
    }
}

pub(super) fn percents(sign: Sign, percent: Decimal, low: Q, high: Q) -> (Option<Q>, Option<Q>) {
    let x = Q::of(percent);
    let up = (sign != Sign::Minus).then(|| low.plus(low.part(x)));
    let down = (sign != Sign::Plus).then(|| high.minus(high.part(x)));
    (up, down)
}

pub(super) fn distance_true(p: Q, (up, down): (Option<Q>, Option<Q>)) -> (bool, Direction) {
    let rose = up.is_some_and(|l| p >= l);
    let fell = down.is_some_and(|l| p <= l);
    // `+` goes up and `-` goes down also where the latch alone keeps it true.
    let upward = rose || down.is_none();
    (rose || fell, if upward { Direction::Up } else { Direction::Down })
}
