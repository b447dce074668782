//! Alerts: the pane beside the chart, the screen of all of them, and why one has not fired.

use bellwether_core::{
    alert::{AlertId, AlertState},
    condition::{Operand, Repeat, SessionScope},
    event::AlertRow,
    explain,
};
use ratatui::{layout::Rect, style::Style};

use super::{
    format,
    pen::{Pen, first_row, piece, row},
};
use crate::app::{App, Freshness, Pane, Screen, Target};

/// The sign of a state; its word stands beside it.
const fn sign(state: AlertState) -> &'static str {
    match state {
        AlertState::Armed => "●",
        AlertState::Pending | AlertState::Cooling => "◐",
        AlertState::Fired => "◆",
        AlertState::Paused | AlertState::Snoozed => "○",
        AlertState::Done => "✓",
        AlertState::Expired => "✗",
    }
}

fn state_style(pen: &Pen<'_>, state: AlertState) -> Style {
    match state {
        AlertState::Armed => pen.theme.up,
        AlertState::Pending | AlertState::Fired => pen.theme.warn,
        AlertState::Cooling | AlertState::Paused | AlertState::Snoozed | AlertState::Done | AlertState::Expired => {
            pen.theme.dim
        }
    }
}

/// Whether the last known state is a cooldown whose end has passed: what came then only the daemon knows, and it has not
/// said so.
fn is_cooling_over(app: &App, row: &AlertRow) -> bool {
    row.state == AlertState::Cooling && row.cooling_until.is_some_and(|until| until <= app.now)
}

/// The state with the time it still lasts: `cooling 12m`.
fn state_words(app: &App, row: &AlertRow) -> String {
    if is_cooling_over(app, row) {
        return "cooling over".to_owned();
    }
    let until = match row.state {
        AlertState::Cooling => row.cooling_until,
        AlertState::Snoozed => row.alert.snoozed_until,
        _ => None,
    };
    match until.filter(|u| *u > app.now) {
        Some(until) => format!("{} {}", row.state, format::age(until.since(app.now))),
        None => row.state.to_string(),
    }
}

/// The distance from the last price to the nearest level of this alert.
fn distance(app: &App, row: &AlertRow) -> String {
    let percent = app.preview_of(row).distance.map(|d| d.percent);
    match percent {
        Some(p) => format!("{}%{}", format::signed(p), if p.is_sign_negative() { "↓" } else { "↑" }),
        None => format::MISSING.to_owned(),
    }
}

/// The pane with the alerts of the selected instrument.
pub(super) fn pane(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let ids = app.pane_ids();
    let focused = app.screen == Screen::Watch && app.pane == Pane::Alerts;
    let on = app.selected().map_or(String::new(), |s| format!(" on {s}"));
    let title = [piece("Alerts", pen.theme.strong), piece(on, pen.theme.dim)];
    let inner = pen.frame(area, &title, &ids.len().to_string(), focused);
    pen.hit(area, Target::Pane(Pane::Alerts));
    let Some(selected) = app.pane_alert.index(&ids) else {
        if !app.readonly {
            let x = pen.put(row(inner, 0), inner.x + 1, "none; press ", pen.theme.dim);
            let x = pen.put(row(inner, 0), x, "a", pen.theme.key);
            pen.put(row(inner, 0), x, " and say when you want to be told", pen.theme.dim);
        }
        return;
    };
    let height = usize::from(inner.height);
    let first = first_row(selected, height, ids.len());
    for (i, &id) in ids.iter().enumerate().skip(first).take(height) {
        let line = row(inner, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::PaneAlert(id));
        if let Some(alert) = app.picture().alert(id) {
            short(app, pen, line, alert, i == selected, focused);
        }
    }
}

