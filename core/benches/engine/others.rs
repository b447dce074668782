//! The engines beside ours. Each finds the alerts whose level lies between the last price and this one, in its own way, and
//! lets [`Standing::step`] decide; so all of them fire the same.

use std::{collections::BTreeSet, hint::black_box, iter::repeat_n};

use crate::{
    ours::WINDOWS,
    workload::{Quote, Standing, Tally, Wish},
};

/// Something that is shown ticks.
pub(crate) trait Engine {
    fn name(&self) -> &'static str;
    /// Shows it one tick, the one at `place` of those prepared; `tick` is its number.
    fn tick(&mut self, place: usize, quote: Quote, tick: u64, tally: &mut Tally);
    /// Puts the next ticks into the engine's own form, outside of what is timed.
    fn prepare(&mut self, _quotes: &[Quote]) {}
    /// Counts what fired at this tick, where `tick` has not, outside of what is timed.
    fn settle(&mut self, _tick: u64, _tally: &mut Tally) {}
}

/// The least anybody can do: read the tick, store the price.
pub(crate) struct Limit(pub(crate) Vec<i64>);

impl Engine for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn tick(&mut self, _: usize, quote: Quote, _: u64, _: &mut Tally) {
        let last = &mut self.0[quote.symbol as usize];
        *last = black_box(quote.price);
    }
}

/// Looks at every alert at every tick.
pub(crate) struct Scan(pub(crate) Vec<Standing>);

impl Engine for Scan {
    fn name(&self) -> &'static str {
        "Vec scan"
    }

    fn tick(&mut self, _: usize, quote: Quote, tick: u64, tally: &mut Tally) {
        for (alert, standing) in self.0.iter_mut().enumerate() {
            if standing.wish.symbol == quote.symbol && standing.step(quote.price) {
                tally.add(alert as u64, tick);
            }
        }
    }
}

/// The levels of a wish, each once.
fn levels(wish: &Wish) -> impl Iterator<Item = i64> {
    let second = (wish.high != wish.low).then_some(wish.high);
    std::iter::once(wish.low).chain(second)
}

/// Steps the alerts found, each once.
fn step(found: &mut Vec<u32>, all: &mut [Standing], price: i64, tick: u64, tally: &mut Tally) {
    found.sort_unstable();
    found.dedup();
    for alert in found.drain(..) {
        if all[alert as usize].step(price) {
            tally.add(u64::from(alert), tick);
        }
    }
}

/// A sorted tree (`std`'s B-tree) per instrument, asked for a range at every tick.
pub(crate) struct Trees {
    all: Vec<Standing>,
    levels: Vec<BTreeSet<(i64, u32)>>,
    last: Vec<i64>,
    found: Vec<u32>,
}

impl Trees {
    pub(crate) fn new(all: Vec<Standing>, start: &[i64]) -> Self {
        let mut sorted = vec![BTreeSet::new(); start.len()];
        for (alert, standing) in (0..).zip(&all) {
            for level in levels(&standing.wish) {
                sorted[standing.wish.symbol as usize].insert((level, alert));
            }
        }
        Self { all, levels: sorted, last: start.to_vec(), found: Vec::new() }
    }

    /// Inserts one more level; what an insertion costs.
    pub(crate) fn insert(&mut self, wish: &Wish, alert: u32) {
        for level in levels(wish) {
            self.levels[wish.symbol as usize].insert((level, alert));
        }
    }

    pub(crate) fn remove(&mut self, wish: &Wish, alert: u32) {
        for level in levels(wish) {
            self.levels[wish.symbol as usize].remove(&(level, alert));
        }
    }
}

impl Engine for Trees {
    fn name(&self) -> &'static str {
        "BTreeSet"
    }

    fn tick(&mut self, _: usize, quote: Quote, tick: u64, tally: &mut Tally) {
        let last = std::mem::replace(&mut self.last[quote.symbol as usize], quote.price);
        let (low, high) = (last.min(quote.price), last.max(quote.price));
        let between = self.levels[quote.symbol as usize].range((low, 0)..=(high, u32::MAX));
        self.found.extend(between.map(|(_, alert)| *alert));
        if !self.found.is_empty() {
            step(&mut self.found, &mut self.all, quote.price, tick, tally);
        }
    }
}

/// An indexed table in memory, asked for a range at every tick.
pub(crate) struct Sqlite {
    all: Vec<Standing>,
    db: rusqlite::Connection,
    last: Vec<i64>,
    found: Vec<u32>,
}

