//! Numbers, percentages, and prices with their currency (`docs/alerts.md`, A3). All exact: nothing is rounded.

use std::ops::Range;

use rust_decimal::Decimal;

use super::{
    cursor::{Cursor, Piece},
    error::{ErrorCode, ParseError},
    words,
};
use crate::{
    condition::Sign,
    price::{MAX_SCALE, Price},
};

/// The most digits a number may have.
const MAX_DIGITS: usize = 28;

/// The limits, as errors say them.
const LIMITS: &str = "at most 28 digits in all and 18 after the point";

/// Codes that are recognised as currencies though no instrument in the catalogue is quoted in them.
const CURRENCIES: &[&str] = &[
    "USD", "EUR", "GBP", "GBX", "USX", "JPY", "CHF", "CAD", "AUD", "NZD", "CNY", "HKD", "INR", "SGD", "SEK", "NOK",
    "DKK", "PLN", "CZK", "HUF", "TRY", "ZAR", "BRL", "MXN", "KRW", "TWD", "THB", "ILS", "RUB", "USDT", "USDC", "DAI",
    "BTC", "ETH", "SATS",
];

/// What a price of a term is measured in.
#[derive(Clone, Copy)]
pub(super) struct Unit<'a> {
    /// Whose price it is, as errors name it.
    pub(super) name: &'a str,
    /// Its quote currency; none for a ratio.
    pub(super) currency: Option<&'a str>,
    /// Whether a word is a currency code at all.
    pub(super) known: &'a dyn Fn(&str) -> bool,
}

/// Whether `word` is a currency code that everybody knows.
pub(super) fn is_common_currency(word: &str) -> bool {
    CURRENCIES.iter().any(|c| c.eq_ignore_ascii_case(word))
}

/// Reads a NUMBER. `wanted` says what it is for, in an error: "a price such as 60k".
pub(super) fn number(cursor: &mut Cursor<'_>, wanted: &str) -> Result<(Decimal, Range<usize>), ParseError> {
    let start = cursor.skip_spaces();
    let negative = cursor.eat("-");
    if negative {
        cursor.skip_spaces();
    }
    let digits = cursor.at();
    let whole = cursor.run(|c| c.is_ascii_digit() || matches!(c, '_' | ','));
    let Some(whole) = whole.filter(|w| w.text.starts_with(|c: char| c.is_ascii_digit())) else {
        cursor.rewind(start);
        return Err(no_number(cursor, digits, wanted));
    };
    let mut fraction = "";
    if cursor.peek() == Some('.') && !cursor.rest().starts_with("..") {
        cursor.eat(".");
        fraction = cursor.run(|c| c.is_ascii_digit()).map_or("", |p| p.text);
        if fraction.is_empty() || cursor.rest().starts_with(['_', ',']) || starts_second_point(cursor.rest()) {
            cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | '.'));
            let message = "A number has one point with digits on both sides of it, such as 60000.5.";
            return Err(syntax(start..cursor.at(), message));
        }
    }
    check_groups(&whole, start, fraction)?;
    let exponent = suffix(cursor, start)?;
    let span = start..cursor.at();
    let plain: String = whole.text.chars().filter(char::is_ascii_digit).collect();
    let value = exact(&plain, fraction, exponent)
        .ok_or_else(|| ParseError::new(ErrorCode::Value, span.clone(), format!("Use fewer digits: {LIMITS}.")))?;
    Ok((if negative { -value } else { value }, span))
}

/// Reads NUMBER `%`.
pub(super) fn percent(cursor: &mut Cursor<'_>) -> Result<(Decimal, Range<usize>), ParseError> {
    let (value, span) = number(cursor, "a percentage such as 5%")?;
    if !cursor.eat("%") {
        let at = span.end;
        return Err(syntax(at..at, "Write % after the number: +5% or -5%.").suggest("%"));
    }
    Ok((value, span.start..cursor.at()))
}

/// Reads a price and converts it into the unit's currency.
pub(super) fn price(cursor: &mut Cursor<'_>, unit: &Unit<'_>) -> Result<(Price, Range<usize>), ParseError> {
    let start = cursor.skip_spaces();
    let sign = [("$", "USD"), ("€", "EUR"), ("£", "GBP")].into_iter().find(|(sign, _)| cursor.eat(sign));
    let mut written = sign.map(|(sign, code)| Piece { text: code, span: start..start + sign.len() });
    let (value, _) = number(cursor, "a price such as 60k or 1,250.50")?;
    if written.is_none() {
        if let Some(word) = cursor.word().filter(|w| is_currency(w.text, unit)) {
            cursor.rewind(word.span.end);
            written = Some(word);
        } else if let Some(sign) = ["€", "$", "£"].into_iter().find(|s| cursor.eat(s)) {
            let end = cursor.at();
            return Err(syntax(end - sign.len()..end, format!("Write {sign} before the number.")).suggest(""));
        }
    }
    let value = match written {
        None => value,
        Some(written) => in_quote_currency(value, &written, unit)?,
    };
    let span = start..cursor.at();
    if !fits(value) {
        return Err(ParseError::new(ErrorCode::Value, span, format!("Use fewer digits: {LIMITS}.")));
    }
    Ok((Price::new(value), span))
}

