//! Durations and points in time (`docs/alerts.md`, A3).

use std::ops::Range;

use jiff::{civil, tz::TimeZone};

use super::{
    cursor::{Cursor, Piece},
    error::{ErrorCode, ParseError},
};
use crate::time::{Span, SpanError, Timestamp};

/// Whole words people write for a duration, and what the language writes.
const SPAN_WORDS: &[(&str, &str)] = &[
    ("second", "1s"),
    ("minute", "1m"),
    ("hour", "1h"),
    ("hourly", "1h"),
    ("day", "1d"),
    ("daily", "1d"),
    ("week", "1w"),
    ("weekly", "1w"),
];

/// What people write for a unit.
const UNIT_WORDS: &[(&str, char)] = &[
    ("sec", 's'),
    ("secs", 's'),
    ("second", 's'),
    ("seconds", 's'),
    ("min", 'm'),
    ("mins", 'm'),
    ("minute", 'm'),
    ("minutes", 'm'),
    ("hr", 'h'),
    ("hrs", 'h'),
    ("hour", 'h'),
    ("hours", 'h'),
    ("day", 'd'),
    ("days", 'd'),
    ("week", 'w'),
    ("weeks", 'w'),
];

/// Reads a DURATION.
pub(super) fn duration(cursor: &mut Cursor<'_>) -> Result<(Span, Range<usize>), ParseError> {
    let start = cursor.skip_spaces();
    let written = cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    let Some(written) = written.filter(|w| w.text.starts_with(|c: char| c.is_ascii_digit())) else {
        cursor.rewind(start);
        let found = cursor.offender();
        let error = syntax(found.span.clone(), "Write a duration such as 90s, 15m or 1h30m here.");
        let word = SPAN_WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(found.text));
        return Err(match word {
            Some((_, plain)) => syntax(found.span, format!("Write {plain} instead.")).suggest(*plain),
            None => error,
        });
    };
    // Milliseconds are for the configuration: the language knows whole seconds.
    let plain = !written.text.to_ascii_lowercase().contains("ms");
    match written.text.parse::<Span>() {
        Ok(span) if plain => Ok((span, written.span)),
        Err(SpanError::Zero) => Err(value(written.span, "A duration is longer than 0: write 1s or more.")),
        Err(SpanError::TooLong) => Err(value(written.span, "A duration is at most 3650d: write a shorter one.")),
        Ok(_) | Err(SpanError::Syntax) => Err(no_duration(cursor, &written)),
    }
}

/// Reads what stands after `until` and gives the instant, to the second.
pub(super) fn until(
    cursor: &mut Cursor<'_>,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(Timestamp, Range<usize>), ParseError> {
    let start = cursor.skip_spaces();
    if cursor.eat("+") {
        let (span, _) = duration(cursor)?;
        return Ok((to_second(now.plus(span)), start..cursor.at()));
    }
    let written = cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+' | '/'));
    let Some(written) = written else {
        let found = cursor.offender();
        return Err(no_date(found.span));
    };
    let Some(parts) = Parts::split(written.text) else {
        return Err(no_date(written.span));
    };
    match parts.instant(zone) {
        Some(instant) => Ok((to_second(instant), written.span)),
        None => Err(value(written.span, "There is no such date or time: write a day and time of the calendar.")),
    }
}

/// The instant without the parts of its second.
pub(super) const fn to_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_seconds(instant.as_seconds())
}

/// A written date and time, in numbers that need not exist.
struct Parts {
    date: [u16; 3],
    /// Hour, minute, second; none for a bare date.
    time: Option<[u16; 3]>,
    zone: Zone,
}

/// What a written time counts from.
enum Zone {
    /// The user's own time zone.
    User,
    /// So many seconds east of UTC.
    Offset(i32),
}

impl Parts {
    /// Takes `2026-12-31`, `2026-12-31T18:00`, `2026-12-31T18:00:00.5Z`, `2026-12-31T18:00+02:00` apart.
    fn split(text: &str) -> Option<Self> {
        let (date, rest) = match text.split_once(['T', 't']) {
            None => (text, None),
            Some((date, rest)) => (date, Some(rest)),
        };
        let date = numbers(date, '-', &[4, 2, 2])?.try_into().ok()?;
        let Some(rest) = rest else {
            return Some(Self { date, time: None, zone: Zone::User });
        };
        let split = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at(split);
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut time = numbers(clock, ':', &[2, 2, 2]).or_else(|| numbers(clock, ':', &[2, 2]))?;
        time.resize(3, 0);
        Some(Self { date, time: Some(time.try_into().ok()?), zone: offset(zone)? })
    }

