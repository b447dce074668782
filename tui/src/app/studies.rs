//! Indicators in the chart: which ones, and what they are worth at each bar that is shown, computed by core's formulas and kept, so
//! that a frame need not.

use std::collections::BTreeMap;

use bellwether_core::{
    config::dashboard::Studies,
    indicator::{Bars as IndicatorBars, Indicator},
    instrument::Symbol,
    price::Price,
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;

use super::{
    App,
    chart::{measure, merged},
};

/// What people call a choice of indicators.
pub(super) const fn name(studies: Studies) -> &'static str {
    match studies {
        Studies::None => "none",
        Studies::Sma => "SMA 20",
        Studies::Ema => "EMA 50",
        Studies::Bollinger => "Bollinger 20, 2",
        Studies::Rsi => "RSI 14",
        Studies::All => "SMA 20, EMA 50, Bollinger 20, 2, RSI 14",
    }
}

/// What is drawn over the prices, over bars of this length.
fn over_prices(studies: Studies, length: Span) -> Vec<Indicator> {
    let bars = |count| IndicatorBars { count, length };
    let sma = Indicator::Sma(bars(20));
    let ema = Indicator::Ema(bars(50));
    let (upper, lower) = (Indicator::BbUpper(bars(20), Decimal::TWO), Indicator::BbLower(bars(20), Decimal::TWO));
    match studies {
        Studies::None | Studies::Rsi => Vec::new(),
        Studies::Sma => vec![sma],
        Studies::Ema => vec![ema],
        Studies::Bollinger => vec![sma, upper, lower],
        Studies::All => vec![sma, ema, upper, lower],
    }
}

/// What is drawn in the panel below.
pub(crate) fn strength(studies: Studies, length: Span) -> Option<Indicator> {
    matches!(studies, Studies::Rsi | Studies::All).then_some(Indicator::Rsi(IndicatorBars { count: 14, length }))
}

fn all(studies: Studies, length: Span) -> Vec<Indicator> {
    over_prices(studies, length).into_iter().chain(strength(studies, length)).collect()
}

/// What was computed of indicators, so that a frame need not. A closed bar's values never change.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    key: Option<(Symbol, Span, Studies)>,
    pub(super) indicators: Vec<Indicator>,
    /// What they were last computed of.
    of: Option<Source>,
    pub(super) by_bar: BTreeMap<Timestamp, (Price, Vec<Option<Price>>)>,
}

/// What tells whether anything is to be computed anew: the ends of the bars, and what of them is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    first: Timestamp,
    last: (Timestamp, Price),
    back: usize,
    shown: usize,
}

impl App {
    /// Computes what indicators are worth at the bars of the last frame, where that is not known yet.
    pub(super) fn compute_studies(&mut self) {
        let (studies, range) = (self.chart.studies, self.chart.range());
        let Some(symbol) = self.subject().filter(|_| studies != Studies::None) else {
            self.chart.values = Values::default();
            return;
        };
        let Some(bars) = self.market.bars(symbol, range.bar) else { return };
        let Some((merge, shown, _)) = measure(&self.chart, &bars.items, self.chart.plot.room) else { return };
        let length = range.bar.times(i64::try_from(merge).unwrap_or(1));
        let key = Some((symbol, length, studies));
        if self.chart.values.key != key {
            self.chart.values = Values { key, indicators: all(studies, length), ..Values::default() };
        }
        let (Some(oldest), Some(newest)) = (bars.items.first(), bars.items.last()) else { return };
        let of = Source { first: oldest.from, last: (newest.from, newest.close), back: self.chart.back, shown };
        if self.chart.values.of == Some(of) {
            return;
        }
        self.chart.values.of = Some(of);
        let window = self.chart.values.indicators.iter().map(Indicator::window).max().unwrap_or(0);
        let end = bars.items.len() - self.chart.back.min(bars.items.len() - 1);
        let first = end.saturating_sub((shown + window + 1).saturating_mul(merge));
        let whole = if merge > 1 { merged(&bars.items[first..end], length) } else { bars.items[first..end].to_vec() };
        let closes: Vec<Decimal> = whole.iter().map(|bar| bar.close.decimal()).collect();
        let values = &mut self.chart.values;
        for (place, bar) in whole.iter().enumerate().skip(whole.len().saturating_sub(shown)) {
            if values.by_bar.get(&bar.from).is_none_or(|(close, _)| *close != bar.close) {
                let upto = &closes[..=place];
                let now = values.indicators.iter().map(|indicator| indicator.of_closes(upto)).collect();
                values.by_bar.insert(bar.from, (bar.close, now));
            }
        }
        // What was panned away is computed again when it comes back.
        while values.by_bar.len() > 2_000 {
            values.by_bar.pop_first();
        }
    }
}