/// One alert in one line: number, state, what it says, how far.
fn short(app: &App, pen: &mut Pen<'_>, line: Rect, row: &AlertRow, selected: bool, focused: bool) {
    let theme = pen.theme;
    if selected {
        if focused {
            pen.tint(line, theme.selected);
        }
        pen.put(line, line.x, "▸", if focused { theme.accent } else { theme.dim });
    }
    let x = pen.put(line, line.x + 2, &format!("{:<4}", row.alert.id), theme.strong);
    let style = state_style(pen, row.state);
    let x = pen.put(line, x + 1, sign(row.state), style);
    let words = state_words(app, row);
    let x = if line.width >= 44 { pen.put(line, x + 1, &format!("{words:<12}"), style) } else { x };
    let mut tail = vec![piece(distance(app, row), theme.level)];
    if line.width >= 60 && row.fired > 0 {
        tail.push(piece(format!("  {}x", row.fired), theme.dim));
    }
    tail.push(piece(" ", Style::new()));
    let end = pen.pieces_right(line, &tail);
    let middle = Rect { width: end.saturating_sub(line.x + 1), ..line };
    // Beside its own instrument an alert need not name it.
    let says = match &row.alert.rule.terms[..] {
        [term] => match term.operand {
            Operand::Price(_) => term.condition.to_string(),
            Operand::Indicator(_, indicator) => format!("{indicator} {}", term.condition),
            Operand::Ratio(..) => term.to_string(),
        },
        _ => row.alert.rule.condition_text(),
    };
    pen.put(middle, x + 1, &says, Style::new());
}

/// The screen of all alerts.
pub(super) fn screen(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let ids = app.alert_ids();
    let detail = area.width >= 100 && area.height >= 10;
    let below = !detail && area.height >= 20;
    let (list, side) = if detail {
        let left = area.width * 3 / 5;
        (Rect { width: left, ..area }, Some(Rect { x: area.x + left, width: area.width - left, ..area }))
    } else if below {
        let top = area.height / 2;
        (Rect { height: top, ..area }, Some(Rect { y: area.y + top, height: area.height - top, ..area }))
    } else {
        (area, None)
    };
    let boxed = area.height >= 8 && area.width >= 40;
    let inner = if boxed {
        let armed = app.picture().alerts().filter(|r| r.state == AlertState::Armed).count();
        let title = [piece("Alerts", pen.theme.strong), piece(format!(" ({})", ids.len()), pen.theme.dim)];
        pen.frame(list, &title, &format!("{armed} armed"), true)
    } else {
        list
    };
    let Some(selected) = app.alert.index(&ids) else {
        pen.put(row(inner, 0), inner.x + 1, "no alerts yet; press a and say when you want to be told", pen.theme.dim);
        return;
    };
    let heading = inner.height > 3;
    let body = if heading {
        let line = row(inner, 0);
        pen.put(line, line.x + 2, &head(inner.width), pen.theme.dim);
        Rect { y: inner.y + 1, height: inner.height - 1, ..inner }
    } else {
        inner
    };
    let height = usize::from(body.height);
    pen.page = height;
    let first = first_row(selected, height, ids.len());
    for (i, &id) in ids.iter().enumerate().skip(first).take(height) {
        let line = row(body, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Alert(id));
        if let Some(alert) = app.picture().alert(id) {
            long(app, pen, line, alert, i == selected);
        }
    }
    if let (Some(side), Some(&id)) = (side, ids.get(selected)) {
        let chart = if side.height >= 26 { side.height / 2 } else { 0 };
        let above = Rect { height: side.height - chart, ..side };
        let inner = pen.frame(above, &[piece(id.to_string(), pen.theme.strong)], "", false);
        details(app, pen, inner, id);
        if chart > 0 {
            super::chart::draw(app, pen, Rect { y: above.bottom(), height: chart, ..side });
        }
    }
}

fn head(room: u16) -> String {
    if room >= 60 { format!("{:<5} {:<14} {:<28}", "No", "State", "Says") } else { format!("{:<5} {}", "No", "Says") }
}