    fn instant(&self, zone: &TimeZone) -> Option<Timestamp> {
        let [year, month, day] = self.date.map(|n| i16::try_from(n).unwrap_or(i16::MAX));
        let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let local = match self.time {
            // A day ends when the next one begins.
            None => date.tomorrow().ok()?.to_datetime(civil::Time::midnight()),
            Some(time) => {
                let [hour, minute, second] = time.map(|n| i8::try_from(n).unwrap_or(i8::MAX));
                date.to_datetime(civil::Time::new(hour, minute, second, 0).ok()?)
            }
        };
        let instant = match self.zone {
            Zone::Offset(seconds) => jiff::tz::Offset::from_seconds(seconds).ok()?.to_timestamp(local).ok()?,
            // Of a time that occurs twice the later one; a skipped time moves forward by the skip. Both are `later`.
            Zone::User => zone.to_ambiguous_timestamp(local).later().ok()?,
        };
        Some(instant.into())
    }
}

/// Numbers of exactly these widths, with `separator` between them.
fn numbers(text: &str, separator: char, widths: &[usize]) -> Option<Vec<u16>> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = parts.len() == widths.len()
        && parts.iter().zip(widths).all(|(p, w)| p.len() == *w && p.bytes().all(|b| b.is_ascii_digit()));
    if fits { parts.iter().map(|p| p.parse().ok()).collect() } else { None }
}

/// What `Z`, `+02:00`, `+0200`, `+02` or nothing at all means.
fn offset(text: &str) -> Option<Zone> {
    if text.is_empty() {
        return Some(Zone::User);
    }
    if text.eq_ignore_ascii_case("z") {
        return Some(Zone::Offset(0));
    }
    let (sign, digits) = text.strip_prefix('+').map(|d| (1, d)).or_else(|| text.strip_prefix('-').map(|d| (-1, d)))?;
    let parts = match digits.len() {
        4 => numbers(digits.get(..2)?, ':', &[2])?.into_iter().chain(numbers(digits.get(2..)?, ':', &[2])?).collect(),
        2 => numbers(digits, ':', &[2])?,
        _ => numbers(digits, ':', &[2, 2])?,
    };
    let minutes = parts.get(1).copied().unwrap_or(0);
    // An offset that does not exist is left to fail as a value: no zone is a whole day away.
    let seconds = if minutes > 59 { i32::MAX } else { i32::from(parts[0]) * 3_600 + i32::from(minutes) * 60 };
    Some(Zone::Offset(sign * seconds))
}

fn syntax(span: Range<usize>, message: impl Into<String>) -> ParseError {
    ParseError::new(ErrorCode::Syntax, span, message)
}

fn value(span: Range<usize>, message: &str) -> ParseError {
    ParseError::new(ErrorCode::Value, span, message)
}

fn no_date(span: Range<usize>) -> ParseError {
    syntax(
        span,
        "Write a date such as 2026-12-31, a time such as 2026-12-31T18:00, or a duration from now such as +7d.",
    )
}