impl Sqlite {
    pub(crate) fn new(all: Vec<Standing>, start: &[i64]) -> Self {
        let db = rusqlite::Connection::open_in_memory().expect("SQLite opens");
        db.execute_batch(
            "CREATE TABLE levels (symbol INTEGER, level INTEGER, alert INTEGER,
             PRIMARY KEY (symbol, level, alert)) WITHOUT ROWID; BEGIN",
        )
        .expect("the table is made");
        {
            let mut insert = db.prepare("INSERT INTO levels VALUES (?, ?, ?)").expect("the insert is understood");
            for (alert, standing) in (0_u32..).zip(&all) {
                for level in levels(&standing.wish) {
                    insert.execute((standing.wish.symbol, level, alert)).expect("the row is stored");
                }
            }
        }
        db.execute_batch("COMMIT").expect("the rows are stored");
        Self { all, db, last: start.to_vec(), found: Vec::new() }
    }
}

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn tick(&mut self, _: usize, quote: Quote, tick: u64, tally: &mut Tally) {
        let last = std::mem::replace(&mut self.last[quote.symbol as usize], quote.price);
        let (low, high) = (last.min(quote.price), last.max(quote.price));
        let query = "SELECT alert FROM levels WHERE symbol = ? AND level BETWEEN ? AND ?";
        let mut query = self.db.prepare_cached(query).expect("the query is understood");
        let rows = query.query_map((quote.symbol, low, high), |row| row.get::<_, u32>(0)).expect("the query runs");
        self.found.extend(rows.map(|row| row.expect("a row is read")));
        step(&mut self.found, &mut self.all, quote.price, tick, tally);
    }
}

/// General boolean matching: the `a-tree` crate.
pub(crate) struct Matching {
    all: Vec<Standing>,
    tree: a_tree::ATree<u64>,
    last: Vec<i64>,
    found: Vec<u32>,
}

impl Matching {
    pub(crate) fn new(all: Vec<Standing>, start: &[i64]) -> Self {
        let attributes = ["symbol", "low", "high"].map(a_tree::AttributeDefinition::integer);
        let mut tree = a_tree::ATree::new(&attributes).expect("the attributes are understood");
        for (alert, standing) in (0_u64..).zip(&all) {
            for (side, level) in (0..).zip(levels(&standing.wish)) {
                let symbol = standing.wish.symbol;
                let text = format!("symbol = {symbol} and low <= {level} and high >= {level}");
                tree.insert(&(alert * 2 + side), &text).expect("the expression is understood");
            }
        }
        Self { all, tree, last: start.to_vec(), found: Vec::new() }
    }
}

impl Engine for Matching {
    fn name(&self) -> &'static str {
        "a-tree"
    }

    fn tick(&mut self, _: usize, quote: Quote, tick: u64, tally: &mut Tally) {
        let last = std::mem::replace(&mut self.last[quote.symbol as usize], quote.price);
        let mut event = self.tree.make_event();
        let values =
            [("symbol", i64::from(quote.symbol)), ("low", last.min(quote.price)), ("high", last.max(quote.price))];
        for (name, value) in values {
            event.with_integer(name, value).expect("the attribute exists");
        }
        let event = event.build().expect("the event is whole");
        let report = self.tree.search(&event).expect("the search runs");
        self.found.extend(report.matches().iter().map(|id| u32::try_from(**id / 2).expect("a number of an alert")));
        step(&mut self.found, &mut self.all, quote.price, tick, tally);
    }
}

/// Windows by looking at everything inside them, at every tick. Ticks are one millisecond apart.
pub(crate) struct Scanning {
    /// A tick's time and price, an instrument each.
    seen: Vec<Vec<(i64, i64)>>,
    /// Where the measurement of each alert began: the first place that counts.
    since: Vec<[usize; 2 * WINDOWS.len()]>,
}

impl Scanning {
    pub(crate) fn new(start: &[i64]) -> Self {
        // Every instrument had its first price before the first tick, one millisecond after the other.
        let first = |(number, price): (usize, &i64)| vec![(number as i64 - start.len() as i64, *price)];
        let since = repeat_n([0; 2 * WINDOWS.len()], start.len()).collect();
        Self { seen: start.iter().enumerate().map(first).collect(), since }
    }
}

impl Engine for Scanning {
    fn name(&self) -> &'static str {
        "scanning"
    }

    fn tick(&mut self, _: usize, quote: Quote, tick: u64, tally: &mut Tally) {
        let (symbol, now) = (quote.symbol as usize, tick as i64);
        let seen = &mut self.seen[symbol];
        seen.push((now, quote.price));
        for (place, (seconds, percent)) in WINDOWS.into_iter().enumerate() {
            let from = seen.partition_point(|(at, _)| *at < now - seconds * 1_000);
            for (side, sign) in [1, -1].into_iter().enumerate() {
                let since = &mut self.since[symbol][place * 2 + side];
                let inside = seen[from.max(*since)..].iter().map(|(_, price)| i128::from(*price));
                let price = i128::from(quote.price) * 100;
                let fires = if sign > 0 {
                    inside.min().is_some_and(|low| price >= low * i128::from(100 + percent))
                } else {
                    inside.max().is_some_and(|high| price <= high * i128::from(100 - percent))
                };
                if fires {
                    *since = seen.len() - 1;
                    tally.add((symbol * 2 * WINDOWS.len() + place * 2 + side) as u64, tick);
                }
            }
        }
    }
}
