//! The command palette, and the same as a small menu at the mouse.

use ratatui::{layout::Rect, style::Style};

use super::{
    form::input,
    format,
    pen::{Pen, first_row, piece, row, width},
};
use crate::app::{
    App, Context, Target,
    keymap::KEYMAP,
    palette::{self, Command, Palette},
};

/// Draws the palette, or the menu where it was asked for.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, screen: Rect, palette: &Palette) {
    let lines = u16::try_from(palette.results.len()).unwrap_or(u16::MAX).saturating_add(3);
    let area = match palette.at {
        Some((x, y)) => {
            let (wide, tall) = (44.min(screen.width), lines.clamp(4, 18).min(screen.height));
            let x = x.min(screen.right().saturating_sub(wide)).max(screen.x);
            let y = y.min(screen.bottom().saturating_sub(tall)).max(screen.y);
            Rect { x, y, width: wide, height: tall }
        }
        None => super::centered(screen, 76, 20),
    };
    pen.clear(area, Style::new());
    let boxed = area.height >= 5 && area.width >= 20;
    let title = if palette.menu { "Here" } else { "Commands" };
    let count = palette.results.len().to_string();
    let inner = if boxed { pen.frame(area, &[piece(title, pen.theme.strong)], &count, true) } else { area };
    let ghost = if palette.menu { "type to narrow" } else { "what to do, an instrument, an alert, a setting" };
    input(pen, row(inner, 0), " : ", &palette.line, ghost);
    let body = Rect { y: inner.y + 1.min(inner.height), height: inner.height.saturating_sub(1), ..inner };
    let Some(selected) = palette.cursor.index(&palette.results) else {
        pen.put(row(body, 0), body.x + 1, "nothing is called that", pen.theme.dim);
        return;
    };
    let height = usize::from(body.height);
    let first = first_row(selected, height, palette.results.len());
    for (i, command) in palette.results.iter().enumerate().skip(first).take(height) {
        let line = row(body, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Command(*command));
        if i == selected {
            pen.tint(line, pen.theme.selected);
            pen.put(line, line.x, "▶", pen.theme.accent);
        }
        one(app, pen, line, *command);
    }
}

fn one(app: &App, pen: &mut Pen<'_>, line: Rect, command: Command) {
    let (words, right, style) = match command {
        Command::Do(context, action) => {
            let Some(binding) = KEYMAP.iter().find(|b| b.context == context && b.action == action) else { return };
            let words = palette::title(binding, Context::of_screen(app.screen));
            (words, app.keys.label(binding), pen.theme.key)
        }
        Command::Instrument(symbol) => {
            let words = format!("{symbol}  {}", format::name(app, symbol));
            (words, format::price_or_missing(app.price(symbol)), pen.theme.dim)
        }
        Command::Alert(id) => {
            let row = app.picture().alert(id);
            let words = row.map_or(String::new(), |r| r.alert.rule.condition_text());
            (format!("{id}  {words}"), row.map_or(String::new(), |r| r.state.as_str().to_owned()), pen.theme.dim)
        }
        Command::Setting(row) => (format!("setting: {}", row.label()), row.value(&app.settings), pen.theme.dim),
    };
    // What it does matters more than its key: in a narrow window the key goes.
    let fits = width(&words) + width(&right) + 5 <= line.width;
    let end = if fits { pen.put_right(line, &format!("{right} "), style) } else { line.right() };
    pen.put(Rect { width: end.saturating_sub(line.x), ..line }, line.x + 2, &words, Style::new());
}
