//! What was traded in each bar, in a panel of its own under the prices, with an axis of its own.

use bellwether_core::{price::Price, tick::Candle};
use ratatui::layout::Rect;
use rust_decimal::Decimal;

use super::axis;
use crate::{
    app::App,
    view::{
        format,
        pen::{Pen, row},
    },
};

/// A cell filled from below, in eighths.
const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The lines of the panel: one to say that nothing is known, four for bars.
pub(super) fn lines(app: &App, shown: &[Candle], height: u16) -> u16 {
    let told = shown.iter().any(|bar| bar.volume.is_some());
    match (app.chart.volume && !shown.is_empty(), told) {
        (true, true) if height >= 26 => 5,
        (true, true) if height >= 15 => 4,
        (true, true) if height >= 11 => 3,
        (true, false) if height >= 15 => 1,
        _ => 0,
    }
}

/// The bars, each in the colour of its price; where nobody told, a dot, for nothing known is not nothing traded.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, inner: Rect, panel: Rect, shown: &[Candle], columns: &[u16]) {
    let theme = pen.theme;
    let title = row(panel, 0);
    let Some(most) = shown.iter().filter_map(|bar| bar.volume).max() else {
        pen.put(title, panel.x, "volume: not told by this feed", theme.dim);
        return;
    };
    // The first line is the title's: a bar never hides it.
    let room = panel.height.saturating_sub(1);
    let steps = room * 8;
    for (bar, &x) in shown.iter().zip(columns).filter(|(_, x)| **x < panel.right()) {
        let style = if bar.close >= bar.open { theme.up } else { theme.down }.patch(theme.quiet);
        let Some(volume) = bar.volume else {
            pen.dot(x, panel.bottom() - 1, "·", theme.dim);
            continue;
        };
        if volume.decimal() <= Decimal::ZERO {
            continue;
        }
        let filled = format::step(volume, Price::new(Decimal::ZERO), most, steps) + 1;
        for line in 0..filled.div_ceil(8) {
            let part = usize::from((filled - line * 8).min(8));
            pen.dot(x, panel.bottom() - 1 - line, EIGHTHS[part - 1], style);
        }
    }
    let newest = match shown.last().map(|bar| bar.volume) {
        Some(Some(volume)) => format::amount(volume),
        _ => format::MISSING.to_owned(),
    };
    if app.chart.cross.is_none() {
        pen.put(title, panel.x, &format!("volume  {newest}"), theme.dim);
    } else {
        pen.put(title, panel.x, "volume", theme.dim);
    }
    pen.put_right(axis::beside(inner, panel, panel.y + u16::from(room > 1)), &format::amount(most), theme.dim);
}
