//! Comparisons that are exact whatever the digits: prices, levels, percentages of them, and quotients of two prices.
//!
//! Nothing is divided: quotients are compared by multiplying crosswise. Small numbers, the usual case, stay within `i128`;
//! others go through integers of a thousand bits, which hold any product that can arise.

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::condition::Hysteresis;

/// The value of an operand: a price, or one price over another. `den` is above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Value {
    pub(super) num: Decimal,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) den: Decimal,
}

fn one() -> Decimal {
    Decimal::ONE
}

fn is_one(value: &Decimal) -> bool {
    *value == Decimal::ONE
}

impl Value {
    /// A plain price.
    pub(super) const fn price(price: Decimal) -> Self {
        Self { num: price, den: Decimal::ONE }
    }

    /// One price over another; nothing where the lower one is zero.
    pub(super) fn ratio(over: Decimal, under: Decimal) -> Option<Self> {
        match under.cmp(&Decimal::ZERO) {
            Ordering::Greater => Some(Self { num: over, den: under }),
            Ordering::Less => Some(Self { num: -over, den: -under }),
            Ordering::Equal => None,
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        if same(self.den, other.den) {
            return order(self.num, other.num);
        }
        compare(&[&[self.num, other.den]], &[&[other.num, self.den]])
    }

    /// The nearest decimal, for showing.
    pub(super) fn decimal(&self) -> Option<Decimal> {
        if self.den == Decimal::ONE { Some(self.num) } else { self.num.checked_div(self.den) }
    }

    /// This value divided by `ratio` (above zero), exactly where the digits allow.
    pub(super) fn divided_by(&self, ratio: Decimal) -> Self {
        match self.den.checked_mul(ratio) {
            Some(den) if den > Decimal::ZERO => Self { num: self.num, den },
            _ => Self { num: self.num.checked_div(ratio).unwrap_or(self.num), den: self.den },
        }
    }

    /// This value times `ratio` (above zero), exactly where the digits allow.
    pub(super) fn times(&self, ratio: Decimal) -> Self {
        match self.num.checked_mul(ratio) {
            Some(num) => Self { num, den: self.den },
            None => Self { num: self.num, den: self.den.checked_div(ratio).unwrap_or(self.den) },
        }
    }
}

/// A price that matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Threshold {
    /// As somebody wrote it, which most are: small, and quick to compare with.
    At(Decimal),
    /// Computed from another.
    Of(Moved),
}

/// `base * factor / 100 * back / 100 + shift`, kept unmultiplied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    base: Value,
    /// 100 and the percentage of the condition.
    factor: Decimal,
    /// 100 and the percentage of the hysteresis.
    back: Decimal,
    /// The absolute hysteresis.
    shift: Decimal,
}

impl Threshold {
    /// The level itself.
    #[inline]
    pub(super) const fn at(level: Decimal) -> Self {
        Self::At(level)
    }

    /// So many per cent away from `base`.
    pub(super) fn percent(base: Value, percent: Decimal) -> Self {
        Self::Of(Moved {
            base,
            factor: Decimal::ONE_HUNDRED.saturating_add(percent),
            back: Decimal::ONE_HUNDRED,
            shift: Decimal::ZERO,
        })
    }

    /// Higher by the hysteresis, which is a part of the level's magnitude or absolute.
    #[inline]
    pub(super) fn raised(self, hysteresis: Option<Hysteresis>) -> Self {
        if hysteresis.is_some() { self.moved(hysteresis, Decimal::ONE) } else { self }
    }

    /// Lower by the hysteresis.
    #[inline]
    pub(super) fn lowered(self, hysteresis: Option<Hysteresis>) -> Self {
        if hysteresis.is_some() { self.moved(hysteresis, Decimal::NEGATIVE_ONE) } else { self }
    }

    fn moved(self, hysteresis: Option<Hysteresis>, direction: Decimal) -> Self {
        let hundred = Decimal::ONE_HUNDRED;
        let mut moved = match self {
            Self::At(level) => {
                Moved { base: Value::price(level), factor: hundred, back: hundred, shift: Decimal::ZERO }
            }
            Self::Of(moved) => moved,
        };
        match hysteresis {
            None => {}
            Some(Hysteresis::Percent(percent)) => {
                let outward = if moved.base.num.is_sign_negative() { -direction } else { direction };
                moved.back = hundred.saturating_add(percent * outward);
            }
            Some(Hysteresis::Absolute(by)) => moved.shift = by.decimal() * direction,
        }
        Self::Of(moved)
    }

    /// How `value` lies to this threshold.
    #[inline]
    pub(super) fn place(&self, value: &Value) -> Ordering {
        match self {
            Self::At(level) if same(value.den, Decimal::ONE) => order(value.num, *level),
            Self::At(level) => value.compare(&Value::price(*level)),
            Self::Of(moved) => moved.place(value),
        }
    }

