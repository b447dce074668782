//! The formulas, over closes of closed bars, the oldest first (`docs/alerts.md`, B18).
//!
//! - Simple moving average: the mean of the last N.
//! - Bollinger bands: that mean plus or minus k population standard deviations of the same closes (J. Bollinger, *Bollinger
//!   on Bollinger Bands*, 2001).
//! - Exponential moving average: alpha = 2 / (N + 1), begun with the mean of the first N of the last 5 N closes, the seed that
//!   TA-Lib documents as its "classic" one.
//! - Relative strength index: J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978: the mean gain and mean loss of
//!   the first N changes, then (previous (N - 1) + new) / N, over the last 10 N + 1 closes.
//!
//! Decimals throughout, with at least 24 significant digits on the way; a value is rounded half to even to 12 of them.
//! So what two ways of computing could differ in is cut off, and a mean that is 30 is exactly 30.

use rust_decimal::{Decimal, RoundingStrategy};

use super::Indicator;
use crate::price::{MAX_SCALE, Price};

/// The significant digits of a value.
const DIGITS: u32 = 12;

impl Indicator {
    /// Its value after these closes, the oldest first; nothing while there are too few, or where a number has no room. Closes
    /// before the last [`Indicator::window`] make no difference.
    pub fn of_closes(&self, closes: &[Decimal]) -> Option<Price> {
        let bars = self.bars()?;
        let count = usize::from(bars.count);
        let window = &closes[closes.len().saturating_sub(self.window())..];
        // The window begins at the same close as the formula's, since it is its W last ones.
        let least = if matches!(self, Self::Rsi(_)) { count + 1 } else { count };
        if count == 0 || window.len() < least {
            return None;
        }
        let (window, moved) = near_one(window)?;
        let value = match self {
            Self::Sma(_) => shifted(mean(&window)?, -moved)?,
            Self::Ema(_) => shifted(exponential(&window, count)?, -moved)?,
            Self::BbUpper(_, width) => shifted(band(&window, *width)?, -moved)?,
            Self::BbLower(_, width) => shifted(band(&window, -*width)?, -moved)?,
            Self::Rsi(_) => strength(&window, count)?,
            Self::Volume => return None,
        };
        let value = value.round_sf_with_strategy(DIGITS, RoundingStrategy::MidpointNearestEven)?;
        Some(Price::new(value.round_dp_with_strategy(MAX_SCALE, RoundingStrategy::MidpointNearestEven)))
    }
}

/// The numbers moved by one power of ten so that the largest lies between 1 and 10, where decimals have most digits to spare;
/// and that power.
fn near_one(closes: &[Decimal]) -> Option<(Vec<Decimal>, i32)> {
    let largest = closes.iter().map(Decimal::abs).max()?;
    if largest.is_zero() {
        return Some((closes.to_vec(), 0));
    }
    let digits = i32::try_from(largest.mantissa().unsigned_abs().ilog10()).ok()?;
    let moved = i32::try_from(largest.scale()).ok()? - digits;
    let moved_closes = closes.iter().map(|close| shifted(*close, moved)).collect::<Option<_>>()?;
    Some((moved_closes, moved))
}

/// `value * 10^by`.
fn shifted(value: Decimal, by: i32) -> Option<Decimal> {
    let value = value.normalize();
    let scale = i32::try_from(value.scale()).ok()? - by;
    match u32::try_from(scale) {
        Ok(scale) if scale <= 28 => Decimal::try_from_i128_with_scale(value.mantissa(), scale).ok(),
        // More places than a decimal has: the last ones go.
        Ok(scale) => {
            let cut = 10_i128.checked_pow(scale - 28);
            let kept = cut.map_or(Decimal::ZERO, |cut| Decimal::from_i128_with_scale(value.mantissa() / cut, 28));
            Some(kept)
        }
        Err(_) => {
            let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
            Decimal::try_from_i128_with_scale(value.mantissa().checked_mul(factor)?, 0).ok()
        }
    }
}

fn sum(numbers: &[Decimal]) -> Option<Decimal> {
    numbers.iter().try_fold(Decimal::ZERO, |sum, number| sum.checked_add(*number))
}