/// `a` times `b` where the product can be kept exactly in 28 digits.
pub(super) fn exact_product(a: Decimal, b: Decimal) -> Option<Decimal> {
    let (a, b) = (a.normalize(), b.normalize());
    let mut mantissa = a.mantissa().checked_mul(b.mantissa())?;
    let mut scale = a.scale() + b.scale();
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    let value = Decimal::try_from_i128_with_scale(mantissa, scale).ok()?;
    fits_digits(value).then_some(value)
}

/// `a` plus `b` where the sum can be kept exactly in 28 digits.
pub(super) fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().max(b.scale());
    let widen = |d: Decimal| d.mantissa().checked_mul(10_i128.checked_pow(scale - d.scale())?);
    let mut sum = Decimal::try_from_i128_with_scale(widen(a)?.checked_add(widen(b)?)?, scale).ok()?;
    sum.normalize_assign();
    fits_digits(sum).then_some(sum)
}

/// The level `percent` per cent above (`Plus`) or below (`Minus`) `reference`, where it can be kept exactly.
pub(crate) fn percent_level(reference: Price, sign: Sign, percent: Decimal) -> Option<Price> {
    let percent = if sign == Sign::Minus { -percent } else { percent };
    let factor = exact_sum(Decimal::ONE_HUNDRED, percent)?;
    exact_product(exact_product(reference.decimal(), factor)?, Decimal::new(1, 2)).map(Price::new)
}

/// Whether a number keeps to the limits of digits and places.
pub(super) fn fits(value: Decimal) -> bool {
    fits_digits(value) && value.normalize().scale() <= MAX_SCALE
}

fn fits_digits(value: Decimal) -> bool {
    value.mantissa().unsigned_abs() < 10_u128.pow(28)
}

fn syntax(span: Range<usize>, message: impl Into<String>) -> ParseError {
    ParseError::new(ErrorCode::Syntax, span, message)
}

fn starts_second_point(rest: &str) -> bool {
    rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
}

