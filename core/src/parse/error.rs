//! What is wrong with an alert line, where, and what to write instead.

use std::{fmt, ops::Range};

use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

use crate::text;

/// The most characters of a line that [`ParseError::render`] shows.
const SHOWN: usize = 76;

/// The kinds of error (`docs/alerts.md`, A8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// Not of the grammar, including an empty line.
    #[serde(rename = "E_SYNTAX")]
    Syntax,
    /// A value outside its limits, a date in the past.
    #[serde(rename = "E_VALUE")]
    Value,
    /// An option that is repeated, conflicting, unknown, or not allowed with this condition.
    #[serde(rename = "E_OPTION")]
    Option,
    /// Terms that do not go together.
    #[serde(rename = "E_COMBINE")]
    Combine,
    /// A name that is unknown or ambiguous.
    #[serde(rename = "E_SYMBOL")]
    Symbol,
    /// Not the instrument's quote currency.
    #[serde(rename = "E_CURRENCY")]
    Currency,
}

impl ErrorCode {
    /// The code as the outside knows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "E_SYNTAX",
            Self::Value => "E_VALUE",
            Self::Option => "E_OPTION",
            Self::Combine => "E_COMBINE",
            Self::Symbol => "E_SYMBOL",
            Self::Currency => "E_CURRENCY",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an alert line was refused: one code, one place, one sentence. `Display` gives the sentence alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What kind of error.
    pub code: ErrorCode,
    /// The offending bytes of the line, on character boundaries; empty where something is missing.
    pub span: Range<usize>,
    /// What to write instead, in one sentence without hidden or foreign characters.
    pub message: String,
    /// What would be right in place of the span, where that can be told.
    pub suggestion: Option<String>,
}

impl ParseError {
    /// The sentence may quote the line, also a quotation that begins inside a word and holds anything: it is cleaned here.
    pub(super) fn new(code: ErrorCode, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, span, message: text::sanitize(&message.into()), suggestion: None }
    }

    pub(super) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(text::sanitize(&suggestion.into()));
        self
    }

    /// The line, carets under the offending place, and the sentence: three lines for a terminal, without a final line end.
    ///
    /// Characters that a terminal must not get are replaced; of a long line the surroundings of the place are shown.
    pub fn render(&self, line: &str) -> String {
        let shown: Vec<(usize, char)> = line
            .char_indices()
            .zip(text::sanitize(line).chars())
            .map(|((at, _), c)| {
                // A letter that only looks Latin would look right here too.
                let foreign = self.code == ErrorCode::Symbol && self.span.contains(&at) && !c.is_ascii();
                (at, if foreign { text::REPLACEMENT } else { c })
            })
            .collect();
        let start = shown.iter().take_while(|(at, _)| *at < self.span.start).count();
        let length = shown[start..].iter().take_while(|(at, _)| *at < self.span.end).count();
        let from = if shown.len() <= SHOWN { 0 } else { start.saturating_sub(SHOWN / 2) };
        let to = shown.len().min(from + SHOWN);
        let piece = |range: Range<usize>| shown[range].iter().map(|&(_, c)| c).collect::<String>();
        let (head, tail) = (if from > 0 { "…" } else { "" }, if to < shown.len() { "…" } else { "" });
        let indent = head.width() + piece(from..start).width();
        let carets = piece(start..to.min(start + length)).width().max(1);
        format!("{head}{}{tail}\n{}{}\n{}", piece(from..to), " ".repeat(indent), "^".repeat(carets), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(line: &str, code: ErrorCode, span: Range<usize>) -> String {
        ParseError::new(code, span, "Write it so.").render(line)
    }

    #[test]
    fn carets_stand_under_the_place() {
        assert_eq!(render("BTC accross 60k", ErrorCode::Syntax, 4..11), "BTC accross 60k\n    ^^^^^^^\nWrite it so.");
        assert_eq!(render("BTC >", ErrorCode::Syntax, 5..5), "BTC >\n     ^\nWrite it so.");
        assert_eq!(render("", ErrorCode::Syntax, 0..0), "\n^\nWrite it so.");
        // Wide characters take two columns, hidden ones are shown as one.
        assert_eq!(render("\"東京\" foo", ErrorCode::Syntax, 9..12), "\"東京\" foo\n       ^^^\nWrite it so.");
        assert_eq!(render("B\u{1b}TC > 5", ErrorCode::Symbol, 1..2), "B\u{FFFD}TC > 5\n ^\nWrite it so.");
        assert_eq!(render("\u{412}TC", ErrorCode::Symbol, 0..2), "\u{FFFD}TC\n^\nWrite it so.");
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let out = render(&line, ErrorCode::Syntax, 500..501);
        let mut lines = out.lines();
        let (text, carets) = (lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(text.chars().count(), SHOWN + 2);
        assert_eq!(text.chars().nth(carets.len() - 1), Some('X'));
        // Nothing is taken on trust: a span outside the line is only shown at its end.
        assert_eq!(render("ab", ErrorCode::Syntax, 7..9).lines().nth(1), Some("  ^"));
    }
}