fn long(app: &App, pen: &mut Pen<'_>, line: Rect, row: &AlertRow, selected: bool) {
    let theme = pen.theme;
    if selected {
        pen.tint(line, theme.selected);
        pen.put(line, line.x, "▶", theme.accent);
    }
    let x = line.x + 2;
    pen.put(line, x, &row.alert.id.to_string(), if selected { theme.cursor } else { theme.strong });
    let x = x + 5;
    let style = state_style(pen, row.state);
    let x = pen.put(line, x + 1, sign(row.state), style);
    let x = if line.width >= 60 { pen.put(line, x + 1, &format!("{:<12}", state_words(app, row)), style) } else { x };
    let rule = &row.alert.rule;
    let mut tail = vec![piece(format!(" {:>10}", distance(app, row)), theme.level)];
    if line.width >= 50 {
        let hits = if row.fired == 0 { format::MISSING.to_owned() } else { format!("{}x", row.fired) };
        tail.push(piece(format!("{hits:>5}"), theme.dim));
    }
    if line.width >= 100 {
        let last =
            row.last_fired.map_or(format::MISSING.to_owned(), |at| format!("{} ago", format::age(app.now.since(at))));
        tail.push(piece(format!("{last:>9}"), theme.dim));
    }
    if line.width >= 76 {
        let via: Vec<&str> = rule.via.iter().map(bellwether_core::condition::ChannelName::as_str).collect();
        let via = if via.is_empty() { "default".to_owned() } else { via.join(",") };
        tail.push(piece(format!("  {:<14}", super::pen::fit(&via, 14).0), theme.dim));
    }
    let end = pen.pieces_right(line, &tail);
    let middle = Rect { width: end.saturating_sub(line.x), ..line };
    let x = pen.put(middle, x + 1, &rule.condition_text(), if row.alert.paused { theme.dim } else { Style::new() });
    if let Some(note) = &rule.note {
        pen.put(middle, x + 2, note, theme.dim);
    }
}

/// All there is to say about an alert.
pub(super) fn details(app: &App, pen: &mut Pen<'_>, area: Rect, id: AlertId) {
    let Some(row_) = app.picture().alert(id) else {
        pen.put(row(area, 0), area.x, "this alert is gone", pen.theme.dim);
        return;
    };
    let margin = u16::from(area.width > 8);
    let area = Rect { x: area.x + margin, width: area.width - 2 * margin, ..area };
    let theme = pen.theme;
    let mut y = 0;
    let below = |y: u16| Rect { y: area.y.saturating_add(y), height: area.height.saturating_sub(y), ..area };
    y += pen.paragraph(below(y), &explain::in_words(&row_.alert.rule, &app.catalog), Style::new());
    y += 1;
    for (label, text, style) in reasons(app, pen, row_) {
        let line = row(area, y);
        pen.put(line, line.x, &format!("{label:<10}"), theme.dim);
        let indent = 11.min(area.width);
        let rest = Rect { x: area.x + indent, width: area.width - indent, ..below(y) };
        y += pen.paragraph(rest, &text, style).max(1);
    }
    y += 1;
    let firings: Vec<_> = app.picture().firings().filter(|f| f.id.alert == id).collect();
    if y + 1 < area.height && !firings.is_empty() {
        pen.put(row(area, y), area.x, "last firings", theme.dim);
        y += 1;
        for firing in firings.iter().take(usize::from(area.height - y)) {
            let line = row(area, y);
            let x = pen.put(line, line.x, &format::moment(app, firing.time), theme.warn);
            pen.put(line, x + 2, &firing.reason(), Style::new());
            y += 1;
        }
    }
}

