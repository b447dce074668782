//! Alerts in the chart: dashed lines with a tag at the right, ranges as a band, a diamond where one fired, an arrow for what lies
//! out of sight, and the line that is in the user's hand.

use bellwether_core::{
    alert::{AlertId, AlertState},
    condition::Condition,
    explain::{self, LevelKind},
    instrument::Symbol,
    price::Price,
    tick::Candle,
};
use ratatui::{layout::Rect, style::Style};

use super::{axis::beside, scale::Scale};
use crate::{
    app::{App, Draft, Overlay, Target, percent_between},
    view::{
        format,
        pen::{Pen, piece, row, width},
    },
};

/// From so many columns on a tag says how far its level is and how often it was reached.
const WORDY: u16 = 72;
/// Columns for tags that say so much: always as many, so that the bars do not move when a time runs out.
const WORDS: u16 = 25;
/// The most levels out of sight that are named at an edge.
const MOST_OUTSIDE: u16 = 2;

/// A level to be drawn.
struct Mark {
    /// None for a line that is new.
    id: Option<AlertId>,
    price: Price,
    kind: LevelKind,
    state: AlertState,
    /// Whether it is the one in the user's hand.
    held: bool,
}

/// The line in the user's hand, if it is on this instrument.
pub(super) fn held(app: &App, symbol: Symbol) -> Option<&Draft> {
    match &app.overlay {
        Some(Overlay::Level(draft)) if draft.symbol == symbol => Some(draft),
        _ => None,
    }
}

/// The levels on an instrument, those of the alert in the hand as they would become.
fn marks(app: &App, symbol: Symbol) -> Vec<Mark> {
    let draft = held(app, symbol);
    let in_hand = draft.and_then(Draft::alert);
    let state_of = |id| app.picture().alert(id).map(|row| row.state);
    let mut out: Vec<Mark> = app
        .levels
        .of(symbol)
        .filter(|(id, _)| Some(*id) != in_hand)
        .filter_map(|(id, level)| {
            let state = state_of(id)?;
            Some(Mark { id: Some(id), price: level.price, kind: level.kind, state, held: false })
        })
        .filter(|mark| !matches!(mark.state, AlertState::Done | AlertState::Expired))
        .collect();
    if let Some(draft) = draft {
        let state = in_hand.and_then(state_of).unwrap_or(AlertState::Armed);
        out.extend(explain::levels(&draft.rule).into_iter().filter(|level| level.symbol == symbol).map(|level| Mark {
            id: in_hand,
            price: level.price,
            kind: level.kind,
            state,
            held: level.price == draft.level,
        }));
    }
    out
}

/// The prices of all levels that may stretch the axis.
pub(super) fn prices(app: &App, symbol: Symbol) -> Vec<Price> {
    marks(app, symbol).into_iter().map(|mark| mark.price).collect()
}

const fn dash(state: AlertState) -> &'static str {
    match state {
        AlertState::Paused | AlertState::Snoozed => "·",
        _ => "╌",
    }
}

fn line_style(pen: &Pen<'_>, mark: &Mark, selected: bool) -> Style {
    let theme = pen.theme;
    let style = match mark.state {
        _ if mark.held => theme.accent,
        AlertState::Armed | AlertState::Pending | AlertState::Fired => theme.level,
        _ => theme.dim,
    };
    if selected || mark.held { style.patch(theme.strong) } else { style }
}

/// The number in a tag: that of the alert, or `new`.
fn name(mark: &Mark) -> String {
    mark.id.map_or_else(|| "new".to_owned(), |id| id.to_string())
}

/// `a17 > +0.97% 4/30d`, as much of it as there is room for.
fn tag(app: &App, symbol: Symbol, mark: &Mark, wordy: bool) -> String {
    let sign = format::level_sign(mark.kind);
    if !wordy || mark.held {
        // What is in the hand is told in full at the top.
        return format!(" {} {sign} ", name(mark));
    }
    let row = mark.id.and_then(|id| app.picture().alert(id));
    let until = row.and_then(|row| match mark.state {
        AlertState::Cooling => row.cooling_until,
        AlertState::Snoozed => row.alert.snoozed_until,
        _ => None,
    });
    let says = match (until.filter(|until| *until > app.now), mark.state) {
        (Some(until), state) => format!("{state} {} ", format::age(until.since(app.now))),
        (None, AlertState::Paused | AlertState::Snoozed) => format!("{} ", mark.state),
        _ => app
            .price(symbol)
            .and_then(|last| percent_between(last, mark.price))
            .map_or(String::new(), |percent| format!("{}% ", format::signed(percent))),
    };
    let hits =
        row.and_then(|row| app.hits_of_alerts.of(row)).map_or(String::new(), |n| format!("{}/{}d ", n.count, n.days));
    format!(" {} {sign} {says}{hits}", name(mark))
}

