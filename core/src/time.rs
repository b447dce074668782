//! Points in time and durations as people write them.
//!
//! Everything in core that depends on the present takes it as an argument: nothing here asks a clock.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An instant in UTC, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the Unix epoch, saturating at the ends of the range.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// The instant `seconds` seconds after the Unix epoch, saturating at the ends of the range.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant moved by `span`, saturating at the ends of the range.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This instant moved back by `span`, saturating at the ends of the range.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this instant lies; zero when it lies before.
    pub const fn since(self, earlier: Self) -> Span {
        let micros = self.0.saturating_sub(earlier.0);
        Span(if micros < 0 { 0 } else { micros })
    }

    /// The same instant for calendar arithmetic; out-of-range values are clamped to years -9999 to 9999.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(value: jiff::Timestamp) -> Self {
        Self(value.as_microsecond())
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T12:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = Self::from_millis(self.as_millis()).to_jiff();
        write!(f, "{millis:.3}")
    }
}

/// The text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2026-11-22T12:00:00Z")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 with any offset.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = quick(text.as_bytes()) {
            return Ok(time);
        }
        text.parse::<jiff::Timestamp>().map(Self::from).map_err(|_| TimestampError)
    }
}

/// Reads `2026-10-03T20:58:31.127510Z`, as exchanges write it, in a fraction of the time that any form takes. Nothing where it is
/// another form, or none.
fn quick(text: &[u8]) -> Option<Timestamp> {
    let [head @ .., b'Z'] = text else { return None };
    let (head, fraction) = head.split_at_checked(19)?;
    let number = |range: std::ops::Range<usize>| {
        head[range].iter().try_fold(0_i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    if [head[4], head[7], head[10], head[13], head[16]] != *b"--T::" {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // The last days of months, leap days, leap seconds and the years before 1970 are left to the calendar.
    if year < 1970 || !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut micros = 0;
            for place in 0..6 {
                let digit = digits.get(place).copied().unwrap_or(b'0');
                micros = micros * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
            }
            digits.iter().all(u8::is_ascii_digit).then_some(micros)?
        }
        _ => return None,
    };
    // Years are counted from March, so that the leap day is the last; 719,468 days lie between March of year 0 and 1970.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A length of time in microseconds, never negative. Written `90s`, `1h30m`, `7d`; printed with descending units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

/// The units people write, largest first, with their lengths in microseconds.
const UNITS: [(char, i64); 5] =
    [('w', 604_800_000_000), ('d', 86_400_000_000), ('h', 3_600_000_000), ('m', 60_000_000), ('s', 1_000_000)];

/// The longest duration anybody may write: ten years.
pub const LONGEST_SPAN: Span = Span::from_seconds(3_650 * 86_400);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `micros` microseconds; negative values become zero.
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < 0 { 0 } else { micros })
    }

    /// A span of `millis` milliseconds; negative values become zero.
    pub const fn from_millis(millis: i64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// A span of `seconds` seconds; negative values become zero.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// The length in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The length in whole milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000
    }

    /// The length in whole seconds.
    pub const fn as_seconds(self) -> i64 {
        self.0 / 1_000_000
    }

    /// Whether this is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This span `factor` times, saturating.
    #[must_use]
    pub const fn times(self, factor: i64) -> Self {
        Self::from_micros(self.0.saturating_mul(factor))
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_micros(span.0.unsigned_abs())
    }
}