    /// A key that every price at or above this threshold reaches.
    #[inline]
    pub(super) fn key_from_below(&self) -> Option<i64> {
        match self {
            Self::At(level) => Some(key(*level)),
            Self::Of(moved) => moved.approximate().map(|t| key(t) - SLACK),
        }
    }

    /// A key that every price at or below this threshold reaches from above.
    #[inline]
    pub(super) fn key_from_above(&self) -> Option<i64> {
        match self {
            Self::At(level) => Some(key(*level)),
            Self::Of(moved) => moved.approximate().map(|t| key(t) + SLACK),
        }
    }
}

impl Moved {
    fn place(&self, value: &Value) -> Ordering {
        let hundred = Decimal::ONE_HUNDRED;
        let Self { base, factor, back, shift } = *self;
        if same(back, hundred) && shift.is_zero() {
            return compare(&[&[value.num, base.den, hundred]], &[&[base.num, factor, value.den]]);
        }
        compare(
            &[&[value.num, base.den, hundred, hundred]],
            &[&[base.num, factor, back, value.den], &[shift, hundred, hundred, base.den, value.den]],
        )
    }

    /// The nearest decimal; nothing where it has too many digits.
    fn approximate(&self) -> Option<Decimal> {
        let base = self.base.decimal()?;
        let hundred = Decimal::ONE_HUNDRED;
        base.checked_mul(self.factor)?
            .checked_div(hundred)?
            .checked_mul(self.back)?
            .checked_div(hundred)?
            .checked_add(self.shift)
    }
}

/// Whether two decimals are written the same: a quick way to find most that are equal.
fn same(a: Decimal, b: Decimal) -> bool {
    a.mantissa() == b.mantissa() && a.scale() == b.scale()
}

/// How two decimals lie to each other, in a quick way where their keys differ.
fn order(a: Decimal, b: Decimal) -> Ordering {
    if a.scale() == b.scale() { a.mantissa().cmp(&b.mantissa()) } else { key(a).cmp(&key(b)).then_with(|| a.cmp(&b)) }
}

/// More keys than the rounding of [`Moved::approximate`] can amount to: a key keeps 17 digits, a decimal 28.
const SLACK: i64 = 2;

