//! The past of prices: sparklines and the bars of charts. Fetched from the daemon, then carried on with live prices.

use std::collections::{BTreeMap, HashMap};

use bellwether_core::{
    event::Ticker,
    instrument::Symbol,
    price::Price,
    tick::Candle,
    time::{Span, Timestamp},
};

/// The lengths of bars that `t` steps through.
pub(crate) const INTERVALS: [Span; 6] = [
    Span::from_seconds(60),
    Span::from_seconds(300),
    Span::from_seconds(900),
    Span::from_seconds(3_600),
    Span::from_seconds(4 * 3_600),
    Span::from_seconds(86_400),
];

/// How many bars are asked for at once.
pub(crate) const MOST_BARS: usize = 500;
/// How many bars of one chart are kept.
const MOST_KEPT: usize = 10_000;
/// How many charts are kept.
const MOST_CHARTS: usize = 48;
/// After which time bars are fetched again: a gap while the daemon was away is filled so.
const BARS_KEEP: Span = Span::from_seconds(300);
/// After which time an attempt that failed is made again.
const TRY_AGAIN: Span = Span::from_seconds(15);
/// How often sparklines are fetched.
const SPARKS_KEEP: Span = Span::from_seconds(300);
/// How often they are fetched while first prices still come in.
const SPARKS_GROW: Span = Span::from_seconds(3);

/// The bars of one chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bars {
    /// Oldest first.
    pub(crate) items: Vec<Candle>,
    /// Whether an answer has come.
    pub(crate) known: bool,
    /// Why there is none.
    pub(crate) trouble: Option<String>,
    asked: Timestamp,
    /// Before when older bars were last asked for, and when.
    older: Option<(Timestamp, Timestamp)>,
    /// There is nothing older.
    pub(crate) whole: bool,
}

/// All that is known of the past.
#[derive(Clone, Debug, Default)]
pub(crate) struct Market {
    charts: HashMap<(Symbol, Span), Bars>,
    sparks: BTreeMap<Symbol, Vec<Price>>,
    sparks_asked: Option<Timestamp>,
    /// How many instruments had a price when they were asked for.
    sparks_for: usize,
}

impl Market {
    pub(crate) fn bars(&self, symbol: Symbol, interval: Span) -> Option<&Bars> {
        self.charts.get(&(symbol, interval))
    }

    /// Closes of the last 24 hours, oldest first.
    pub(crate) fn spark(&self, symbol: Symbol) -> &[Price] {
        self.sparks.get(&symbol).map_or(&[], Vec::as_slice)
    }

    /// Whether these bars should be asked for now; if so, they count as asked for.
    pub(crate) fn wants_bars(&mut self, symbol: Symbol, interval: Span, now: Timestamp) -> bool {
        if self.charts.len() >= MOST_CHARTS && !self.charts.contains_key(&(symbol, interval)) {
            let oldest = self.charts.iter().min_by_key(|(_, bars)| bars.asked).map(|(key, _)| *key);
            oldest.map(|key| self.charts.remove(&key));
        }
        let bars = self.charts.entry((symbol, interval)).or_default();
        let patience = if bars.trouble.is_some() || !bars.known { TRY_AGAIN } else { BARS_KEEP };
        let wanted = bars.asked == Timestamp::default() || now.since(bars.asked) > patience;
        if wanted {
            bars.asked = now;
        }
        wanted
    }

    /// Whether sparklines should be asked for now that `priced` instruments have a price; if so, they count as asked for.
    pub(crate) fn wants_sparks(&mut self, now: Timestamp, priced: usize) -> bool {
        let drawn = self.sparks.values().filter(|points| !points.is_empty()).count();
        let patience = match (priced == self.sparks_for, drawn < priced) {
            (false, _) => SPARKS_GROW,
            (true, true) => TRY_AGAIN,
            (true, false) => SPARKS_KEEP,
        };
        let wanted = self.sparks_asked.is_none_or(|asked| now.since(asked) > patience);
        if wanted {
            (self.sparks_asked, self.sparks_for) = (Some(now), priced);
        }
        wanted
    }

    /// After a new connection everything is asked for again.
    pub(crate) fn expire(&mut self) {
        self.sparks_asked = None;
        self.charts.values_mut().for_each(|bars| bars.asked = Timestamp::default());
    }

