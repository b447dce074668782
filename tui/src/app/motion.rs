//! The flashes: only the digits that changed, 150 ms bright, gone at 900 ms; at most three a second in one cell, and above
//! five changes a second none at all but a steady mark.

use std::collections::HashMap;

use bellwether_core::{
    instrument::Symbol,
    price::Price,
    time::{Span, Timestamp},
};

const BRIGHT: Span = Span::from_millis(150);
const GONE: Span = Span::from_millis(900);
const WINDOW: Span = Span::from_seconds(1);
const MOST_FLASHES: usize = 3;
const MOST_CHANGES: usize = 5;

/// What one price cell shows beside its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flash {
    /// The digits from this character on have just changed.
    Bright {
        /// The first changed character.
        from: usize,
        /// Whether the price rose.
        up: bool,
    },
    /// They changed a moment ago.
    Fading {
        /// The first changed character.
        from: usize,
        /// Whether the price rose.
        up: bool,
    },
    /// Changes too often to flash.
    Busy,
}

#[derive(Clone, Debug)]
struct Motion {
    from: usize,
    up: bool,
    at: Timestamp,
    /// The last changes, newest last.
    changes: Vec<Timestamp>,
    /// The last flashes, newest last.
    flashes: Vec<Timestamp>,
}

/// The motion of all price cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Motions {
    cells: HashMap<Symbol, Motion>,
}

impl Motions {
    /// A price has changed.
    pub(crate) fn on_price(&mut self, symbol: Symbol, before: Price, after: Price, now: Timestamp) {
        if before == after {
            return;
        }
        let cell = self.cells.entry(symbol).or_insert_with(|| Motion {
            from: 0,
            up: true,
            at: Timestamp::default(),
            changes: Vec::new(),
            flashes: Vec::new(),
        });
        let recent = |at: &Timestamp| now.since(*at) < WINDOW;
        cell.changes.retain(recent);
        cell.flashes.retain(recent);
        cell.changes.push(now);
        if cell.changes.len() > MOST_CHANGES * 4 {
            cell.changes.remove(0);
        }
        if cell.flashes.len() < MOST_FLASHES && cell.changes.len() <= MOST_CHANGES {
            cell.flashes.push(now);
            cell.from = first_difference(before, after);
            cell.up = after > before;
            cell.at = now;
        }
    }

    /// What a cell shows now.
    pub(crate) fn flash(&self, symbol: Symbol, now: Timestamp) -> Option<Flash> {
        let cell = self.cells.get(&symbol)?;
        let busy = cell.changes.iter().filter(|at| now.since(**at) < WINDOW).count() > MOST_CHANGES;
        let (from, up, age) = (cell.from, cell.up, now.since(cell.at));
        match () {
            () if busy => Some(Flash::Busy),
            () if age < BRIGHT => Some(Flash::Bright { from, up }),
            () if age < GONE => Some(Flash::Fading { from, up }),
            () => None,
        }
    }

    /// When the next cell changes its look by itself.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.cells.values().flat_map(|c| [c.at.plus(BRIGHT), c.at.plus(GONE)]).filter(|&at| at > now).min()
    }
}

/// The place in the new price's text from which it differs from the old one's, both written as the table writes them.
fn first_difference(before: Price, after: Price) -> usize {
    let places = after.natural_places();
    let (old, new) = (before.grouped(places), after.grouped(places));
    if old.len() != new.len() {
        return 0;
    }
    old.bytes().zip(new.bytes()).position(|(a, b)| a != b).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_digits_flash_and_not_for_long() {
        let price = |text: &str| -> Price { text.parse().expect(text) };
        let symbol = "BTC".parse().expect("a symbol");
        let start = Timestamp::from_seconds(100);
        let after = |ms| start.plus(Span::from_millis(ms));
        let mut motions = Motions::default();
        motions.on_price(symbol, price("60412.5"), price("60419.5"), start);
        assert_eq!(motions.flash(symbol, start), Some(Flash::Bright { from: 5, up: true }));
        assert_eq!(motions.next_change(start), Some(after(150)));
        assert_eq!(motions.flash(symbol, after(200)), Some(Flash::Fading { from: 5, up: true }));
        assert_eq!(motions.flash(symbol, after(900)), None);
        assert_eq!(motions.next_change(after(900)), None);
    }

    #[test]
    fn a_restless_cell_does_not_flicker() {
        let symbol = "BTC".parse().expect("a symbol");
        let start = Timestamp::from_seconds(100);
        let mut motions = Motions::default();
        for i in 0..20_i64 {
            let (a, b) = (Price::new(i.into()), Price::new((i + 1).into()));
            motions.on_price(symbol, a, b, start.plus(Span::from_millis(i * 40)));
        }
        let end = start.plus(Span::from_millis(800));
        assert_eq!(motions.flash(symbol, end), Some(Flash::Busy));
        assert_eq!(motions.cells[&symbol].flashes.len(), 3);
        assert_eq!(motions.flash(symbol, start.plus(Span::from_seconds(3))), None);
    }
}
