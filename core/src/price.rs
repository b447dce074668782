//! Exact decimal prices. No price in bellwether ever passes through binary floating point.

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

/// An exact decimal price, in the quote currency of its instrument. At most 18 places after the point.
///
/// It may be zero or negative as a value; whether that is believed is the evaluator's decision (some futures trade there).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(Decimal);

/// The most places after the point a price may have.
pub const MAX_SCALE: u32 = 18;

/// Why a text is not a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not a plain decimal number (`NaN`, `inf`, words, nothing at all).
    #[error("expected a decimal number such as 60000.5")]
    Syntax,
    /// More digits than can be kept exactly.
    #[error("too many digits: at most 28 in all and 18 after the point")]
    TooLong,
}

impl Price {
    /// Wraps a decimal, dropping trailing zeros.
    pub fn new(value: Decimal) -> Self {
        Self(value.normalize())
    }

    /// Wraps a decimal that is known to have no trailing zeros.
    pub(crate) const fn normal(value: Decimal) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// Whether the price is above zero.
    pub fn is_positive(self) -> bool {
        !self.0.is_sign_negative() && !self.0.is_zero()
    }

    /// Reads a number as a feed writes it: plain (`84737.58`) or with an exponent (`1.234e-05`), exactly.
    ///
    /// Places after the eighteenth are rounded half to even: only widened 32-bit floats have that many.
    pub fn from_feed(text: &str) -> Result<Self, PriceError> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| PriceError::Syntax)?),
            None => (text, 0),
        };
        let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        if digits.is_empty()
            || digits.starts_with('.')
            || digits.ends_with('.')
            || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            return Err(PriceError::Syntax);
        }
        let value = Decimal::from_str(mantissa).map_err(|_| PriceError::TooLong)?;
        let value = if exponent == 0 { value } else { shift(value, exponent).ok_or(PriceError::TooLong)? };
        Ok(Self::new(value.round_dp(MAX_SCALE)))
    }

    /// The price with at least two and at most `places` places and thousands separators: `60,412.50`. For people only.
    pub fn grouped(self, places: u32) -> String {
        let mut out = String::with_capacity(24);
        self.push_grouped(places, &mut out);
        out
    }

    /// Appends what [`Price::grouped`] gives.
    pub(crate) fn push_grouped(self, places: u32, out: &mut String) {
        let (mantissa, scale) = if let Some(mantissa) = self.rounded(places) {
            (mantissa.into(), places.min(self.0.scale()))
        } else {
            let rounded = self.0.round_dp(places);
            (rounded.mantissa().unsigned_abs(), rounded.scale())
        };
        let negative = self.0.is_sign_negative() && !self.0.is_zero();
        Digits::of(mantissa, scale, places.max(2), true, negative).push_to(out);
    }

    /// The digits left of a price of ordinary size after rounding to `places`, half to even as [`Decimal::round_dp`] does.
    fn rounded(self, places: u32) -> Option<u64> {
        let mantissa = u64::try_from(self.0.mantissa().unsigned_abs()).ok()?;
        let Some(cut) = self.0.scale().checked_sub(places).filter(|cut| *cut > 0) else { return Some(mantissa) };
        let unit = 10_u64.checked_pow(cut)?;
        let (kept, lost) = (mantissa / unit, mantissa % unit);
        let up = lost > unit / 2 || (lost == unit / 2 && kept % 2 == 1);
        Some(kept + u64::from(up))
    }

    /// Appends the plain digits without trailing zeros, as `Display` prints them.
    pub(crate) fn push_to(self, out: &mut String) {
        // Trailing zeros were dropped when the price was made.
        let (mantissa, scale) = (self.0.mantissa().unsigned_abs(), self.0.scale());
        let scale = if mantissa == 0 { 0 } else { scale };
        Digits::of(mantissa, scale, scale, false, self.0.is_sign_negative() && mantissa != 0).push_to(out);
    }

    /// How many places to show for a price of this size: 2 from 1 upward, five significant digits below.
    pub fn natural_places(self) -> u32 {
        let mut magnitude = self.0.abs();
        if magnitude >= Decimal::ONE || magnitude.is_zero() {
            return if magnitude >= Decimal::from(10) || magnitude.is_zero() { 2 } else { 4 };
        }
        let mut places = 4;
        while magnitude < Decimal::ONE && places < MAX_SCALE {
            magnitude *= Decimal::TEN;
            places += 1;
        }
        places
    }
}

/// A number as it is written, from the last character to the first.
struct Digits {
    bytes: [u8; Self::ROOM],
    /// Where they begin.
    from: usize,
}

impl Digits {
    /// Twenty-nine digits with nine commas, a point, a sign, and zeros.
    const ROOM: usize = 72;

