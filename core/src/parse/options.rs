//! What may follow the terms, in any order, each once (`docs/alerts.md`, A5).

use std::ops::Range;

use super::{
    check::Places,
    complete::Offer,
    cursor::Piece,
    error::{ErrorCode, ParseError},
    grammar::{Reader, syntax},
    number, when, words,
};
use crate::{
    condition::{ChannelName, Condition, Hysteresis, Repeat, Rule, SessionScope},
    suggest, text,
    time::Span,
};

/// The most characters of a word that an error repeats.
const SHOWN_WORD: usize = 32;

/// What has been read about repeating; the pieces make sense only together.
#[derive(Default)]
struct Repeating {
    /// `once`, `each` or `every D`.
    kind: Option<(Repeat, Range<usize>)>,
    /// `cooldown D`.
    cooldown: Option<(Span, Range<usize>)>,
}

impl Reader<'_> {
    /// Reads options up to the end of the line.
    pub(super) fn options(&mut self, rule: &mut Rule, places: &mut Places) -> Result<(), ParseError> {
        let mut seen: Vec<&'static str> = Vec::new();
        let mut repeating = Repeating::default();
        loop {
            self.offer(Offer::Options(seen.clone()));
            if self.cursor.at_end() {
                break;
            }
            let start = self.cursor.at();
            let Some(which) = self.cursor.eat_word(words::OPTIONS) else {
                return Err(self.no_option(rule, &seen));
            };
            let word = words::OPTIONS[which];
            let place = start..self.cursor.at();
            refuse_repetition(word, &seen, place.clone())?;
            seen.push(word);
            self.option(word, &place, rule, places, &mut repeating)?;
        }
        rule.repeat = repeating.combined()?;
        Ok(())
    }

    fn option(
        &mut self,
        word: &str,
        place: &Range<usize>,
        rule: &mut Rule,
        places: &mut Places,
        repeating: &mut Repeating,
    ) -> Result<(), ParseError> {
        let start = place.start;
        match word {
            "once" => repeating.kind = Some((Repeat::Once, place.clone())),
            "each" => {
                repeating.kind = Some((Repeat::Each { cooldown: Span::ZERO }, place.clone()));
                self.offer(Offer::Words(&["cooldown"]));
            }
            "every" => {
                let span = when::duration(&mut self.cursor)?.0;
                repeating.kind = Some((Repeat::Every(span), place.clone()));
                places.repeat = Some(start..self.cursor.at());
            }
            "cooldown" => {
                let span = when::duration(&mut self.cursor)?.0;
                repeating.cooldown = Some((span, start..self.cursor.at()));
                places.repeat = Some(start..self.cursor.at());
            }
            "for" => {
                rule.hold = Some(when::duration(&mut self.cursor)?.0);
                places.hold = Some(start..self.cursor.at());
            }
            "hysteresis" => {
                rule.hysteresis = Some(self.hysteresis(rule)?);
                places.hysteresis = Some(start..self.cursor.at());
            }
            "session" => rule.session = self.session()?,
            "until" => {
                let (until, span) = when::until(&mut self.cursor, self.context.now, self.context.timezone)?;
                rule.until = Some(until);
                places.until = Some(span);
            }
            "via" => rule.via = self.channels(places)?,
            "urgent" => rule.urgent = true,
            _ => {
                let (note, span) = self.note()?;
                rule.note = Some(note).filter(|n| !n.is_empty());
                places.note = Some(span);
            }
        }
        Ok(())
    }

    fn hysteresis(&mut self, rule: &Rule) -> Result<Hysteresis, ParseError> {
        let start = self.cursor.skip_spaces();
        let mut ahead = self.cursor.clone();
        if let Ok((percent, _)) = number::percent(&mut ahead) {
            self.cursor = ahead;
            return Ok(Hysteresis::Percent(percent));
        }
        if self.cursor.at_end() {
            return Err(syntax(start..start, "Write a percentage or a price after hysteresis, such as 0.5% or 200."));
        }
        // Several operands are refused later; until then the first one's currency serves.
        Ok(Hysteresis::Absolute(self.price(rule.terms[0].operand)?.0))
    }

    fn session(&mut self) -> Result<SessionScope, ParseError> {
        self.offer(Offer::Words(words::SESSIONS));
        match self.cursor.eat_word(words::SESSIONS) {
            Some(0) => Ok(SessionScope::Regular),
            Some(_) => Ok(SessionScope::Extended),
            None => {
                let found = self.cursor.offender();
                let error = syntax(found.span, "Write session regular or session extended.");
                Err(match suggest::nearest(found.text, words::SESSIONS.iter().copied()) {
                    Some(meant) => error.suggest(meant),
                    None => error,
                })
            }
        }
    }

    /// channel { "," channel }
    fn channels(&mut self, places: &mut Places) -> Result<Vec<ChannelName>, ParseError> {
        let mut via = Vec::new();
        loop {
            self.offer(Offer::Channels(via.clone()));
            self.cursor.skip_spaces();
            let name = self.cursor.run(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c));
            let Some(name) = name else {
                let found = self.cursor.offender();
                return Err(syntax(found.span, "Write the name of a channel here, such as desktop or email."));
            };
            let channel = self.channel(&name)?;
            if !via.contains(&channel) {
                via.push(channel);
                places.via.push(name.span);
            }
            if !self.cursor.eat(",") {
                return Ok(via);
            }
        }
    }

    fn channel(&self, name: &Piece<'_>) -> Result<ChannelName, ParseError> {
        let written = ChannelName::new(name.text);
        // `webhook` alone is the one called `default`, however it was configured.
        let other = match written.as_str() {
            "webhook" => ChannelName::new("webhook:default"),
            "webhook:default" => ChannelName::new("webhook"),
            _ => written.clone(),
        };
        let known = self.context.channels;
        [written, other]
            .into_iter()
            .find(|c| known.contains(c))
            .ok_or_else(|| unknown_channel(name.text, name.span.clone(), known))
    }

    /// The text of a note, made fit to be shown, and where it stands.
    fn note(&mut self) -> Result<(String, Range<usize>), ParseError> {
        let start = self.cursor.skip_spaces();
        let rest = self.cursor.rest();
        let Some(inner) = rest.strip_prefix('"') else {
            let span = start..start + rest.len();
            return Err(syntax(span, "Write the note in double quotes: note \"sell half\"."));
        };
        let mut text = String::new();
        let mut letters = inner.char_indices();
        while let Some((at, c)) = letters.next() {
            match c {
                '"' => {
                    self.cursor.rewind(start + 1 + at + 1);
                    return Ok((text::sanitize(&text), start..self.cursor.at()));
                }
                '\\' => match letters.clone().next() {
                    Some((_, escaped @ ('"' | '\\'))) => {
                        letters.next();
                        text.push(escaped);
                    }
                    _ => text.push('\\'),
                },
                c => text.push(c),
            }
        }
        let message = "Close the quotes at the end of the note; write \\\" for a quote inside it.";
        Err(syntax(start..start + rest.len(), message))
    }

    /// Why nothing here is an option.
    fn no_option(&mut self, rule: &Rule, seen: &[&str]) -> ParseError {
        let found = self.cursor.offender();
        let span = found.span.clone();
        let plain = found.text.is_ascii() && !found.text.starts_with('"');
        let shown = if plain { text::cut(found.text, SHOWN_WORD).into_owned() } else { "This".to_owned() };
        if self.context.channels.contains(&ChannelName::new(found.text)) {
            let joint = if seen.last() == Some(&"via") { "a comma" } else { "via" };
            return syntax(span, format!("Write {joint} before the channel {shown}: via desktop,email."));
        }
        if found.text.starts_with('"') {
            return syntax(span.start..span.start, "Write note before a text in quotes: note \"sell half\".")
                .suggest("note ");
        }
        if seen.last() == Some(&"each") && found.text.starts_with(|c: char| c.is_ascii_digit()) {
            return syntax(span, "Write cooldown before the duration: each cooldown 10m.");
        }
        if found.text.starts_with(['(', ')']) {
            return syntax(span, "Parentheses are not used: join terms with and, or with or.");
        }
        if found.text.starts_with(['>', '<', '=']) {
            return syntax(span, "Join conditions with and or or, each with its instrument: BTC > 60k and BTC < 70k.");
        }
        let percent =
            seen.is_empty() && rule.terms.last().is_some_and(|t| matches!(t.condition, Condition::Move { .. }));
        if let Some(meant) = words::nearest_option(found.text, percent) {
            return syntax(span, format!("{shown} is not a word of the language: did you mean {meant}?"))
                .suggest(meant);
        }
        let options = words::OPTIONS.join(", ");
        let joins = if seen.is_empty() { "and, or, or " } else { "" };
        syntax(span, format!("{shown} is not an option: write {joins}one of {options}."))
    }
}

