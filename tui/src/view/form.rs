//! The line in which an alert is written, with its echo in words.

use std::fmt::Write as _;

use bellwether_core::{
    condition::{ChannelName, Operand, Rule},
    instrument::FeedId,
    parse::ParseError,
    price::Price,
    text,
};
use ratatui::{layout::Rect, style::Style};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    format,
    pen::{Pen, first_row, piece, row, width},
};
use crate::app::{App, Context, Entry, Field, Line, Purpose, Sheet, Understanding, next_time};

/// A line of text scrolled so that its cursor is in sight.
struct Scrolled {
    shown: String,
    /// Columns left of the cursor.
    cursor: u16,
    /// Columns cut off at the left.
    cut: u16,
}

fn scrolled(line: &Line, room: u16) -> Scrolled {
    let before = width(&text::sanitize(&line.text()[..line.cursor()]));
    // In a single column the last character stands, not the empty place behind it.
    let cut = (before + u16::from(room > 1)).saturating_sub(room);
    let mut skipped = 0;
    let mut shown = String::new();
    for grapheme in text::sanitize(line.text()).graphemes(true) {
        if skipped < cut {
            skipped += width(grapheme).max(1);
        } else {
            shown.push_str(grapheme);
        }
    }
    Scrolled { shown, cursor: before.saturating_sub(skipped), cut: skipped }
}

/// Draws a prompt and the line behind it, and puts the cursor there. Gives the first column of the text, less what is cut off.
pub(super) fn input(pen: &mut Pen<'_>, line: Rect, prompt: &str, text: &Line, ghost: &str) -> i32 {
    let prompt = if line.width > width(prompt) + 8 { prompt } else { "" };
    let x = pen.put(line, line.x, prompt, pen.theme.accent);
    let room = Rect { x, width: line.right().saturating_sub(x), ..line };
    let view = scrolled(text, room.width);
    let end = pen.put(room, x, &view.shown, pen.theme.strong);
    if text.text().is_empty() {
        pen.put(room, end, ghost, pen.theme.dim);
    }
    if room.width > 0 && line.height > 0 {
        pen.cursor = Some(((x + view.cursor).min(line.right().saturating_sub(1)), line.y));
    }
    i32::from(x) - i32::from(view.cut)
}

/// The alert line over the bottom of the screen.
pub(super) fn entry(app: &App, pen: &mut Pen<'_>, screen: Rect, entry: &Entry) {
    let fields = entry.sheet.as_ref().map_or(0, |_| u16::try_from(Field::ALL.len()).unwrap_or(7));
    let least = if screen.height >= 34 { 11 } else { 9 };
    let tall = (least + fields).min(screen.height);
    let area = Rect { y: screen.bottom() - tall, height: tall, ..screen };
    pen.clear(area, Style::new());
    let name = match entry.purpose {
        Purpose::Create => "New alert".to_owned(),
        Purpose::Edit(id, _) => format!("Edit {id}"),
    };
    let inner =
        if tall >= 5 && area.width >= 20 { pen.frame(area, &[piece(name, pen.theme.strong)], "", true) } else { area };
    let line = row(inner, 0);
    let start = match &entry.sheet {
        None => input(pen, line, " alert ▸ ", &entry.line, "BTC > 61k once via desktop"),
        Some(_) => i32::from(pen.put(line, line.x, " alert ▸ ", pen.theme.accent)),
    };
    if let Some(form) = &entry.sheet {
        pen.put(line, u16::try_from(start).unwrap_or(line.x), entry.line.text(), pen.theme.dim);
        sheet(pen, inner, form);
    }
    if inner.height < 2 {
        return;
    }
    let hints = row(inner, inner.height - 1);
    let body = Rect {
        y: (inner.y + 1 + fields).min(inner.bottom()),
        height: inner.height.saturating_sub(2 + fields),
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
    };
    let used = match &entry.meaning {
        Understanding::Empty => pen.paragraph(
            body,
            "Say when you want to be told: an instrument, a condition, how often, where.",
            pen.theme.dim,
        ),
        Understanding::Rule(rule) => understood(app, pen, body, rule, entry),
        Understanding::Wrong(error) => wrong(pen, body, start, entry, error),
    };
    let rest = Rect { y: body.y + used.min(body.height), height: body.height.saturating_sub(used), ..body };
    if let Some(refusal) = &entry.refusal {
        pen.paragraph(rest, &format!("✗ {refusal}"), pen.theme.trouble);
    } else if entry.was_cut {
        pen.paragraph(rest, "what was pasted is too long: its end was left out", pen.theme.warn);
    } else {
        proposals(pen, row(rest, 0), entry);
    }
    if entry.saving {
        pen.put(hints, hints.x + 1, "saving …", pen.theme.warn);
    } else if area.height != inner.height || inner.height >= 4 {
        let context = if entry.sheet.is_some() { Context::Form } else { Context::Entry };
        super::status::hints_of(app, pen, hints, &[context]);
    }
}