    /// With `scale` places after the point and zeros up to `places`, and at least one digit before it.
    fn of(mantissa: u128, scale: u32, places: u32, grouped: bool, negative: bool) -> Self {
        let mut digits = Self { bytes: [b'0'; Self::ROOM], from: Self::ROOM };
        digits.from -= places.saturating_sub(scale).min(28) as usize;
        let mut wide = mantissa;
        let mut written = 0;
        let mut put = |digit: u8| {
            if written == scale && places > 0 {
                digits.push(b'.');
            } else if grouped && written > scale && (written - scale).is_multiple_of(3) {
                digits.push(b',');
            }
            digits.push(b'0' + digit);
            written += 1;
            written <= scale
        };
        // Usually at once; a division of 128 bits is slow.
        let mut rest = loop {
            match u64::try_from(wide) {
                Ok(rest) => break rest,
                Err(_) => put(u8::try_from(wide % 10).unwrap_or(0)),
            };
            wide /= 10;
        };
        while put(u8::try_from(rest % 10).unwrap_or(0)) || rest >= 10 {
            rest /= 10;
        }
        if negative {
            digits.push(b'-');
        }
        digits
    }

    const fn push(&mut self, byte: u8) {
        self.from -= 1;
        self.bytes[self.from] = byte;
    }

    fn push_to(&self, out: &mut String) {
        out.push_str(std::str::from_utf8(&self.bytes[self.from..]).unwrap_or_default());
    }
}

/// `value` times ten to the power `exponent`, exactly, or nothing where the digits do not fit.
fn shift(value: Decimal, exponent: i32) -> Option<Decimal> {
    let mut value = value.normalize();
    if value.is_zero() {
        return Some(Decimal::ZERO);
    }
    let scale = i64::from(value.scale()) - i64::from(exponent);
    if (0..=28).contains(&scale) {
        value.set_scale(u32::try_from(scale).ok()?).ok()?;
        return Some(value);
    }
    if scale > 28 {
        // Smaller than any price: rounding to 18 places gives zero or the nearest step.
        return (scale <= 60).then(|| (0..(scale - 28)).fold(value, |v, _| v / Decimal::TEN)).and_then(|mut v| {
            let scale = i64::from(v.scale()) + 28 - i64::from(value.scale());
            v.set_scale(u32::try_from(scale.min(28)).ok()?).ok()?;
            Some(v)
        });
    }
    value.set_scale(0).ok()?;
    (scale..0).try_fold(value, |v, _| v.checked_mul(Decimal::TEN))
}

/// Plain digits without trailing zeros: `60000.5`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { f.write_str("0") } else { write!(f, "{}", self.0.normalize()) }
    }
}

impl FromStr for Price {
    type Err = PriceError;

    /// Reads a plain decimal: digits, an optional fraction, an optional leading `-`. Nothing is rounded.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::quick(text.as_bytes()).map_or_else(|| Self::any(text), Ok)
    }
}

impl Price {
    /// Reads any decimal that can be kept exactly.
    fn any(text: &str) -> Result<Self, PriceError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty()
            || digits.starts_with('.')
            || digits.ends_with('.')
            || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            return Err(PriceError::Syntax);
        }
        let value = Decimal::from_str_exact(text).map_err(|e| match e {
            rust_decimal::Error::Underflow
            | rust_decimal::Error::ExceedsMaximumPossibleValue
            | rust_decimal::Error::ScaleExceedsMaximumPrecision(_) => PriceError::TooLong,
            _ => {
                if digits.matches('.').count() > 1 {
                    PriceError::Syntax
                } else {
                    PriceError::TooLong
                }
            }
        })?;
        if value.normalize().scale() > MAX_SCALE {
            return Err(PriceError::TooLong);
        }
        Ok(Self::new(value))
    }
}

impl From<Price> for Decimal {
    fn from(price: Price) -> Self {
        price.0
    }
}

/// A JSON string holding a plain decimal: `"60000.5"`.
impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A string with a plain decimal, or a whole number. Fractions as JSON numbers are read by [`WirePrice`], from their digits.
impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Price;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number in a string, such as \"60000.5\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Price, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Price, E> {
                Ok(Price::new(value.into()))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Price, E> {
                Ok(Price::new(value.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A price in a request or a feed's JSON: a string or a number, read from its own digits and never through `f64`.
///
/// Only `serde_json` can deserialise it, and not inside buffered (tagged or flattened) types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WirePrice(pub Price);

impl<'de> Deserialize<'de> for WirePrice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Price::from_json(raw.get()).map(Self).map_err(D::Error::custom)
    }
}

impl Price {
    /// Reads a JSON value's own text: a string with a plain decimal, or a number, digit by digit.
    pub fn from_json(raw: &str) -> Result<Self, PriceError> {
        let raw = raw.trim();
        match raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) {
            Some(text) => text.parse(),
            None if raw.contains(['e', 'E']) => Self::from_feed(raw),
            None => raw.parse(),
        }
    }
}

