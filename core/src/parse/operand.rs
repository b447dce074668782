//! What a term looks at: a name of the catalogue, or a ratio of two (`docs/alerts.md`, A2).

use super::{
    ParseContext, characters,
    cursor::{Cursor, Piece},
    error::{ErrorCode, ParseError},
};
use crate::{
    catalog::LookupError,
    condition::Operand,
    instrument::{Instrument, Symbol},
    text,
};

/// The most parts that slashes may make: a ratio of two names that hold one slash each.
const MAX_PARTS: usize = 4;

/// The most characters of a name that an error repeats.
const SHOWN_NAME: usize = 32;

/// Reads the operand at the beginning of a term and looks it up.
pub(super) fn operand(cursor: &mut Cursor<'_>, context: &ParseContext<'_>) -> Result<Operand, ParseError> {
    let start = cursor.skip_spaces();
    let mut parts = vec![part(cursor, None)?];
    loop {
        let before = cursor.at();
        if !cursor.eat("/") {
            break;
        }
        if parts.len() == MAX_PARTS {
            let message = "A ratio has two names: write A/B.";
            return Err(ParseError::new(ErrorCode::Syntax, before..cursor.at(), message));
        }
        parts.push(part(cursor, Some(before))?);
    }
    let span = start..cursor.at();
    if let Some('%' | '+') = cursor.peek() {
        let last = &parts[parts.len() - 1];
        let apart = match last.text.rsplit_once('-').filter(|_| cursor.peek() == Some('%')) {
            Some((name, percent)) => format!("{name} -{percent}"),
            None => format!("{} ", last.text),
        };
        let message = "Put a space between the name and the percentage: BTC -5%, BTC +5%.";
        return Err(ParseError::new(ErrorCode::Syntax, last.span.clone(), message).suggest(apart));
    }
    if let Some(c) = cursor.peek()
        && c.is_ascii_graphic()
        && !"<>=+-/\"()".contains(c)
    {
        cursor.rewind(start);
        let name = cursor.run(|c| c != ' ' && c != '\t').map_or(start..start, |word| word.span);
        let message =
            "Put a name with other characters than letters, digits and ^ . _ = - into quotes: \"M&M\" > 3000.";
        return Err(ParseError::new(ErrorCode::Syntax, name, message));
    }
    let names: Vec<&str> = parts.iter().map(|p| p.text).collect();
    if let [only] = &names[..] {
        return context.catalog.resolve(only).map(|i| Operand::Price(i.symbol)).map_err(|e| not_found(&parts[0], e));
    }
    // The longest match wins: an instrument that is itself called A/B.
    match context.catalog.resolve(&names.join("/")) {
        Ok(instrument) => return Ok(Operand::Price(instrument.symbol)),
        Err(error @ LookupError::Ambiguous { .. }) => return Err(not_found(&Piece { text: "", span }, error)),
        Err(LookupError::Unknown { .. }) => {}
    }
    let (over, under) = legs(&parts, &names, context)?;
    // Also where the two were written by their aliases: what prints the same must be the same.
    if let Ok(instrument) = context.catalog.resolve(&format!("{}/{}", over.symbol, under.symbol)) {
        return Ok(Operand::Price(instrument.symbol));
    }
    if over.currency != under.currency {
        let message = format!(
            "{} is quoted in {} and {} in {}: a ratio needs two names of one currency.",
            over.symbol, over.currency, under.symbol, under.currency
        );
        return Err(ParseError::new(ErrorCode::Currency, span, message));
    }
    Ok(Operand::Ratio(over.symbol, under.symbol))
}

/// The symbol as an alert line writes it.
pub(super) fn spelled(symbol: Symbol) -> String {
    Operand::Price(symbol).to_string()
}

