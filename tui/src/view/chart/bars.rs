//! The prices themselves: candles with half-block bodies and thin wicks, a line, or a line with what lies below it filled.

use bellwether_core::tick::{Candle, Session};
use ratatui::{
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    canvas::{Canvas, DOWN},
    scale::Scale,
};
use crate::{app::ChartStyle, view::pen::Pen};

/// Where each bar stands: its column.
pub(super) fn columns(count: usize, left: u16, right: u16, stride: u16) -> Vec<u16> {
    let wide = u16::try_from(count).unwrap_or(u16::MAX).saturating_mul(stride);
    let start = right.saturating_sub(wide).max(left);
    (0..count).map(|i| start + u16::try_from(i).unwrap_or(u16::MAX).saturating_mul(stride)).collect()
}

/// Marks the bars from before and after regular trading hours: a ground where the colour scheme has one, else dots.
pub(super) fn sessions(pen: &mut Pen<'_>, plot: Rect, shown: &[Candle], columns: &[u16], stride: u16) {
    let shade = pen.theme.shade;
    for (_, &x) in shown.iter().zip(columns).filter(|(bar, _)| bar.session != Session::Regular) {
        let strip = Rect { x, width: stride, ..plot }.intersection(plot);
        match shade {
            Some(style) => pen.tint(strip, style),
            None => {
                for y in (strip.y..strip.bottom()).filter(|y| (y - plot.y).is_multiple_of(2)) {
                    pen.dot(strip.x, y, "·", pen.theme.dim);
                }
            }
        }
    }
}

/// Draws the bars in a style.
pub(super) fn draw(pen: &mut Pen<'_>, scale: &Scale, shown: &[Candle], columns: &[u16], right: u16, style: ChartStyle) {
    match style {
        ChartStyle::Candles => candles(pen, scale, shown, columns, right),
        ChartStyle::Line => line(pen, scale, shown, columns),
        ChartStyle::Area => {
            area(pen, scale, shown, columns, right);
            line(pen, scale, shown, columns);
        }
    }
}

fn candles(pen: &mut Pen<'_>, scale: &Scale, shown: &[Candle], columns: &[u16], right: u16) {
    for (bar, &x) in shown.iter().zip(columns) {
        let style = if bar.close >= bar.open { pen.theme.up } else { pen.theme.down };
        let body = (scale.half(bar.open.min(bar.close)), scale.half(bar.open.max(bar.close)));
        let wick = (scale.half(bar.low), scale.half(bar.high));
        for r in wick.0 / 2..=wick.1 / 2 {
            let within = |(from, to): (u16, u16), half: u16| from <= half && half <= to;
            let (lower, upper) = (r * 2, r * 2 + 1);
            let body = (within(body, upper), within(body, lower));
            let wick = (within(wick, upper), within(wick, lower));
            let y = scale.plot.bottom().saturating_sub(1 + r);
            if y >= scale.plot.y && x < right {
                pen.dot(x, y, glyph(body, wick), style);
            }
        }
    }
}

/// The character for one cell of a candle: what the body and the wick fill of its upper and lower half. A body that a wick
/// leaves inside the cell fills it: no character holds half a block and a line, and a gap would tear the candle.
const fn glyph(body: (bool, bool), wick: (bool, bool)) -> &'static str {
    match (body, wick) {
        ((true, true), _) | ((true, false), (_, true)) | ((false, true), (true, _)) => "█",
        ((true, false), _) => "▀",
        ((false, true), _) => "▄",
        ((false, false), (true, true)) => "│",
        ((false, false), (true, false)) => "╵",
        ((false, false), (false, true)) => "╷",
        ((false, false), (false, false)) => " ",
    }
}

fn trend(pen: &Pen<'_>, shown: &[Candle]) -> Style {
    match (shown.first(), shown.last()) {
        (Some(first), Some(last)) if last.close < first.open => pen.theme.down,
        _ => pen.theme.up,
    }
}

fn line(pen: &mut Pen<'_>, scale: &Scale, shown: &[Candle], columns: &[u16]) {
    let mut canvas = Canvas::new(scale.plot);
    canvas.through(shown.iter().zip(columns).map(|(bar, &x)| Some((x, scale.place(bar.close, DOWN)))));
    let style = trend(pen, shown);
    canvas.draw(pen, style, true);
}

/// Fills what lies below the closes, from column to column.
fn area(pen: &mut Pen<'_>, scale: &Scale, shown: &[Candle], columns: &[u16], right: u16) {
    let style = trend(pen, shown).add_modifier(Modifier::DIM);
    for (i, (bar, &x)) in shown.iter().zip(columns).enumerate() {
        let end = columns.get(i + 1).copied().unwrap_or(x + 1).min(right);
        let next = shown.get(i + 1).unwrap_or(bar);
        let (from, to) = (scale.line(bar.close), scale.line(next.close));
        for column in x..end {
            // Between two closes the edge is as slanted as the line.
            let (done, left) = (column - x, end - column);
            let edge = (from * left + to * done) / (end - x);
            for y in edge + 1..scale.plot.bottom() {
                pen.dot(column, y, "░", style);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_show_body_and_wick_without_a_gap() {
        assert_eq!(glyph((true, true), (true, true)), "█");
        assert_eq!(glyph((false, true), (false, true)), "▄");
        assert_eq!(glyph((false, true), (true, true)), "█");
        assert_eq!(glyph((false, false), (true, false)), "╵");
    }

    #[test]
    fn the_newest_bar_stands_at_the_right() {
        assert_eq!(columns(3, 0, 20, 2), [14, 16, 18]);
        assert_eq!(columns(0, 0, 20, 2), [0_u16; 0]);
    }
}
