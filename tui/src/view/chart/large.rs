//! The selected instrument in large digits, for a window that has room for nothing else.

use ratatui::layout::Rect;

use crate::{
    app::{App, Freshness, Pane, Target},
    view::{
        digits, format,
        pen::{Pen, row},
    },
};

/// The selected instrument, large, for a window that has room for nothing else.
pub(in crate::view) fn large(app: &App, pen: &mut Pen<'_>, area: Rect) {
    pen.hit(area, Target::Pane(Pane::Table));
    let Some(symbol) = app.selected() else {
        pen.put(row(area, 0), area.x, "no prices yet", pen.theme.dim);
        return;
    };
    let ticker = app.ticker(symbol);
    let text = format::price_or_missing(app.price(symbol));
    let (arrow, positive) = format::arrow(ticker.and_then(|t| t.change_24h_pct));
    let fresh = ticker.is_some_and(|t| app.freshness(t) == Freshness::Live);
    let style = if fresh { pen.theme.change(positive).patch(pen.theme.strong) } else { pen.theme.dim };
    let change = ticker
        .and_then(|t| t.change_24h_pct)
        .map_or(format::MISSING.to_owned(), |c| format!("{arrow} {} %", format::signed(c.decimal())));
    let age = ticker.map_or(String::new(), |t| format::age_words(app, t, false));
    let mut y = 0;
    let name = row(area, y);
    let x = pen.put(name, name.x, symbol.as_str(), pen.theme.strong);
    pen.put(name, x + 1, &format::name(app, symbol), pen.theme.dim);
    y += 1;
    if area.height >= 6 && digits::width(&text) <= area.width {
        digits::draw(pen, Rect { y: area.y + y, height: area.height - y, ..area }, &text, style);
        y += digits::HEIGHT;
    } else {
        pen.put(row(area, y), area.x, &text, style);
        y += 1;
    }
    let line = row(area, y);
    let x = pen.put(line, line.x, &change, style);
    pen.put(line, x + 2, &age, pen.theme.dim);
    if let Some(near) = app.nearest(symbol) {
        let words =
            format!("next: {} {} ({})", format::level_sign(near.kind), format::level(near.level), format::near(&near));
        pen.put(row(area, y + 1), area.x, &words, pen.theme.level);
    }
}
