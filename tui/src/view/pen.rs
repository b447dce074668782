//! Writing into the buffer: measured by what people see, cut with `…`, never outside the area, never a raw control character.

use bellwether_core::text;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use crate::app::{Hit, Plot, Target};

/// A piece of a line with its style.
pub(super) type Piece<'a> = (std::borrow::Cow<'a, str>, Style);

/// A piece of a line.
pub(super) fn piece<'a>(text: impl Into<std::borrow::Cow<'a, str>>, style: Style) -> Piece<'a> {
    (text.into(), style)
}

/// What everything is drawn with.
pub(super) struct Pen<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) theme: Theme,
    pub(super) hits: Vec<Hit>,
    /// Rows that the main list shows.
    pub(super) page: usize,
    /// Where the terminal's cursor goes.
    pub(super) cursor: Option<(u16, u16)>,
    /// Where the chart's prices and bars are.
    pub(super) plot: Option<Plot>,
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(UnicodeWidthStr::width(text)).unwrap_or(u16::MAX)
}

/// The text made fit to be shown and cut to `room` columns, with its width.
pub(super) fn fit(text: &str, room: u16) -> (String, u16) {
    let clean = if text.bytes().all(|b| (b' '..=b'~').contains(&b)) { text.to_owned() } else { text::sanitize(text) };
    let whole = width(&clean);
    if whole <= room {
        return (clean, whole);
    }
    if room == 0 {
        return (String::new(), 0);
    }
    let (mut out, mut used) = (String::new(), 0);
    for grapheme in clean.graphemes(true) {
        let next = used + width(grapheme);
        if next > room - 1 {
            break;
        }
        out.push_str(grapheme);
        used = next;
    }
    out.push('…');
    (out, used + 1)
}

impl Pen<'_> {
    /// Writes text at a column of a line, cut at the line's end. Gives the column behind it.
    pub(super) fn put(&mut self, line: Rect, x: u16, text: &str, style: Style) -> u16 {
        let line = line.intersection(self.buffer.area);
        if line.height == 0 || x < line.x || x >= line.right() {
            return x;
        }
        let (text, used) = fit(text, line.right() - x);
        if used > 0 {
            self.cut(x, line.y);
        }
        self.buffer.set_stringn(x, line.y, &text, usize::from(used), style);
        x + used
    }

    /// Writes pieces one behind the other.
    pub(super) fn pieces(&mut self, line: Rect, mut x: u16, pieces: &[Piece<'_>]) -> u16 {
        for (text, style) in pieces {
            x = self.put(line, x, text, *style);
        }
        x
    }

    /// Writes text so that it ends with the line. Gives the column where it begins.
    pub(super) fn put_right(&mut self, line: Rect, text: &str, style: Style) -> u16 {
        let (text, used) = fit(text, line.width);
        let x = line.right().saturating_sub(used);
        self.put(line, x, &text, style);
        x
    }

    /// Writes pieces so that they end with the line, if they fit. Gives the column where they begin.
    pub(super) fn pieces_right(&mut self, line: Rect, pieces: &[Piece<'_>]) -> u16 {
        let all = pieces.iter().map(|(text, _)| width(text)).fold(0, u16::saturating_add);
        if all > line.width {
            return line.right();
        }
        let x = line.right() - all;
        self.pieces(line, x, pieces);
        x
    }

    /// Writes text as a paragraph between two columns, words kept whole where they fit. Gives the lines used.
    pub(super) fn paragraph(&mut self, area: Rect, text: &str, style: Style) -> u16 {
        let lines = wrap(text, area.width);
        for (y, line) in (area.y..area.bottom()).zip(&lines) {
            self.put(Rect { y, height: 1, ..area }, area.x, line, style);
        }
        u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height)
    }

    /// Gives an area a style and wipes what is there.
    pub(super) fn clear(&mut self, area: Rect, style: Style) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            self.cut(area.left(), y);
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                    cell.set_style(self.theme.base).set_style(style);
                }
            }
        }
    }

    /// Gives an area a style and leaves its text.
    pub(super) fn tint(&mut self, area: Rect, style: Style) {
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Blanks a wide character that begins before this column and would reach into it: half of one cannot be shown, and what a
    /// terminal makes of it depends on what stood there before.
    fn cut(&mut self, x: u16, y: u16) {
        let Some(before) = x.checked_sub(1).and_then(|before| self.buffer.cell_mut((before, y))) else { return };
        if before.symbol().len() > 1 && width(before.symbol()) > 1 {
            before.set_symbol(" ");
        }
    }

    /// Sets one cell, whatever was there.
    pub(super) fn dot(&mut self, x: u16, y: u16, symbol: &str, style: Style) {
        self.cut(x, y);
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.modifier = Modifier::empty();
            cell.set_symbol(symbol).set_style(style);
        }
    }

    /// Draws a box with a title left and one right. Gives the inside.
    pub(super) fn frame(&mut self, area: Rect, title: &[Piece<'_>], right: &str, focused: bool) -> Rect {
        let area = area.intersection(self.buffer.area);
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let style = if focused { self.theme.border_focus } else { self.theme.border };
        let (left, end, top, bottom) = (area.x, area.right() - 1, area.y, area.bottom() - 1);
        for x in left + 1..end {
            self.dot(x, top, "─", style);
            self.dot(x, bottom, "─", style);
        }
        for y in top + 1..bottom {
            self.dot(left, y, "│", style);
            self.dot(end, y, "│", style);
        }
        for (x, y, corner) in [(left, top, "╭"), (end, top, "╮"), (left, bottom, "╰"), (end, bottom, "╯")] {
            self.dot(x, y, corner, style);
        }
        let line = Rect { x: left + 1, y: top, width: area.width - 2, height: 1 };
        let mut x = line.x;
        if !title.is_empty() && line.width > 4 {
            x = self.put(line, x, " ", style);
            x = self.pieces(Rect { width: line.width - 1, ..line }, x, title);
            x = self.put(line, x, " ", style);
        }
        let needed = width(right) + 2;
        if !right.is_empty() && line.right().saturating_sub(x) > needed {
            let at = line.right() - needed;
            self.put(line, at, &format!(" {right} "), self.theme.dim);
        }
        Rect { x: left + 1, y: top + 1, width: area.width - 2, height: area.height - 2 }
    }

    /// Says what a click there means.
    pub(super) fn hit(&mut self, area: Rect, target: Target) {
        self.hits.push(Hit { columns: area.left()..area.right(), rows: area.top()..area.bottom(), target });
    }
}

