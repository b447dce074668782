//! The table of prices: one row an instrument, only the digits that changed flash, the age of every price in sight.

use bellwether_core::{
    config::dashboard::{ALL, Column},
    event::Ticker,
    instrument::Symbol,
    price::Price,
    tick::Session,
};
use ratatui::{layout::Rect, style::Style};

use super::{
    format,
    pen::{Pen, first_row, piece, row, width},
};
use crate::app::{App, Flash, Freshness, Graphs, Pane, Sort, Target, Worth};

/// A gap stays above the highest one, so that rows do not grow into each other.
const BARS: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];
/// Columns of the small picture of the last 24 hours.
const SPARK: u16 = 10;

/// The columns that fit, in the user's order, each with its width.
struct Columns {
    symbol: u16,
    cells: Vec<(Column, u16)>,
}

impl Columns {
    /// What fits into `room`. First the words beside the age go, then the picture, then the distance; price and change stay.
    fn new(app: &App, room: u16) -> Self {
        let widest = app.picture().tickers().map(|t| width(&format::price(t.price))).max().unwrap_or(0);
        let longest = app.rows.iter().map(|s| width(s.as_str())).max().unwrap_or(0);
        let labels = app.picture().tickers().any(|t| t.session != Session::Regular);
        let symbol = (longest.clamp(6, 12) + if labels { 5 } else { 0 }).min(room / 3);
        let wanted = |column: Column| app.settings.columns.contains(&column);
        let held = !app.settings.holdings.is_empty();
        let mut left = room.saturating_sub(2 + symbol + 1 + 1);
        let mut take = |column: Column, columns: u16| {
            if wanted(column) && left >= columns {
                left -= columns;
                columns
            } else {
                0
            }
        };
        let price = take(Column::Price, widest.clamp(9, 18));
        let percent = take(Column::Percent, 9);
        let mut age = take(Column::Age, 6);
        let mut value = if held { take(Column::Value, 13) } else { 0 };
        let alert = take(Column::Alert, 10);
        let picture = take(Column::Picture, SPARK + 2);
        let mut profit = if held && value > 0 { take(Column::Profit, 12) } else { 0 };
        let mut change = 0;
        if (age > 0 || !wanted(Column::Age)) && (picture > 0 || !wanted(Column::Picture)) {
            if age > 0 {
                age += take(Column::Age, 7);
            }
            change = take(Column::Change, 14);
        }
        // Sums of millions need more, where there is more.
        if value > 0 {
            value += take(Column::Value, 4);
        }
        if profit > 0 {
            profit += take(Column::Profit, 4);
        }
        let fits = |column: &Column| match column {
            Column::Price => price,
            Column::Percent => percent,
            Column::Change => change,
            Column::Picture => picture,
            Column::Alert => alert,
            Column::Age => age,
            Column::Value => value,
            Column::Profit => profit,
        };
        let cells = app.settings.columns.iter().map(|c| (*c, fits(c))).filter(|(_, width)| *width > 0).collect();
        Self { symbol, cells }
    }

    fn width(&self, column: Column) -> u16 {
        self.cells.iter().find(|(c, _)| *c == column).map_or(0, |(_, width)| *width)
    }

    /// Whether the age stands right behind the distance, so that words may take the place of both.
    fn age_behind_alert(&self) -> bool {
        self.cells.windows(2).any(|pair| pair[0].0 == Column::Alert && pair[1].0 == Column::Age)
    }
}

/// Draws the table into its box.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, area: Rect, boxed: bool) {
    let inner = if boxed {
        let sort = format!("sort: {}{}", app.sort.name(), if app.reversed { " reversed" } else { "" });
        let mut title = vec![piece("Watch", pen.theme.strong)];
        if app.list != ALL {
            title.push(piece(format!(": {}", app.list), pen.theme.strong));
        }
        title.push(piece(format!(" ({})", app.rows.len()), pen.theme.dim));
        if let Some(filter) = &app.filter {
            title.push(piece(format!(" filter: {}", filter.text()), pen.theme.accent));
        }
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
        let words = match (app.is_live(), &app.filter, app.listed()) {
            (_, Some(_), _) => "no row meets the filter; F shows all",
            (_, _, Some(_)) => "the list is empty; + adds an instrument",
            (true, ..) => "no prices yet",
            (false, ..) => "waiting for the daemon",
        };
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
    let value = format!("Value {}", app.settings.currency);
    for &(column, wide) in &columns.cells {
        match column {
            Column::Price => title(pen, wide, "Price", true, Some(Sort::Price)),
            Column::Percent => title(pen, wide, "Chg %", true, Some(Sort::Change)),
            Column::Change => title(pen, wide, "Chg", true, None),
            Column::Picture => title(pen, wide, "  24h", false, None),
            Column::Alert => title(pen, wide, "Alert", true, Some(Sort::Alert)),
            Column::Age => title(pen, wide, "Age", true, Some(Sort::Age)),
            Column::Value => title(pen, wide, &value, true, Some(Sort::Value)),
            Column::Profit => title(pen, wide, "Profit", true, None),
        }
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
        (_, Some(Freshness::Stale)) if columns.width(Column::Age) == 0 => pen.put(cell, after + 1, "◐", theme.warn),
        (Some(Session::Pre), _) => pen.put(cell, after + 1, "PRE", theme.accent),
        (Some(Session::Post), _) => pen.put(cell, after + 1, "POST", theme.accent),
        _ => after,
    };
    x += columns.symbol + 1;
    let row = Row { app, columns, symbol, ticker, freshness, old };
    // A distance from a price that is worth nothing is worth nothing: the words that say so take its place.
    let words = matches!(freshness, Some(Freshness::Stale | Freshness::Closed))
        && columns.age_behind_alert()
        && columns.width(Column::Age) < 12;
    for &(column, wide) in &columns.cells {
        let cell = Rect { x, width: wide.min(line.right().saturating_sub(x)), ..line };
        match (column, ticker) {
            (Column::Alert, Some(_)) if words => {}
            (Column::Age, Some(ticker)) if words => {
                let before = columns.width(Column::Alert);
                let both = Rect { x: cell.x - before, width: cell.width + before, ..cell };
                let style = if freshness == Some(Freshness::Stale) { theme.warn } else { theme.dim };
                pen.put_right(both, &format::age_words(app, ticker, false), style);
            }
            _ => row.cell(pen, cell, column),
        }
        if column == Column::Age
            && let (Some(ticker), Some(Freshness::Stale)) = (ticker, freshness)
        {
            pen.hit(cell, Target::Feed(ticker.source));
        }
        x += wide;
    }
}

