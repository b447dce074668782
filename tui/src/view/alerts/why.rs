//! Why an alert has not fired, or will not: what stands in its way first, then everything that is known of it.

use bellwether_core::{
    alert::{AlertId, AlertState},
    condition::{Operand, Repeat, SessionScope},
    event::{AlertRow, FeedState},
    explain,
    tick::Session,
};
use ratatui::{layout::Rect, style::Style};

use super::{is_cooling_over, sign, state_style, state_words};
use crate::{
    app::{App, Freshness},
    view::{
        format,
        pen::{Pen, piece, row},
    },
};

/// All there is to say about an alert.
pub(in crate::view) fn details(app: &App, pen: &mut Pen<'_>, area: Rect, id: AlertId) {
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
    y += pen.paragraph(below(y), &verdict(app, row_), theme.warn);
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

/// The one thing that stands between the alert and its next firing.
fn verdict(app: &App, row: &AlertRow) -> String {
    let rule = &row.alert.rule;
    match row.state {
        AlertState::Paused => return "It is paused: nothing can fire until it is resumed.".to_owned(),
        AlertState::Snoozed => return "It is silent, as asked: what happens meanwhile is not told.".to_owned(),
        AlertState::Done => return "It was to fire once, and has.".to_owned(),
        AlertState::Expired => return "Its time is over.".to_owned(),
        _ => {}
    }
    for symbol in rule.symbols() {
        let Some(ticker) = app.ticker(symbol) else {
            return format!("There is no price of {symbol} yet, so it cannot be judged.");
        };
        match app.freshness(ticker) {
            Freshness::Closed => return format!("The market of {symbol} is closed: no price, no firing."),
            Freshness::Stale => return stale(app, ticker),
            Freshness::Live | Freshness::Ageing => {}
        }
        if ticker.session != Session::Regular && rule.session == SessionScope::Regular {
            return format!(
                "{symbol} trades outside regular hours, which do not count for it (`session extended` makes them)."
            );
        }
    }
    if let Some(until) = row.cooling_until.filter(|until| *until > app.now) {
        return format!("It fired, and its cooldown lasts {} more.", format::age(until.since(app.now)));
    }
    match row.state {
        AlertState::Fired => return "It fired, and its condition must first stop being true.".to_owned(),
        AlertState::Pending => return "Its condition is true, but must stay so for longer.".to_owned(),
        _ => {}
    }
    let preview = app.preview_of(row);
    if let Some(way) = preview.distance {
        let verb = if way.absolute.decimal().is_sign_negative() { "fall" } else { "rise" };
        let far = format::signed(way.percent);
        let far = far.trim_start_matches(['+', '-']);
        return format!("The price has to {verb} {far} % to {} first.", format::level(way.level));
    }
    "Its condition is not true now.".to_owned()
}

/// A price is too old: who should bring a newer one, and what is wrong with him.
fn stale(app: &App, ticker: &bellwether_core::event::Ticker) -> String {
    let age = format::age(ticker.age(app.now));
    let source = ticker.source;
    let feed = app.picture().feeds().find(|feed| feed.feed == source && feed.state != FeedState::Live);
    let why = match feed.map(|feed| (feed.state.as_str(), feed.trouble.as_deref())) {
        Some((state, Some(trouble))) => format!("{source} is {state}: {trouble}"),
        Some((state, None)) => format!("{source} is {state}"),
        None if !app.is_live() => "the daemon is not there".to_owned(),
        None => format!("{source} has sent nothing since"),
    };
    format!("The price of {} is {age} old and judges nothing: {why}.", ticker.symbol)
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
        if ticker.session != Session::Regular && rule.session == SessionScope::Regular {
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
        (1, None) => "once".to_owned(),
        (n, None) => format!("{n} times"),
    };
    out.push(("fired", hits, Style::new()));
    if let Some(past) = app.hits_of_alerts.of(row) {
        let times = match past.count {
            0 => "it would not have fired".to_owned(),
            1 => "it would have fired once".to_owned(),
            n => format!("it would have fired {n} times"),
        };
        out.push((
            "past",
            if past.days == 1 {
                format!("in the last day {times}")
            } else {
                format!("in the last {} days {times}", past.days)
            },
            Style::new(),
        ));
    }
    if !matches!(rule.repeat, Repeat::Once) || rule.note.is_some() {
        out.push(("line", rule.to_string(), theme.dim));
    }
    out
}

/// The overlay of `w`.
pub(in crate::view) fn explanation(app: &App, pen: &mut Pen<'_>, screen: Rect, id: AlertId) {
    let area = crate::view::centered(screen, 76, 18);
    pen.clear(area, Style::new());
    let waits = app.picture().alert(id).is_some_and(|row| {
        row.fired == 0 && !matches!(row.state, AlertState::Fired | AlertState::Cooling | AlertState::Done)
    });
    let title = [piece(format!("{id}: why{}", if waits { " not fired" } else { "" }), pen.theme.strong)];
    let inner = pen.frame(area, &title, "Esc close", true);
    let inner = if area.height < 2 || area.width < 2 { area } else { inner };
    details(app, pen, inner, id);
}
