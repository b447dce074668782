//! The chart of one instrument, or of two beside each other. What of the past is shown, [`crate::app`] says; here it is drawn.
//!
//! ```text
//! ╭ BTC 1D 15m Bitcoin ──────────── 1H 4H [1D] 1W 1M 3M 1Y 5Y ╮
//! │ sma(20, 15m)                        levels            61,000 │  axis
//! │      ╷  │╷      bars                ╌╌╌╌╌ a17 > +0.97% 61,000 │
//! │   │  █▄ ██│     lines               ◆                60,412.50 │
//! │ volume  12.4                                            31.2 │  volume
//! │ ▂▁▃▁▂▅▂▁                                                     │
//! │ RSI 14  54.2                                              70 │  lines
//! │ 09:15         12:45                                          │
//! ╰──────────────────────────────────────────────────────────────╯
//! ```

mod axis;
mod bars;
mod canvas;
mod large;
mod levels;
mod lines;
mod scale;
mod volume;

use bellwether_core::{instrument::Symbol, tick::Candle};
use ratatui::layout::Rect;

pub(super) use self::large::large;
use self::scale::Scale;
use super::{
    format,
    pen::{Pen, Piece, piece, row, width},
};
use crate::app::{App, ChartStyle, Link, Plot, RANGES, Screen, Target, Window, strength};

/// Lines of the strength index's panel, and the least height of a chart that has one.
const PANEL: (u16, u16) = (5, 16);

/// Draws the chart of the instrument that the screen is about.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, area: Rect) {
    pen.hit(area, Target::Chart);
    let Some(symbol) = app.subject() else {
        pen.frame(area, &[piece("Chart", pen.theme.dim)], "", false);
        return;
    };
    let items = app.bars().map_or(&[][..], |bars| &bars.items);
    let other = app.chart.compare;
    let axis = axis_width(app, symbol, items);
    // The box is two columns wide in itself, and a column stays free at the left.
    let plot_width = area.width.saturating_sub(axis + 3);
    let tags = if other.is_some() { 0 } else { levels::room(app, symbol, plot_width) };
    let room = plot_width.saturating_sub(tags);
    let window = app.chart.window(items, room);
    let inner = frame(app, pen, area, symbol, &window);
    if inner.width < 12 || inner.height < 3 {
        return;
    }
    let whole = Rect { x: inner.x + 1, width: inner.width.saturating_sub(axis + 1), height: inner.height - 1, ..inner };
    let studied = !app.chart.indicators().is_empty() && strength(app.chart.studies, window.length).is_some();
    let panel = if studied && whole.height >= PANEL.1 { PANEL.0 } else { 0 };
    let traded = if other.is_some() { 0 } else { volume::lines(app, &window.bars, whole.height - panel) };
    let plot = Rect { height: whole.height - panel - traded, ..whole };
    let columns = bars::columns(window.bars.len(), plot.x, plot.right().saturating_sub(tags), window.stride);
    let mut seen = Plot {
        room,
        rows: plot.height,
        ends: None,
        bars: window.bars.iter().map(|bar| bar.from).zip(columns.iter().copied()).collect(),
        top: plot.y,
    };
    if let Some(other) = other {
        lines::compare(app, pen, inner, plot, (symbol, other), (&window.bars, &columns));
    } else if let Some(scale) = scale(app, symbol, &window.bars, plot) {
        seen.ends = Some((scale.low, scale.high));
        prices(app, pen, inner, symbol, &scale, (&window, &columns), tags);
    } else {
        nothing(app, pen, inner);
    }
    if traded > 0 {
        let below = Rect { y: plot.bottom(), height: traded, ..whole };
        volume::draw(app, pen, inner, below, &window.bars, &columns);
    }
    if panel > 0 {
        let below = Rect { y: plot.bottom() + traded, height: panel, ..whole };
        lines::strength(app, pen, inner, below, &window.bars, &columns);
    }
    axis::times(app, pen, row(inner, inner.height - 1), &window.bars, &columns, window.length);
    if window.bars.is_empty() {
        nothing(app, pen, plot);
    }
    if let Some(draft) = levels::held(app, symbol) {
        levels::hand(app, pen, plot, draft);
    }
    pen.plot = Some(seen);
}

