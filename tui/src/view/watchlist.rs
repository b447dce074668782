//! The table of prices: one row an instrument, only the digits that changed flash, the age of every price in sight.

use bellwether_core::{event::Ticker, instrument::Symbol, price::Price, tick::Session};
use ratatui::{layout::Rect, style::Style};

use super::{
    format,
    pen::{Pen, first_row, piece, row, width},
};
use crate::app::{App, Flash, Freshness, Pane, Sort, Target};

/// A gap stays above the highest one, so that rows do not grow into each other.
const BARS: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];
/// Columns of the small picture of the last 24 hours.
const SPARK: u16 = 10;

/// How wide each column is; 0 where it does not fit.
struct Columns {
    symbol: u16,
    price: u16,
    percent: u16,
    absolute: u16,
    spark: u16,
    alert: u16,
    age: u16,
}

impl Columns {
    /// What fits into `room`. First the words beside the age go, then the picture, then the distance, last the absolute change.
    fn new(app: &App, room: u16) -> Self {
        let widest = app.picture().tickers().map(|t| width(&format::price(t.price))).max().unwrap_or(0);
        let longest = app.rows.iter().map(|s| width(s.as_str())).max().unwrap_or(0);
        let labels = app.picture().tickers().any(|t| t.session != Session::Regular);
        let symbol = (longest.clamp(6, 12) + if labels { 5 } else { 0 }).min(room / 3);
        let mut columns =
            Self { symbol, price: widest.clamp(9, 18), percent: 9, absolute: 0, spark: 0, alert: 0, age: 0 };
        let mut left = room.saturating_sub(2 + columns.symbol + 1 + columns.price + columns.percent + 1);
        let mut take = |wanted: u16| {
            if left >= wanted {
                left -= wanted;
                wanted
            } else {
                0
            }
        };
        columns.age = take(6);
        columns.alert = take(10);
        columns.spark = take(SPARK + 2);
        if columns.age > 0 && columns.spark > 0 {
            columns.age += take(7);
            columns.absolute = take(14);
        }
        columns
    }
}

/// Draws the table into its box.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, area: Rect, boxed: bool) {
    let inner = if boxed {
        let sort = format!("sort: {}{}", app.sort.name(), if app.reversed { " reversed" } else { "" });
        let title = [piece("Watch", pen.theme.strong), piece(format!(" ({})", app.rows.len()), pen.theme.dim)];
        pen.frame(area, &title, &sort, app.pane == Pane::Table)
    } else {
        area
    };
    pen.hit(area, Target::Pane(Pane::Table));
    if inner.height == 0 || inner.width == 0 {
        return;
    }
    let columns = Columns::new(app, inner.width);
    let heading = inner.height > 3;
    let body = if heading {
        head(app, pen, row(inner, 0), &columns);
        Rect { y: inner.y + 1, height: inner.height - 1, ..inner }
    } else {
        inner
    };
    let height = usize::from(body.height);
    pen.page = height;
    let Some(selected) = app.watch.index(&app.rows) else {
        let words = if app.is_live() { "no prices yet" } else { "waiting for the daemon" };
        pen.put(row(body, 0), body.x + 2, words, pen.theme.dim);
        return;
    };
    let first = first_row(selected, height, app.rows.len());
    for (i, &symbol) in app.rows.iter().enumerate().skip(first).take(height) {
        let line = row(body, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Row(symbol));
        one(app, pen, line, &columns, symbol, i == selected);
    }
}

fn head(app: &App, pen: &mut Pen<'_>, line: Rect, columns: &Columns) {
    let dim = pen.theme.dim;
    let mut x = line.x + 2;
    let mut title = |pen: &mut Pen<'_>, columns: u16, text: &str, right: bool, sort: Option<Sort>| {
        let cell = Rect { x, width: columns.min(line.right().saturating_sub(x)), ..line };
        let style = if sort.is_some_and(|s| s == app.sort) { pen.theme.accent } else { dim };
        if right {
            pen.put_right(cell, text, style);
        } else {
            pen.put(cell, cell.x, text, style);
        }
        if let Some(sort) = sort {
            pen.hit(cell, Target::Sort(sort));
        }
        x += columns;
    };
    title(pen, columns.symbol + 1, "Symbol", false, Some(Sort::Symbol));
    title(pen, columns.price, "Price", true, None);
    title(pen, columns.percent, "Chg %", true, Some(Sort::Change));
    if columns.absolute > 0 {
        title(pen, columns.absolute, "Chg", true, None);
    }
    if columns.spark > 0 {
        title(pen, columns.spark, "  24h", false, None);
    }
    if columns.alert > 0 {
        title(pen, columns.alert, "Alert", true, Some(Sort::Alert));
    }
    if columns.age > 0 {
        title(pen, columns.age, "Age", true, None);
    }
}