/// Columns that the tags take at the right of the plot.
pub(super) fn room(app: &App, symbol: Symbol, plot: u16) -> u16 {
    let marks = marks(app, symbol);
    if plot >= WORDY && !marks.is_empty() {
        return WORDS;
    }
    marks.iter().map(|mark| width(&tag(app, symbol, mark, false))).max().unwrap_or(0).min(plot / 2)
}

/// The bands of ranges: a ground where the colour scheme has one, else a light pattern.
pub(super) fn bands(app: &App, pen: &mut Pen<'_>, symbol: Symbol, scale: &Scale) {
    let draft = held(app, symbol);
    for row in app.alerts_of(symbol) {
        if matches!(row.state, AlertState::Done | AlertState::Expired | AlertState::Paused) {
            continue;
        }
        let rule = draft.filter(|draft| draft.alert() == Some(row.alert.id)).map_or(&row.alert.rule, |d| &d.rule);
        for term in rule.terms.iter().filter(|t| t.operand == bellwether_core::condition::Operand::Price(symbol)) {
            let (Condition::In(range) | Condition::Outside(range) | Condition::Enters(range) | Condition::Exits(range)) =
                term.condition
            else {
                continue;
            };
            if range.upper < scale.low || range.lower > scale.high {
                continue;
            }
            let (top, bottom) = (scale.line(range.upper), scale.line(range.lower));
            let band = Rect { y: top, height: (bottom + 1).saturating_sub(top), ..scale.plot };
            match pen.theme.band {
                Some(style) => pen.tint(band, style),
                None => {
                    for y in band.y..band.bottom() {
                        for x in (band.x..band.right()).filter(|x| (x + 2 * y) % 8 == 0) {
                            pen.dot(x, y, "·", pen.theme.level);
                        }
                    }
                }
            }
        }
    }
}

/// Dashed lines at the levels, and their prices on the axis.
pub(super) fn lines(app: &App, pen: &mut Pen<'_>, inner: Rect, symbol: Symbol, scale: &Scale) {
    let selected = app.target_alert();
    for mark in marks(app, symbol).iter().filter(|mark| scale.shows(mark.price)) {
        let y = scale.line(mark.price);
        let style = line_style(pen, mark, mark.id.is_some() && selected == mark.id);
        for x in scale.plot.x..scale.plot.right() {
            let base = pen.buffer.cell((x, y)).map_or(Style::new(), |cell| Style::new().bg(cell.bg));
            pen.dot(x, y, if mark.held { "━" } else { dash(mark.state) }, base.patch(style));
        }
        let axis = beside(inner, scale.plot, y);
        pen.clear(axis, Style::new());
        pen.put_right(axis, &format::level(mark.price), style);
    }
}

/// The price of the line in the hand on the axis, over whatever stands there.
pub(super) fn held_price(app: &App, pen: &mut Pen<'_>, inner: Rect, symbol: Symbol, scale: &Scale) {
    if let Some(draft) = held(app, symbol).filter(|draft| scale.shows(draft.level)) {
        let axis = beside(inner, scale.plot, scale.line(draft.level));
        pen.clear(axis, pen.theme.tab);
        pen.put_right(axis, &format::level(draft.level), pen.theme.tab);
    }
}

/// The tags at the right edge; two on one line stand side by side.
pub(super) fn tags(app: &App, pen: &mut Pen<'_>, symbol: Symbol, scale: &Scale) {
    let wordy = scale.plot.width >= WORDY;
    let mut taken: Vec<(u16, u16)> = Vec::new();
    for mark in marks(app, symbol).iter().filter(|mark| scale.shows(mark.price)) {
        let y = scale.line(mark.price);
        let right = taken.iter().filter(|(line, _)| *line == y).map(|(_, x)| *x).min().unwrap_or(scale.plot.right());
        let line = Rect { y, height: 1, width: right.saturating_sub(scale.plot.x), ..scale.plot };
        let style = match mark.state {
            _ if mark.held => pen.theme.tab,
            AlertState::Armed | AlertState::Pending | AlertState::Fired => pen.theme.tag,
            _ => pen.theme.dim,
        };
        let text = tag(app, symbol, mark, wordy);
        if width(&text) >= line.width {
            continue;
        }
        let x = pen.put_right(line, &text, style);
        taken.push((y, x));
        if let Some(id) = mark.id {
            pen.hit(Rect { x, width: right - x, ..line }, Target::Tag(id));
        }
    }
}

