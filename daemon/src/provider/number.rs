//! Numbers as Yahoo writes them.

use bellwether_core::price::Price;
use rust_decimal::{Decimal, RoundingStrategy};

/// More significant digits than this are a binary float in disguise.
const HONEST_DIGITS: u32 = 9;

/// A number as Yahoo writes it. Many are 32-bit floats widened to 64 bits: `2284.449951171875` is 2284.45. What has more than
/// nine significant digits is rounded to seven, or to the places of `priceHint` where those are more.
pub(crate) fn undisguised(raw: &str, hint: Option<u32>) -> Option<Price> {
    let price = Price::from_json(raw).ok()?;
    let value = price.decimal();
    // Digits of the number, leading zeros not counted: 0.00001234 has four.
    let digits = value.mantissa().unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
    if digits <= HONEST_DIGITS {
        return Some(price);
    }
    let before_point = i64::from(digits) - i64::from(value.scale());
    let places = u32::try_from((7 - before_point).max(0)).ok()?.max(hint.unwrap_or(0).min(8));
    Some(Price::new(value.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven)))
        .filter(|p| p.decimal() != Decimal::ZERO)
}
