//! History: what fired, newest first, and what became of every delivery.

use bellwether_core::{
    delivery::{Delivery, DeliveryState},
    firing::Firing,
};
use ratatui::{layout::Rect, style::Style};

use super::{
    format,
    pen::{Pen, Piece, first_row, piece, row},
};
use crate::app::{App, Target};

const fn sign(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Sent | DeliveryState::Merged => "✓",
        DeliveryState::Dead => "✗",
        DeliveryState::Unknown => "?",
        DeliveryState::Queued | DeliveryState::Sending => "…",
        DeliveryState::Cancelled => "–",
        DeliveryState::Retry => "◐",
    }
}

fn style(pen: &Pen<'_>, state: DeliveryState) -> Style {
    match state {
        DeliveryState::Sent | DeliveryState::Merged => pen.theme.up,
        DeliveryState::Dead => pen.theme.trouble,
        DeliveryState::Unknown | DeliveryState::Retry => pen.theme.warn,
        DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Cancelled => pen.theme.dim,
    }
}

/// Draws the screen, or without `focused` the strip on the Watch screen.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, area: Rect, focused: bool) {
    let firings = app.firings();
    let deliveries = app.deliveries();
    let below = focused && area.height >= 16 && area.width >= 40 && !app.expanded;
    let list = if below { Rect { height: area.height - 8, ..area } } else { area };
    let boxed = area.height >= 8 && area.width >= 40;
    let inner = if boxed {
        let title = [piece("History", pen.theme.strong), piece(format!(" ({})", firings.len()), pen.theme.dim)];
        pen.frame(list, &title, "newest first", focused)
    } else {
        list
    };
    let ids: Vec<_> = firings.iter().map(|f| f.id).collect();
    let Some(selected) = app.event.index(&ids) else {
        pen.put(row(inner, 0), inner.x + 1, "nothing has fired yet", pen.theme.dim);
        return;
    };
    let height = usize::from(inner.height);
    pen.page = height;
    let first = first_row(selected, height, ids.len());
    let none = Vec::new();
    for (i, firing) in firings.iter().enumerate().skip(first).take(height) {
        let line = row(inner, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Firing(firing.id));
        one(app, pen, line, firing, deliveries.get(&firing.id).unwrap_or(&none), focused && i == selected);
    }
    if below && let Some(firing) = firings.get(selected) {
        let side = Rect { y: list.bottom(), height: area.height - list.height, ..area };
        let title = [piece(firing.id.to_string(), pen.theme.strong)];
        let inner = pen.frame(side, &title, "", false);
        details(app, pen, inner, firing, deliveries.get(&firing.id).unwrap_or(&none));
    }
}

fn one(app: &App, pen: &mut Pen<'_>, line: Rect, firing: &Firing, deliveries: &[&Delivery], selected: bool) {
    if selected {
        pen.tint(line, pen.theme.selected);
        pen.put(line, line.x, "▶", pen.theme.accent);
    }
    let x = pen.put(line, line.x + 2, &format!("{:<12}", format::moment(app, firing.time)), pen.theme.dim);
    let name = if selected { pen.theme.cursor } else { pen.theme.strong };
    pen.put(line, x + 1, &firing.id.alert.to_string(), name);
    let x = x + 6;
    let mut tail: Vec<Piece<'_>> = Vec::new();
    for delivery in deliveries {
        let style = style(pen, delivery.state);
        let word = if line.width >= 70 {
            format!(" {} {}", sign(delivery.state), delivery.channel)
        } else {
            sign(delivery.state).to_owned()
        };
        tail.push(piece(word, style));
    }
    tail.push(piece(" ", Style::new()));
    let end = pen.pieces_right(line, &tail);
    let middle = Rect { width: end.saturating_sub(line.x + 1), ..line };
    let x = pen.put(middle, x + 1, &firing.reason(), Style::new());
    if firing.late {
        pen.put(middle, x + 1, "late", pen.theme.warn);
    }
}

fn details(app: &App, pen: &mut Pen<'_>, area: Rect, firing: &Firing, deliveries: &[&Delivery]) {
    let margin = u16::from(area.width > 8);
    let area = Rect { x: area.x + margin, width: area.width - 2 * margin, ..area };
    pen.put(row(area, 0), area.x, &firing.rule(), Style::new());
    let latency = firing.received.since(firing.time);
    let before = firing.previous.map_or(String::new(), |p| format!(" (before {})", format::price(p)));
    let at = format!(
        "{} {}  {}{before}  {}, {} ms on the way",
        format::day(app, firing.time),
        format::clock(app, firing.time),
        format::price_or_missing(firing.price),
        firing.source,
        latency.as_millis()
    );
    pen.put(row(area, 1), area.x, &at, pen.theme.dim);
    if let Some(note) = firing.note() {
        pen.put(row(area, 2), area.x, note, pen.theme.accent);
    }
    let first = if firing.note().is_some() { 3 } else { 2 };
    if deliveries.is_empty() {
        pen.put(row(area, first), area.x, "no delivery is known of", pen.theme.dim);
    }
    for (i, delivery) in deliveries.iter().enumerate() {
        let line = row(area, first + u16::try_from(i).unwrap_or(u16::MAX - first));
        let style = style(pen, delivery.state);
        let words = format!("{} {:<12} {}", sign(delivery.state), delivery.channel, delivery.state);
        let mut x = pen.put(line, line.x, &words, style);
        if let Some(carrier) = delivery.merged_into {
            x = pen.put(line, x, &format!(" into {carrier}"), pen.theme.dim);
        } else if delivery.merged > 0 {
            x = pen.put(line, x, &format!(" with {} others", delivery.merged), pen.theme.dim);
        }
        if delivery.step > 0 {
            x = pen.put(line, x, &format!(", step {}", delivery.step + 1), pen.theme.dim);
        }
        if let Some(waits) = delivery.waits {
            x = pen.put(line, x, &format!(", {}", waits.in_words()), pen.theme.warn);
        }
        if delivery.attempts > 1 {
            x = pen.put(line, x, &format!(", {} attempts", delivery.attempts), pen.theme.dim);
        }
        if let Some(at) = delivery.next_attempt.filter(|_| !delivery.state.is_final()) {
            let wait = at.since(app.now);
            if wait.as_seconds() > 0 {
                x = pen.put(line, x, &format!(", next in {}", format::age(wait)), pen.theme.warn);
            } else if delivery.state == DeliveryState::Retry {
                x = pen.put(line, x, ", due now", pen.theme.warn);
            }
        }
        if let Some(answer) = &delivery.answer {
            pen.put(line, x + 2, answer, pen.theme.dim);
        }
    }
}
