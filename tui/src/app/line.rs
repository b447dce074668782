//! One line of text being written, with a cursor that moves by what people call a character.

use unicode_segmentation::UnicodeSegmentation;

/// A line and the place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    cursor: usize,
}

/// The line as it is and nothing left to say, or what was left out of a paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Everything.
    All,
    /// Only a part: the line is full.
    Cut,
}

impl Line {
    /// A line with the cursor behind it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), text }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The byte before which the next character goes.
    pub(crate) const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Puts text at the cursor; line ends and tabs become blanks, other control characters are dropped. At most `limit` bytes in all.
    pub(crate) fn insert(&mut self, text: &str, limit: usize) -> Taken {
        let mut room = limit.saturating_sub(self.text.len());
        for c in text.chars() {
            let c = match c {
                '\r' | '\n' | '\t' => ' ',
                c if c.is_control() => continue,
                c => c,
            };
            let Some(left) = room.checked_sub(c.len_utf8()) else { return Taken::Cut };
            room = left;
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
        Taken::All
    }

    /// Replaces the bytes of `range` and goes behind what was put there.
    pub(crate) fn replace(&mut self, range: std::ops::Range<usize>, with: &str) {
        let start = self.text.floor_char_boundary(range.start.min(self.text.len()));
        let end = self.text.floor_char_boundary(range.end.clamp(start, self.text.len()));
        self.text.replace_range(start..end, with);
        self.cursor = start + with.len();
    }

    /// Deletes the first `bytes` bytes; the cursor stays before the character it was before.
    pub(crate) fn drop_front(&mut self, bytes: usize) {
        let end = self.text.floor_char_boundary(bytes.min(self.text.len()));
        self.text.replace_range(..end, "");
        self.cursor = self.cursor.saturating_sub(end);
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.before();
    }

    pub(crate) fn right(&mut self) {
        self.cursor += self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
    }

    pub(crate) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(crate) fn backspace(&mut self) {
        let start = self.before();
        self.replace(start..self.cursor, "");
    }

    pub(crate) fn delete(&mut self) {
        let at = self.cursor;
        let end = at + self.text[at..].graphemes(true).next().map_or(0, str::len);
        self.replace(at..end, "");
    }

    /// Deletes the word before the cursor with the blanks behind it.
    pub(crate) fn delete_word(&mut self) {
        let before = self.text[..self.cursor].trim_end();
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        self.replace(start..self.cursor, "");
    }

    /// Deletes what stands before the cursor.
    pub(crate) fn delete_to_start(&mut self) {
        self.replace(0..self.cursor, "");
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_over_whole_characters() {
        let mut line = Line::new("a👨‍👩‍👧é");
        line.left();
        line.left();
        line.insert("b", 100);
        assert_eq!(line.text(), "ab👨‍👩‍👧é");
        line.delete();
        assert_eq!(line.text(), "abé");
        line.right();
        line.right();
        line.backspace();
        line.backspace();
        assert_eq!(line.text(), "a");
        line.delete_word();
        line.backspace();
        line.delete();
        assert_eq!((line.text(), line.cursor()), ("", 0));
    }

    #[test]
    fn words_go_with_the_blanks_behind_them() {
        let mut line = Line::new("BTC crosses  up ");
        line.delete_word();
        assert_eq!(line.text(), "BTC crosses  ");
        line.delete_word();
        assert_eq!(line.text(), "BTC ");
        line.delete_to_start();
        assert_eq!(line.text(), "");
    }

    #[test]
    fn a_pasted_megabyte_is_cut_and_carries_no_orders() {
        let mut line = Line::default();
        assert_eq!(line.insert("a\u{1b}[2Jb\nc", 100), Taken::All);
        assert_eq!(line.text(), "a[2Jb c");
        assert_eq!(line.insert(&"é".repeat(1 << 19), 100), Taken::Cut);
        assert!(line.text().len() <= 100 && line.text().len() >= 99);
    }

    #[test]
    fn replacing_stays_inside_the_line() {
        let mut line = Line::new("bt");
        line.replace(0..99, "BTC");
        assert_eq!((line.text(), line.cursor()), ("BTC", 3));
    }
}
