//! Thin lines out of braille dots, two across and four down in a cell. They go between what stands there already.

use ratatui::{layout::Rect, style::Style};

use crate::view::pen::Pen;

/// The first of the 256 braille patterns; its dots are the bits of the offset (Unicode, chapter 21.1).
const BLANK: u32 = 0x2800;
/// The bit of each dot, by column and by line from the top.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// Dots in a cell: across, down.
pub(super) const ACROSS: u16 = 2;
pub(super) const DOWN: u16 = 4;

/// Dots over an area.
pub(super) struct Canvas {
    area: Rect,
    cells: Vec<u32>,
}

impl Canvas {
    pub(super) fn new(area: Rect) -> Self {
        Self { area, cells: vec![0; usize::from(area.width) * usize::from(area.height)] }
    }

    /// One dot; `y` counts from the bottom.
    fn dot(&mut self, x: i32, y: i32) {
        let high = i32::from(self.area.height) * i32::from(DOWN);
        let from_top = high - 1 - y;
        let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(from_top)) else { return };
        let (column, line) = (x / ACROSS, y / DOWN);
        if column < self.area.width && line < self.area.height {
            let cell = usize::from(line) * usize::from(self.area.width) + usize::from(column);
            self.cells[cell] |= DOTS[usize::from(x % ACROSS)][usize::from(y % DOWN)];
        }
    }

    /// A line between two dots (J. Bresenham, 1965).
    fn line(&mut self, from: (i32, i32), to: (i32, i32)) {
        let (wide, high) = ((to.0 - from.0).abs(), -(to.1 - from.1).abs());
        let step = (if from.0 < to.0 { 1 } else { -1 }, if from.1 < to.1 { 1 } else { -1 });
        let (mut at, mut error) = (from, wide + high);
        loop {
            self.dot(at.0, at.1);
            if at == to {
                return;
            }
            let twice = 2 * error;
            if twice >= high {
                error += high;
                at.0 += step.0;
            }
            if twice <= wide {
                error += wide;
                at.1 += step.1;
            }
        }
    }

    /// A line through points; where one is missing, it is broken. A point is a column of the screen and a dot from the bottom.
    pub(super) fn through(&mut self, points: impl Iterator<Item = Option<(u16, u16)>>) {
        let mut before = None;
        for point in points {
            let Some((column, y)) = point else {
                before = None;
                continue;
            };
            let to = (i32::from(column.saturating_sub(self.area.x)) * i32::from(ACROSS), i32::from(y));
            self.line(before.unwrap_or(to), to);
            before = Some(to);
        }
    }

    /// Puts the dots onto the screen, in cells where nothing but a dashed line stands. Only what is `over` hides the rest.
    pub(super) fn draw(&self, pen: &mut Pen<'_>, style: Style, over: bool) {
        for (index, bits) in self.cells.iter().enumerate().filter(|(_, bits)| **bits != 0) {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let (x, y) = (self.area.x + index % self.area.width, self.area.y + index / self.area.width);
            let there = pen.buffer.cell((x, y)).map_or(' ', |cell| cell.symbol().chars().next().unwrap_or(' '));
            let old = u32::from(there).checked_sub(BLANK).filter(|old| *old < 256);
            let free = old.is_some() || over || matches!(there, ' ' | '╌' | '·' | '░');
            if let Some(c) = char::from_u32(BLANK + (bits | old.unwrap_or(0))).filter(|_| free) {
                pen.dot(x, y, c.encode_utf8(&mut [0; 4]), style);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_and_stays_inside() {
        let mut canvas = Canvas::new(Rect::new(3, 0, 4, 2));
        canvas.through([Some((3, 0)), Some((6, 7)), None, Some((5, 99)), Some((900, 3))].into_iter());
        assert_eq!(canvas.cells.len(), 8);
        assert!(canvas.cells[4] & 0x40 != 0, "it begins at the bottom left");
        assert!(canvas.cells[..4].iter().any(|bits| *bits != 0));
    }
}
