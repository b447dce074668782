//! The first look at a line: characters that the language does not have, each named by its code point.
//!
//! Only quoted text may hold more than ASCII and `± € £`. What looks like a Latin letter, is invisible, or turns the
//! direction of writing is named by number and never printed: seeing it is exactly what does not help.

use super::error::{ErrorCode, ParseError};
use crate::text;

/// Letters that look Latin: Cyrillic and Greek, each with the Latin letter it looks like.
const CONFUSABLE: &[(&str, &str)] = &[
    ("АВЕЅІЈКМНОРСТУХҮѴԌԚԜ", "ABESIJKMHOPCTYXYVGQW"),
    ("асеіјорѕухһԁԛԝѵкмтвн", "aceijopsyxhdqwvkmtbh"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"),
    ("αικνορτυχ", "aiknoptux"),
];

/// Marks that are not the language's own but mean one of its own.
const MARKS: &[(char, &str)] = &[
    ('≥', ">="),
    ('⩾', ">="),
    ('≧', ">="),
    ('≤', "<="),
    ('⩽', "<="),
    ('≦', "<="),
    ('⇒', ">="),
    ('−', "-"),
    ('‐', "-"),
    ('‑', "-"),
    ('–', "-"),
    ('—', "-"),
    ('∓', "±"),
    ('…', ".."),
    ('‥', ".."),
    ('“', "\""),
    ('”', "\""),
    ('„', "\""),
    ('«', "\""),
    ('»', "\""),
    ('‘', "\""),
    ('’', "\""),
    ('\u{A0}', " "),
    ('\u{3000}', " "),
    ('\u{202F}', " "),
    ('、', ","),
    ('。', "."),
];

/// Finds the first character outside quotes that no alert line can have.
pub(super) fn check(line: &str) -> Result<(), ParseError> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if quoted {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
        } else if c == '"' {
            quoted = true;
        } else if !(c.is_ascii_graphic() || matches!(c, ' ' | '\t' | '±' | '€' | '£')) {
            return Err(foreign(at, c));
        }
    }
    Ok(())
}

/// The error for a character that a name cannot have, if there is one in `name`, which begins at byte `offset`.
pub(super) fn check_name(name: &str, offset: usize) -> Result<(), ParseError> {
    match name.char_indices().find(|(_, c)| !c.is_ascii_graphic() && *c != ' ') {
        Some((at, c)) => {
            let error = foreign(offset + at, c);
            Err(ParseError { code: ErrorCode::Symbol, ..error })
        }
        None => Ok(()),
    }
}

/// The Latin letter that `c` looks like.
fn latin(c: char) -> Option<char> {
    if let 'Ａ'..='Ｚ' | 'ａ'..='ｚ' = c {
        return ascii_of_fullwidth(c);
    }
    CONFUSABLE.iter().find_map(|(like, latin)| like.chars().zip(latin.chars()).find(|(l, _)| *l == c).map(|(_, l)| l))
}

/// The ASCII character of which `c` is the wide form.
fn ascii_of_fullwidth(c: char) -> Option<char> {
    matches!(c, '！'..='～').then(|| char::from_u32(u32::from(c) - 0xFEE0)).flatten()
}

/// The decimal digit that `c` is in another script, for the scripts that people type them in.
fn digit(c: char) -> Option<char> {
    let zeros = ['٠', '۰', '०', '০', '๐', '０'];
    zeros.iter().find_map(|&zero| u32::from(c).checked_sub(u32::from(zero)).and_then(|d| char::from_digit(d, 10)))
}