/// The fields below the line; in a low window those around the one that is written in.
fn sheet(pen: &mut Pen<'_>, inner: Rect, sheet: &Sheet) {
    let room = usize::from(inner.height.saturating_sub(2));
    if room == 0 {
        // Only the line itself has room: the field stands in its place.
        field(pen, row(inner, 0), sheet, sheet.field());
        return;
    }
    let first = first_row(sheet.at, room, Field::ALL.len());
    for (name, y) in Field::ALL.into_iter().skip(first).take(room).zip(1..) {
        field(pen, row(inner, y), sheet, name);
    }
}

fn field(pen: &mut Pen<'_>, line: Rect, sheet: &Sheet, field: Field) {
    let here = sheet.field() == field;
    let style = if here { pen.theme.accent } else { pen.theme.dim };
    let label = Rect { width: 14.min(line.width), ..line };
    pen.put(label, line.x + 1, field.name(), style);
    let room = Rect { x: label.right(), width: line.width - label.width, ..line };
    match sheet.text(field) {
        Some(text) if here => {
            input(pen, room, "", text, field.ghost());
        }
        Some(text) if text.text().is_empty() => {
            pen.put(room, room.x, field.ghost(), pen.theme.dim);
        }
        Some(text) => {
            pen.put(room, room.x, text.text(), Style::new());
        }
        None if here => {
            let words = format!("← {} →", sheet.choice(field));
            pen.put(room, room.x, &words, pen.theme.strong);
        }
        None => {
            pen.put(room, room.x, sheet.choice(field), Style::new());
        }
    }
}

/// What its indicators are worth now, each with its name.
fn indicators(app: &App, rule: &Rule) -> Option<String> {
    let worth = app.indicators_now(rule);
    let mut out = Vec::new();
    for (term, known) in rule.terms.iter().zip(&worth) {
        let left = match term.operand {
            Operand::Indicator(_, indicator) => Some((indicator, known.value)),
            Operand::Price(_) | Operand::Ratio(..) => None,
        };
        let right = term.condition.level_indicator().map(|indicator| (indicator, known.level));
        for (indicator, value) in left.into_iter().chain(right) {
            let rounded = value.map(|v| Price::new(v.decimal().round_dp(v.natural_places())));
            out.push(match rounded {
                Some(value) => format!("{indicator} is now {}", format::level(value)),
                None => format!("{indicator} is not known yet: it needs {} closed bars", indicator.window()),
            });
        }
    }
    (!out.is_empty()).then(|| out.join(", "))
}

/// What moves inside a minute may be missed of prices that are asked for now and then.
fn remark(source: FeedId) -> Option<&'static str> {
    match source {
        FeedId::Coingecko => Some("coingecko is asked once a minute: a move inside a minute may be missed"),
        FeedId::Yahoo => Some("where yahoo does not stream it is asked each 90 s: a move in between may be missed"),
        FeedId::Twelvedata => Some("twelvedata is asked now and then: a move in between may be missed"),
        _ => None,
    }
}

