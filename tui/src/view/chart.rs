//! The chart: candles with half-block bodies and thin wicks, the alerts' levels drawn in, the last price on the axis.

use bellwether_core::{alert::AlertState, event::Ticker, instrument::Symbol, price::Price, tick::Candle};
use ratatui::{layout::Rect, style::Style};
use rust_decimal::Decimal;

use super::{
    format,
    pen::{Pen, piece, row, width},
};
use crate::app::{App, Freshness, Link, Pane, Target};

/// Rows between two labels of the price axis.
const ROWS_A_LABEL: u16 = 3;
/// Columns between two labels of the time axis.
const COLUMNS_A_LABEL: u16 = 14;
/// Levels this far outside, in per cent of the view, still stretch the axis.
const STRETCH: i64 = 15;

/// The part of the prices that is shown, and where.
struct Scale {
    low: Price,
    high: Price,
    plot: Rect,
}

impl Scale {
    /// The half row of a price, counted from the bottom.
    fn half(&self, price: Price) -> u16 {
        format::step(price, self.low, self.high, self.plot.height.saturating_mul(2))
    }

    /// The line of the screen a price is on.
    fn line(&self, price: Price) -> u16 {
        self.plot.bottom().saturating_sub(1 + self.half(price) / 2)
    }

    fn shows(&self, price: Price) -> bool {
        self.low <= price && price <= self.high
    }
}

/// Draws the chart of the instrument that the screen is about.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, area: Rect) {
    pen.hit(area, Target::Chart);
    let Some(symbol) = app.subject() else {
        pen.frame(area, &[piece("Chart", pen.theme.dim)], "", false);
        return;
    };
    let items = app.bars().map_or(&[][..], |bars| &bars.items);
    // The box is two columns and lines wide in itself.
    let inside = Rect {
        x: area.x.saturating_add(1),
        y: area.y.saturating_add(1),
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    };
    let tags = app.levels.of(symbol).map(|(id, _)| width(&format!(" {id} > "))).max().unwrap_or(0);
    let axis = axis_width(app, symbol, items);
    let room = inside.width.saturating_sub(axis + tags + 1);
    let stride = if usize::from(room) >= items.len() * 2 || room >= 76 { 2 } else { 1 };
    let shown = &items[items.len().saturating_sub(usize::from(room / stride))..];
    let title = [
        piece(symbol.to_string(), pen.theme.strong),
        piece(format!(" {}", app.bar_span()), pen.theme.accent),
        piece(format!(" {}", format::name(app, symbol)), pen.theme.dim),
    ];
    let count = if items.is_empty() { String::new() } else { format!("last {} of {} bars", shown.len(), items.len()) };
    let inner = pen.frame(area, &title, &count, false);
    if inner.width < 12 || inner.height < 3 {
        return;
    }
    let plot = Rect { x: inner.x + 1, width: inner.width.saturating_sub(axis + 1), height: inner.height - 1, ..inner };
    let ticker = app.ticker(symbol);
    let Some(scale) = scale(app, symbol, shown, ticker, plot) else {
        nothing(app, pen, inner);
        return;
    };
    axis_labels(pen, inner, &scale);
    levels(app, pen, inner, symbol, &scale);
    let right = plot.right().saturating_sub(tags);
    let columns = candles(pen, &scale, shown, right, stride);
    firings(app, pen, symbol, &scale, shown, &columns);
    levels_outside(app, pen, symbol, &scale);
    time_axis(app, pen, row(inner, inner.height - 1), shown, &columns);
    last_price(app, pen, inner, ticker, &scale);
    if shown.is_empty() {
        nothing(app, pen, plot);
    }
}