fn foreign(at: usize, c: char) -> ParseError {
    let span = at..at + c.len_utf8();
    let point = format!("U+{:04X}", u32::from(c));
    if text::is_hidden(c) {
        let message = format!("{point} is an invisible character: remove it.");
        return ParseError::new(ErrorCode::Symbol, span, message).suggest("");
    }
    if let Some(letter) = latin(c) {
        let message = format!("{point} is not a Latin {letter}: type {letter} on a Latin keyboard.");
        return ParseError::new(ErrorCode::Symbol, span, message).suggest(letter);
    }
    if let Some(digit) = digit(c) {
        let message = format!("{point} is not a plain digit: write {digit}.");
        return ParseError::new(ErrorCode::Syntax, span, message).suggest(digit);
    }
    let mark = MARKS.iter().find(|(m, _)| *m == c).map(|(_, plain)| (*plain).to_owned());
    if let Some(plain) = mark.or_else(|| ascii_of_fullwidth(c).map(String::from)) {
        let message = match plain.as_str() {
            " " => format!("{point} is not a plain space: type a space."),
            plain => format!("{point} is not used here: write {plain} instead."),
        };
        return ParseError::new(ErrorCode::Syntax, span, message).suggest(plain);
    }
    if c.is_alphabetic() {
        let message = format!("{point} cannot be part of a name or word: they are written in the letters A to Z.");
        return ParseError::new(ErrorCode::Symbol, span, message);
    }
    let message = format!("{point} has no meaning here: remove it, or put it into the quotes of a note.");
    ParseError::new(ErrorCode::Syntax, span, message).suggest("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alike_tables_pair_up() {
        for (like, latin) in CONFUSABLE {
            assert_eq!(like.chars().count(), latin.chars().count());
            assert!(latin.is_ascii() && like.chars().all(|c| !c.is_ascii()));
        }
    }

    #[test]
    fn foreign_characters_are_named_by_number_and_never_printed() {
        for (line, code, said, suggestion) in [
            ("\u{412}TC > 60k", ErrorCode::Symbol, "U+0412 is not a Latin B", Some("B")),
            ("BTC > 60\u{43A}", ErrorCode::Symbol, "U+043A is not a Latin k", Some("k")),
            ("\u{391}APL > 5", ErrorCode::Symbol, "U+0391 is not a Latin A", Some("A")),
            ("ＢTC > 5", ErrorCode::Symbol, "U+FF22 is not a Latin B", Some("B")),
            ("BTC \u{202E}> 60k", ErrorCode::Symbol, "U+202E is an invisible", Some("")),
            ("B\u{1b}TC > 60k", ErrorCode::Symbol, "U+001B is an invisible", Some("")),
            ("BTC\0 > 60k", ErrorCode::Symbol, "U+0000 is an invisible", Some("")),
            ("B\u{200B}TC > 60k", ErrorCode::Symbol, "U+200B is an invisible", Some("")),
            ("BTC > 60k\nETH > 4k", ErrorCode::Symbol, "U+000A is an invisible", Some("")),
            ("BTC ≥ 60k", ErrorCode::Syntax, "U+2265 is not used here: write >= instead", Some(">=")),
            ("BTC ≤ 60k", ErrorCode::Syntax, "write <= instead", Some("<=")),
            ("BTC > ６0k", ErrorCode::Syntax, "U+FF16 is not a plain digit: write 6", Some("6")),
            ("BTC > ٣", ErrorCode::Syntax, "U+0663 is not a plain digit: write 3", Some("3")),
            ("BTC −5%", ErrorCode::Syntax, "U+2212 is not used here: write - instead", Some("-")),
            ("BTC\u{A0}> 5", ErrorCode::Syntax, "U+00A0 is not a plain space", Some(" ")),
            ("BTC ＞ 5", ErrorCode::Syntax, "U+FF1E is not used here: write > instead", Some(">")),
            ("東京 > 5", ErrorCode::Symbol, "U+6771 cannot be part of a name", None),
            ("BTC > ₿5", ErrorCode::Syntax, "U+20BF has no meaning here", Some("")),
            ("BTC > 5 note \"\u{202E}\" \u{202E}", ErrorCode::Symbol, "U+202E", Some("")),
        ] {
            let error = check(line).unwrap_err();
            assert_eq!((error.code, error.suggestion.as_deref()), (code, suggestion), "{line:?}");
            assert!(error.message.contains(said), "{line:?}: {}", error.message);
            assert!(error.message.is_ascii(), "{}", error.message);
            assert_eq!(line[error.span.clone()].chars().count(), 1, "{line:?}");
        }
    }

    #[test]
    fn quotes_may_hold_anything() {
        for line in ["BTC > 5 note \"Ж \\\" ₿\"", "BTC ±3% note \"\u{202E}", "BTC > €5", "VOD.L > £5"] {
            assert_eq!(check(line), Ok(()), "{line:?}");
        }
    }
}
