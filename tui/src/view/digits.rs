//! Large digits of half blocks, three lines high.

use ratatui::{layout::Rect, style::Style};

use super::pen::Pen;

/// Lines a large text takes.
pub(super) const HEIGHT: u16 = 3;

/// Five rows of a character, its leftmost column the highest bit, and its columns.
const fn shape(c: char) -> ([u8; 5], u16) {
    match c {
        '0' => ([0b111, 0b101, 0b101, 0b101, 0b111], 3),
        '1' => ([0b010, 0b110, 0b010, 0b010, 0b111], 3),
        '2' => ([0b111, 0b001, 0b111, 0b100, 0b111], 3),
        '3' => ([0b111, 0b001, 0b111, 0b001, 0b111], 3),
        '4' => ([0b101, 0b101, 0b111, 0b001, 0b001], 3),
        '5' => ([0b111, 0b100, 0b111, 0b001, 0b111], 3),
        '6' => ([0b111, 0b100, 0b111, 0b101, 0b111], 3),
        '7' => ([0b111, 0b001, 0b010, 0b010, 0b010], 3),
        '8' => ([0b111, 0b101, 0b111, 0b101, 0b111], 3),
        '9' => ([0b111, 0b101, 0b111, 0b001, 0b111], 3),
        '.' => ([0, 0, 0, 0, 1], 1),
        ',' => ([0, 0, 0, 1, 1], 1),
        '-' | '—' => ([0, 0, 0b111, 0, 0], 3),
        _ => ([0; 5], 1),
    }
}

/// The columns a large text takes.
pub(super) fn width(text: &str) -> u16 {
    text.chars().map(|c| shape(c).1 + 1).fold(0, u16::saturating_add)
}

/// Draws a large text at the top left of an area.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, text: &str, style: Style) {
    let mut x = area.x;
    for c in text.chars() {
        let (rows, columns) = shape(c);
        for line in 0..HEIGHT.min(area.height) {
            for column in 0..columns {
                let lit = |r: u16| rows.get(usize::from(r)).is_some_and(|bits| bits >> (columns - 1 - column) & 1 == 1);
                let symbol = match (lit(line * 2), lit(line * 2 + 1)) {
                    (true, true) => "█",
                    (true, false) => "▀",
                    (false, true) => "▄",
                    (false, false) => continue,
                };
                if x + column < area.right() {
                    pen.dot(x + column, area.y + line, symbol, style);
                }
            }
        }
        x = x.saturating_add(columns + 1);
    }
}
