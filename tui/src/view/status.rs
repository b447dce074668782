//! The rail on top, the hints in the last line, the banner of a lost daemon, and the short messages.

use bellwether_core::{explain::LevelKind, price::Price};
use ratatui::{layout::Rect, style::Style};

use super::{
    format,
    pen::{Pen, Piece, piece, width},
};
use crate::app::{
    App, Context, Done, Freshness, Link, Screen, Target, Tone, Total, first,
    keymap::{self},
};

/// Columns of the picture of the day's range.
const DAY: u16 = 10;

/// The first line: name, tabs, how many prices are live, the clock. What does not fit is left out, the clock last; but that
/// prices are simulated is said at every size.
pub(super) fn rail(app: &App, pen: &mut Pen<'_>, line: Rect) {
    let theme = pen.theme;
    let mut x = line.x;
    let clickable = |pen: &mut Pen<'_>, screen: Screen, x: u16, text: &str| {
        let on = app.screen == screen;
        let end = pen.put(line, x, text, if on { theme.tab } else { Style::new() });
        pen.hit(Rect { x, width: end - x, ..line }, Target::Screen(screen));
        end
    };
    if line.width >= 100 {
        x = pen.put(line, x, " bellwether ", theme.accent);
        x += 1;
    }
    for (i, screen) in Screen::ALL.into_iter().enumerate() {
        let news =
            if screen == Screen::History && app.unseen > 0 { format!("·{}!", app.unseen) } else { String::new() };
        let text = if line.width >= 70 {
            format!(" {} {}{news} ", i + 1, screen.name())
        } else if app.screen == screen {
            format!(" {} ", screen.name())
        } else {
            format!("{}{news} ", i + 1)
        };
        if line.width >= 36 || app.screen == screen {
            x = clickable(pen, screen, x, &text);
        }
    }
    let (current, old) = app.counts();
    let right = Rect { x: x + 1, width: line.right().saturating_sub(x + 1), ..line };
    let words = line.width >= 90;
    let mut parts: Vec<Vec<Piece<'_>>> = Vec::new();
    if let Some(frozen) = &app.frozen {
        let text = format!(" HELD {} ", format::age(app.now.since(frozen.since)));
        parts.push(vec![piece(text, theme.tag), piece(" ", Style::new())]);
    }
    let total = app.total().filter(|_| line.width >= 90).map(|total| holdings(app, &total, &theme));
    parts.extend(total.clone());
    if app.readonly && line.width >= 120 {
        parts.push(vec![piece("read-only  ", theme.dim)]);
    }
    let daemon = match app.link {
        Link::Live { .. } => {
            piece(if words { format!("● {current} live  ") } else { format!("●{current} ") }, theme.up)
        }
        Link::Connecting => piece(if words { "◐ connecting  " } else { "◐ " }, theme.warn),
        Link::Lost { .. } => piece(if words { "○ no daemon  " } else { "○ " }, theme.trouble),
    };
    parts.push(vec![daemon]);
    if old > 0 {
        parts.push(vec![piece(if words { format!("◐ {old} stale  ") } else { format!("◐{old} ") }, theme.warn)]);
    }
    parts.push(vec![piece(format!("{} ", format::clock(app, app.now)), theme.strong)]);
    let all = |parts: &[Vec<Piece<'_>>]| parts.iter().flatten().map(|(t, _)| width(t)).fold(0, u16::saturating_add);
    let clock = parts.last().map_or(0, |clock| all(std::slice::from_ref(clock)));
    let mark = if app.simulated { simulated(app, right.width, clock) } else { "" };
    // The leftmost parts go first when room is short. Beside the mark even the clock may go: a price that is taken for a
    // real one is worse than no time of the day.
    let room = right.width.saturating_sub(width(mark));
    let least = usize::from(mark.is_empty());
    // Of what is held, the sum says most.
    if let Some(at) = parts.iter().position(|part| Some(part) == total.as_ref()).filter(|_| all(&parts) > room) {
        parts[at].truncate(1);
        parts[at].push(piece("  ", Style::new()));
    }
    while parts.len() > least && all(&parts) > room {
        parts.remove(0);
    }
    if !mark.is_empty() {
        let (word, gap) = mark.split_at(mark.len() - 1);
        parts.insert(0, vec![piece(word, theme.fired), piece(gap, Style::new())]);
    }
    pen.pieces_right(right, &parts.concat());
}

/// What everything that is held is worth.
fn holdings<'a>(app: &App, total: &Total, theme: &super::theme::Theme) -> Vec<Piece<'a>> {
    let sum = format!("{} {}", format::money(total.value), app.settings.currency);
    let mut parts = vec![piece(sum, theme.strong)];
    if let Some(profit) = total.profit {
        let rise = (!profit.is_zero()).then(|| profit.is_sign_positive());
        let (arrow, _) = format::arrow(Some(Price::new(profit)));
        parts.push(piece(format!(" {arrow} {}", format::signed_money(profit)), theme.change(rise)));
    }
    if total.unknown > 0 {
        parts.push(piece(format!(" and {} unpriced", total.unknown), theme.warn));
    }
    parts.push(piece("   ", Style::new()));
    parts
}