impl From<std::time::Duration> for Span {
    fn from(value: std::time::Duration) -> Self {
        Self(i64::try_from(value.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Descending units without zeros: `1h30m`. Parts of a second follow as `250ms`; no time at all is `0s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        if rest >= 1_000 {
            write!(f, "{}ms", rest / 1_000)?;
            rest %= 1_000;
        }
        if rest > 0 {
            write!(f, "{rest}us")?;
        }
        Ok(())
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not of the form `1h30m`.
    #[error("expected a duration such as \"90s\", \"15m\" or \"1h30m\" (units s, m, h, d, w)")]
    Syntax,
    /// No time at all.
    #[error("a duration must be longer than 0")]
    Zero,
    /// Longer than [`LONGEST_SPAN`].
    #[error("a duration may be at most 3650d")]
    TooLong,
}

impl FromStr for Span {
    type Err = SpanError;

    /// Reads integers with a unit `s m h d w`, concatenated; also `ms` (for configuration). Longer than 0, at most ten years.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut total: i64 = 0;
        let mut rest = text;
        if rest.is_empty() {
            return Err(SpanError::Syntax);
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            if number.is_empty() {
                return Err(SpanError::Syntax);
            }
            let (length, tail) = if let Some(tail) = tail.strip_prefix("ms") {
                (1_000, tail)
            } else {
                let unit = tail.chars().next().ok_or(SpanError::Syntax)?;
                let (_, length) =
                    UNITS.into_iter().find(|(u, _)| u.eq_ignore_ascii_case(&unit)).ok_or(SpanError::Syntax)?;
                (length, &tail[1..])
            };
            let number: i64 = number.parse().map_err(|_| SpanError::TooLong)?;
            total = number.checked_mul(length).and_then(|part| part.checked_add(total)).ok_or(SpanError::TooLong)?;
            rest = tail;
        }
        match total {
            0 => Err(SpanError::Zero),
            t if t > LONGEST_SPAN.0 => Err(SpanError::TooLong),
            t => Ok(Self(t)),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// So that a number without a unit is told what was expected in its place.
        struct Words;

        impl serde::de::Visitor<'_> for Words {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"90s\", \"15m\" or \"1h30m\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                if text == "0s" { Ok(Span::ZERO) } else { text.parse().map_err(E::custom) }
            }
        }

        deserializer.deserialize_str(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_quick_way_of_reading_agrees_with_the_calendar(
            year in 1900_u32..9999, month in 0_u32..14, day in 0_u32..33, hour in 0_u32..25, minute in 0_u32..61,
            second in 0_u32..61, rest in "(\\.[0-9]{0,10})?Z|[.Z0-9+:-]{0,8}",
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{rest}");
            if let Some(time) = quick(text.as_bytes()) {
                proptest::prop_assert_eq!(Ok(time), text.parse::<jiff::Timestamp>().map(Timestamp::from).map_err(|_| ()));
            }
        }
    }

    #[test]
    fn what_exchanges_write_is_read_the_quick_way() {
        for text in ["2026-10-03T20:58:31.127510Z", "2026-02-01T00:00:00Z", "2000-03-01T23:59:59.1Z"] {
            assert!(quick(text.as_bytes()).is_some(), "{text}");
        }
        for text in
            ["", "Z", "2026-10-03T20:58:31", "2026-10-03 20:58:31Z", "2026-10-03T20:58:31.Z", "2026-1é-03T20:58:31Z"]
        {
            assert_eq!(quick(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn spans_read_and_print() {
        for (text, printed) in
            [("90s", "1m30s"), ("1h30m", "1h30m"), ("90m", "1h30m"), ("24h", "1d"), ("7d", "1w"), ("250ms", "250ms")]
        {
            assert_eq!(text.parse::<Span>().map(|s| s.to_string()), Ok(printed.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_says_so() {
        for (text, error) in [
            ("", SpanError::Syntax),
            ("5", SpanError::Syntax),
            ("-5s", SpanError::Syntax),
            ("5 mins ago", SpanError::Syntax),
            ("h", SpanError::Syntax),
            ("5é", SpanError::Syntax),
            ("0s", SpanError::Zero),
            ("99999999999d", SpanError::TooLong),
            ("99999999999999999999s", SpanError::TooLong),
        ] {
            assert_eq!(text.parse::<Span>(), Err(error), "{text}");
        }
    }

    #[test]
    fn timestamps_print_milliseconds_and_read_offsets() {
        let at: Timestamp = "2026-11-22T14:00:00.123456+02:00".parse().expect("a time");
        assert_eq!(at.to_string(), "2026-11-22T12:00:00.123Z");
        assert_eq!(at.as_micros() % 1_000_000, 123_456);
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string().len(), 24);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
