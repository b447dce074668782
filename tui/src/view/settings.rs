//! The settings beside the screen that they change: each line with its value and its key in the configuration file.

use ratatui::{layout::Rect, style::Style};

use super::{
    pen::{Pen, first_row, piece, row, width},
    status,
};
use crate::app::{
    App, Context, Target,
    settings::{self, Changing, Row},
};

/// Draws the settings at the left, so that what they change stays in sight at the right.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, screen: Rect, changing: &Changing) {
    // As wide as the table beside the chart.
    let wide = if screen.width >= 110 { (screen.width * 55 / 100).clamp(62, 80) } else { screen.width };
    let area = Rect { width: wide, ..screen };
    pen.clear(area, Style::new());
    let boxed = area.height >= 4 && area.width >= 20;
    let how = if app.readonly { "not saved: --readonly" } else { "seen at once, Enter saves" };
    let title = [piece("Settings", pen.theme.strong)];
    let inner = if boxed { pen.frame(area, &title, how, true) } else { area };
    let rows = settings::rows(app);
    let below = u16::from(inner.height > 3);
    let body = Rect { height: inner.height.saturating_sub(below), ..inner };
    let height = usize::from(body.height).max(1);
    let selected = changing.cursor.index(&rows).unwrap_or(0);
    let first = first_row(selected, height, rows.len());
    for (i, setting) in rows.iter().enumerate().skip(first).take(height) {
        let line = row(body, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Setting(*setting));
        one(app, pen, line, *setting, i == selected);
    }
    if below == 1 {
        let line = row(inner, inner.height - 1);
        status::hints_of(app, pen, line, &[Context::Settings]);
    }
}

fn one(app: &App, pen: &mut Pen<'_>, line: Rect, setting: Row, selected: bool) {
    let theme = pen.theme;
    if selected {
        pen.tint(line, theme.selected);
        pen.put(line, line.x, "▶", theme.accent);
    }
    let (label, value) = (setting.label(), setting.value(&app.settings));
    let name_style = if selected { theme.cursor } else { Style::new() };
    let x = pen.put(line, line.x + 2, &label, name_style);
    let column = (line.x + 25).max(x + 1);
    let shown = if selected { format!("◂ {value} ▸") } else { format!("  {value}") };
    let style = if selected { theme.strong } else { theme.accent };
    let narrow = line.width < 40;
    let end = if narrow {
        pen.put_right(Rect { x: x + 1, width: line.right().saturating_sub(x + 1), ..line }, &value, style);
        line.right()
    } else {
        pen.put(line, column, &shown, style)
    };
    let key = setting.key();
    if line.right().saturating_sub(end) > width(key) + 2 {
        pen.put_right(line, &format!("{key} "), theme.dim);
    }
}
