//! Indicators: what can be computed from an instrument's past closes, and the day's volume (`docs/alerts.md`, B18).
//!
//! Here are their names and limits; `formula` computes. What a bar is and when it closes is the evaluator's business.

mod formula;

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::time::Span;

/// The words that indicators are written with.
pub const WORDS: [&str; 6] = ["sma", "ema", "rsi", "bb_upper", "bb_lower", "volume"];
/// The most bars an indicator may look at.
pub const MAX_BARS: u16 = 500;
/// The shortest bar.
pub const SHORTEST_BAR: Span = Span::from_seconds(60);
/// The longest bar.
pub const LONGEST_BAR: Span = Span::from_seconds(86_400);
/// The widest band, in standard deviations.
pub const WIDEST_BAND: Decimal = Decimal::TEN;

/// So many bars of such a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bars {
    /// How many.
    pub count: u16,
    /// The length of each: whole minutes that divide a day evenly.
    pub length: Span,
}

/// A number computed from what an instrument did. Written, stored and sent as text: `sma(200, 1d)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indicator {
    /// The simple moving average: the mean of the last closes.
    Sma(Bars),
    /// The exponential moving average.
    Ema(Bars),
    /// Wilder's relative strength index, from 0 to 100.
    Rsi(Bars),
    /// The upper Bollinger band: so many standard deviations above the simple moving average.
    BbUpper(Bars, Decimal),
    /// The lower Bollinger band.
    BbLower(Bars, Decimal),
    /// The volume of the day, as the feed reports it with its price.
    Volume,
}

/// What an indicator's value is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A price, in the instrument's quote currency.
    Price,
    /// A number from 0 to 100.
    Index,
    /// Units of the instrument.
    Volume,
}

/// What is wrong with an indicator's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndicatorError {
    /// Not of the form `sma(200, 1d)`.
    #[error("expected an indicator such as sma(200, 1d), ema(50, 4h), rsi(14, 1h), bb_upper(20, 2, 1h) or volume")]
    Syntax,
    /// Too few or too many bars.
    #[error("the number of bars goes from {0} to {MAX_BARS}")]
    Count(u16),
    /// A bar of another length.
    #[error("a bar is 1m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, or another number of minutes that divides a day")]
    Length,
    /// A band of no width, or too wide.
    #[error("the width of a band is above 0 and at most {WIDEST_BAND} standard deviations, with at most 4 places")]
    Width,
}

impl Indicator {
    /// The word it begins with.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sma(_) => "sma",
            Self::Ema(_) => "ema",
            Self::Rsi(_) => "rsi",
            Self::BbUpper(..) => "bb_upper",
            Self::BbLower(..) => "bb_lower",
            Self::Volume => "volume",
        }
    }

    /// The bars that it is computed from; none for the volume.
    pub const fn bars(&self) -> Option<Bars> {
        match self {
            Self::Sma(bars) | Self::Ema(bars) | Self::Rsi(bars) | Self::BbUpper(bars, _) | Self::BbLower(bars, _) => {
                Some(*bars)
            }
            Self::Volume => None,
        }
    }

    /// What its value is a number of.
    pub const fn measure(&self) -> Measure {
        match self {
            Self::Sma(_) | Self::Ema(_) | Self::BbUpper(..) | Self::BbLower(..) => Measure::Price,
            Self::Rsi(_) => Measure::Index,
            Self::Volume => Measure::Volume,
        }
    }

    /// The most closes that it looks at: W of its formula.
    pub fn window(&self) -> usize {
        match self {
            Self::Sma(bars) | Self::BbUpper(bars, _) | Self::BbLower(bars, _) => usize::from(bars.count),
            Self::Ema(bars) => 5 * usize::from(bars.count),
            Self::Rsi(bars) => 10 * usize::from(bars.count) + 1,
            Self::Volume => 0,
        }
    }

    /// The fewest bars that it may be asked for.
    pub const fn least_bars(&self) -> u16 {
        match self {
            Self::Rsi(_) | Self::BbUpper(..) | Self::BbLower(..) => 2,
            Self::Sma(_) | Self::Ema(_) | Self::Volume => 1,
        }
    }

    /// Whether its numbers keep to their limits.
    ///
    /// # Errors
    /// The first limit that is passed, from left to right.
    pub fn check(&self) -> Result<(), IndicatorError> {
        let Some(bars) = self.bars() else { return Ok(()) };
        if !(self.least_bars()..=MAX_BARS).contains(&bars.count) {
            return Err(IndicatorError::Count(self.least_bars()));
        }
        if let Self::BbUpper(_, width) | Self::BbLower(_, width) = self
            && (*width <= Decimal::ZERO || *width > WIDEST_BAND || width.normalize().scale() > 4)
        {
            return Err(IndicatorError::Width);
        }
        if is_bar(bars.length) { Ok(()) } else { Err(IndicatorError::Length) }
    }
}