/// One line of an area.
pub(super) fn row(area: Rect, index: u16) -> Rect {
    let height = u16::from(index < area.height);
    Rect { y: area.y.saturating_add(index), height, ..area }
}

/// The text in lines of at most `room` columns.
pub(super) fn wrap(text: &str, room: u16) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    if room == 0 {
        return lines;
    }
    for word in text.split_whitespace() {
        let (word, long) = fit(word, room);
        if !line.is_empty() && width(&line) + 1 + long > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The first row of a list to be shown, so that the selected one is in the middle as far as the ends allow. It follows from
/// what is shown alone, so that a window that shrank and grew shows what it showed before.
pub(super) fn first_row(selected: usize, height: usize, len: usize) -> usize {
    selected.saturating_sub(height / 2).min(len.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns_and_carries_no_orders() {
        assert_eq!(fit("Bitcoin", 7), ("Bitcoin".to_owned(), 7));
        assert_eq!(fit("Bitcoin", 4), ("Bit…".to_owned(), 4));
        assert_eq!(fit("東京東京", 5), ("東京…".to_owned(), 5));
        assert_eq!(fit("東京東京", 4), ("東…".to_owned(), 3));
        assert_eq!(fit("x", 0), (String::new(), 0));
        assert_eq!(fit("a\u{1b}[2J\u{202e}b", 20).0, "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn no_half_of_a_wide_character_stays_beside_what_covers_it() {
        let area = Rect::new(0, 0, 6, 1);
        let mut buffer = Buffer::empty(area);
        let theme = Theme::new(crate::app::Look::default());
        let mut pen = Pen { buffer: &mut buffer, theme, hits: Vec::new(), page: 0, cursor: None, plot: None };
        pen.put(area, 0, "東京東", Style::new());
        pen.dot(1, 0, "│", Style::new());
        pen.clear(Rect { x: 5, width: 1, ..area }, Style::new());
        let line: String = (0..6).map(|x| buffer[(x, 0)].symbol()).collect();
        assert_eq!(line, " │京   ");
    }

    #[test]
    fn paragraphs_keep_words_whole() {
        assert_eq!(wrap("when BTC rises above 60,000", 10), ["when BTC", "rises", "above", "60,000"]);
        assert_eq!(wrap("unbelievably", 5), ["unbe…"]);
        assert!(wrap("x", 0).is_empty());
    }

    #[test]
    fn the_selected_row_is_always_in_sight() {
        for len in 0..30 {
            for height in 1..12 {
                for selected in 0..len {
                    let first = first_row(selected, height, len);
                    assert!(first <= selected && selected < first + height, "{selected} of {len} in {height}");
                }
            }
        }
    }
}