/// What the cells of a row are drawn from.
struct Row<'a> {
    app: &'a App,
    columns: &'a Columns,
    symbol: Symbol,
    ticker: Option<&'a Ticker>,
    freshness: Option<Freshness>,
    old: bool,
}

impl Row<'_> {
    fn cell(&self, pen: &mut Pen<'_>, cell: Rect, column: Column) {
        let (app, ticker, theme) = (self.app, self.ticker, pen.theme);
        let change = ticker.and_then(|t| t.change_24h_pct);
        let (arrow, positive) = format::arrow(change);
        let style = if self.old { theme.dim } else { theme.change(positive) };
        match column {
            Column::Price => price(app, pen, cell, self.symbol, ticker, self.freshness),
            Column::Percent => {
                let text =
                    change.map_or(format::MISSING.to_owned(), |c| format!("{arrow} {}", format::signed(c.decimal())));
                pen.put_right(cell, &text, style);
            }
            Column::Change => {
                let absolute = ticker.and_then(format::absolute_change);
                let text = absolute.map_or(format::MISSING.to_owned(), |c| {
                    let places = ticker.map_or(2, |t| t.price.natural_places());
                    let plus = if c.is_positive() { "+" } else { "" };
                    format!("{plus}{}", c.grouped(places))
                });
                pen.put_right(Rect { x: cell.x + 1, width: cell.width.saturating_sub(1), ..cell }, &text, style);
            }
            Column::Picture => {
                let room = cell.width.saturating_sub(2);
                spark(app, pen, Rect { x: cell.x + 2, width: room, ..cell }, self.symbol, style);
            }
            Column::Alert => self.alert(pen, cell),
            Column::Age => {
                let short = self.columns.width(Column::Age) < 12;
                let text = ticker.map_or(format::MISSING.to_owned(), |t| format::age_words(app, t, short));
                let style = if self.freshness == Some(Freshness::Stale) { theme.warn } else { theme.dim };
                pen.put_right(cell, &text, style);
            }
            Column::Value | Column::Profit => self.holding(pen, cell, column),
        }
    }

    fn alert(&self, pen: &mut Pen<'_>, cell: Rect) {
        let (app, theme) = (self.app, pen.theme);
        let (text, style) = match app.nearest(self.symbol) {
            Some(near) => (format::near(&near), if self.old { theme.dim } else { theme.level }),
            None if app.alerts_of(self.symbol).is_empty() => ("·".to_owned(), theme.dim),
            None if self.ticker.is_none() => ("?".to_owned(), theme.warn),
            None => {
                let alerts = app.alerts_of(self.symbol);
                let waits = alerts.iter().find(|row| !row.alert.paused).map(|row| row.state.as_str());
                (waits.unwrap_or("paused").to_owned(), theme.dim)
            }
        };
        pen.put_right(cell, &text, style);
    }

    /// What is held, in the display currency.
    fn holding(&self, pen: &mut Pen<'_>, cell: Rect, column: Column) {
        if !self.app.settings.holdings.contains_key(&self.symbol) {
            return;
        }
        let theme = pen.theme;
        let worth = self.app.worth(self.symbol);
        let (text, style) = match (column, worth) {
            (Column::Value, Some(worth)) => {
                (format::money(worth.value), if self.old { theme.dim } else { Style::new() })
            }
            (_, Some(Worth { profit: Some(profit), .. })) => {
                let rise = (!profit.is_zero()).then(|| profit.is_sign_positive());
                (format::signed_money(profit), if self.old { theme.dim } else { theme.change(rise) })
            }
            _ => (format::MISSING.to_owned(), theme.dim),
        };
        pen.put_right(cell, &text, style);
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
    if app.look.graphs == Graphs::Braille && !app.look.ascii {
        let columns = usize::from(cell.width).min(count.div_ceil(2));
        let dots = columns * 2;
        let height = |i: usize| format::step(points[(i + 1) * count / dots - 1], low, high, 4);
        let text: String = (0..columns).map(|i| braille(height(i * 2), height(i * 2 + 1))).collect();
        pen.put(cell, cell.x, &text, style);
        return;
    }
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

/// Two points side by side in one cell, each at one of four heights from 0.
fn braille(left: u16, right: u16) -> char {
    // Unicode numbers the dots of a cell column by column from the top, the lowest ones last: U+2800 and one bit a dot.
    const LEFT: [u32; 4] = [0x40, 0x04, 0x02, 0x01];
    const RIGHT: [u32; 4] = [0x80, 0x20, 0x10, 0x08];
    let dot = |column: [u32; 4], height: u16| column[usize::from(height.min(3))];
    char::from_u32(0x2800 + dot(LEFT, left) + dot(RIGHT, right)).unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braille_points_stand_at_their_height() {
        assert_eq!((braille(0, 0), braille(3, 3), braille(0, 3)), ('⣀', '⠉', '⡈'));
    }
}