/// Why something that begins with a digit is no duration.
fn no_duration(cursor: &mut Cursor<'_>, written: &Piece<'_>) -> ParseError {
    let text = written.text;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let mut span = written.span.clone();
    let mut unit = unit.to_owned();
    let is_unit = |word: &str| word.len() == 1 || UNIT_WORDS.iter().any(|(w, _)| w.eq_ignore_ascii_case(word));
    if unit.is_empty()
        && let Some(word) = cursor.word().filter(|w| is_unit(w.text))
    {
        span.end = word.span.end;
        word.text.clone_into(&mut unit);
    }
    let letter = UNIT_WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(&unit)).map(|(_, u)| *u).or_else(|| {
        let only = unit.chars().next().filter(|_| unit.len() == 1)?.to_ascii_lowercase();
        "smhdw".contains(only).then_some(only)
    });
    if let Some(letter) = letter {
        return syntax(span, format!("Write {number}{letter} without a space or a long unit."))
            .suggest(format!("{number}{letter}"));
    }
    if unit.is_empty() {
        return syntax(
            span,
            format!("A duration needs a unit: {number}s, {number}m, {number}h, {number}d or {number}w."),
        );
    }
    syntax(span, "Write a duration in whole numbers with the units s, m, h, d, w, such as 90s or 1h30m.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_until(text: &str, zone: &str) -> Result<String, ParseError> {
        let now: Timestamp = "2026-11-22T12:00:00.5Z".parse().unwrap();
        let zone = TimeZone::get(zone).unwrap();
        until(&mut Cursor::new(text), now, &zone).map(|(at, _)| format!("{:.0}", at.to_jiff()))
    }

    #[test]
    fn durations_are_read_or_corrected() {
        let read = |text: &str| duration(&mut Cursor::new(text)).map(|(s, _)| s.to_string());
        for (text, printed) in
            [("90s", "1m30s"), ("1h30m", "1h30m"), (" 90M ", "1h30m"), ("7d", "1w"), ("3650d", "521w3d")]
        {
            assert_eq!(read(text).as_deref(), Ok(printed), "{text}");
        }
        for (text, code, suggestion) in [
            ("", ErrorCode::Syntax, None),
            ("15", ErrorCode::Syntax, None),
            ("15 min", ErrorCode::Syntax, Some("15m")),
            ("15min", ErrorCode::Syntax, Some("15m")),
            ("2 hours", ErrorCode::Syntax, Some("2h")),
            ("5 m", ErrorCode::Syntax, Some("5m")),
            ("day", ErrorCode::Syntax, Some("1d")),
            ("1.5h", ErrorCode::Syntax, None),
            ("250ms", ErrorCode::Syntax, None),
            ("1h5ms", ErrorCode::Syntax, None),
            ("5x", ErrorCode::Syntax, None),
            ("-5m", ErrorCode::Syntax, None),
            ("0s", ErrorCode::Value, None),
            ("99999999999d", ErrorCode::Value, None),
            ("99999999999999999999999d", ErrorCode::Value, None),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.code, error.suggestion.as_deref()), (code, suggestion), "{text}: {}", error.message);
        }
    }

    #[test]
    fn until_means_an_instant() {
        for (text, zone, instant) in [
            ("+7d", "UTC", "2026-11-29T12:00:00Z"),
            ("2026-12-31", "UTC", "2027-01-01T00:00:00Z"),
            ("2026-12-31", "Europe/Vienna", "2026-12-31T23:00:00Z"),
            ("2026-12-31T18:00", "America/New_York", "2026-12-31T23:00:00Z"),
            ("2026-12-31t18:00:30.999z", "America/New_York", "2026-12-31T18:00:30Z"),
            ("2026-12-31T18:00+02:00", "UTC", "2026-12-31T16:00:00Z"),
            ("2026-12-31T18:00:00-0530", "UTC", "2026-12-31T23:30:00Z"),
            ("2026-12-31T18:00+02", "UTC", "2026-12-31T16:00:00Z"),
            // Skipped: 02:30 does not exist and is moved to 03:30 summer time.
            ("2027-03-28T02:30", "Europe/Vienna", "2027-03-28T01:30:00Z"),
            // Twice: the later one, in winter time.
            ("2027-10-31T02:30", "Europe/Vienna", "2027-10-31T01:30:00Z"),
            // A midnight that is skipped: the day begins at one o'clock.
            ("2027-04-24", "Africa/Cairo", "2027-04-24T22:00:00Z"),
            ("2027-04-29", "Africa/Cairo", "2027-04-29T22:00:00Z"),
        ] {
            assert_eq!(read_until(text, zone).as_deref(), Ok(instant), "{text} in {zone}");
        }
    }

    #[test]
    fn what_is_no_date_says_so() {
        for (text, code) in [
            ("", ErrorCode::Syntax),
            ("tomorrow", ErrorCode::Syntax),
            ("31.12.2026", ErrorCode::Syntax),
            ("12/31/2026", ErrorCode::Syntax),
            ("2026-1-1", ErrorCode::Syntax),
            ("2026-12-31T", ErrorCode::Syntax),
            ("2026-12-31T18", ErrorCode::Syntax),
            ("2026-12-31T18:00+", ErrorCode::Syntax),
            ("2026-12-31T18:00+123", ErrorCode::Syntax),
            ("+7", ErrorCode::Syntax),
            ("+", ErrorCode::Syntax),
            ("2027-02-31", ErrorCode::Value),
            ("2026-13-01", ErrorCode::Value),
            ("2026-12-31T24:00", ErrorCode::Value),
            ("2026-12-31T12:60", ErrorCode::Value),
            ("2026-12-31T12:00+99:00", ErrorCode::Value),
            ("2026-12-31T12:00+01:75", ErrorCode::Value),
            ("9999-12-31", ErrorCode::Value),
            ("+99999999999d", ErrorCode::Value),
        ] {
            assert_eq!(read_until(text, "UTC").map_err(|e| e.code), Err(code), "{text}");
        }
    }
}