fn mean(numbers: &[Decimal]) -> Option<Decimal> {
    sum(numbers)?.checked_div(Decimal::from(numbers.len()))
}

fn exponential(closes: &[Decimal], count: usize) -> Option<Decimal> {
    let (first, later) = closes.split_at_checked(count)?;
    let (before, all) = (Decimal::from(count - 1), Decimal::from(count + 1));
    // previous + 2 / (N + 1) (close - previous), over one denominator, so that each step is divided once.
    later.iter().try_fold(mean(first)?, |previous, close| {
        previous.checked_mul(before)?.checked_add(close.checked_mul(Decimal::TWO)?)?.checked_div(all)
    })
}

/// The mean, moved by so many standard deviations.
fn band(closes: &[Decimal], width: Decimal) -> Option<Decimal> {
    let count = Decimal::from(closes.len());
    let middle = mean(closes)?;
    // N times each distance is exact where the mean is not.
    let total = sum(closes)?;
    let squares = closes.iter().try_fold(Decimal::ZERO, |squares, close| {
        let distance = close.checked_mul(count)?.checked_sub(total)?.checked_div(count)?;
        squares.checked_add(distance.checked_mul(distance)?)
    })?;
    let deviation = root(squares.checked_div(count)?)?;
    middle.checked_add(deviation.checked_mul(width)?)
}

/// The square root of a number between 0 and 100, by Newton's steps from above.
fn root(number: Decimal) -> Option<Decimal> {
    if number.is_zero() {
        return Some(Decimal::ZERO);
    }
    let mut root = number.max(Decimal::ONE);
    // Each step halves the distance at first, then doubles the digits: from 1 to 10^-14, the least root there can be, is 47 halvings.
    for _ in 0..100 {
        let next = root.checked_add(number.checked_div(root)?)?.checked_div(Decimal::TWO)?;
        if next >= root {
            break;
        }
        root = next;
    }
    Some(root)
}

