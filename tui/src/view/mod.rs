//! Drawing: [`draw`] puts an [`App`] into a frame and changes nothing.
//!
//! ```text
//!  bellwether  1 Watch  2 Chart  3 Alerts  4 History  5 Health           ● 49 live  ◐ 1 stale  14:02:11   status::rail
//!  BTC 60,412.50 ▲ +812.30 +1.36 %  coinbase · 2s   day ├──────●───┤            next: > 61,000 (+0.97 %)  status::instrument
//! ╭ Watch (50) ───────────────── sort: mine ╮╭ BTC 5m Bitcoin ────────────────────── last 74 of 288 bars ╮
//! │ watchlist                               ││ chart                                                     │
//! │                                         │╰───────────────────────────────────────────────────────────╯
//! │                                         │╭ Alerts on BTC ────────────────────────────────────────── 2 ╮
//! │                                         ││ alerts::pane                                              │
//! ╰─────────────────────────────────────────╯╰───────────────────────────────────────────────────────────╯
//!  Enter chart  a alert  w why  o sort  t range  / find  ? help  q quit                                    status::hints
//! ```
//!
//! The layout follows from the size alone, down to one line; overlays (alert line, search, help, explanation) lie on top.
//! Whatever text comes from outside goes through [`pen`]; a last look at every cell makes sure that nothing slipped by.

mod alerts;
mod chart;
mod digits;
mod find;
mod form;
mod format;
mod health;
mod help;
mod history;
mod palette;
mod pen;
mod prompt;
mod settings;
mod status;
mod theme;
mod watchlist;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod mouse_tests;
#[cfg(test)]
mod tests;

use bellwether_core::text;
use ratatui::{Frame, buffer::Buffer, layout::Rect};

use self::{
    pen::{Pen, row},
    theme::Theme,
};
use crate::app::{App, Hit, Link, Overlay, Pane, Plot, Screen};

/// What a frame tells the dashboard: what can be clicked, and how many rows the list has.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) hits: Vec<Hit>,
    pub(crate) page: usize,
    /// Where the chart's prices and bars are, if there is one.
    pub(crate) plot: Option<Plot>,
}

/// Draws the dashboard.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) -> Drawn {
    let area = frame.area();
    let theme = Theme::new(app.look);
    let mut pen = Pen { buffer: frame.buffer_mut(), theme, hits: Vec::new(), page: app.page, cursor: None, plot: None };
    if area.width > 0 && area.height > 0 {
        pen.tint(area, theme.base);
        whole(app, &mut pen, area);
        last_look(pen.buffer, theme.ascii);
    }
    let (drawn, cursor) = (Drawn { hits: pen.hits, page: pen.page, plot: pen.plot }, pen.cursor);
    if let Some(at) = cursor {
        frame.set_cursor_position(at);
    }
    drawn
}

/// Lays the screen out by its size.
fn whole(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let lost = matches!(app.link, Link::Lost { .. });
    if area.width < 20 || area.height < 4 {
        return one_line(app, pen, area, lost);
    }
    let mut top = 1;
    status::rail(app, pen, row(area, 0));
    if area.width >= 80 && area.height >= 20 {
        status::instrument(app, pen, row(area, top));
        top += 1;
    }
    if lost {
        status::banner(app, pen, row(area, top));
        top += 1;
    }
    let footer = u16::from(area.height >= 8);
    let body = Rect { y: area.y + top, height: area.height - top - footer, ..area };
    if footer == 1 {
        status::hints(app, pen, row(area, area.height - 1));
    }
    match app.screen {
        Screen::Watch => watch(app, pen, body, area),
        Screen::Chart if body.height >= 6 && body.width >= 24 => chart::draw(app, pen, body),
        Screen::Chart => chart::large(app, pen, body),
        Screen::Alerts => alerts::screen(app, pen, body),
        Screen::History => history::draw(app, pen, body, true),
        Screen::Health => health::draw(app, pen, body),
    }
    let hinted = status::first_hints(app, pen, body);
    if app.overlay.is_none() || area.height >= 24 {
        status::toasts(app, pen, Rect { height: body.height - hinted, ..body });
    }
    let over = Rect { height: area.height - top, ..body };
    // In a low window an overlay takes the lines above it too, but never the one that says that prices are simulated.
    let kept = u16::from(app.simulated);
    let low = Rect { y: area.y + kept, height: area.height - kept, ..area };
    overlay(app, pen, if area.height < 8 { low } else { over });
}