/// Why there are no bars.
fn nothing(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let bars = app.bars();
    let words = match bars {
        _ if app.link == Link::Connecting => "waiting for the daemon …".to_owned(),
        _ if !app.is_live() => "no bars: the daemon is not there".to_owned(),
        Some(bars) if bars.trouble.is_some() => format!("no bars: {}", bars.trouble.as_deref().unwrap_or_default()),
        Some(bars) if bars.known => "no bars yet: they grow from here on".to_owned(),
        _ => "fetching bars …".to_owned(),
    };
    let room = Rect { y: area.y + area.height / 2, height: 1, ..area };
    let x = area.x + area.width.saturating_sub(width(&words)) / 2;
    pen.put(room, x, &words, pen.theme.dim);
}

fn axis_width(app: &App, symbol: Symbol, items: &[Candle]) -> u16 {
    let prices = items.iter().rev().take(200).flat_map(|c| [c.high, c.low]).chain(app.price(symbol));
    let levels = app.levels.of(symbol).map(|(_, level)| level.price);
    prices.chain(levels).map(|p| width(&format::price(p))).max().unwrap_or(6).min(18) + 1
}

/// The prices to be shown: those of the bars and the last one, and levels that are near enough.
fn scale(app: &App, symbol: Symbol, shown: &[Candle], ticker: Option<&Ticker>, plot: Rect) -> Option<Scale> {
    let prices = shown.iter().flat_map(|c| [c.low, c.high]).chain(ticker.map(|t| t.price));
    let (low, high) = prices.fold(None, |ends: Option<(Price, Price)>, p| {
        Some(ends.map_or((p, p), |(low, high)| (low.min(p), high.max(p))))
    })?;
    let (mut low, mut high) = (low.decimal(), high.decimal());
    let share = |part: i64, of: Decimal| of.checked_mul(Decimal::new(part, 2)).unwrap_or_default();
    if low == high {
        let some = share(1, low.abs()).max(Decimal::new(1, 8));
        (low, high) = (low.checked_sub(some)?, high.checked_add(some)?);
    }
    let reach = share(STRETCH, high.checked_sub(low)?);
    let (from, to) = (low.checked_sub(reach)?, high.checked_add(reach)?);
    for (_, level) in app.levels.of(symbol) {
        let level = level.price.decimal();
        if from <= level && level <= to {
            (low, high) = (low.min(level), high.max(level));
        }
    }
    let air = share(4, high.checked_sub(low)?);
    Some(Scale { low: Price::new(low.checked_sub(air)?), high: Price::new(high.checked_add(air)?), plot })
}

/// Draws bars so that the newest ends at `right`. Gives the column of each.
fn candles(pen: &mut Pen<'_>, scale: &Scale, shown: &[Candle], right: u16, stride: u16) -> Vec<u16> {
    let count = u16::try_from(shown.len()).unwrap_or(u16::MAX);
    let start = right.saturating_sub(count.saturating_mul(stride)).max(scale.plot.x);
    let mut columns = Vec::with_capacity(shown.len());
    for (i, bar) in shown.iter().enumerate() {
        let x = start + u16::try_from(i).unwrap_or(u16::MAX).saturating_mul(stride);
        columns.push(x);
        let style = if bar.close >= bar.open { pen.theme.up } else { pen.theme.down };
        let body = (scale.half(bar.open.min(bar.close)), scale.half(bar.open.max(bar.close)));
        let wick = (scale.half(bar.low), scale.half(bar.high));
        for r in wick.0 / 2..=wick.1 / 2 {
            let within = |(from, to): (u16, u16), half: u16| from <= half && half <= to;
            let (lower, upper) = (r * 2, r * 2 + 1);
            let body = (within(body, upper), within(body, lower));
            let wick = (within(wick, upper), within(wick, lower));
            let y = scale.plot.bottom().saturating_sub(1 + r);
            if y >= scale.plot.y && x < right {
                pen.dot(x, y, glyph(body, wick), style);
            }
        }
    }
    columns
}

