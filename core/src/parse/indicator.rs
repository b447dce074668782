//! Indicators: `sma(200, 1d)`, `bb_lower(20, 2, 1h)`, `volume` (`docs/alerts.md`, A10).

use std::ops::Range;

use rust_decimal::Decimal;

use super::{
    complete::Offer,
    error::{ErrorCode, ParseError},
    grammar::{Reader, syntax},
    words,
};
use crate::{
    indicator::{Bars, Indicator, IndicatorError, MAX_BARS},
    suggest, text,
    time::Span,
};

/// How each indicator is written, in the order of [`crate::indicator::WORDS`].
const EXAMPLES: [&str; 6] =
    ["sma(200, 1d)", "ema(50, 4h)", "rsi(14, 1h)", "bb_upper(20, 2, 1h)", "bb_lower(20, 2, 1h)", "volume"];

/// What else people call them.
const HABITS: &[(&str, &str)] = &[
    ("ma", "sma"),
    ("avg", "sma"),
    ("mean", "sma"),
    ("bbu", "bb_upper"),
    ("bbl", "bb_lower"),
    ("bbupper", "bb_upper"),
    ("bblower", "bb_lower"),
    ("upper", "bb_upper"),
    ("lower", "bb_lower"),
    ("vol", "volume"),
];

impl Reader<'_> {
    /// Reads an indicator if one is named here, and tells where it stands.
    pub(super) fn indicator(&mut self) -> Result<Option<(Indicator, Range<usize>)>, ParseError> {
        let start = self.cursor.skip_spaces();
        let Some(word) = self.cursor.word() else { return Ok(None) };
        let known = crate::indicator::WORDS.iter().position(|w| w.eq_ignore_ascii_case(word.text));
        let Some(known) = known else {
            return if self.is_call() { Err(unknown(word.text, word.span)) } else { Ok(None) };
        };
        self.cursor.rewind(word.span.end);
        let example = EXAMPLES[known];
        let word = crate::indicator::WORDS[known];
        if word == "volume" {
            return Ok(Some((Indicator::Volume, start..self.cursor.at())));
        }
        if !self.cursor.eat("(") {
            let message = format!("Say over how many bars of which length: {example}.");
            return Err(syntax(start..self.cursor.at(), message).suggest(example));
        }
        let count = self.bar_count(word, example)?;
        let banded = word.starts_with("bb_");
        self.comma(example)?;
        let width = if banded {
            let width = self.band_width(example)?;
            self.comma(example)?;
            width
        } else {
            Decimal::ONE
        };
        let bars = Bars { count, length: self.bar_length()? };
        if !self.cursor.eat(")") {
            let found = self.cursor.offender();
            let at = found.span.start;
            let span = if found.text.starts_with(',') { at..at + 1 } else { at..at };
            return Err(syntax(span, format!("Close the parenthesis: {example}.")).suggest(")"));
        }
        let indicator = match word {
            "sma" => Indicator::Sma(bars),
            "ema" => Indicator::Ema(bars),
            "rsi" => Indicator::Rsi(bars),
            "bb_upper" => Indicator::BbUpper(bars, width),
            _ => Indicator::BbLower(bars, width),
        };
        Ok(Some((indicator, start..self.cursor.at())))
    }

    /// Whether a word with an opening parenthesis stands here.
    fn is_call(&self) -> bool {
        let mut ahead = self.cursor.clone();
        ahead.word().is_some_and(|word| {
            ahead.rewind(word.span.end);
            ahead.eat("(")
        })
    }

    fn comma(&mut self, example: &str) -> Result<(), ParseError> {
        if self.cursor.eat(",") {
            return Ok(());
        }
        let at = self.cursor.skip_spaces();
        Err(syntax(at..at, format!("Write a comma between the numbers: {example}.")).suggest(","))
    }

    /// N: plain digits.
    fn bar_count(&mut self, word: &str, example: &str) -> Result<u16, ParseError> {
        let start = self.cursor.skip_spaces();
        let Some(written) = self.cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) else {
            return Err(syntax(start..start, format!("Write the number of bars first: {example}.")));
        };
        if !written.text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(syntax(written.span, format!("The number of bars comes first, in plain digits: {example}.")));
        }
        let least = if matches!(word, "sma" | "ema") { 1 } else { 2 };
        match written.text.parse::<u16>() {
            Ok(count) if (least..=MAX_BARS).contains(&count) => Ok(count),
            _ => Err(limit(written.span, IndicatorError::Count(least))),
        }
    }

    /// k: a plain decimal.
    fn band_width(&mut self, example: &str) -> Result<Decimal, ParseError> {
        let start = self.cursor.skip_spaces();
        let written = self.cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let Some(written) = written.filter(|w| w.text.starts_with(|c: char| c.is_ascii_digit())) else {
            let place = start..self.cursor.at();
            return Err(syntax(place, format!("Write the width in standard deviations second: {example}.")));
        };
        let plain = written.text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !written.text.ends_with('.');
        let Some(width) = written.text.parse::<Decimal>().ok().filter(|_| plain) else {
            return Err(syntax(written.span, format!("Write the width in standard deviations second: {example}.")));
        };
        let sample = Indicator::BbUpper(Bars { count: 2, length: crate::indicator::SHORTEST_BAR }, width);
        sample.check().map_err(|fault| limit(written.span, fault))?;
        Ok(width.normalize())
    }

    fn bar_length(&mut self) -> Result<Span, ParseError> {
        self.offer(Offer::Words(words::BARS));
        let (length, span) = super::when::duration(&mut self.cursor)?;
        if crate::indicator::is_bar(length) { Ok(length) } else { Err(limit(span, IndicatorError::Length)) }
    }
}

/// The error for numbers that pass their limits.
pub(super) fn limit(span: Range<usize>, fault: IndicatorError) -> ParseError {
    let sentence = fault.to_string();
    let (first, rest) = sentence.split_at(1);
    ParseError::new(ErrorCode::Value, span, format!("{}{rest}.", first.to_uppercase()))
}

/// The error for a word with numbers behind it that is no indicator.
fn unknown(word: &str, span: Range<usize>) -> ParseError {
    let shown = text::cut(word, 32);
    let habit = HABITS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, meant)| *meant);
    if let Some(meant) = habit.or_else(|| suggest::nearest(word, crate::indicator::WORDS)) {
        return syntax(span, format!("{shown} is no indicator: did you mean {meant}?")).suggest(meant);
    }
    syntax(span, format!("{shown} is no indicator: there are {}.", crate::indicator::WORDS.join(", ")))
}

/// The indicator that a word behind an instrument was probably meant to be, where no condition comes as near.
pub(super) fn nearest(word: &str) -> Option<&'static str> {
    let habit = HABITS.iter().find(|(w, _)| w.len() > 2 && w.eq_ignore_ascii_case(word)).map(|(_, meant)| *meant);
    let meant =
        habit.or_else(|| suggest::nearest(word, crate::indicator::WORDS.into_iter().filter(|w| w.len() > 3)))?;
    crate::indicator::WORDS.iter().position(|w| *w == meant).map(|place| EXAMPLES[place])
}
