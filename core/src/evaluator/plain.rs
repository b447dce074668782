//! The small form of the conditions that nearly all alerts are made of: two integers, their scales, and a shape.

use rust_decimal::Decimal;

use crate::{
    condition::{Comparison, Condition, Crossing, Level, PriceRange, Sign},
    price::Price,
};

/// A condition whose numbers have at most eighteen digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    numbers: [i64; 2],
    scales: [u8; 2],
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Compare(Comparison),
    PercentFrom(Sign),
    Crosses(Crossing),
    In,
    Outside,
    Enters,
    Exits,
}

impl Plain {
    /// Stands where there is none.
    pub(super) const NOTHING: Self = Self { numbers: [0; 2], scales: [0; 2], shape: Shape::In };

    pub(super) fn of(condition: &Condition) -> Option<Self> {
        let one = |price: Price| [price.decimal(), Decimal::ZERO];
        let two = |range: PriceRange| [range.lower.decimal(), range.upper.decimal()];
        let (shape, numbers) = match *condition {
            Condition::Compare { cmp, level: Level::Price(level) } => (Shape::Compare(cmp), one(level)),
            Condition::PercentFrom { sign, percent, reference } => {
                (Shape::PercentFrom(sign), [reference.decimal(), percent])
            }
            Condition::Crosses { direction, level: Level::Price(level) } => (Shape::Crosses(direction), one(level)),
            Condition::In(range) => (Shape::In, two(range)),
            Condition::Outside(range) => (Shape::Outside, two(range)),
            Condition::Enters(range) => (Shape::Enters, two(range)),
            Condition::Exits(range) => (Shape::Exits, two(range)),
            Condition::Compare { .. }
            | Condition::Crosses { .. }
            | Condition::PercentVs { .. }
            | Condition::Move { .. }
            | Condition::MoveIn { .. } => return None,
        };
        let digits = |number: Decimal| i64::try_from(number.mantissa()).ok();
        let scale = |number: Decimal| u8::try_from(number.scale()).ok();
        Some(Self {
            numbers: [digits(numbers[0])?, digits(numbers[1])?],
            scales: [scale(numbers[0])?, scale(numbers[1])?],
            shape,
        })
    }

    fn number(&self, which: usize) -> Decimal {
        Decimal::new(self.numbers[which], u32::from(self.scales[which]))
    }

    /// The word that [`Condition::keyword`] gives.
    pub(super) fn keyword(&self) -> &'static str {
        self.condition().keyword()
    }

    #[inline]
    pub(super) fn condition(&self) -> Condition {
        // They were prices before they were taken apart.
        let level = || Price::normal(self.number(0));
        let range = || PriceRange { lower: level(), upper: Price::normal(self.number(1)) };
        match self.shape {
            Shape::Compare(cmp) => Condition::Compare { cmp, level: level().into() },
            Shape::PercentFrom(sign) => Condition::PercentFrom { sign, percent: self.number(1), reference: level() },
            Shape::Crosses(direction) => Condition::Crosses { direction, level: level().into() },
            Shape::In => Condition::In(range()),
            Shape::Outside => Condition::Outside(range()),
            Shape::Enters => Condition::Enters(range()),
            Shape::Exits => Condition::Exits(range()),
        }
    }
}