/// The character for one cell of a candle: what the body and the wick fill of its upper and lower half. A body that a wick
/// leaves inside the cell fills it: no character holds half a block and a line, and a gap would tear the candle.
const fn glyph(body: (bool, bool), wick: (bool, bool)) -> &'static str {
    match (body, wick) {
        ((true, true), _) | ((true, false), (_, true)) | ((false, true), (true, _)) => "█",
        ((true, false), _) => "▀",
        ((false, true), _) => "▄",
        ((false, false), (true, true)) => "│",
        ((false, false), (true, false)) => "╵",
        ((false, false), (false, true)) => "╷",
        ((false, false), (false, false)) => " ",
    }
}

/// Dashed lines at the levels, each with a tag at the right edge.
fn levels(app: &App, pen: &mut Pen<'_>, inner: Rect, symbol: Symbol, scale: &Scale) {
    let selected = app.target_alert();
    for (id, level) in app.levels.of(symbol) {
        let Some(state) = app.picture().alert(id).map(|row| row.state) else { continue };
        let (dash, style) = match state {
            AlertState::Armed | AlertState::Pending | AlertState::Fired => ("╌", pen.theme.level),
            AlertState::Cooling => ("╌", pen.theme.dim),
            AlertState::Paused | AlertState::Snoozed => ("·", pen.theme.dim),
            AlertState::Done | AlertState::Expired => continue,
        };
        if !scale.shows(level.price) {
            continue;
        }
        let y = scale.line(level.price);
        let style = if selected == Some(id) { style.patch(pen.theme.strong) } else { style };
        for x in scale.plot.x..scale.plot.right() {
            pen.dot(x, y, dash, style);
        }
        let line = Rect { y, height: 1, ..scale.plot };
        let tag = format!(" {id} {} ", format::level_sign(level.kind));
        let tag_style = if dash == "╌" && state != AlertState::Cooling { pen.theme.tag } else { style };
        pen.put_right(line, &tag, tag_style);
        let axis = Rect { x: scale.plot.right(), y, width: inner.right() - scale.plot.right(), height: 1 };
        pen.clear(axis, Style::new());
        pen.put_right(axis, &format::level(level.price), style);
    }
}

/// Levels out of sight stand at the edge they lie behind, at most two of them, over the oldest bars.
fn levels_outside(app: &App, pen: &mut Pen<'_>, symbol: Symbol, scale: &Scale) {
    let (mut above, mut below) = (0_u16, 0_u16);
    for (id, level) in app.levels.of(symbol).filter(|(_, level)| !scale.shows(level.price)) {
        let over = level.price > scale.high;
        let count = if over { &mut above } else { &mut below };
        let y = if over { scale.plot.y + *count } else { scale.plot.bottom().saturating_sub(1 + *count) };
        *count += 1;
        if *count <= 2 && *count * 3 < scale.plot.height {
            let arrow = if over { "↑" } else { "↓" };
            let line = Rect { y, height: 1, ..scale.plot };
            pen.put(line, line.x, &format!("{arrow} {id} {} ", format::level(level.price)), pen.theme.level);
        }
    }
}

/// Round numbers up the right side.
fn axis_labels(pen: &mut Pen<'_>, inner: Rect, scale: &Scale) {
    let (low, high) = (scale.low.decimal(), scale.high.decimal());
    let labels = Decimal::from((scale.plot.height / ROWS_A_LABEL).max(1));
    let Some(step) = high.checked_sub(low).and_then(|all| all.checked_div(labels)).and_then(round_up) else { return };
    let Some(mut at) = low.checked_div(step).map(|n| n.ceil()).and_then(|n| n.checked_mul(step)) else { return };
    let mut left = scale.plot.height;
    while at <= high && left > 0 {
        let price = Price::new(at);
        let y = scale.line(price);
        let axis = Rect { x: scale.plot.right(), y, width: inner.right() - scale.plot.right(), height: 1 };
        pen.put_right(axis, &format::level(price), pen.theme.dim);
        let Some(next) = at.checked_add(step) else { break };
        (at, left) = (next, left - 1);
    }
}

