//! Alerts: the pane beside the chart, the screen of all of them, and why one has not fired.

mod why;

use bellwether_core::{
    alert::{AlertId, AlertState},
    condition::Operand,
    event::AlertRow,
};
use ratatui::{layout::Rect, style::Style};

use self::why::details;
pub(super) use self::why::explanation;
use super::{
    format,
    pen::{Pen, first_row, piece, row},
};
use crate::app::{App, Context, Pane, Screen, Target, keymap::bindings, snooze_choices};

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
    let detail = area.width >= 100 && area.height >= 10 && !app.expanded;
    let below = !detail && area.height >= 20 && !app.expanded;
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
        let (left, right) = head(inner.width);
        pen.put(line, line.x + 2, left, pen.theme.dim);
        pen.put_right(line, &right, pen.theme.dim);
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

/// The heading, left and right, in the columns of [`long`].
fn head(room: u16) -> (&'static str, String) {
    let left = if room >= 60 { "No    State          Says" } else { "No    Says" };
    let mut right = format!("{:>10}", "To go");
    for (least, name) in [(60, " Fired"), (66, "    Past"), (110, "     Last"), (96, "  Over          ")] {
        if room >= least {
            right.push_str(name);
        }
    }
    (left, right)
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
    if line.width >= 60 {
        let hits = if row.fired == 0 { format::MISSING.to_owned() } else { format!("{}x", row.fired) };
        tail.push(piece(format!("{hits:>6}"), theme.dim));
    }
    if line.width >= 66 {
        let past =
            app.hits_of_alerts.of(row).map_or(format::MISSING.to_owned(), |n| format!("{}/{}d", n.count, n.days));
        tail.push(piece(format!("{past:>8}"), theme.dim));
    }
    if line.width >= 110 {
        let last =
            row.last_fired.map_or(format::MISSING.to_owned(), |at| format!("{} ago", format::age(app.now.since(at))));
        tail.push(piece(format!("{last:>9}"), theme.dim));
    }
    if line.width >= 96 {
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

/// For how long an alert is to be silent.
pub(super) fn snooze(app: &App, pen: &mut Pen<'_>, screen: Rect, id: AlertId) {
    let choices = snooze_choices(app, id);
    let height = u16::try_from(choices.len()).unwrap_or(5) + 2;
    let area = super::centered(screen, 58, height);
    pen.clear(area, Style::new());
    let boxed = area.height >= 4 && area.width >= 20;
    let title = [piece(format!("Silence {id}"), pen.theme.strong)];
    let inner = if boxed { pen.frame(area, &title, "Esc leave", true) } else { area };
    for (choice, y) in choices.iter().zip(0..inner.height) {
        let line = row(inner, y);
        let key = bindings(Context::Snooze, app.readonly).find(|b| b.action == choice.action);
        let label = key.and_then(|b| b.chords.first()).map_or(String::new(), |chord| chord.label());
        let x = pen.put(line, line.x + u16::from(line.width > 4), &label, pen.theme.key);
        let style = if choice.until.is_some() { Style::new() } else { pen.theme.dim };
        let end = pen.put(line, x + 2, &choice.words, style);
        if let Some(until) = choice.until.filter(|until| *until > app.now) {
            let rest = Rect { x: end + 1, width: line.right().saturating_sub(end + 2), ..line };
            pen.put_right(rest, &format!("until {}", format::moment(app, until)), pen.theme.dim);
        }
        pen.hit(line, Target::Hint(choice.action));
    }
}