/// The hints of the first run, at the right above the last line. Gives the lines that they take.
pub(super) fn first_hints(app: &App, pen: &mut Pen<'_>, area: Rect) -> u16 {
    let hints: Vec<_> = first::left(app).collect();
    let room = area.width.min(48);
    if hints.is_empty() || app.overlay.is_some() || area.width < 40 || area.height < 9 {
        return 0;
    }
    let tall = u16::try_from(hints.len()).unwrap_or(3) + 2;
    let area = Rect { x: area.right() - room, y: area.bottom() - tall, width: room, height: tall };
    pen.clear(area, Style::new());
    let inner = pen.frame(area, &[piece("Good to know", pen.theme.strong)], "Esc: got it", true);
    for ((action, words), y) in hints.into_iter().zip(0..inner.height) {
        let binding = keymap::KEYMAP.iter().find(|b| b.action == action && b.context.is_screen());
        let key = binding.and_then(|b| app.keys.chords(b).first()).map_or(String::new(), |c| c.label());
        let line = Rect { y: inner.y + y, height: 1, ..inner };
        pen.put(line, line.x + 1, &key, pen.theme.key);
        pen.put(line, line.x + 4, words, Style::new());
        pen.hit(line, Target::Hint(action));
    }
    tall
}

/// What says that prices are simulated, with the gap behind it: in full beside the clock, else short beside the clock, else
/// alone, as long as there is room for it.
fn simulated(app: &App, room: u16, clock: u16) -> &'static str {
    const FULL: &str = " SIMULATED  ";
    const TAPE: &str = " TAPE  ";
    const SHORT: &str = " SIM  ";
    let fits = |mark, beside: u16| width(mark).saturating_add(beside) <= room;
    if app.plays_a_tape() {
        return if fits(TAPE, clock) || fits(TAPE, 0) { TAPE } else { "TAPE " };
    }
    let choices = [(FULL, clock), (SHORT, clock), (FULL, 0), (SHORT, 0)];
    choices.into_iter().find(|&(mark, beside)| fits(mark, beside)).map_or("SIM ", |(mark, _)| mark)
}

/// The second line: the selected instrument, its day, and the next alert.
pub(super) fn instrument(app: &App, pen: &mut Pen<'_>, line: Rect) {
    let theme = pen.theme;
    let Some(symbol) = app.subject() else { return };
    let ticker = app.ticker(symbol);
    let fresh = ticker.is_some_and(|t| app.freshness(t) == Freshness::Live);
    let (arrow, positive) = format::arrow(ticker.and_then(|t| t.change_24h_pct));
    let change = if fresh { theme.change(positive) } else { theme.dim };
    let mut x = pen.put(line, line.x + 1, symbol.as_str(), theme.strong);
    x = pen.put(line, x + 1, &format::price_or_missing(app.price(symbol)), change.patch(theme.strong));
    let Some(ticker) = ticker else { return };
    let mut words = arrow.to_owned();
    if let Some(absolute) = format::absolute_change(ticker) {
        words.push(' ');
        words.push_str(&format::signed_price(absolute, ticker.price));
    }
    if let Some(percent) = ticker.change_24h_pct {
        words = format!("{words} {} %", format::signed(percent.decimal()));
    }
    x = pen.put(line, x + 1, &words, change);
    let source = format!("{} · {}", ticker.source, format::age_words(app, ticker, false));
    let stale = app.freshness(ticker) == Freshness::Stale;
    let from = x + 2;
    x = pen.put(line, from, &source, if stale { theme.warn } else { theme.dim });
    pen.hit(Rect { x: from, width: x.saturating_sub(from), ..line }, Target::Feed(ticker.source));
    if line.right().saturating_sub(x) > DAY + 26 {
        x = day(pen, line, x + 3, ticker.low, ticker.high, ticker.price);
    }
    if let Some(near) = app.nearest(symbol) {
        let says = match near.kind {
            LevelKind::Lower => "range from",
            LevelKind::Upper => "range to",
            kind => format::level_sign(kind),
        };
        let text = format!("next: {says} {} ({} %) ", format::level(near.level), format::signed(near.percent));
        let room = Rect { x: x + 2, width: line.right().saturating_sub(x + 2), ..line };
        pen.pieces_right(room, &[piece(text, theme.level)]);
    }
}