impl Repeating {
    fn combined(self) -> Result<Repeat, ParseError> {
        match (self.kind, self.cooldown) {
            (None, None) => Ok(Repeat::Once),
            (Some((repeat, _)), None) => Ok(repeat),
            (Some((Repeat::Each { .. }, _)), Some((cooldown, _))) => Ok(Repeat::Each { cooldown }),
            (kind, Some((cooldown, place))) => {
                let message = match kind {
                    Some((Repeat::Every(_), _)) => {
                        format!("every has its own distance: leave cooldown out, or write each cooldown {cooldown}.")
                    }
                    Some(_) => {
                        format!("once fires a single time: write each cooldown {cooldown}, or leave cooldown out.")
                    }
                    None => format!("A cooldown belongs to each: write each cooldown {cooldown}."),
                };
                Err(ParseError::new(ErrorCode::Option, place, message))
            }
        }
    }
}

fn refuse_repetition(word: &str, seen: &[&str], place: Range<usize>) -> Result<(), ParseError> {
    if seen.contains(&word) {
        let message = format!("{word} stands twice: leave one out.");
        return Err(ParseError::new(ErrorCode::Option, place, message));
    }
    let repeats = ["once", "each", "every"];
    let earlier = seen.iter().find(|s| repeats.contains(s));
    match earlier {
        Some(earlier) if repeats.contains(&word) => {
            let message = format!("An alert is either once, each or every: leave {earlier} or {word} out.");
            Err(ParseError::new(ErrorCode::Option, place, message))
        }
        _ => Ok(()),
    }
}

/// The error for a channel that is not configured.
pub(super) fn unknown_channel(name: &str, span: Range<usize>, known: &[ChannelName]) -> ParseError {
    let clean = text::sanitize(name);
    let shown = text::cut(&clean, SHOWN_WORD);
    let names: Vec<&str> = known.iter().map(ChannelName::as_str).collect();
    if let Some(meant) = suggest::nearest(name, names.iter().copied()) {
        let message = format!("No channel is called {shown}: did you mean {meant}?");
        return ParseError::new(ErrorCode::Option, span, message).suggest(meant);
    }
    let message = if names.is_empty() {
        format!("No channel is called {shown}, and none is configured: leave via out.")
    } else {
        format!("No channel is called {shown}: write one of {}.", names.join(", "))
    };
    ParseError::new(ErrorCode::Option, span, message)
}
