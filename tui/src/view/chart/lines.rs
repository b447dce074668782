//! Lines beside the prices: averages and bands, the strength index in its panel, and two instruments beside each other.

use bellwether_core::{
    indicator::{Indicator, Measure},
    instrument::Symbol,
    price::Price,
    tick::Candle,
};
use ratatui::{layout::Rect, style::Style};
use rust_decimal::Decimal;

use super::{
    axis,
    canvas::{Canvas, DOWN},
    scale::Scale,
};
use crate::{
    app::App,
    view::{
        format,
        pen::{Pen, piece, row},
    },
};

/// The strength index counts as low below, and as high above.
const STRENGTH: [i64; 2] = [30, 70];

fn style_of(pen: &Pen<'_>, indicator: &Indicator) -> Style {
    match indicator {
        Indicator::Ema(_) => pen.theme.warn,
        Indicator::BbUpper(..) | Indicator::BbLower(..) => pen.theme.dim,
        _ => pen.theme.accent.remove_modifier(ratatui::style::Modifier::BOLD),
    }
}

/// Averages and bands over the prices, with their names at the top left.
pub(super) fn studies(app: &App, pen: &mut Pen<'_>, scale: &Scale, shown: &[Candle], columns: &[u16]) {
    let mut legend = Vec::new();
    for (place, indicator) in app.chart.indicators().iter().enumerate().filter(|(_, i)| i.measure() == Measure::Price) {
        let mut canvas = Canvas::new(scale.plot);
        let style = style_of(pen, indicator);
        canvas.through(shown.iter().zip(columns).map(|(bar, &x)| {
            let value = app.chart.values_at(bar.from).get(place).copied().flatten();
            value.filter(|v| scale.shows(*v)).map(|v| (x, scale.place(v, DOWN)))
        }));
        canvas.draw(pen, style, false);
        legend.push(piece(format!("{indicator}  "), style));
    }
    if app.chart.cross.is_none() && !legend.is_empty() {
        pen.pieces(row(scale.plot, 0), scale.plot.x, &legend);
    }
}

/// The strength index in a panel of its own, with its two marks.
pub(super) fn strength(app: &App, pen: &mut Pen<'_>, inner: Rect, panel: Rect, shown: &[Candle], columns: &[u16]) {
    let Some(place) = app.chart.indicators().iter().position(|i| i.measure() == Measure::Index) else { return };
    let price = |n: i64| Price::new(Decimal::from(n));
    let scale = Scale { low: price(0), high: price(100), plot: panel };
    for mark in STRENGTH {
        let y = scale.line(price(mark));
        for x in (panel.x..panel.right()).step_by(2) {
            pen.dot(x, y, "·", pen.theme.dim);
        }
        pen.put_right(axis::beside(inner, panel, y), &mark.to_string(), pen.theme.dim);
    }
    let value_of = |bar: &Candle| app.chart.values_at(bar.from).get(place).copied().flatten();
    let mut canvas = Canvas::new(panel);
    canvas.through(shown.iter().zip(columns).map(|(bar, &x)| value_of(bar).map(|v| (x, scale.place(v, DOWN)))));
    canvas.draw(pen, pen.theme.level, true);
    let now =
        shown.last().and_then(value_of).map_or(format::MISSING.to_owned(), |v| v.decimal().round_dp(1).to_string());
    pen.put(row(panel, 0), panel.x, &format!("RSI 14  {now}"), pen.theme.level);
}

/// What a price is worth in per cent of another, less 100.
fn indexed(price: Price, base: Price) -> Option<Price> {
    crate::app::percent_between(base, price).map(Price::new)
}

/// Two instruments from the same moment on, in per cent of what they were then. Each has the other's bars as its clock.
pub(super) fn compare(
    app: &App,
    pen: &mut Pen<'_>,
    inner: Rect,
    plot: Rect,
    (symbol, other): (Symbol, Symbol),
    (shown, columns): (&[Candle], &[u16]),
) {
    let theirs = app.market.bars(other, app.bar_span()).map_or(&[][..], |bars| &bars.items);
    let close_at = |bar: &Candle| {
        let place = theirs.partition_point(|b| b.from < bar.to).checked_sub(1)?;
        Some(theirs[place].close)
    };
    // Both begin at the first bar at which both have a price.
    let both: Vec<(Price, Option<Price>)> = shown.iter().map(|bar| (bar.close, close_at(bar))).collect();
    let Some((mine, its)) = both.iter().find_map(|(mine, its)| Some((*mine, (*its)?))) else {
        let words = format!("no bars of {other} for this time");
        pen.put(row(plot, plot.height / 2), plot.x + 1, &words, pen.theme.dim);
        return;
    };
    let lines: [Vec<Option<Price>>; 2] = [
        both.iter().map(|(price, there)| there.and_then(|_| indexed(*price, mine))).collect(),
        both.iter().map(|(_, price)| price.and_then(|price| indexed(price, its))).collect(),
    ];
    let all = lines.iter().flatten().filter_map(|value| *value);
    let Some(scale) = Scale::around(all, std::iter::once(Price::new(Decimal::ZERO)), plot) else { return };
    axis::labels(pen, inner, &scale, |value| format!("{} %", format::signed(value.decimal())));
    let zero = Price::new(Decimal::ZERO);
    if scale.shows(zero) {
        for x in plot.x..plot.right() {
            pen.dot(x, scale.line(zero), "╌", pen.theme.dim);
        }
    }
    let styles = [pen.theme.accent, pen.theme.warn];
    let mut legend = Vec::new();
    for ((line, style), name) in lines.iter().zip(styles).zip([symbol, other]) {
        let mut canvas = Canvas::new(plot);
        canvas.through(line.iter().zip(columns).map(|(value, &x)| value.map(|v| (x, scale.place(v, DOWN)))));
        canvas.draw(pen, style, true);
        let last = line.iter().rev().find_map(|v| *v);
        let now = last.map_or(format::MISSING.to_owned(), |v| format!("{} %", format::signed(v.decimal())));
        legend.push(piece(format!("{name} {now}  "), style));
    }
    pen.pieces(row(plot, 0), plot.x, &legend);
}