/// The next number of the form 1, 2 or 5 times a power of ten.
fn round_up(value: Decimal) -> Option<Decimal> {
    if value <= Decimal::ZERO {
        return None;
    }
    let mut power = Decimal::ONE;
    while power.checked_mul(Decimal::TEN)? <= value {
        power *= Decimal::TEN;
    }
    for _ in 0..28 {
        if power <= value {
            break;
        }
        power /= Decimal::TEN;
    }
    [1, 2, 5, 10].into_iter().filter_map(|n| power.checked_mul(Decimal::from(n))).find(|n| *n >= value)
}

/// A diamond where an alert fired.
fn firings(app: &App, pen: &mut Pen<'_>, symbol: Symbol, scale: &Scale, shown: &[Candle], columns: &[u16]) {
    for firing in app.picture().firings().filter(|f| f.symbol == symbol) {
        let Some(price) = firing.price.filter(|p| scale.shows(*p)) else { continue };
        let bar = shown.iter().position(|c| c.from <= firing.time && firing.time < c.to);
        if let Some(x) = bar.and_then(|i| columns.get(i)) {
            pen.dot(*x, scale.line(price), "◆", pen.theme.warn.patch(pen.theme.strong));
        }
    }
}

fn time_axis(app: &App, pen: &mut Pen<'_>, line: Rect, shown: &[Candle], columns: &[u16]) {
    let mut free = line.x;
    let days = app.bar_span().as_seconds() >= 4 * 3_600;
    let mut before = String::new();
    for (bar, &x) in shown.iter().zip(columns) {
        if x < free {
            continue;
        }
        let day = format::day(app, bar.from);
        let text = if days || (day != before && !before.is_empty()) {
            day.clone()
        } else {
            format::clock(app, bar.from)[..5].to_owned()
        };
        if x + width(&text) > line.right() {
            break;
        }
        before = day;
        pen.put(line, x, &text, pen.theme.dim);
        free = x + COLUMNS_A_LABEL;
    }
}

/// The last price on the axis, as a tag in the colour of the day; dim when it is old.
fn last_price(app: &App, pen: &mut Pen<'_>, inner: Rect, ticker: Option<&Ticker>, scale: &Scale) {
    let Some(ticker) = ticker else { return };
    let y = scale.line(ticker.price);
    let axis = Rect { x: scale.plot.right(), y, width: inner.right() - scale.plot.right(), height: 1 };
    let rising = ticker.change_24h_pct.is_none_or(|c| c.decimal() >= Decimal::ZERO);
    let style = match (app.freshness(ticker), rising) {
        (Freshness::Live, true) => pen.theme.flash_up,
        (Freshness::Live, false) => pen.theme.flash_down,
        _ => pen.theme.selected.patch(pen.theme.dim),
    };
    pen.clear(axis, style);
    pen.put_right(axis, &format::price(ticker.price), style);
}

/// The selected instrument, large, for a window that has room for nothing else.
pub(super) fn large(app: &App, pen: &mut Pen<'_>, area: Rect) {
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
    if area.height >= 6 && super::digits::width(&text) <= area.width {
        super::digits::draw(pen, Rect { y: area.y + y, height: area.height - y, ..area }, &text, style);
        y += super::digits::HEIGHT;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_steps_are_round() {
        for (raw, step) in
            [("0.7", "1"), ("12", "20"), ("30", "50"), ("0.0003", "0.0005"), ("51", "100"), ("1000", "1000")]
        {
            let raw: Decimal = raw.parse().expect(raw);
            assert_eq!(round_up(raw).map(|s| s.normalize().to_string()).as_deref(), Some(step), "{raw}");
        }
        assert_eq!(round_up(Decimal::ZERO), None);
    }

    #[test]
    fn cells_show_body_and_wick_without_a_gap() {
        assert_eq!(glyph((true, true), (true, true)), "█");
        assert_eq!(glyph((false, true), (false, true)), "▄");
        assert_eq!(glyph((false, true), (true, true)), "█");
        assert_eq!(glyph((false, false), (true, false)), "╵");
    }
}