/// What the line means, and how far the price is from it.
fn understood(app: &App, pen: &mut Pen<'_>, area: Rect, rule: &Rule, entry: &Entry) -> u16 {
    let preview = app.preview(rule);
    let mut y = pen.paragraph(area, &preview.words, pen.theme.up);
    let symbol = rule.symbol();
    let Some(price) = app.board.ticker(symbol) else {
        pen.put(row(area, y), area.x, &format!("no price of {symbol} is known yet"), pen.theme.warn);
        return y + 1;
    };
    let line = row(area, y);
    let name = format::name(app, symbol);
    let mut x = pen.put(line, line.x, &format!("{name} now {}", format::price(price.price)), Style::new());
    if let Some(distance) = preview.distance {
        let way = format!("  {} ({} %)", format::distance(&distance), format::signed(distance.percent));
        x = pen.put(line, x, &way, pen.theme.level);
        x = pen.put(line, x, &format!(" to {}", format::level(distance.level)), pen.theme.dim);
    }
    if price.is_stale(app.now) {
        pen.put(line, x + 2, &format::age_words(app, price, false), pen.theme.warn);
    }
    y += 1;
    if let Some(words) = indicators(app, rule) {
        let room = Rect { y: area.y + y, height: area.height.saturating_sub(y), ..area };
        y += pen.paragraph(room, &words, pen.theme.accent);
    }
    if preview.already_true == Some(true) {
        let words = if next_time(rule).is_some() {
            "already true: Enter fires it at once, Ctrl-N makes it wait for the next time."
        } else {
            "already true: it fires at once."
        };
        y +=
            pen.paragraph(Rect { y: area.y + y, height: area.height.saturating_sub(y), ..area }, words, pen.theme.warn);
    }
    y += channels(app, pen, row(area, y), rule);
    if let Some(past) = entry.alert().and_then(|line| entry.past.words(line)) {
        let room = Rect { y: area.y + y, height: area.height.saturating_sub(y), ..area };
        y += pen.paragraph(room, past, pen.theme.dim);
    }
    if let Some(words) = remark(price.source) {
        pen.put(row(area, y), area.x, words, pen.theme.dim);
        y += 1;
    }
    y
}

/// Where it will be sent, and whether that works. Gives the lines used.
fn channels(app: &App, pen: &mut Pen<'_>, line: Rect, rule: &Rule) -> u16 {
    let goes = |name: &ChannelName, default: bool| if rule.via.is_empty() { default } else { rule.via.contains(name) };
    let mut x = line.x;
    for channel in app.channels.iter().filter(|c| goes(&c.name, c.default)) {
        let (sign, style) = if channel.ready { ("✓", pen.theme.up) } else { ("✗", pen.theme.warn) };
        x = pen.put(line, x, &format!("{sign} {}", channel.name), style);
        if !channel.ready {
            x = pen.put(line, x + 1, &channel.status, pen.theme.warn);
        }
        x += 2;
    }
    u16::from(x > line.x)
}

/// Carets under the word, what is wrong with it, and what was probably meant.
fn wrong(pen: &mut Pen<'_>, area: Rect, start: i32, entry: &Entry, error: &ParseError) -> u16 {
    let text = entry.line.text();
    let at = |byte: usize| width(&text::sanitize(&text[..text.floor_char_boundary(byte.min(text.len()))]));
    // While the last word is being written it is not wrong yet, only unfinished.
    let unfinished = error.span.end >= text.trim_end().len() && entry.line.cursor() >= text.trim_end().len();
    let style = if unfinished { pen.theme.dim } else { pen.theme.trouble };
    let mut y = 0;
    if area.height > 1 {
        let column = start + i32::from(at(error.span.start));
        let carets = usize::from(at(error.span.end).saturating_sub(at(error.span.start)).max(1));
        if let Ok(x) = u16::try_from(column)
            && x >= area.x.saturating_sub(1)
        {
            let line = Rect { x: area.x.saturating_sub(1), width: area.width + 1, ..row(area, 0) };
            pen.put(line, x, &"^".repeat(carets.min(200)), style);
        }
        y = 1;
    }
    let mut sentence = error.message.clone();
    if let Some(meant) = &error.suggestion
        && !sentence.contains(meant.as_str())
    {
        // Writing into a String cannot fail.
        let _ = write!(sentence, " Did you mean `{meant}`?");
    }
    let rest = Rect { y: area.y + y, height: area.height - y, ..area };
    y + pen.paragraph(rest, &sentence, style)
}

/// What Tab would put there.
fn proposals(pen: &mut Pen<'_>, line: Rect, entry: &Entry) {
    if entry.proposals.is_empty() || line.height == 0 {
        return;
    }
    let mut x = pen.put(line, line.x, "Tab ", pen.theme.key);
    for (i, proposal) in entry.proposals.iter().enumerate() {
        let style = if entry.proposal == Some(i) { pen.theme.tab } else { pen.theme.dim };
        let text = proposal.text.trim();
        if x + width(text) + 1 > line.right() {
            pen.put(line, x, "…", pen.theme.dim);
            break;
        }
        x = pen.put(line, x, text, style) + 2;
    }
}