/// Why nothing here is a number.
fn no_number(cursor: &mut Cursor<'_>, digits: usize, wanted: &str) -> ParseError {
    let found = cursor.offender();
    if found.text.is_empty() {
        return syntax(found.span, format!("Write {wanted} here."));
    }
    if found.text.starts_with('+') {
        let end = found.span.start + 1;
        return syntax(found.span.start..end, "Write the number without a plus sign.").suggest("");
    }
    cursor.rewind(digits);
    let rest = cursor.rest();
    let point = rest.strip_prefix('.').filter(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(tail) = point {
        let length = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let written = &tail[..length];
        return syntax(digits..digits + 1 + length, format!("Write a digit before the point: 0.{written}."))
            .suggest(format!("0.{written}"));
    }
    syntax(found.span, format!("Write {wanted} here, in plain digits."))
}

/// Checks that `_` stands between digits and `,` between groups of three.
fn check_groups(whole: &Piece<'_>, start: usize, fraction: &str) -> Result<(), ParseError> {
    let text = whole.text;
    let span = start..whole.span.end + if fraction.is_empty() { 0 } else { fraction.len() + 1 };
    if text.contains(',') {
        let mut groups = text.split(',');
        let first = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        let digits = |g: &str| g.bytes().all(|b| b.is_ascii_digit());
        // "0,500" is somebody's 0.5: five hundred is never written so.
        let grouped = (1..=3).contains(&first.len())
            && digits(first)
            && !(first.starts_with('0'))
            && rest.iter().all(|g| g.len() == 3 && digits(g));
        if grouped {
            return Ok(());
        }
        let decimal = fraction.is_empty() && digits(first);
        if let [cents] = &rest[..]
            && decimal
            && !cents.is_empty()
            && digits(cents)
        {
            let message = format!("A comma only separates groups of three digits: write {first}.{cents} with a point.");
            return Err(syntax(span, message).suggest(format!("{first}.{cents}")));
        }
        return Err(syntax(span, "Commas separate groups of three digits, such as 60,000; leave them out."));
    }
    if text.ends_with('_') || text.contains("__") {
        return Err(syntax(span, "An underscore stands between two digits, such as 60_000; leave it out."));
    }
    Ok(())
}

/// Reads `k`, `m`, `b`, `t` behind a number and gives the power of ten.
fn suffix(cursor: &mut Cursor<'_>, start: usize) -> Result<usize, ParseError> {
    let Some(letters) = cursor.run(|c| c.is_ascii_alphanumeric() || c == '_') else {
        return Ok(0);
    };
    let exponent = match letters.text.to_ascii_lowercase().as_str() {
        "k" => 3,
        "m" => 6,
        "b" => 9,
        "t" => 12,
        other => {
            let message = if other.starts_with('e') && other[1..].bytes().all(|b| b.is_ascii_digit()) {
                "Exponents are not read: write the digits, or k, m, b, t for thousands to trillions.".to_owned()
            } else if other.starts_with('x') {
                "Write the number in plain decimal digits, such as 60000.5.".to_owned()
            } else if is_common_currency(other) {
                let (number, code) = (letters.span.start, letters.text);
                return Err(syntax(number..number, format!("Put a space between the number and {code}.")).suggest(" "));
            } else {
                "After the digits only k, m, b or t may follow (thousands to trillions): 60k, 1.5m.".to_owned()
            };
            return Err(syntax(start..letters.span.end, message));
        }
    };
    Ok(exponent)
}

/// The number made of these digits, times ten to the power `exponent`, within the limits.
fn exact(whole: &str, fraction: &str, exponent: usize) -> Option<Decimal> {
    let mut digits = format!("{whole}{fraction}");
    let mut scale = fraction.len();
    if exponent >= scale {
        digits.extend(std::iter::repeat_n('0', exponent - scale));
        scale = 0;
    } else {
        scale -= exponent;
    }
    while scale > 0 && digits.ends_with('0') {
        digits.pop();
        scale -= 1;
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > MAX_DIGITS || scale > MAX_SCALE as usize {
        return None;
    }
    let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?).ok()
}

fn is_currency(word: &str, unit: &Unit<'_>) -> bool {
    let keyword = words::OPTIONS.iter().chain(words::JOINS).chain(words::AFTER_PERCENT);
    !keyword.into_iter().any(|k| k.eq_ignore_ascii_case(word)) && (is_common_currency(word) || (unit.known)(word))
}

/// Pounds and pence are the one pair of currencies that is converted: London quotes shares in pence.
#[derive(PartialEq)]
enum Sterling {
    Pounds,
    Pence,
}

fn sterling(code: &str) -> Option<Sterling> {
    // The case decides: GBp is a hundredth of GBP.
    if code == "GBp" || code.eq_ignore_ascii_case("GBX") {
        Some(Sterling::Pence)
    } else {
        code.eq_ignore_ascii_case("GBP").then_some(Sterling::Pounds)
    }
}

fn in_quote_currency(value: Decimal, written: &Piece<'_>, unit: &Unit<'_>) -> Result<Decimal, ParseError> {
    let Some(quote) = unit.currency else {
        let message = format!("{} has no currency: write the number alone.", unit.name);
        return Err(ParseError::new(ErrorCode::Currency, written.span.clone(), message).suggest(""));
    };
    let converted = match (sterling(written.text), sterling(quote)) {
        (Some(from), Some(to)) if from == to => Some(value),
        (Some(Sterling::Pounds), Some(_)) => exact_product(value, Decimal::ONE_HUNDRED),
        (Some(Sterling::Pence), Some(_)) => exact_product(value, Decimal::new(1, 2)),
        _ if written.text.eq_ignore_ascii_case(quote) => Some(value),
        _ => {
            let (name, code) = (unit.name, written.text);
            let message = format!("{name} is quoted in {quote}, not in {code}: give the price in {quote}.");
            return Err(ParseError::new(ErrorCode::Currency, written.span.clone(), message));
        }
    };
    converted
        .ok_or_else(|| ParseError::new(ErrorCode::Value, written.span.clone(), format!("Use fewer digits: {LIMITS}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, currency: Option<&str>) -> Result<String, ParseError> {
        let mut cursor = Cursor::new(text);
        price(&mut cursor, &Unit { name: "X", currency, known: &|_| false }).map(|(p, _)| p.to_string())
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, value) in [
            ("60000", "60000"),
            ("60_000.50", "60000.5"),
            ("60,000", "60000"),
            ("1,234,567.89", "1234567.89"),
            ("60k", "60000"),
            ("1.2345K", "1234.5"),
            ("2.5M", "2500000"),
            ("1b", "1000000000"),
            ("3T", "3000000000000"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("0.000000000000000000001k", "0.000000000000000001"),
            ("0007", "7"),
            ("-37.63", "-37.63"),
            ("- 5", "-5"),
            ("1000000000000000000000000000", "1000000000000000000000000000"),
            ("$60k", "60000"),
            ("$ 60k", "60000"),
            ("$-5", "-5"),
            ("60k usd", "60000"),
            ("5 note", "5"),
        ] {
            assert_eq!(read(text, Some("USD")).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_says_what_to_write() {
        for (text, code, said, suggestion) in [
            ("60,5", ErrorCode::Syntax, "write 60.5 with a point", Some("60.5")),
            ("0,500", ErrorCode::Syntax, "write 0.500 with a point", Some("0.500")),
            ("1,0000", ErrorCode::Syntax, "write 1.0000 with a point", Some("1.0000")),
            ("1,00,000", ErrorCode::Syntax, "groups of three", None),
            ("1_000,000", ErrorCode::Syntax, "groups of three", None),
            ("60,", ErrorCode::Syntax, "groups of three", None),
            ("60_", ErrorCode::Syntax, "between two digits", None),
            ("6__0", ErrorCode::Syntax, "between two digits", None),
            ("_60", ErrorCode::Syntax, "Write a price", None),
            ("60.", ErrorCode::Syntax, "digits on both sides", None),
            ("1.2.3", ErrorCode::Syntax, "one point", None),
            ("0.000_1", ErrorCode::Syntax, "one point", None),
            (".5", ErrorCode::Syntax, "digit before the point: 0.5", Some("0.5")),
            ("1e400", ErrorCode::Syntax, "Exponents are not read", None),
            ("0x10", ErrorCode::Syntax, "plain decimal digits", None),
            ("NaN", ErrorCode::Syntax, "Write a price such as", None),
            ("inf", ErrorCode::Syntax, "Write a price such as", None),
            ("", ErrorCode::Syntax, "Write a price such as", None),
            ("+5", ErrorCode::Syntax, "without a plus", Some("")),
            ("60kk", ErrorCode::Syntax, "only k, m, b or t", None),
            ("60usd", ErrorCode::Syntax, "Put a space", Some(" ")),
            ("60 €", ErrorCode::Syntax, "Write € before the number", Some("")),
            ("1111111111111111111111111111111111111111", ErrorCode::Value, "at most 28 digits", None),
            ("0.1234567890123456789", ErrorCode::Value, "18 after the point", None),
            ("99999999999999999999t", ErrorCode::Value, "at most 28 digits", None),
            ("60k USDT", ErrorCode::Currency, "quoted in USD, not in USDT", None),
            ("€60k", ErrorCode::Currency, "quoted in USD, not in EUR", None),
        ] {
            let error = read(text, Some("USD")).unwrap_err();
            assert_eq!((error.code, error.suggestion.as_deref()), (code, suggestion), "{text}: {}", error.message);
            assert!(error.message.contains(said), "{text}: {}", error.message);
            assert!(text.get(error.span.clone()).is_some(), "{text}");
        }
    }

    #[test]
    fn pounds_and_pence_are_the_only_pair_that_is_converted() {
        for (text, quote, value) in [
            ("0.7 GBP", "GBp", "70"),
            ("£0.7", "GBX", "70"),
            ("0.7 gbp", "GBp", "70"),
            ("70 GBp", "GBp", "70"),
            ("70 gbx", "GBp", "70"),
            ("70 GBp", "GBP", "0.7"),
            ("70 GBP", "GBP", "70"),
        ] {
            assert_eq!(read(text, Some(quote)).as_deref(), Ok(value), "{text} in {quote}");
        }
        for (text, quote) in [("$4.5", Some("USX")), ("5 USDC", Some("USD")), ("5 USD", None), ("£5", Some("EUR"))] {
            assert_eq!(read(text, quote).map_err(|e| e.code), Err(ErrorCode::Currency), "{text} in {quote:?}");
        }
    }

    #[test]
    fn derived_levels_are_exact_or_refused() {
        let level = |reference: &str, sign, percent: &str| {
            percent_level(reference.parse().unwrap(), sign, percent.parse().unwrap()).map(|p| p.to_string())
        };
        assert_eq!(level("58000", Sign::Plus, "10").as_deref(), Some("63800"));
        assert_eq!(level("60000", Sign::Minus, "7").as_deref(), Some("55800"));
        assert_eq!(level("0.000000000000000001", Sign::Plus, "0.5").as_deref(), Some("0.000000000000000001005"));
        assert_eq!(level("1234567890123456789.123456789", Sign::Plus, "0.1"), None);
        assert_eq!(exact_sum("-5".parse().unwrap(), "5".parse().unwrap()), Some(Decimal::ZERO));
    }
}
