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
        text.parse::<jiff::Timestamp>().map(Self::from).map_err(|_| TimestampError)
    }
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
        let text = String::deserialize(deserializer)?;
        if text == "0s" {
            return Ok(Self::ZERO);
        }
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
