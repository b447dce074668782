//! What the indicators of an alert being written are worth now: the daemon tells it of alerts that stand, here it is computed from
//! the chart's bars by core's formulas.

use bellwether_core::{
    condition::{Operand, Rule},
    firing::TermLevels,
    indicator::Indicator,
    instrument::Symbol,
    price::Price,
    time::Span,
};
use rust_decimal::Decimal;

use super::{App, chart::merged, market::INTERVALS};

/// The longest bars that are fetched and make whole ones of this length.
fn fetched(length: Span) -> Option<Span> {
    let fits = |bar: &&Span| length.as_micros() % bar.as_micros() == 0;
    INTERVALS.iter().rev().find(fits).copied()
}

/// The bars that a rule's indicators are computed from, to be fetched.
pub(super) fn bars_needed(rule: &Rule) -> Vec<(Symbol, Span)> {
    let needs = rule.history_needed().into_iter();
    needs.filter_map(|need| Some((need.symbol, fetched(need.bar)?))).collect()
}

/// What an indicator is worth after the last closed bar. Nothing while bars are missing: less than it looks at would make another
/// number of it.
fn value(app: &App, symbol: Symbol, indicator: Indicator) -> Option<Price> {
    let Some(bars) = indicator.bars() else { return app.ticker(symbol)?.volume };
    let base = fetched(bars.length)?;
    let known = app.market.bars(symbol, base).filter(|known| known.known)?;
    let whole = if base == bars.length { known.items.clone() } else { merged(&known.items, bars.length) };
    let closes: Vec<Decimal> = whole.iter().filter(|bar| bar.to <= app.now).map(|bar| bar.close.decimal()).collect();
    (closes.len() >= indicator.window() || matches!(indicator, Indicator::Rsi(_) | Indicator::Ema(_)) && known.whole)
        .then(|| indicator.of_closes(&closes))?
}

impl App {
    /// What the indicators of a rule are worth, one entry a term; empty where it has none.
    pub(crate) fn indicators_now(&self, rule: &Rule) -> Vec<TermLevels> {
        if rule.indicators().next().is_none() {
            return Vec::new();
        }
        let of_term = |term: &bellwether_core::condition::Term| TermLevels {
            value: match term.operand {
                Operand::Indicator(symbol, indicator) => value(self, symbol, indicator),
                Operand::Price(_) | Operand::Ratio(..) => None,
            },
            level: term
                .operand
                .symbol()
                .zip(term.condition.level_indicator())
                .and_then(|(symbol, indicator)| value(self, symbol, indicator)),
        };
        rule.terms.iter().map(of_term).collect()
    }
}
