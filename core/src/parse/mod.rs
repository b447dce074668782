//! The alert language: a line of text becomes a [`Rule`], or one error that points at the place and says what to write.
//!
//! `docs/alerts.md`, part A, is the description; [`Rule`]'s `Display` is the other direction. Reading goes from left to
//! right in one pass: `characters` looks for what no line can hold, `grammar` and `options` read, `check` judges
//! what has been read. The structured form of the API has no text; it enters at [`validate`], the same judgement.

mod characters;
mod check;
mod complete;
mod cursor;
mod error;
mod grammar;
mod indicator;
mod number;
mod operand;
mod options;
mod when;
mod words;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use check::tidy;
pub use complete::{Completion, completions};
pub use error::{ErrorCode, ParseError};
pub(crate) use number::percent_level;

use crate::{
    catalog::Catalog,
    condition::{ChannelName, MAX_LINE, Rule},
    time::Timestamp,
};

/// What a line is read against.
#[derive(Clone, Copy, Debug)]
pub struct ParseContext<'a> {
    /// The instruments that names are looked up in.
    pub catalog: &'a Catalog,
    /// The present: `until` must lie after it, and `+7d` counts from it.
    pub now: Timestamp,
    /// The user's time zone, for dates and times without one.
    pub timezone: &'a jiff::tz::TimeZone,
    /// The configured channels.
    pub channels: &'a [ChannelName],
}

/// Reads one alert line.
///
/// # Errors
/// One error, the first from left to right: characters, then words, then what the words mean together.
pub fn parse(line: &str, context: &ParseContext<'_>) -> Result<Rule, ParseError> {
    if line.len() > MAX_LINE {
        let message = format!("An alert line has at most {MAX_LINE} bytes: write a shorter one.");
        return Err(ParseError::new(ErrorCode::Value, line.floor_char_boundary(MAX_LINE)..line.len(), message));
    }
    let line = line.trim_end_matches(['\r', '\n']);
    characters::check(line)?;
    let read = grammar::Reader::new(line, context).alert()?;
    check::check(&read.rule, context, &read.places)?;
    Ok(read.rule)
}

/// Judges a rule that did not come from a line: whether an alert line could have said it, here and now.
///
/// # Errors
/// As [`parse`]; the span is all of the canonical line.
pub fn validate(rule: &Rule, context: &ParseContext<'_>) -> Result<(), ParseError> {
    check::check(rule, context, &check::Places::whole(rule.to_string().len()))
}