fn one(app: &App, pen: &mut Pen<'_>, line: Rect, columns: &Columns, symbol: Symbol, selected: bool) {
    let theme = pen.theme;
    if selected {
        pen.tint(line, theme.selected);
        let style = if app.pane == Pane::Table { theme.accent } else { theme.dim };
        pen.put(line, line.x, "▶", style);
    }
    let ticker = app.ticker(symbol);
    let freshness = ticker.map(|t| app.freshness(t));
    let old = !matches!(freshness, Some(Freshness::Live));
    let mut x = line.x + 2;
    let name_style = match (selected, old) {
        (true, _) if app.pane == Pane::Table => theme.cursor,
        (true, _) => theme.strong,
        (false, true) => theme.dim,
        (false, false) => Style::new(),
    };
    let cell = Rect { x, width: columns.symbol.min(line.right().saturating_sub(x)), ..line };
    let after = pen.put(cell, x, symbol.as_str(), name_style);
    match (ticker.map(|t| t.session), freshness) {
        (_, Some(Freshness::Stale)) if columns.age == 0 => pen.put(cell, after + 1, "◐", theme.warn),
        (Some(Session::Pre), _) => pen.put(cell, after + 1, "PRE", theme.accent),
        (Some(Session::Post), _) => pen.put(cell, after + 1, "POST", theme.accent),
        _ => after,
    };
    x += columns.symbol + 1;
    let cell = Rect { x, width: columns.price.min(line.right().saturating_sub(x)), ..line };
    price(app, pen, cell, symbol, ticker, freshness);
    x += columns.price;
    let right = |x: u16, width: u16| Rect { x, width: width.min(line.right().saturating_sub(x)), ..line };
    let change = ticker.and_then(|t| t.change_24h_pct);
    let (arrow, positive) = format::arrow(change);
    let style = if old { theme.dim } else { theme.change(positive) };
    let text = change.map_or(format::MISSING.to_owned(), |c| format!("{arrow} {}", format::signed(c.decimal())));
    pen.put_right(right(x, columns.percent), &text, style);
    x += columns.percent;
    if columns.absolute > 0 {
        let absolute = ticker.and_then(format::absolute_change);
        let text = absolute.map_or(format::MISSING.to_owned(), |c| {
            let places = ticker.map_or(2, |t| t.price.natural_places());
            let plus = if c.is_positive() { "+" } else { "" };
            format!("{plus}{}", c.grouped(places))
        });
        let cell = right(x + 1, columns.absolute - 1);
        pen.put_right(cell, &text, style);
        x += columns.absolute;
    }
    if columns.spark > 0 {
        spark(app, pen, right(x + 2, SPARK), symbol, style);
        x += columns.spark;
    }
    // A distance from a price that is worth nothing is worth nothing: the words that say so take its place.
    if columns.age > 0
        && columns.age < 12
        && let (Some(ticker), Some(Freshness::Stale | Freshness::Closed)) = (ticker, freshness)
    {
        let style = if freshness == Some(Freshness::Stale) { theme.warn } else { theme.dim };
        pen.put_right(right(x, columns.alert + columns.age), &format::age_words(app, ticker, false), style);
        return;
    }
    if columns.alert > 0 {
        let (text, style) = match app.nearest(symbol) {
            Some(near) => (format::near(&near), if old { theme.dim } else { theme.level }),
            None if app.alerts_of(symbol).is_empty() => ("·".to_owned(), theme.dim),
            None if ticker.is_none() => ("?".to_owned(), theme.warn),
            None => {
                let waits = app.alerts_of(symbol).iter().find(|row| !row.alert.paused).map(|row| row.state.as_str());
                (waits.unwrap_or("paused").to_owned(), theme.dim)
            }
        };
        pen.put_right(right(x, columns.alert), &text, style);
        x += columns.alert;
    }
    if columns.age > 0 {
        let text = ticker.map_or(format::MISSING.to_owned(), |t| format::age_words(app, t, columns.age < 12));
        let style = if freshness == Some(Freshness::Stale) { theme.warn } else { theme.dim };
        pen.put_right(right(x, columns.age), &text, style);
    }
}

/// The price with its changed digits lit.
fn price(
    app: &App,
    pen: &mut Pen<'_>,
    cell: Rect,
    symbol: Symbol,
    ticker: Option<&Ticker>,
    freshness: Option<Freshness>,
) {
    let theme = pen.theme;
    let Some(ticker) = ticker else {
        pen.put_right(cell, format::MISSING, theme.dim);
        return;
    };
    let text = format::price(ticker.price);
    let style = if freshness == Some(Freshness::Live) { Style::new() } else { theme.dim };
    let x = pen.put_right(cell, &text, style);
    if !app.look.animations || app.frozen.is_some() {
        return;
    }
    let (from, style) = match app.motions.flash(symbol, app.now) {
        Some(Flash::Bright { from, up }) => (from, if up { theme.flash_up } else { theme.flash_down }),
        Some(Flash::Fading { from, up }) => (from, if up { theme.fade_up } else { theme.fade_down }),
        Some(Flash::Busy) if x > cell.x => return pen.dot(x - 1, cell.y, "•", theme.accent),
        Some(Flash::Busy) | None => return,
    };
    let start = x.saturating_add(u16::try_from(from).unwrap_or(0));
    pen.tint(Rect { x: start, width: cell.right().saturating_sub(start), ..cell }, style);
}

/// The last 24 hours in one line, the present price as its last point.
fn spark(app: &App, pen: &mut Pen<'_>, cell: Rect, symbol: Symbol, style: Style) {
    let mut points: Vec<Price> = app.market.spark(symbol).to_vec();
    points.extend(app.price(symbol));
    if points.len() < 2 {
        pen.put(cell, cell.x, "·", pen.theme.dim);
        return;
    }
    let (low, high) = (points.iter().min().copied(), points.iter().max().copied());
    let (Some(low), Some(high)) = (low, high) else { return };
    let count = points.len();
    let columns = usize::from(cell.width).min(count);
    let text: String = (0..columns)
        .map(|i| {
            let point = points[(i + 1) * count / columns - 1];
            let level = if low == high { 3 } else { format::step(point, low, high, 7) };
            BARS[usize::from(level)]
        })
        .collect();
    pen.put(cell, cell.x, &text, style.patch(pen.theme.quiet));
}