/// Whether this is the length of a bar: whole minutes that divide a day evenly.
pub const fn is_bar(length: Span) -> bool {
    let (length, day) = (length.as_micros(), LONGEST_BAR.as_micros());
    length > 0 && length % SHORTEST_BAR.as_micros() == 0 && length <= day && day % length == 0
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Sma(bars) | Self::Ema(bars) | Self::Rsi(bars) => write!(f, "({}, {})", bars.count, bars.length),
            Self::BbUpper(bars, width) | Self::BbLower(bars, width) => {
                write!(f, "({}, {}, {})", bars.count, width.normalize(), bars.length)
            }
            Self::Volume => Ok(()),
        }
    }
}

impl FromStr for Indicator {
    type Err = IndicatorError;

    /// Reads the canonical form, with free space and in either case of letters.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("volume") {
            return Ok(Self::Volume);
        }
        let (word, rest) = text.split_once('(').ok_or(IndicatorError::Syntax)?;
        let inner = rest.strip_suffix(')').ok_or(IndicatorError::Syntax)?;
        let numbers: Vec<&str> = inner.split(',').map(str::trim).collect();
        let bars = |count: &str, length: &str| {
            let count = count.parse().map_err(|_| IndicatorError::Syntax)?;
            let length = length.parse().map_err(|_| IndicatorError::Syntax)?;
            Ok(Bars { count, length })
        };
        let width = |text: &str| text.parse::<Decimal>().map_err(|_| IndicatorError::Syntax);
        let indicator = match (word.trim().to_ascii_lowercase().as_str(), &numbers[..]) {
            ("sma", [count, length]) => Self::Sma(bars(count, length)?),
            ("ema", [count, length]) => Self::Ema(bars(count, length)?),
            ("rsi", [count, length]) => Self::Rsi(bars(count, length)?),
            ("bb_upper", [count, k, length]) => Self::BbUpper(bars(count, length)?, width(k)?.normalize()),
            ("bb_lower", [count, k, length]) => Self::BbLower(bars(count, length)?, width(k)?.normalize()),
            _ => return Err(IndicatorError::Syntax),
        };
        indicator.check().map(|()| indicator)
    }
}

impl Serialize for Indicator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Indicator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicators_read_as_they_print() {
        for text in
            ["sma(200, 1d)", "ema(50, 4h)", "rsi(14, 1h)", "bb_upper(20, 2, 15m)", "bb_lower(20, 2.5, 1m)", "volume"]
        {
            let indicator: Indicator = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(indicator.to_string(), text);
            let json = serde_json::to_string(&indicator).unwrap();
            assert_eq!(serde_json::from_str::<Indicator>(&json).unwrap(), indicator);
        }
        assert_eq!(" SMA( 20 ,24h )".parse::<Indicator>().map(|i| i.to_string()).as_deref(), Ok("sma(20, 1d)"));
        assert_eq!(
            "BB_lower(20,2.50,60m)".parse::<Indicator>().map(|i| i.to_string()).as_deref(),
            Ok("bb_lower(20, 2.5, 1h)")
        );
    }

    #[test]
    fn numbers_outside_the_limits_are_named() {
        for (text, error) in [
            ("sma", IndicatorError::Syntax),
            ("sma(20)", IndicatorError::Syntax),
            ("sma(20, 2, 1d)", IndicatorError::Syntax),
            ("bb_upper(20, 1d)", IndicatorError::Syntax),
            ("macd(12, 1d)", IndicatorError::Syntax),
            ("sma(0, 1d)", IndicatorError::Count(1)),
            ("sma(501, 1d)", IndicatorError::Count(1)),
            ("rsi(1, 1d)", IndicatorError::Count(2)),
            ("bb_lower(1, 2, 1d)", IndicatorError::Count(2)),
            ("bb_lower(20, 0, 1d)", IndicatorError::Width),
            ("bb_lower(20, 10.1, 1d)", IndicatorError::Width),
            ("sma(20, 7m)", IndicatorError::Length),
            ("sma(20, 30s)", IndicatorError::Length),
            ("sma(20, 90s)", IndicatorError::Length),
            ("sma(20, 2d)", IndicatorError::Length),
            ("sma(20, 5h)", IndicatorError::Length),
        ] {
            assert_eq!(text.parse::<Indicator>(), Err(error), "{text}");
        }
    }
}