fn strength(closes: &[Decimal], count: usize) -> Option<Decimal> {
    let changes: Vec<Decimal> = closes.windows(2).map(|pair| pair[1].checked_sub(pair[0])).collect::<Option<_>>()?;
    let (first, later) = changes.split_at_checked(count)?;
    let smoothed = |part: fn(Decimal) -> Decimal| {
        let seed = mean(&first.iter().map(|change| part(*change)).collect::<Vec<_>>())?;
        later.iter().try_fold(seed, |previous, change| {
            let weighed = previous.checked_mul(Decimal::from(count - 1))?;
            weighed.checked_add(part(*change))?.checked_div(Decimal::from(count))
        })
    };
    let gain = smoothed(|change| change.max(Decimal::ZERO))?;
    let loss = smoothed(|change| (-change).max(Decimal::ZERO))?;
    if loss.is_zero() {
        let only_gains = if gain.is_zero() { Decimal::from(50) } else { Decimal::ONE_HUNDRED };
        return Some(only_gains);
    }
    // 100 - 100 / (1 + gain / loss), with one division.
    gain.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(gain.checked_add(loss)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(indicator: &str, closes: &str) -> Option<String> {
        let closes: Vec<Decimal> = closes.split_whitespace().map(|c| c.parse().unwrap()).collect();
        let indicator: Indicator = indicator.parse().unwrap();
        indicator.of_closes(&closes).map(|value| value.to_string())
    }

    #[test]
    fn averages_and_bands_of_small_numbers_are_what_a_pencil_gives() {
        for (indicator, closes, expected) in [
            ("sma(3, 1h)", "10 11 13", Some("11.3333333333")),
            ("sma(3, 1h)", "10 11", None),
            ("sma(1, 1h)", "10 11", Some("11")),
            ("sma(2, 1h)", "1 0.000001 0.000002", Some("0.0000015")),
            // Seed (10 + 11 + 12) / 3 = 11, then halfway to 15, then halfway to 11.
            ("ema(3, 1h)", "10 11 12 15 11", Some("12")),
            ("ema(1, 1h)", "10 11 12", Some("12")),
            // Only the last 5 N closes count: 999 has left.
            ("ema(1, 1h)", "999 1 2 3 4 5", Some("5")),
            // Mean 5, population variance 4.
            ("bb_upper(8, 2, 1h)", "2 4 4 4 5 5 7 9", Some("9")),
            ("bb_lower(8, 2, 1h)", "2 4 4 4 5 5 7 9", Some("1")),
            ("bb_lower(2, 0.5, 1h)", "7 7", Some("7")),
            // Mean 2.5, variance 1.25.
            ("bb_upper(4, 1, 1h)", "1 2 3 4", Some("3.61803398875")),
            ("bb_upper(4, 1, 1h)", "0.000000001 0.000000002 0.000000003 0.000000004", Some("0.000000003618033989")),
            (
                "bb_upper(4, 1, 1h)",
                "1000000000000000000000000 2000000000000000000000000 3000000000000000000000000 4000000000000000000000000",
                Some("3618033988750000000000000"),
            ),
        ] {
            assert_eq!(value(indicator, closes).as_deref(), expected, "{indicator} of {closes}");
        }
    }

    /// The example of the `StockCharts` school of technical analysis, whose sheet rounds its closes to four places and its RSI to
    /// two: 70.53, 66.32, 66.55, 69.41, 66.36, 57.97.
    #[test]
    fn the_strength_index_is_wilders() {
        let closes = "44.3389 44.0902 44.1497 43.6124 44.3278 44.8264 45.0955 45.4245 45.8433 46.0826 45.8931 46.0328 \
                      45.6140 46.2820 46.2820 46.0028 46.0328 46.4116 46.2222 45.6439";
        let closes: Vec<&str> = closes.split_whitespace().collect();
        for (bars, expected) in
            [(15, "70.53"), (16, "66.32"), (17, "66.55"), (18, "69.41"), (19, "66.36"), (20, "57.97")]
        {
            let rsi: Price = value("rsi(14, 1d)", &closes[..bars].join(" ")).unwrap().parse().unwrap();
            assert_eq!(rsi.decimal().round_dp(2).to_string(), expected, "after {bars} closes");
        }
        assert_eq!(value("rsi(14, 1d)", &closes[..14].join(" ")), None);
    }

    #[test]
    fn the_strength_index_without_losses_is_a_hundred_and_without_change_fifty() {
        assert_eq!(value("rsi(2, 1h)", "1 2 3").as_deref(), Some("100"));
        assert_eq!(value("rsi(2, 1h)", "3 2 1").as_deref(), Some("0"));
        assert_eq!(value("rsi(2, 1h)", "3 3 3").as_deref(), Some("50"));
        assert_eq!(value("rsi(2, 1h)", "3 4 3").as_deref(), Some("50"));
        // Gains 1, 0, then (1/2 + 0) / 2; losses 0, 1, then (1/2 + 3) / 2: 100 / (1 + 7).
        assert_eq!(value("rsi(2, 1h)", "3 4 3 0").as_deref(), Some("12.5"));
    }

    #[test]
    fn values_are_rounded_half_to_even_at_the_twelfth_digit() {
        assert_eq!(value("sma(2, 1h)", "1.00000000001 1.00000000002").as_deref(), Some("1.00000000002"));
        assert_eq!(value("sma(2, 1h)", "1.00000000002 1.00000000003").as_deref(), Some("1.00000000002"));
        assert_eq!(value("sma(2, 1h)", "-5 5").as_deref(), Some("0"));
        assert_eq!(value("sma(2, 1h)", "0 0").as_deref(), Some("0"));
    }

    #[test]
    fn numbers_at_the_ends_of_the_range_do_not_overflow() {
        let giants = [Decimal::MAX, Decimal::MIN, Decimal::MAX, Decimal::new(1, 28), Decimal::MIN];
        for indicator in ["sma(2, 1h)", "ema(2, 1h)", "rsi(2, 1h)", "bb_upper(2, 10, 1h)", "bb_lower(5, 10, 1h)"] {
            let indicator: Indicator = indicator.parse().unwrap();
            for length in 0..=giants.len() {
                let _whatever = indicator.of_closes(&giants[..length]);
            }
        }
    }
}
