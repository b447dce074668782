//! Where a price stands on the screen, and which prices are shown at all.

use bellwether_core::price::Price;
use ratatui::layout::Rect;
use rust_decimal::Decimal;

use crate::view::format;

/// Levels this far outside, in per cent of the view, still stretch the axis.
const STRETCH: i64 = 15;
/// Room above and below, in per cent of the view.
const AIR: i64 = 4;

/// The part of the prices that is shown, and where.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) low: Price,
    pub(super) high: Price,
    pub(super) plot: Rect,
}

impl Scale {
    /// The scale of what lies between these prices, a little wider, and wider still for levels that are near enough: a level far
    /// away never flattens the chart.
    pub(super) fn around(
        prices: impl Iterator<Item = Price>,
        levels: impl Iterator<Item = Price>,
        plot: Rect,
    ) -> Option<Self> {
        let (low, high) = prices.fold(None, |ends: Option<(Price, Price)>, p| {
            Some(ends.map_or((p, p), |(low, high)| (low.min(p), high.max(p))))
        })?;
        let (mut low, mut high) = (low.decimal(), high.decimal());
        let share = |part: i64, of: Decimal| of.checked_mul(Decimal::new(part, 2)).unwrap_or_default();
        if low == high {
            let some = share(1, low.abs()).max(Decimal::new(1, 8));
            (low, high) = (low.checked_sub(some)?, high.checked_add(some)?);
        }
        let reach = share(STRETCH, high.checked_sub(low)?);
        let (from, to) = (low.checked_sub(reach)?, high.checked_add(reach)?);
        for level in levels.map(Price::decimal) {
            if from <= level && level <= to {
                (low, high) = (low.min(level), high.max(level));
            }
        }
        let air = share(AIR, high.checked_sub(low)?);
        Some(Self { low: Price::new(low.checked_sub(air)?), high: Price::new(high.checked_add(air)?), plot })
    }

    /// The place of a price, counted from the bottom, where each line has so many.
    pub(super) fn place(&self, price: Price, a_line: u16) -> u16 {
        format::step(price, self.low, self.high, self.plot.height.saturating_mul(a_line))
    }

    /// The half line of a price, counted from the bottom.
    pub(super) fn half(&self, price: Price) -> u16 {
        self.place(price, 2)
    }

    /// The line of the screen a price is on.
    pub(super) fn line(&self, price: Price) -> u16 {
        self.plot.bottom().saturating_sub(1 + self.half(price) / 2)
    }

    pub(super) fn shows(&self, price: Price) -> bool {
        self.low <= price && price <= self.high
    }
}

/// The next number of the form 1, 2 or 5 times a power of ten.
pub(super) fn round_up(value: Decimal) -> Option<Decimal> {
    if value <= Decimal::ZERO {
        return None;
    }
    let mut power = Decimal::ONE;
    while power.checked_mul(Decimal::TEN)? <= value {
        power *= Decimal::TEN;
    }
    for _ in 0..28 {
        if power <= value {
            break;
        }
        power /= Decimal::TEN;
    }
    [1, 2, 5, 10].into_iter().filter_map(|n| power.checked_mul(Decimal::from(n))).find(|n| *n >= value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Price {
        text.parse().expect(text)
    }

    #[test]
    fn axis_steps_are_round() {
        for (raw, step) in
            [("0.7", "1"), ("12", "20"), ("30", "50"), ("0.0003", "0.0005"), ("51", "100"), ("1000", "1000")]
        {
            let raw: Decimal = raw.parse().expect(raw);
            assert_eq!(round_up(raw).map(|s| s.normalize().to_string()).as_deref(), Some(step), "{raw}");
        }
        assert_eq!(round_up(Decimal::ZERO), None);
    }

    #[test]
    fn a_level_stretches_the_axis_only_when_it_is_near() {
        let plot = Rect::new(0, 0, 40, 20);
        let scale = |level: &str| {
            Scale::around([p("100"), p("200")].into_iter(), std::iter::once(p(level)), plot).expect("a scale")
        };
        assert!(scale("215").shows(p("215")) && scale("85").shows(p("85")));
        assert!(!scale("216").shows(p("216")) && !scale("84").shows(p("84")));
        assert_eq!(scale("1000").high, p("204"), "what is far away flattens nothing");
    }
}
