//! The search over the middle of the screen: what is known here, and what the providers know.

use bellwether_core::text;
use ratatui::{layout::Rect, style::Style};

use super::{
    form::input,
    format,
    pen::{Pen, first_row, piece, row},
};
use crate::app::{App, Find, Found, Target};

/// Draws the search.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, screen: Rect, find: &Find) {
    let area = super::centered(screen, 64, 16);
    pen.clear(area, Style::new());
    let boxed = area.height >= 5 && area.width >= 20;
    let count = find.results.iter().filter(|f| **f != Found::Everywhere).count().to_string();
    let title = if find.adds { format!("Add to {}", app.list) } else { "Find".to_owned() };
    let inner = if boxed { pen.frame(area, &[piece(title, pen.theme.strong)], &count, true) } else { area };
    let ghost = if find.adds { "an instrument" } else { "an instrument, an alert" };
    input(pen, row(inner, 0), " / ", &find.line, ghost);
    let mut body = Rect { y: inner.y + 1.min(inner.height), height: inner.height.saturating_sub(1), ..inner };
    let says = if find.waits { Some("asking the providers …") } else { find.trouble.as_deref() };
    if let Some(words) = says.filter(|_| body.height > 1) {
        let last = row(body, body.height - 1);
        let style = if find.waits { pen.theme.dim } else { pen.theme.warn };
        pen.put(last, last.x + 1, words, style);
        body.height -= 1;
    }
    let Some(selected) = find.cursor.index(&find.results) else {
        pen.put(row(body, 0), body.x + 1, "nothing is called that", pen.theme.dim);
        return;
    };
    let height = usize::from(body.height);
    let first = first_row(selected, height, find.results.len());
    for (i, found) in find.results.iter().enumerate().skip(first).take(height) {
        let line = row(body, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Found(*found));
        if i == selected {
            pen.tint(line, pen.theme.selected);
            pen.put(line, line.x, "▶", pen.theme.accent);
        }
        one(app, pen, line, find, *found);
    }
}

fn one(app: &App, pen: &mut Pen<'_>, line: Rect, find: &Find, found: Found) {
    match found {
        Found::Instrument(symbol) => {
            pen.put_right(line, &format!("{} ", format::price_or_missing(app.price(symbol))), pen.theme.dim);
            let x = pen.put(line, line.x + 2, &format!("{symbol:<10}"), pen.theme.strong);
            let room = Rect { width: line.width.saturating_sub(16), ..line };
            pen.put(room, x + 1, &format::name(app, symbol), Style::new());
        }
        Found::Alert(id) => {
            let x = pen.put(line, line.x + 2, &format!("{:<10}", id.to_string()), pen.theme.level);
            let says = app.picture().alert(id).map_or(String::new(), |r| r.alert.rule.condition_text());
            pen.put(line, x + 1, &says, Style::new());
        }
        Found::Everywhere => {
            let x = pen.put(line, line.x + 2, "search everywhere", pen.theme.accent);
            pen.put(line, x + 1, &format!("for {}", find.line.text().trim()), pen.theme.dim);
        }
        Found::Listing(place) => {
            let Some(listing) = find.listings.get(place) else { return };
            let whose = match (&listing.exchange, listing.rank) {
                (Some(exchange), _) => format!(" {exchange} "),
                (None, Some(rank)) => format!(" #{rank} {} ", listing.feed),
                (None, None) => format!(" {} ", listing.feed),
            };
            let known = if listing.known.is_some() { "● " } else { "" };
            let x =
                pen.put(line, line.x + 2, &format!("{known}{:<8}", text::sanitize(&listing.ticker)), pen.theme.strong);
            let from = pen.put_right(line, &whose, pen.theme.dim);
            let room = Rect { width: from.saturating_sub(line.x), ..line };
            pen.put(room, x + 1, &listing.name, Style::new());
        }
    }
}
