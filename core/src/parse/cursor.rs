//! A place in the line, and the small steps from it. The grammar needs no tokens of its own: what a character means
//! depends on what is expected (`in` may be an instrument, `180` may be a name).

use std::ops::Range;

/// The line and how far it has been read. Outside quotes the line is ASCII but for `± € £`.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

/// A piece of the line and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) span: Range<usize>,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    /// How many bytes have been read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Goes back to an earlier place.
    pub(super) const fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The next character, spaces included.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Skips spaces and gives the place behind them.
    pub(super) fn skip_spaces(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self.at
    }

    /// Whether only spaces are left.
    pub(super) fn at_end(&mut self) -> bool {
        self.skip_spaces();
        self.rest().is_empty()
    }

    /// Reads `mark` if it comes next, after spaces.
    pub(super) fn eat(&mut self, mark: &str) -> bool {
        let start = self.at;
        self.skip_spaces();
        if self.rest().starts_with(mark) {
            self.at += mark.len();
            true
        } else {
            self.at = start;
            false
        }
    }

    /// Reads the longest non-empty run of characters that all satisfy `wanted`, from right here.
    pub(super) fn run(&mut self, wanted: impl Fn(char) -> bool) -> Option<Piece<'a>> {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        (length > 0).then(|| Piece { text: &rest[..length], span: start..start + length })
    }

    /// The word that comes next after spaces, without reading it: a letter, then letters, digits and `_`.
    pub(super) fn word(&self) -> Option<Piece<'a>> {
        let mut ahead = self.clone();
        ahead.skip_spaces();
        if !ahead.peek()?.is_ascii_alphabetic() {
            return None;
        }
        ahead.run(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// Reads the next word if it is one of these, in either case of letters, and gives its position among them.
    pub(super) fn eat_word(&mut self, words: &[&str]) -> Option<usize> {
        let word = self.word()?;
        let found = words.iter().position(|w| w.eq_ignore_ascii_case(word.text))?;
        self.at = word.span.end;
        Some(found)
    }

    /// What stands here up to the next space, for an error that points at it; a word alone where one begins here.
    pub(super) fn offender(&mut self) -> Piece<'a> {
        let start = self.skip_spaces();
        if let Some(word) = self.word() {
            return word;
        }
        let rest = self.rest();
        let mut end = rest.find([' ', '\t']).unwrap_or(rest.len());
        if let Some(inner) = rest.strip_prefix('"') {
            end = inner.find('"').map_or(rest.len(), |i| i + 2);
        }
        Piece { text: &rest[..end], span: start..start + end }
    }

    /// The part of the line from `start` to here, without the spaces at its end.
    pub(super) fn since(&self, start: usize) -> Range<usize> {
        let text = self.line.get(start..self.at).unwrap_or_default();
        start..start + text.trim_end_matches([' ', '\t']).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_marks_are_read_over_spaces() {
        let mut cursor = Cursor::new("  Crosses\tup60k ±€");
        assert_eq!(cursor.eat_word(&["exits", "crosses"]), Some(1));
        assert_eq!(cursor.eat_word(&["up"]), None);
        assert_eq!(cursor.word().map(|w| (w.text, w.span)), Some(("up60k", 10..15)));
        assert_eq!(cursor.offender().text, "up60k");
        cursor.rewind(15);
        assert!(cursor.eat("±") && cursor.eat("€") && cursor.at_end());
        assert_eq!(cursor.offender(), Piece { text: "", span: 21..21 });
    }
}
