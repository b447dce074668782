//! Which alerts watch which instrument, and at which prices: kept beside the board so that a frame does not look through
//! every alert for every row.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_core::{
    alert::{AlertId, AlertState},
    board::Board,
    event::AlertRow,
    explain::{self, Level, LevelKind},
    instrument::Symbol,
    price::Price,
};
use rust_decimal::Decimal;

/// The nearest level that would fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near {
    /// Whose level.
    pub(crate) alert: AlertId,
    /// Where it is.
    pub(crate) level: Price,
    /// What happens there.
    pub(crate) kind: LevelKind,
    /// How far from the last price, in per cent of it, with two places.
    pub(crate) percent: Decimal,
}

/// The alerts of each instrument with their levels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    by_symbol: BTreeMap<Symbol, BTreeMap<AlertId, Vec<Level>>>,
    symbols_of: BTreeMap<AlertId, BTreeSet<Symbol>>,
}

impl Levels {
    /// The index of a whole board.
    pub(crate) fn of_board(board: &Board) -> Self {
        let mut levels = Self::default();
        board.alerts().for_each(|row| levels.put(row));
        levels
    }

    /// Takes up an alert, or what it has become.
    pub(crate) fn put(&mut self, row: &AlertRow) {
        let id = row.alert.id;
        self.remove(id);
        let levels = explain::levels_at(&row.alert.rule, &row.indicators);
        let symbols: BTreeSet<Symbol> = row.alert.rule.symbols().into_iter().collect();
        for &symbol in &symbols {
            let here = levels.iter().filter(|l| l.symbol == symbol).copied().collect();
            self.by_symbol.entry(symbol).or_default().insert(id, here);
        }
        self.symbols_of.insert(id, symbols);
    }

    /// Forgets an alert.
    pub(crate) fn remove(&mut self, id: AlertId) {
        for symbol in self.symbols_of.remove(&id).unwrap_or_default() {
            if let Some(alerts) = self.by_symbol.get_mut(&symbol) {
                alerts.remove(&id);
                if alerts.is_empty() {
                    self.by_symbol.remove(&symbol);
                }
            }
        }
    }

    /// The instruments that alerts watch.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.by_symbol.keys().copied()
    }

    /// The alerts on an instrument, oldest first.
    pub(crate) fn alerts_of(&self, symbol: Symbol) -> impl Iterator<Item = AlertId> {
        self.by_symbol.get(&symbol).into_iter().flat_map(|alerts| alerts.keys().copied())
    }

    /// The levels on an instrument with their alerts.
    pub(crate) fn of(&self, symbol: Symbol) -> impl Iterator<Item = (AlertId, &Level)> {
        self.by_symbol
            .get(&symbol)
            .into_iter()
            .flatten()
            .flat_map(|(&id, levels)| levels.iter().map(move |level| (id, level)))
    }

    /// The level nearest to `price`, in the direction in which it fires, among the alerts that can still fire.
    pub(crate) fn nearest(&self, symbol: Symbol, price: Price, board: &Board) -> Option<Near> {
        self.of(symbol)
            .filter(|(id, _)| board.alert(*id).is_some_and(|row| can_fire(row.state)))
            .filter_map(|(alert, level)| {
                let percent = percent_between(price, level.price)?;
                // What lies behind the price has been passed: it is not what comes next.
                let ahead = match level.kind {
                    LevelKind::Up => level.price >= price,
                    LevelKind::Down => level.price <= price,
                    LevelKind::Either | LevelKind::Lower | LevelKind::Upper => true,
                };
                ahead.then_some(Near { alert, level: level.price, kind: level.kind, percent })
            })
            .min_by_key(|near| near.percent.abs())
    }
}

/// Whether an alert in this state waits for a price.
pub(crate) const fn can_fire(state: AlertState) -> bool {
    match state {
        AlertState::Armed | AlertState::Pending | AlertState::Cooling | AlertState::Fired => true,
        AlertState::Paused | AlertState::Done | AlertState::Expired | AlertState::Snoozed => false,
    }
}

/// The way from one price to another in per cent of the first, with two places; nothing where that cannot be told.
pub(crate) fn percent_between(from: Price, to: Price) -> Option<Decimal> {
    let way = to.decimal().checked_sub(from.decimal())?;
    let share = way.checked_div(from.decimal().abs())?;
    Some(share.checked_mul(Decimal::ONE_HUNDRED)?.round_dp(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_survive_zero_and_giants() {
        let price = |text: &str| -> Price { text.parse().expect(text) };
        assert_eq!(percent_between(price("100"), price("101.5")), Some(Decimal::new(15, 1)));
        assert_eq!(percent_between(price("-100"), price("-101.5")), Some(Decimal::new(-15, 1)));
        assert_eq!(percent_between(price("0"), price("1")), None);
        assert_eq!(percent_between(price("0.000000000000000001"), price("9999999999999999999999999999")), None);
    }
}