impl Price {
    /// Reads an ordinary number, of at most 18 digits and not zero, in a fraction of the time that any decimal takes. Nothing
    /// where it is another, or none.
    fn quick(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if digits.len() > MAX_SCALE as usize {
            return None;
        }
        let digits = match digits {
            [.., b'.'] => return None,
            [.., b'0'] if digits.contains(&b'.') => {
                let kept = digits.iter().rposition(|byte| *byte != b'0')?;
                &digits[..=kept]
            }
            digits => digits,
        };
        // After zeros that were left out, the point may be the last.
        let (mut mantissa, mut point) = (0_i64, None);
        for (place, &byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => mantissa = mantissa * 10 + i64::from(byte - b'0'),
                b'.' if point.is_none() && place > 0 => point = Some(place),
                _ => return None,
            }
        }
        let scale = point.map_or(0, |point| digits.len() - point - 1);
        let scale = u32::try_from(scale).ok()?;
        (mantissa != 0).then(|| Self(Decimal::new(if negative { -mantissa } else { mantissa }, scale)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_write_numbers_in_many_ways() {
        for (text, expected) in [
            ("84737.58", "84737.58"),
            ("1", "1"),
            ("1.234e-05", "0.00001234"),
            ("1.5e12", "1500000000000"),
            ("84400", "84400"),
            ("1836.96781750", "1836.9678175"),
            ("2284.449951171875", "2284.449951171875"),
            ("-37.63", "-37.63"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("1e-40", "0"),
        ] {
            assert_eq!(Price::from_feed(text).map(|p| p.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["", "NaN", "Infinity", "-inf", "null", "1e", "0x10", "1.2.3", ".", "1,000", "1e400", "{}"] {
            assert!(Price::from_feed(text).is_err(), "{text}");
        }
        assert_eq!(Price::from_feed(&"9".repeat(400)), Err(PriceError::TooLong));
    }

    #[test]
    fn nothing_is_rounded_when_people_write() {
        assert_eq!("60000.50".parse::<Price>().map(|p| p.to_string()), Ok("60000.5".to_owned()));
        assert_eq!("0.1234567890123456789".parse::<Price>(), Err(PriceError::TooLong));
        assert_eq!("1".repeat(40).parse::<Price>(), Err(PriceError::TooLong));
        assert_eq!("1e5".parse::<Price>(), Err(PriceError::Syntax));
        assert_eq!("1.2.3".parse::<Price>(), Err(PriceError::Syntax));
    }

    #[test]
    fn json_numbers_and_strings_are_one() {
        for text in ["60000.5", "\"60000.5\"", "60000.50"] {
            assert_eq!(serde_json::from_str::<WirePrice>(text).expect(text).0.to_string(), "60000.5");
        }
        for text in ["null", "true", "[]", "\"\"", "1e400", "\"NaN\""] {
            assert!(serde_json::from_str::<WirePrice>(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_quick_way_of_reading_agrees_with_the_decimal(text in "-?[0-9]{0,12}(\\.[0-9]{0,8})?0{0,6}|[-0-9.e]{0,20}") {
            if let Some(quick) = Price::quick(text.as_bytes()) {
                let slow = Price::any(&text).unwrap();
                proptest::prop_assert_eq!(quick, slow);
                proptest::prop_assert_eq!(quick.decimal().scale(), slow.decimal().scale(), "trailing zeros");
            }
        }

        #[test]
        fn the_quick_ways_of_writing_agree_with_the_decimal(mantissa: i64, wide: bool, scale in 0_u32..=18, places in 2_u32..=18) {
            let mantissa = if wide { i128::from(mantissa) * 1_000_000_007 } else { i128::from(mantissa >> (scale + 20)) };
            let price = Price::new(Decimal::from_i128_with_scale(mantissa, scale));
            let mut text = String::new();
            price.push_to(&mut text);
            proptest::prop_assert_eq!(&text, &if mantissa == 0 { "0".to_owned() } else { price.decimal().to_string() });
            let plain = price.grouped(places).replace(',', "").parse::<Decimal>().unwrap();
            let rounded = price.decimal().round_dp(places);
            proptest::prop_assert_eq!(plain.normalize(), rounded.normalize());
        }
    }

    #[test]
    fn people_see_groups() {
        let show = |text: &str| {
            let price: Price = text.parse().expect(text);
            price.grouped(price.natural_places())
        };
        assert_eq!(show("60412.5"), "60,412.50");
        assert_eq!(show("1234567"), "1,234,567.00");
        assert_eq!(show("0.00001234"), "0.000012340");
        assert_eq!(show("-37.63"), "-37.63");
        assert_eq!(show("0"), "0.00");
    }
}