/// Bars with everything that belongs to prices, from the ground up.
fn prices(
    app: &App,
    pen: &mut Pen<'_>,
    inner: Rect,
    symbol: Symbol,
    scale: &Scale,
    (window, columns): (&Window, &[u16]),
    tags: u16,
) {
    let shown = &window.bars;
    let right = scale.plot.right().saturating_sub(tags);
    bars::sessions(pen, scale.plot, shown, columns, window.stride);
    levels::bands(app, pen, symbol, scale);
    axis::labels(pen, inner, scale, format::level);
    levels::lines(app, pen, inner, symbol, scale);
    bars::draw(pen, scale, shown, columns, right, app.chart.style);
    lines::studies(app, pen, scale, shown, columns);
    levels::firings(app, pen, symbol, scale, shown, columns);
    if app.screen == Screen::Chart {
        axis::crosshair(app, pen, inner, scale, (shown, columns), window.length);
    }
    levels::outside(app, pen, symbol, scale);
    levels::tags(app, pen, symbol, scale);
    axis::last_price(app, pen, inner, app.ticker(symbol), scale);
    levels::held_price(app, pen, inner, symbol, scale);
}

/// The box with the instrument, the range and the length of a bar; on the Chart screen with all ranges to choose from.
fn frame(app: &App, pen: &mut Pen<'_>, area: Rect, symbol: Symbol, window: &Window) -> Rect {
    let theme = pen.theme;
    let range = app.chart.range();
    let mut title = vec![
        piece(symbol.to_string(), theme.strong),
        piece(format!(" {}", range.name), theme.accent),
        piece(if window.bars.is_empty() { String::new() } else { format!(" {}", window.length) }, theme.dim),
    ];
    match app.chart.compare {
        Some(other) => title.push(piece(format!(" with {other}"), theme.warn)),
        None => title.push(piece(format!(" {}", format::name(app, symbol)), theme.dim)),
    }
    if app.chart.style != ChartStyle::Candles && area.width >= 70 {
        title.push(piece(format!(" · {}", app.chart.style.as_str()), theme.dim));
    }
    if app.chart.zoom != 0 && area.width >= 70 {
        let words = if app.chart.zoom > 0 { "zoomed in" } else { "zoomed out" };
        title.push(piece(format!(" · {words}"), theme.dim));
    }
    let past = app.chart.back > 0;
    let right = match window.bars.last() {
        Some(last) if past => format!("up to {}", format::moment(app, last.to)),
        Some(_) if app.screen != Screen::Chart || area.width < 90 => format!("{} bars", window.bars.len()),
        _ => String::new(),
    };
    let inner = pen.frame(area, &title, &right, false);
    if app.screen == Screen::Chart && area.width >= 90 && !past {
        ranges(app, pen, area);
    }
    inner
}

/// The ranges in the frame, the present one lit.
fn ranges(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let all: Vec<Piece<'_>> = RANGES
        .iter()
        .enumerate()
        .map(|(i, range)| {
            piece(format!(" {} ", range.name), if i == app.chart.range { pen.theme.tab } else { pen.theme.dim })
        })
        .collect();
    let line = Rect { width: area.width - 2, height: 1, ..area };
    let mut x = pen.pieces_right(line, &all);
    for (i, (text, _)) in all.iter().enumerate() {
        pen.hit(Rect { x, width: width(text), ..line }, Target::Range(i));
        x += width(text);
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

/// The prices to be shown: those of the bars, the last one while the newest bar is in sight, and levels that are near enough.
fn scale(app: &App, symbol: Symbol, shown: &[Candle], plot: Rect) -> Option<Scale> {
    let last = app.price(symbol).filter(|_| app.chart.back == 0);
    let prices = shown.iter().flat_map(|c| [c.low, c.high]).chain(last);
    Scale::around(prices, levels::prices(app, symbol).into_iter(), plot)
}