/// Numerator and denominator: the one way to cut the names in two that are both known.
fn legs<'a>(
    parts: &[Piece<'_>],
    names: &[&str],
    context: &ParseContext<'a>,
) -> Result<(&'a Instrument, &'a Instrument), ParseError> {
    let catalog = context.catalog;
    let mut found = None;
    for cut in 1..names.len() {
        let (over, under) = (names[..cut].join("/"), names[cut..].join("/"));
        if let (Ok(over), Ok(under)) = (catalog.resolve(&over), catalog.resolve(&under)) {
            if found.is_some() {
                let span = parts[0].span.start..parts[parts.len() - 1].span.end;
                let message = "This ratio can be read in two ways: use names without a slash.";
                return Err(ParseError::new(ErrorCode::Symbol, span, message));
            }
            found = Some((over, under));
        }
    }
    if let Some(legs) = found {
        return Ok(legs);
    }
    for part in parts {
        catalog.resolve(part.text).map_err(|e| not_found(part, e))?;
    }
    let span = parts[0].span.start..parts[parts.len() - 1].span.end;
    Err(ParseError::new(ErrorCode::Symbol, span, "A ratio has two names, A/B: write two names of the catalogue."))
}

/// Reads one NAME or quoted string. `slash` is where the slash before it stands.
fn part<'a>(cursor: &mut Cursor<'a>, slash: Option<usize>) -> Result<Piece<'a>, ParseError> {
    let start = cursor.skip_spaces();
    if cursor.peek() == Some('"') {
        return quoted(cursor);
    }
    let name = cursor.run(|c| c.is_ascii_alphanumeric() || "^._=-@".contains(c));
    if let Some(name) = name.filter(|n| n.text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '^')) {
        return Ok(name);
    }
    cursor.rewind(start);
    let found = cursor.offender();
    let message = match (slash, found.text.chars().next()) {
        (Some(_), _) => "Write the second name of the ratio after the slash, such as ETH/BTC.",
        (None, Some('(')) => "Parentheses are not used: join terms with and, or with or.",
        (None, Some('<' | '>' | '=' | '+' | '-' | '±')) => {
            "Write the instrument before the condition, in every term: BTC > 60k and BTC < 70k."
        }
        (None, _) => "Write the name of an instrument here, such as BTC > 60k.",
    };
    Err(ParseError::new(ErrorCode::Syntax, found.span, message))
}

fn quoted<'a>(cursor: &mut Cursor<'a>) -> Result<Piece<'a>, ParseError> {
    let start = cursor.at();
    let rest = cursor.rest();
    let Some(length) = rest[1..].find('"') else {
        let message = "Close the quotes after the name.";
        return Err(ParseError::new(ErrorCode::Syntax, start..start + rest.len(), message));
    };
    let name = &rest[1..=length];
    cursor.rewind(start + length + 2);
    characters::check_name(name, start + 1)?;
    if name.trim().is_empty() {
        let message = "Write the name of an instrument between the quotes.";
        return Err(ParseError::new(ErrorCode::Syntax, start..cursor.at(), message));
    }
    Ok(Piece { text: name.trim(), span: start..cursor.at() })
}

/// The error for a name that leads to no instrument, or to several.
fn not_found(name: &Piece<'_>, error: LookupError) -> ParseError {
    let span = name.span.clone();
    match error {
        LookupError::Ambiguous { candidates } => {
            let names: Vec<String> = candidates.iter().map(|s| spelled(*s)).collect();
            let message = format!("Several instruments are called that: write one of {}.", names.join(", "));
            ParseError::new(ErrorCode::Symbol, span, message)
        }
        LookupError::Unknown { suggestion } => unknown(name.text, span, suggestion),
    }
}

/// The error for a name that nothing has.
pub(super) fn unknown(name: &str, span: std::ops::Range<usize>, suggestion: Option<Symbol>) -> ParseError {
    let clean = text::sanitize(name);
    let shown = text::cut(&clean, SHOWN_NAME);
    if let Some(symbol) = suggestion {
        let message = format!("No instrument is called {shown}: did you mean {}?", spelled(symbol));
        ParseError::new(ErrorCode::Symbol, span, message).suggest(spelled(symbol))
    } else {
        let message = format!("No instrument is called {shown}: `bellwether instruments` lists them.");
        ParseError::new(ErrorCode::Symbol, span, message)
    }
}