    pub(crate) fn set_spark(&mut self, symbol: Symbol, points: Vec<Price>) {
        self.sparks.insert(symbol, points);
    }

    /// The answer to a question for bars. An answer that failed leaves what is there.
    pub(crate) fn set_bars(&mut self, symbol: Symbol, interval: Span, answer: Result<Vec<Candle>, String>) {
        let bars = self.charts.entry((symbol, interval)).or_default();
        match answer {
            Ok(mut items) => {
                items.sort_by_key(|c| c.from);
                // Older ones that were fetched before stay.
                if let Some(first) = items.first().map(|bar| bar.from) {
                    let kept = bars.items.partition_point(|bar| bar.from < first);
                    let overlaps = bars.items.get(kept).is_some_and(|bar| bar.from == first);
                    let touches = kept.checked_sub(1).is_some_and(|last| bars.items[last].to >= first);
                    bars.items.truncate(kept);
                    if !overlaps && !touches {
                        // The daemon was away for longer than an answer holds.
                        bars.items.clear();
                        bars.whole = false;
                    }
                    bars.items.append(&mut items);
                } else {
                    bars.items = items;
                }
                bars.known = true;
                // Fewer than were asked for are all there are.
                bars.whole |= bars.items.len() < MOST_BARS;
                bars.trouble = None;
            }
            Err(trouble) => bars.trouble = Some(trouble),
        }
    }

    /// Whether bars before the oldest one that is here should be asked for now; if so, they count as asked for.
    pub(crate) fn wants_older(&mut self, symbol: Symbol, interval: Span, before: Timestamp, now: Timestamp) -> bool {
        let Some(bars) = self.charts.get_mut(&(symbol, interval)) else { return false };
        let asked = bars.older.is_some_and(|(about, at)| about == before && now.since(at) < TRY_AGAIN);
        if asked || bars.whole || !bars.known || bars.items.len() + MOST_BARS > MOST_KEPT {
            return false;
        }
        bars.older = Some((before, now));
        true
    }

    /// The answer to a question for older bars. Where it is empty there are none.
    pub(crate) fn add_older(
        &mut self,
        symbol: Symbol,
        interval: Span,
        before: Timestamp,
        answer: Result<Vec<Candle>, String>,
    ) {
        let Some(bars) = self.charts.get_mut(&(symbol, interval)) else { return };
        let Ok(mut items) = answer else { return };
        items.sort_by_key(|c| c.from);
        items.retain(|c| c.from < before);
        if bars.items.first().is_none_or(|first| first.from != before) {
            // What it was to be joined to is gone meanwhile.
            return;
        }
        if items.is_empty() {
            bars.whole = true;
            return;
        }
        items.append(&mut bars.items);
        bars.items = items;
    }

    /// Carries the charts of an instrument on with its newest price.
    pub(crate) fn on_price(&mut self, ticker: &Ticker) {
        for interval in INTERVALS {
            if let Some(bars) = self.charts.get_mut(&(ticker.symbol, interval)).filter(|b| b.known) {
                carry_on(&mut bars.items, interval, ticker);
            }
        }
    }
}

fn carry_on(items: &mut Vec<Candle>, interval: Span, ticker: &Ticker) {
    let (at, price) = (ticker.as_of, ticker.price);
    if let Some(last) = items.last_mut() {
        if at < last.from {
            return;
        }
        if at < last.to {
            last.high = last.high.max(price);
            last.low = last.low.min(price);
            last.close = price;
            return;
        }
    }
    let from = Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(interval.as_micros().max(1)));
    // Where the daemon's bars are aligned differently (a trading day), the new one begins no earlier than the last one ends.
    let from = items.last().map_or(from, |last| from.max(last.to));
    let session = ticker.session;
    items.push(Candle {
        from,
        to: from.plus(interval),
        open: price,
        high: price,
        low: price,
        close: price,
        session,
        // What is traded in it, only the daemon's bars tell.
        volume: None,
    });
    items.drain(..items.len().saturating_sub(MOST_KEPT));
}

#[cfg(test)]
mod tests {
    use bellwether_core::{instrument::FeedId, tick::Session};

    use super::*;