/// What each indicator of an alert is worth, or that it has too few closed bars yet.
fn indicators(row: &AlertRow, style: Style, out: &mut Vec<(&'static str, String, Style)>) {
    for (place, term) in row.alert.rule.terms.iter().enumerate() {
        let known = row.indicators.get(place).copied().unwrap_or_default();
        let left = match term.operand {
            Operand::Indicator(_, indicator) => Some((indicator, known.value)),
            Operand::Price(_) | Operand::Ratio(..) => None,
        };
        let right = term.condition.level_indicator().map(|indicator| (indicator, known.level));
        for (indicator, value) in left.into_iter().chain(right) {
            let is =
                value.map_or_else(|| "is not known yet".to_owned(), |value| format!("is {}", format::level(value)));
            out.push(("indicator", format!("{indicator} {is}"), style));
        }
    }
}

/// Why it has not fired, or will not: state, distance, cooldown, the age of the price, the session.
fn reasons(app: &App, pen: &Pen<'_>, row: &AlertRow) -> Vec<(&'static str, String, Style)> {
    let theme = pen.theme;
    let rule = &row.alert.rule;
    let mut out = Vec::new();
    let meaning = match row.state {
        AlertState::Armed => "waits for its condition",
        AlertState::Pending => "its condition holds; it must hold a while longer",
        AlertState::Cooling if is_cooling_over(app, row) => "has fired; what it is now, the daemon has not said yet",
        AlertState::Cooling => "has fired and stays silent until its cooldown is over",
        AlertState::Fired => "has fired; waits until its condition is no longer true",
        AlertState::Paused => "set aside: Space takes it up again",
        AlertState::Snoozed => "silent for a while, as asked",
        AlertState::Done => "has fired once, which is all it was asked: Space starts it afresh",
        AlertState::Expired => "its time is over",
    };
    out.push((
        "state",
        format!("{} {} · {meaning}", sign(row.state), state_words(app, row)),
        state_style(pen, row.state),
    ));
    if let Some(until) = row.cooling_until.filter(|u| *u > app.now) {
        out.push((
            "cooldown",
            format!("over in {} ({})", format::age(until.since(app.now)), format::moment(app, until)),
            theme.warn,
        ));
    }
    indicators(row, theme.dim, &mut out);
    let preview = app.preview_of(row);
    if let Some(distance) = preview.distance {
        let words = format!(
            "{} to {} ({} %)",
            format::distance(&distance),
            format::level(distance.level),
            format::signed(distance.percent)
        );
        out.push(("distance", words, theme.level));
    }
    if preview.already_true == Some(true) && row.state == AlertState::Fired {
        out.push(("now", "its condition is still true".to_owned(), theme.warn));
    }
    for symbol in rule.symbols() {
        let Some(ticker) = app.ticker(symbol) else {
            out.push(("price", format!("no price of {symbol} is known: nothing can fire"), theme.warn));
            continue;
        };
        let age = format::age_words(app, ticker, false);
        let said = format!("{symbol} {}  {} · {age}", format::price(ticker.price), ticker.source);
        let (note, style) = match app.freshness(ticker) {
            Freshness::Stale => (": too old, fires nothing", theme.warn),
            Freshness::Closed => (": the market is closed, fires nothing", theme.dim),
            Freshness::Live | Freshness::Ageing => ("", Style::new()),
        };
        out.push(("price", format!("{said}{note}"), style));
        if ticker.session != bellwether_core::tick::Session::Regular && rule.session == SessionScope::Regular {
            out.push(("session", "outside regular hours: this price does not count for it".to_owned(), theme.warn));
        }
    }
    if let Some(until) = rule.until {
        out.push(("until", format::moment(app, until), Style::new()));
    }
    let hits = match (row.fired, row.last_fired) {
        (0, _) => "never".to_owned(),
        (1, Some(at)) => format!("once, {}", format::moment(app, at)),
        (n, Some(at)) => format!("{n} times, last {}", format::moment(app, at)),
        (n, None) => format!("{n} times"),
    };
    out.push(("fired", hits, Style::new()));
    if !matches!(rule.repeat, Repeat::Once) || rule.note.is_some() {
        out.push(("line", rule.to_string(), theme.dim));
    }
    out
}

/// The overlay of `w`.
pub(super) fn explanation(app: &App, pen: &mut Pen<'_>, screen: Rect, id: AlertId) {
    let area = super::centered(screen, 76, 18);
    pen.clear(area, Style::new());
    let waits = app.picture().alert(id).is_some_and(|row| {
        row.fired == 0 && !matches!(row.state, AlertState::Fired | AlertState::Cooling | AlertState::Done)
    });
    let title = [piece(format!("{id}: why{}", if waits { " not fired" } else { "" }), pen.theme.strong)];
    let inner = pen.frame(area, &title, "Esc close", true);
    let inner = if area.height < 2 || area.width < 2 { area } else { inner };
    details(app, pen, inner, id);
}