const POWERS: [i128; 29] = {
    let mut powers = [1; 29];
    let mut i = 1;
    while i < 29 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A price as one word that sorts like it: a monotone stand-in for the index.
///
/// Up to 0.07 it counts units of 10^-18; beyond, it keeps the 56 leading bits below their exponent, as a floating-point number does.
/// Prices that differ only after some seventeen digits share a key. The index looks on equality, so none is passed over, and
/// what it finds is then compared exactly.
pub(super) fn key(price: Decimal) -> i64 {
    const KEPT: u32 = 56;
    let (mantissa, scale) = (price.mantissa(), price.scale() as usize);
    let magnitude = mantissa.unsigned_abs();
    let units = match 18_usize.checked_sub(scale) {
        Some(up) if magnitude >> 64 == 0 => magnitude * u128::from(SMALL_POWERS[up]),
        Some(up) => magnitude.saturating_mul(u128::from(SMALL_POWERS[up])),
        None => magnitude / POWERS[scale - 18].unsigned_abs(),
    };
    let excess = (128 - KEPT).saturating_sub(units.leading_zeros());
    let kept = low_half(units >> excess) + (u64::from(excess) << (KEPT - 1));
    let key = kept.cast_signed();
    if mantissa < 0 { -key } else { key }
}

/// The key from which on prices are higher than this one by more than keys can tell; its own where keys end (from about 3.4e20 on).
pub(super) fn key_above(price: Decimal) -> i64 {
    let own = key(price);
    if own < key(Decimal::MAX) { own + 1 } else { own }
}

/// The same downward.
pub(super) fn key_below(price: Decimal) -> i64 {
    let own = key(price);
    if own > key(Decimal::MIN) { own - 1 } else { own }
}

const SMALL_POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut i = 1;
    while i < 19 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Compares two sums of products, exactly.
pub(super) fn compare(left: &[&[Decimal]], right: &[&[Decimal]]) -> Ordering {
    let scale_of = |product: &&[Decimal]| product.iter().map(|d| d.scale() as usize).sum::<usize>();
    let scale = left.iter().chain(right).map(scale_of).max().unwrap_or(0);
    match (small_sum(left, scale), small_sum(right, scale)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => big_compare(left, right, scale),
    }
}

fn small_sum(products: &[&[Decimal]], scale: usize) -> Option<i128> {
    products.iter().try_fold(0_i128, |sum, product| {
        let mut places = scale;
        let mut value = 1_i128;
        for factor in *product {
            value = value.checked_mul(factor.mantissa())?;
            places -= factor.scale() as usize;
        }
        sum.checked_add(value.checked_mul(*POWERS.get(places)?)?)
    })
}

fn big_compare(left: &[&[Decimal]], right: &[&[Decimal]], scale: usize) -> Ordering {
    let (mut more, mut less) = (Big::ZERO, Big::ZERO);
    for (products, turned) in [(left, false), (right, true)] {
        for product in products {
            let mut places = scale;
            let mut value = Big::ONE;
            let mut negative = turned;
            for factor in *product {
                let mantissa = factor.mantissa();
                negative ^= mantissa < 0;
                value = value.times(mantissa.unsigned_abs());
                places -= factor.scale() as usize;
            }
            for _ in 0..places {
                value = value.times(10);
            }
            let side = if negative { &mut less } else { &mut more };
            *side = side.plus(&value);
        }
    }
    more.compare(&less)
}

/// An unsigned integer of 1,024 bits, the low limb first. Five factors of 96 bits and their scales need 945.
#[derive(Clone, Copy)]
struct Big([u64; 16]);

impl Big {
    const ZERO: Self = Self([0; 16]);
    const ONE: Self = {
        let mut limbs = [0; 16];
        limbs[0] = 1;
        Self(limbs)
    };

    fn plus(&self, other: &Self) -> Self {
        let mut out = Self::ZERO;
        let mut carry = false;
        for (i, limb) in out.0.iter_mut().enumerate() {
            let (sum, first) = self.0[i].overflowing_add(other.0[i]);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
        out
    }

    fn times(&self, factor: u128) -> Self {
        let (low, high) = (low_half(factor), low_half(factor >> 64));
        let mut out = self.times_limb(low);
        if high != 0 {
            let upper = self.times_limb(high);
            let mut moved = Self::ZERO;
            moved.0[1..].copy_from_slice(&upper.0[..15]);
            out = out.plus(&moved);
        }
        out
    }

    fn times_limb(&self, factor: u64) -> Self {
        let mut out = Self::ZERO;
        let mut carry = 0_u128;
        for (i, limb) in out.0.iter_mut().enumerate() {
            let product = u128::from(self.0[i]) * u128::from(factor) + carry;
            *limb = low_half(product);
            carry = product >> 64;
        }
        out
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low_half(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn ten_per_cent_from_58000_is_exactly_63800() {
        let up = Threshold::percent(Value::price(d("58000")), d("10"));
        assert_eq!(up.place(&Value::price(d("63800"))), Ordering::Equal);
        assert_eq!(up.place(&Value::price(d("63799.99"))), Ordering::Less);
        let down = Threshold::percent(Value::price(d("60000")), d("-7"));
        assert_eq!(down.place(&Value::price(d("55800"))), Ordering::Equal);
    }

    #[test]
    fn digits_beyond_any_machine_word_are_still_told_apart() {
        let base = Value::price(d("79228162514264337593543950335"));
        let x = Threshold::percent(base, d("0.0000000000000000000000001"));
        assert_eq!(x.place(&base), Ordering::Less);
        let third = Value::ratio(d("1"), d("3")).unwrap();
        let near = Value::price(d("0.3333333333333333333333333333"));
        assert_eq!(third.compare(&near), Ordering::Greater);
        let long = [d("79228162514264337593543950335"), d("0.0000000000000000000000000001")];
        assert_eq!(compare(&[&long], &[&[long[1], long[0]]]), Ordering::Equal);
        assert_eq!(compare(&[&[long[0], long[0], long[0], long[0]]], &[&[-long[0]]]), Ordering::Greater);
    }

    #[test]
    fn hysteresis_goes_outward_on_either_side_of_zero() {
        let h = Some(Hysteresis::Percent(d("1")));
        assert_eq!(Threshold::at(d("100")).lowered(h).place(&Value::price(d("99"))), Ordering::Equal);
        assert_eq!(Threshold::at(d("-100")).lowered(h).place(&Value::price(d("-101"))), Ordering::Equal);
        assert_eq!(Threshold::at(d("-100")).raised(h).place(&Value::price(d("-99"))), Ordering::Equal);
    }

    #[test]
    fn keys_keep_the_order_of_prices() {
        let mut last = i64::MIN;
        for text in [
            "-79228162514264337593543950335",
            "-1",
            "-0.0000000000000000000000000001",
            "0",
            "0.000000000000000001",
            "1.5",
            "60000",
            "79228162514264337593543950335",
        ] {
            let key = key(d(text));
            assert!(key >= last, "{text}");
            last = key;
        }
    }

    proptest::proptest! {
        /// Also where the digits end, and where the key changes from counting to leading bits.
        #[test]
        fn any_two_keys_keep_the_order_of_their_prices(a in proptest::num::i128::ANY, b in proptest::num::i128::ANY, cut in 32_u32..120, scales in (0_u32..29, 0_u32..29)) {
            let price = |n: i128, scale| Decimal::from_i128_with_scale(n >> cut.max(33), scale);
            let (a, b) = (price(a, scales.0), price(b, scales.1));
            let next = Decimal::from_i128_with_scale(a.mantissa() + 1, a.scale());
            proptest::prop_assert!(key(a) <= key(next));
            let keys = key(a).cmp(&key(b));
            proptest::prop_assert!(keys.is_eq() || keys == a.cmp(&b), "{} {}", a, b);
        }
    }
}