/// The Watch screen by the size of the window.
fn watch(app: &App, pen: &mut Pen<'_>, body: Rect, screen: Rect) {
    let (w, h) = (screen.width, screen.height);
    if app.expanded && w >= 40 && h >= 12 {
        return match app.pane {
            Pane::Table => watchlist::draw(app, pen, body, true),
            Pane::Alerts => alerts::pane(app, pen, body),
        };
    }
    if w >= 160 && h >= 45 {
        // Table, chart, and below the chart the alerts beside what fired last.
        let left = (w * 45 / 100).min(98);
        let strip = (body.height / 4).clamp(8, 14);
        let right = Rect { x: body.x + left, width: w - left, ..body };
        watchlist::draw(app, pen, Rect { width: left, ..body }, true);
        chart::draw(app, pen, Rect { height: right.height - strip, ..right });
        let below = Rect { y: right.bottom() - strip, height: strip, ..right };
        let half = below.width / 2;
        alerts::pane(app, pen, Rect { width: half, ..below });
        let page = pen.page;
        history::draw(app, pen, Rect { x: below.x + half, width: below.width - half, ..below }, false);
        pen.page = page;
    } else if w >= 100 && h >= 30 {
        let left = (w * 55 / 100).max(62);
        let right = Rect { x: body.x + left, width: w - left, ..body };
        let wanted = u16::try_from(app.pane_ids().len()).unwrap_or(u16::MAX).clamp(1, 7) + 2;
        watchlist::draw(app, pen, Rect { width: left, ..body }, true);
        chart::draw(app, pen, Rect { height: right.height - wanted, ..right });
        alerts::pane(app, pen, Rect { y: right.bottom() - wanted, height: wanted, ..right });
    } else if w >= 80 && h >= 24 {
        let below = (body.height / 2).clamp(9, 16);
        let table = Rect { height: body.height - below, ..body };
        let lower = Rect { y: table.bottom(), height: below, ..body };
        watchlist::draw(app, pen, table, true);
        if app.pane_ids().is_empty() {
            chart::draw(app, pen, lower);
        } else {
            let side = (w / 3).max(30);
            chart::draw(app, pen, Rect { width: w - side, ..lower });
            alerts::pane(app, pen, Rect { x: lower.right() - side, width: side, ..lower });
        }
    } else if w >= 40 && h >= 12 {
        watchlist::draw(app, pen, body, false);
    } else {
        chart::large(app, pen, body);
    }
}

/// A window too small for a screen: the most important line.
fn one_line(app: &App, pen: &mut Pen<'_>, area: Rect, lost: bool) {
    let line = row(area, area.height / 2);
    if !matches!(app.overlay, None | Some(Overlay::Level(_))) {
        return overlay(app, pen, area);
    }
    let Some(symbol) = app.selected() else {
        pen.put(line, line.x, "bellwether", pen.theme.dim);
        return;
    };
    let ticker = app.ticker(symbol);
    let (arrow, positive) = format::arrow(ticker.and_then(|t| t.change_24h_pct));
    let old = ticker.is_none_or(|t| app.freshness(t) != crate::app::Freshness::Live);
    let style = if lost || old { pen.theme.dim } else { pen.theme.change(positive) };
    let mark = if lost || ticker.is_some_and(|t| t.is_stale(app.now)) { "!" } else { "" };
    let price = format::price_or_missing(app.price(symbol));
    let change = ticker
        .and_then(|t| t.change_24h_pct)
        .map_or(String::new(), |c| format!(" {arrow}{}%", format::signed(c.decimal())));
    let x = pen.put(line, line.x, &format!("{mark}{symbol} "), pen.theme.strong);
    pen.put(line, x, &format!("{price}{change}"), style);
}

/// What lies on top.
fn overlay(app: &App, pen: &mut Pen<'_>, area: Rect) {
    match &app.overlay {
        Some(Overlay::Entry(entry)) => form::entry(app, pen, area, entry),
        Some(Overlay::Find(find)) => find::draw(app, pen, area, find),
        Some(Overlay::Palette(palette)) => palette::draw(app, pen, area, palette),
        Some(Overlay::Prompt(prompt)) => prompt::draw(app, pen, area, prompt),
        Some(Overlay::Order) => prompt::order(app, pen, area),
        Some(Overlay::Settings(changing)) => settings::draw(app, pen, area, changing),
        Some(Overlay::Help { filter, scroll }) => help::draw(app, pen, area, filter, *scroll),
        Some(Overlay::Explain(id)) => alerts::explanation(app, pen, area, *id),
        Some(Overlay::Snooze(id)) => alerts::snooze(app, pen, area, *id),
        // It is drawn in the chart.
        Some(Overlay::Level(_)) | None => {}
    }
}

/// A box of at most this size in the middle of an area.
fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// No cell may hold what a terminal would obey or an eye could not see, whatever way it came.
fn last_look(buffer: &mut Buffer, ascii: bool) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            continue;
        }
        if ascii {
            let c = symbol.chars().next().unwrap_or(' ');
            cell.set_symbol(theme::in_ascii(c));
        } else if symbol.chars().any(text::is_hidden) {
            let clean = text::sanitize(symbol);
            if clean != symbol {
                cell.set_symbol(&clean);
            }
        }
    }
}
