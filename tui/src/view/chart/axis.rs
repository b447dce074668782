//! The axes: round prices up the right side, times below, the last price as a tag, and the crosshair with what it points at.

use bellwether_core::{
    event::Ticker,
    price::Price,
    tick::{Candle, Session},
    time::Span,
};
use ratatui::{layout::Rect, style::Style};
use rust_decimal::Decimal;

use super::scale::{Scale, round_up};
use crate::{
    app::{App, Freshness},
    view::{
        format,
        pen::{Pen, piece, row, width},
    },
};

/// Rows between two labels of the price axis.
const ROWS_A_LABEL: u16 = 3;
/// Columns between two labels of the time axis.
const COLUMNS_A_LABEL: u16 = 14;

/// The axis beside a line of the plot.
pub(super) fn beside(inner: Rect, plot: Rect, y: u16) -> Rect {
    Rect { x: plot.right(), y, width: inner.right().saturating_sub(plot.right()), height: 1 }
}

/// Round numbers up the right side, each written by `label`.
pub(super) fn labels(pen: &mut Pen<'_>, inner: Rect, scale: &Scale, label: impl Fn(Price) -> String) {
    let (low, high) = (scale.low.decimal(), scale.high.decimal());
    let labels = Decimal::from((scale.plot.height / ROWS_A_LABEL).max(1));
    let Some(step) = high.checked_sub(low).and_then(|all| all.checked_div(labels)).and_then(round_up) else { return };
    let Some(mut at) = low.checked_div(step).map(|n| n.ceil()).and_then(|n| n.checked_mul(step)) else { return };
    let mut left = scale.plot.height;
    while at <= high && left > 0 {
        let price = Price::new(at);
        pen.put_right(beside(inner, scale.plot, scale.line(price)), &label(price), pen.theme.dim);
        let Some(next) = at.checked_add(step) else { break };
        (at, left) = (next, left - 1);
    }
}

/// Times below the bars: days where bars are long or a day begins, else times of the day.
pub(super) fn times(app: &App, pen: &mut Pen<'_>, line: Rect, shown: &[Candle], columns: &[u16], length: Span) {
    let mut free = line.x;
    let days = length.as_seconds() >= 4 * 3_600;
    let years = shown.first().zip(shown.last()).is_some_and(|(a, b)| b.to.since(a.from).as_seconds() > 400 * 86_400);
    let mut before = String::new();
    for (bar, &x) in shown.iter().zip(columns) {
        if x < free {
            continue;
        }
        let day = format::day(app, bar.from);
        let text = if years {
            format::month(app, bar.from)
        } else if days || (day != before && !before.is_empty()) {
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
pub(super) fn last_price(app: &App, pen: &mut Pen<'_>, inner: Rect, ticker: Option<&Ticker>, scale: &Scale) {
    let Some(ticker) = ticker.filter(|ticker| scale.shows(ticker.price)) else { return };
    let axis = beside(inner, scale.plot, scale.line(ticker.price));
    let rising = ticker.change_24h_pct.is_none_or(|c| c.decimal() >= Decimal::ZERO);
    let style = match (app.freshness(ticker), rising) {
        (Freshness::Live, true) => pen.theme.flash_up,
        (Freshness::Live, false) => pen.theme.flash_down,
        _ => pen.theme.selected.patch(pen.theme.dim),
    };
    pen.clear(axis, style);
    pen.put_right(axis, &format::price(ticker.price), style);
}

/// The crosshair: a line down the bar, one across at its price, the values of the bar on top.
pub(super) fn crosshair(
    app: &App,
    pen: &mut Pen<'_>,
    inner: Rect,
    scale: &Scale,
    (shown, columns): (&[Candle], &[u16]),
    length: Span,
) {
    let Some(cross) = app.chart.cross else { return };
    let Some(place) = shown.partition_point(|bar| bar.from <= cross.at).checked_sub(1) else { return };
    let (Some(bar), Some(&x)) = (shown.get(place), columns.get(place)) else { return };
    let plot = scale.plot;
    let style = pen.theme.accent;
    let free =
        |pen: &Pen<'_>, x, y| pen.buffer.cell((x, y)).is_some_and(|c| matches!(c.symbol(), " " | "·" | "░" | "╌"));
    for y in plot.y..plot.bottom() {
        if free(pen, x, y) {
            pen.dot(x, y, "┊", style);
        }
    }
    let at = cross.price.unwrap_or(bar.close);
    if scale.shows(at) {
        let y = scale.line(at);
        for column in plot.x..plot.right() {
            if free(pen, column, y) {
                pen.dot(column, y, "┈", style);
            }
        }
        pen.dot(x, y, "┼", style);
        let axis = beside(inner, plot, y);
        pen.clear(axis, pen.theme.tab);
        pen.put_right(axis, &format::level(at), pen.theme.tab);
    }
    values(app, pen, row(plot, 0), bar, shown.get(place.wrapping_sub(1)), length);
}

/// `Nov 22 13:55  O 60,400 H 60,480 L 60,390 C 60,412.50 V 12.4  +0.02 %` and the indicators there.
fn values(app: &App, pen: &mut Pen<'_>, line: Rect, bar: &Candle, before: Option<&Candle>, length: Span) {
    let theme = pen.theme;
    let long = length.as_seconds() >= 86_400;
    let day = format::day(app, bar.from);
    let mut when = if long { day } else { format!("{day} {}", &format::clock(app, bar.from)[..5]) };
    if bar.session != Session::Regular {
        when = format!("{when} {}", session_word(bar.session));
    }
    let wide = line.width >= 64;
    let mut pieces = vec![piece(format!(" {when} "), theme.accent)];
    let parts = [("O", bar.open), ("H", bar.high), ("L", bar.low), ("C", bar.close)];
    for (name, price) in parts.into_iter().filter(|(name, _)| wide || *name == "C") {
        pieces.push(piece(format!(" {name} "), theme.dim));
        pieces.push(piece(format::price(price), theme.strong));
    }
    if line.width >= 76 {
        pieces.push(piece(" V ", theme.dim));
        pieces.push(piece(bar.volume.map_or(format::MISSING.to_owned(), format::amount), theme.strong));
    }
    let from = before.map_or(bar.open, |bar| bar.close);
    if let Some(percent) = crate::app::percent_between(from, bar.close) {
        pieces.push(piece(format!("  {} %", format::signed(percent)), theme.change(Some(!percent.is_sign_negative()))));
    }
    for (indicator, value) in app.chart.indicators().iter().zip(app.chart.values_at(bar.from)) {
        if let Some(value) = value.filter(|_| line.width >= 100) {
            pieces.push(piece(format!("  {} {}", indicator.word(), format::level(value_shown(value))), theme.dim));
        }
    }
    pieces.push(piece(" ", Style::new()));
    let used = pieces.iter().map(|(text, _)| width(text)).fold(0, u16::saturating_add).min(line.width);
    pen.clear(Rect { width: used, ..line }, Style::new());
    pen.pieces(line, line.x, &pieces);
}

/// The hours a bar is from, in words.
const fn session_word(session: Session) -> &'static str {
    match session {
        Session::Pre => "before hours",
        Session::Post => "after hours",
        Session::Regular => "",
    }
}

/// A computed number with no more places than a price of its size has.
fn value_shown(value: Price) -> Price {
    Price::new(value.decimal().round_dp(value.natural_places()))
}