    fn ticker(price: &str, second: i64) -> Ticker {
        Ticker {
            symbol: "BTC".parse().expect("a symbol"),
            price: price.parse().expect(price),
            change_24h_pct: None,
            reference: None,
            high: None,
            low: None,
            volume: None,
            as_of: Timestamp::from_seconds(second),
            received: Timestamp::from_seconds(second),
            source: FeedId::Simulated,
            session: Session::Regular,
            stale_after: Span::from_seconds(60),
            delay: Span::ZERO,
        }
    }

    #[test]
    fn live_prices_carry_the_last_bar_on_and_begin_the_next() {
        let symbol = "BTC".parse().expect("a symbol");
        let minute = INTERVALS[0];
        let mut market = Market::default();
        assert!(market.wants_bars(symbol, minute, Timestamp::from_seconds(600)));
        assert!(!market.wants_bars(symbol, minute, Timestamp::from_seconds(601)), "once is enough");
        market.on_price(&ticker("9", 599));
        market.set_bars(symbol, minute, Ok(Vec::new()));
        for (price, second) in [("10", 600), ("12", 630), ("9", 659), ("11", 661), ("99", 5)] {
            market.on_price(&ticker(price, second));
        }
        let bars = &market.bars(symbol, minute).expect("bars").items;
        assert_eq!(bars.len(), 2);
        let shown = [bars[0].open, bars[0].high, bars[0].low, bars[0].close].map(|p| p.to_string());
        assert_eq!(shown, ["10", "12", "9", "9"]);
        assert_eq!(bars[1].from, Timestamp::from_seconds(660));
    }

    #[test]
    fn older_bars_are_joined_once_and_survive_a_fresh_answer() {
        let symbol = "BTC".parse().expect("a symbol");
        let minute = INTERVALS[0];
        let now = Timestamp::from_seconds(1_000_000);
        let bars = |from: i64, count: i64| -> Vec<Candle> {
            let price: Price = "1".parse().expect("a price");
            let at = |n: i64| Timestamp::from_seconds((from + n) * 60);
            let session = Session::Regular;
            let bar = |n| Candle {
                from: at(n),
                to: at(n + 1),
                open: price,
                high: price,
                low: price,
                close: price,
                session,
                volume: None,
            };
            (0..count).map(bar).collect()
        };
        let count = |market: &Market| market.bars(symbol, minute).map_or(0, |bars| bars.items.len());
        let mut market = Market::default();
        market.set_bars(symbol, minute, Ok(bars(1_000, 500)));
        let before = Timestamp::from_seconds(60_000);
        assert!(market.wants_older(symbol, minute, before, now));
        assert!(!market.wants_older(symbol, minute, before, now), "once is enough");
        market.add_older(symbol, minute, before, Ok(bars(900, 100)));
        assert_eq!(count(&market), 600);
        market.add_older(symbol, minute, before, Ok(bars(900, 100)));
        assert_eq!(count(&market), 600, "an answer to what was asked before is old");
        market.set_bars(symbol, minute, Ok(bars(1_005, 500)));
        assert_eq!(count(&market), 605);
        let first = Timestamp::from_seconds(54_000);
        assert!(market.wants_older(symbol, minute, first, now));
        market.add_older(symbol, minute, first, Ok(Vec::new()));
        let later = now.plus(Span::from_seconds(600));
        assert!(!market.wants_older(symbol, minute, first, later), "there is nothing older");
        market.set_bars(symbol, minute, Ok(bars(9_000, 500)));
        assert_eq!(count(&market), 500, "what lies before a gap would be drawn beside what lies behind it");
    }

    #[test]
    fn a_failed_question_keeps_the_bars_and_is_asked_again() {
        let symbol = "BTC".parse().expect("a symbol");
        let mut market = Market::default();
        market.set_bars(symbol, INTERVALS[0], Ok(Vec::new()));
        market.on_price(&ticker("10", 600));
        market.set_bars(symbol, INTERVALS[0], Err("no".to_owned()));
        assert_eq!(market.bars(symbol, INTERVALS[0]).map(|b| b.items.len()), Some(1));
        assert!(market.wants_bars(symbol, INTERVALS[0], Timestamp::from_seconds(700)));
        assert!(market.wants_bars(symbol, INTERVALS[0], Timestamp::from_seconds(720)));
    }
}