/// Levels out of sight stand at the edge they lie behind, over the oldest bars, the nearest ones first.
pub(super) fn outside(app: &App, pen: &mut Pen<'_>, symbol: Symbol, scale: &Scale) {
    let mut all: Vec<Mark> = marks(app, symbol).into_iter().filter(|mark| !scale.shows(mark.price)).collect();
    let far = |mark: &Mark| {
        let edge = if mark.price > scale.high { scale.high } else { scale.low };
        mark.price.decimal().checked_sub(edge.decimal()).map(|way| way.abs())
    };
    all.sort_by_key(|mark| (!mark.held, far(mark)));
    let (mut above, mut below) = (0_u16, 0_u16);
    for mark in &all {
        let over = mark.price > scale.high;
        let count = if over { &mut above } else { &mut below };
        // The top line belongs to the legend.
        let y = if over { scale.plot.y + 1 + *count } else { scale.plot.bottom().saturating_sub(1 + *count) };
        *count += 1;
        if *count <= MOST_OUTSIDE && *count * 3 < scale.plot.height {
            let arrow = if over { "↑" } else { "↓" };
            let line = Rect { y, height: 1, ..scale.plot };
            let style = if mark.held { pen.theme.tab } else { line_style(pen, mark, false) };
            let text = format!("{arrow} {} {} ", name(mark), format::level(mark.price));
            pen.put(line, line.x, &text, style);
        }
    }
}

/// A diamond where an alert fired.
pub(super) fn firings(app: &App, pen: &mut Pen<'_>, symbol: Symbol, scale: &Scale, shown: &[Candle], columns: &[u16]) {
    for firing in app.picture().firings().filter(|f| f.symbol == symbol) {
        let Some(price) = firing.price.filter(|p| scale.shows(*p)) else { continue };
        let place = shown.partition_point(|bar| bar.from <= firing.time).checked_sub(1);
        let place = place.filter(|i| firing.time < shown[*i].to);
        if let Some(x) = place.and_then(|i| columns.get(i)) {
            pen.dot(*x, scale.line(price), "◆", pen.theme.warn.patch(pen.theme.strong));
        }
    }
}

/// What the line in the hand says, how far it is, and what it would have done: at the top of the chart.
pub(super) fn hand(app: &App, pen: &mut Pen<'_>, plot: Rect, draft: &Draft) {
    let theme = pen.theme;
    let line = row(plot, 0);
    pen.clear(line, theme.toast);
    let name = draft.alert().map_or_else(|| " new ".to_owned(), |id| format!(" {id} "));
    let bold = theme.toast.patch(theme.strong);
    let mut pieces = vec![piece(name, theme.tab), piece(format!(" {}", draft.rule.condition_text()), bold)];
    if let Some(typed) = draft.typed.as_ref().filter(|typed| !typed.text().is_empty()) {
        pieces.push(piece(format!("  typed {}▏", typed.text()), bold));
    }
    if let Some(percent) = app.price(draft.symbol).and_then(|last| percent_between(last, draft.level)) {
        pieces.push(piece(format!("  {} % away", format::signed(percent)), theme.toast));
    }
    let x = pen.pieces(line, line.x, &pieces);
    let (words, style) = match (&draft.refusal, draft.past.words(&draft.line())) {
        _ if draft.saving => ("saving …".to_owned(), bold),
        (Some(refusal), _) => (format!("✗ {refusal}"), theme.trouble),
        (None, Some(past)) => (past.to_owned(), theme.toast),
        (None, None) if app.is_live() => (format!("last {} days: counting …", App::PAST_DAYS), theme.toast),
        (None, None) => ("the daemon is not there: what it would have done is not known".to_owned(), theme.toast),
    };
    // On the same line where there is room, else below it.
    if width(&words) + 3 < line.right().saturating_sub(x) {
        pen.put(line, x + 3, &words, style);
    } else {
        let below = row(plot, 1);
        pen.clear(below, theme.toast);
        pen.put(below, below.x + 1, &words, style);
    }
}