/// Where the price stands between the day's lowest and highest.
fn day(pen: &mut Pen<'_>, line: Rect, x: u16, low: Option<Price>, high: Option<Price>, price: Price) -> u16 {
    let (Some(low), Some(high)) = (low, high) else { return x };
    if low >= high {
        return x;
    }
    let theme = pen.theme;
    let at = usize::from(format::step(price, low, high, DAY));
    let (before, after) = ("─".repeat(at), "─".repeat(usize::from(DAY) - 1 - at));
    let pieces = [
        piece("day ├", theme.dim),
        piece(before, theme.dim),
        piece("●", theme.accent),
        piece(after, theme.dim),
        piece("┤", theme.dim),
    ];
    pen.pieces(line, x, &pieces)
}

/// The banner while there is no daemon. Says whether it was needed.
pub(super) fn banner(app: &App, pen: &mut Pen<'_>, line: Rect) {
    let Link::Lost { since, reason, retry_at } = &app.link else { return };
    let style = pen.theme.fired;
    pen.clear(line, style);
    let wait = retry_at.since(app.now).as_seconds();
    let next = if wait > 0 { format!("next try in {wait} s; r now, S starts it") } else { "trying …".to_owned() };
    let old = match format::age(app.now.since(*since)).as_str() {
        "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    };
    if let Some(words) = &app.fallen {
        let text = format!(" The daemon dies again and again; S starts it once more. Its log ended: {words}");
        pen.put(line, line.x, &super::pen::fit(&text, line.width).0, style);
        return;
    }
    let long = format!(" The daemon is lost ({old}): {reason}. These are the last known prices; {next}.");
    let short = format!(" no daemon ({old}); {next}");
    let text = if width(&long) <= line.width { long } else { short };
    pen.put(line, line.x, &text, style);
}

/// The last line: what can be done here.
pub(super) fn hints(app: &App, pen: &mut Pen<'_>, line: Rect) {
    hints_of(app, pen, line, &app.contexts());
}

/// The hints of these contexts, as many as fit.
pub(super) fn hints_of(app: &App, pen: &mut Pen<'_>, line: Rect, contexts: &[Context]) {
    let mut x = line.x + 1;
    if let Some(undo) = &app.undo
        && app.overlay.is_none()
    {
        let what = if matches!(undo.done, Done::Deleted) { "brings" } else { "puts" };
        let text = format!("u {what} {} back ({} s) ", undo.id, undo.until.since(app.now).as_seconds() + 1);
        let end = pen.put(line, x, &text, pen.theme.tag);
        pen.hit(Rect { x, width: end - x, ..line }, Target::Hint(crate::app::Action::Undo));
        x = end + 1;
    }
    for binding in contexts.iter().flat_map(|c| keymap::bindings(*c, app.readonly)) {
        let (Some(word), Some(chord)) = (binding.hint, app.keys.chords(binding).first()) else { continue };
        let key = chord.label();
        if x + width(&key) + width(word) + 1 > line.right() {
            break;
        }
        let end = pen.put(line, x, &key, pen.theme.key);
        let end = pen.put(line, end + 1, word, pen.theme.dim);
        pen.hit(Rect { x, width: end - x, ..line }, Target::Hint(binding.action));
        x = end + 2;
    }
}

/// The short messages, newest at the bottom, at the right above the last line. In a window of ordinary size at most two: more
/// would cover what stands there.
pub(super) fn toasts(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let room = area.width.min(if area.width >= 90 { 76 } else { area.width });
    let many = if area.width >= 100 && area.height >= 26 { 4 } else { 2 };
    let count = usize::from(area.height / 3).clamp(1, many);
    let mut y = area.bottom();
    for toast in app.toasts.iter().rev().take(count) {
        let (sign, style) = match toast.tone {
            Tone::Info => ("·", pen.theme.toast),
            Tone::Fired => ("◆", pen.theme.fired),
            Tone::Trouble => ("✗", pen.theme.trouble.patch(pen.theme.toast)),
        };
        // Two lines at most, and one where there are few; what does not fit stands on the screen the message is about.
        let most = if area.height < 9 { 1 } else { 2 };
        let mut lines = super::pen::wrap(&toast.text, room.saturating_sub(4));
        if lines.len() > most {
            let rest = lines.split_off(most - 1).join(" ");
            lines.push(super::pen::fit(&rest, room.saturating_sub(4)).0);
        }
        let wide = lines.iter().map(|l| width(l)).max().unwrap_or(0).saturating_add(4).min(room);
        for (i, text) in lines.iter().enumerate().rev() {
            // The price at the top is what a small screen is for.
            if y <= area.y + 1 {
                return;
            }
            y -= 1;
            let line = Rect { x: area.right() - wide, y, width: wide, height: 1 };
            pen.clear(line, style);
            pen.put(line, line.x + 1, if i == 0 { sign } else { " " }, style);
            pen.put(line, line.x + 3, text, style);
        }
    }
}
