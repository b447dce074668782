//! Fractions, and what percentages and hysteresis make of them.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use crate::{
    condition::{Hysteresis, Sign},
    firing::Direction,
    price::Price,
};

/// A fraction, reduced, the denominator above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Q(pub(super) i128, pub(super) i128);

impl Q {
    fn new(n: i128, d: i128) -> Self {
        let (mut a, mut b) = (n.abs(), d.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let a = a.max(1) * d.signum();
        Self(n / a, d / a)
    }

    pub(super) fn of(d: Decimal) -> Self {
        Self::new(d.mantissa(), 10_i128.pow(d.scale()))
    }

    pub(super) fn plus(self, o: Self) -> Self {
        Self::new(self.0 * o.1 + o.0 * self.1, self.1 * o.1)
    }

    pub(super) fn minus(self, o: Self) -> Self {
        self.plus(Self(-o.0, o.1))
    }

    pub(super) fn times(self, o: Self) -> Self {
        Self::new(self.0 * o.0, self.1 * o.1)
    }

    pub(super) fn over(self, o: Self) -> Self {
        Self::new(self.0 * o.1, self.1 * o.0)
    }

    pub(super) fn abs(self) -> Self {
        Self(self.0.abs(), self.1)
    }

    pub(super) fn part(self, percent: Self) -> Self {
        self.times(percent).over(Self(100, 1))
    }
}

impl PartialOrd for Q {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Q {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0 * other.1).cmp(&(other.0 * self.1))
    }
}

pub(super) fn q(price: Price) -> Q {
    Q::of(price.decimal())
}
/// What a level or edge is about: `h(level)`.
pub(super) fn h_of(h: Option<Hysteresis>, level: Q) -> Q {
    match h {
        None => Q(0, 1),
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
