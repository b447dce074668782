//! What one connection knows of its products: which are acknowledged, which deliver, which are quiet, and which are stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bellwether_core::{
    instrument::{FeedId, Instrument, Symbol},
    tick::Tick,
    time::{Span, Timestamp},
};

use super::frame::Frame;
use crate::ingest::supervise::{Trouble, believable, clean};

/// The most products in one subscription: one bad product spoils no more than its chunk, and that only until it is named.
const CHUNK: usize = 15;
/// How far behind the present a repeated price lies, so that it does not overtake a trade under way.
pub(super) const BEHIND: Span = Span::from_seconds(5);
/// From which difference the exchange's clock is not taken for the present.
const CLOCK_DIFFERENCE: Span = Span::from_seconds(60);
/// From which difference people are told (docs/alerts.md, B16.3).
const WARN_CLOCK: Span = Span::from_seconds(30);
/// From which difference the exchange's time is none at all.
const NO_CLOCK: Span = Span::from_seconds(86_400);

/// What one connection knows of its products.
pub(super) struct Products {
    by_code: BTreeMap<String, Product>,
    /// Products that are not delivered, and why.
    dropped: BTreeMap<String, String>,
    /// Those of them that nobody has been told of, with why.
    lost: Vec<(Symbol, String)>,
    /// What each subscription held.
    chunks: Vec<BTreeSet<String>>,
    /// Whether this machine's clock differs from the exchange's by more than [`WARN_CLOCK`].
    clock_differs: bool,
}

struct Product {
    instrument: Instrument,
    acknowledged: bool,
    /// The last price that came on this connection.
    last: Option<Tick>,
    /// When a price was last handed over, repeated ones included.
    delivered: Timestamp,
    /// When its last heartbeat came, and the exchange's own time of it.
    beat: Option<(Timestamp, Option<Timestamp>)>,
    /// The number of the last trade by the first heartbeat after the last price.
    trade: Option<u64>,
    /// Since when heartbeats tell of trades that no ticker brought.
    frozen_since: Option<Timestamp>,
}

impl Products {
    pub(super) fn new(instruments: &[Instrument]) -> Self {
        let by_code: BTreeMap<_, _> = instruments
            .iter()
            .filter_map(|instrument| {
                let product = Product {
                    instrument: instrument.clone(),
                    acknowledged: false,
                    last: None,
                    delivered: Timestamp::default(),
                    beat: None,
                    trade: None,
                    frozen_since: None,
                };
                Some((instrument.code_at(FeedId::Coinbase)?.to_owned(), product))
            })
            .collect();
        let codes: Vec<&String> = by_code.keys().collect();
        let chunks = codes.chunks(CHUNK).map(|chunk| chunk.iter().map(|&code| code.clone()).collect()).collect();
        Self { by_code, dropped: BTreeMap::new(), lost: Vec::new(), chunks, clock_differs: false }
    }

    pub(super) fn chunks(&self) -> Vec<Vec<String>> {
        self.chunks.iter().map(|chunk| chunk.iter().cloned().collect()).collect()
    }

    /// How often quiet products are looked for: often enough that none turns stale.
    pub(super) fn pulse(&self) -> Duration {
        let shortest = self.by_code.values().map(|p| p.instrument.stale_after).min().unwrap_or(Span::from_seconds(60));
        (Duration::from(shortest) / 8).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }

    pub(super) fn delivering(&self) -> bool {
        self.by_code.values().any(|p| p.last.is_some())
    }

    /// What is not delivered, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        let mut said: Vec<String> = self.dropped.iter().map(|(code, why)| format!("{code}: {why}")).collect();
        if self.clock_differs {
            said.push(format!("this machine's clock differs from the exchange's by more than {WARN_CLOCK}"));
        }
        (!said.is_empty()).then(|| clean(&said.join("; ")))
    }

    /// What turned out not to be delivered since this was last asked, and why.
    pub(super) fn lost(&mut self) -> Vec<(Symbol, String)> {
        std::mem::take(&mut self.lost)
    }

    /// The instrument whose last price this frame proves to hold still: a heartbeat of one that has delivered, and whose ticker
    /// keeps up with its trades.
    pub(super) fn beaten(&self, frame: &Frame) -> Option<Symbol> {
        let Frame::Heartbeat { product, last_trade, .. } = frame else { return None };
        let known = self.by_code.get(product).filter(|p| p.last.is_some() && p.frozen_since.is_none())?;
        (known.trade.is_none() || known.trade >= *last_trade).then_some(known.instrument.symbol)
    }

    /// A subscription was refused. Drops the products that the reason names and gives the rest of their chunks, to be subscribed again.
    pub(super) fn refuse(&mut self, message: &str, reason: &str) -> Result<Vec<String>, Trouble> {
        let words: BTreeSet<&str> = reason.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
        let named: Vec<String> = self.by_code.keys().filter(|code| words.contains(code.as_str())).cloned().collect();
        if named.is_empty() {
            if self.dropped.keys().any(|code| words.contains(code.as_str())) {
                // Said twice of the same product: nothing new.
                return Ok(Vec::new());
            }
            return Err(Trouble::refused(format!("{message}: {reason}")));
        }
        let mut rest = Vec::new();
        for chunk in &mut self.chunks {
            let before = chunk.len();
            chunk.retain(|code| !named.contains(code));
            if chunk.len() < before {
                rest.extend(chunk.iter().cloned());
            }
        }
        for code in named {
            tracing::warn!(feed = "coinbase", product = code, reason, "a product was refused");
            self.lost.extend(self.by_code.remove(&code).map(|p| (p.instrument.symbol, reason.to_owned())));
            self.dropped.insert(code, reason.to_owned());
        }
        if self.by_code.is_empty() {
            return Err(Trouble::refused(format!("every product was refused: {reason}")));
        }
        Ok(rest)
    }

    /// Products that were neither acknowledged nor delivered are named; where that is all of them, the connection is useless.
    pub(super) fn check_acknowledged(&mut self) -> Result<(), Trouble> {
        let silent: Vec<String> = self
            .by_code
            .iter()
            .filter(|(_, p)| !p.acknowledged && p.last.is_none() && p.beat.is_none())
            .map(|(code, _)| code.clone())
            .collect();
        if silent.len() == self.by_code.len() {
            return Err(Trouble::failed("the subscription was never acknowledged"));
        }
        for code in silent {
            self.lost.extend(self.by_code.get(&code).map(|p| (p.instrument.symbol, "never acknowledged".to_owned())));
            self.dropped.insert(code, "never acknowledged".to_owned());
        }
        Ok(())
    }

    /// What a frame means: a price, nothing, or why it is not believed.
    pub(super) fn take(&mut self, frame: Frame, now: Timestamp) -> Result<Option<Tick>, &'static str> {
        match frame {
            Frame::Ticker { product, price, time, day } => {
                let known = self.by_code.get_mut(&product).ok_or("unknown_symbol")?;
                let price = price.filter(|&p| believable(&known.instrument, p)).ok_or("price")?;
                let tick = Tick {
                    exchange_time: time,
                    day,
                    ..Tick::new(known.instrument.symbol, price, FeedId::Coinbase, now)
                };
                known.last = Some(tick.clone());
                known.delivered = now;
                known.trade = None;
                known.frozen_since = None;
                self.dropped.remove(&product);
                Ok(Some(tick))
            }
            Frame::Heartbeat { product, time, last_trade } => {
                let known = self.by_code.get_mut(&product).ok_or("unknown_symbol")?;
                known.beat = Some((now, time));
                let difference = time.map(|time| time.since(now).max(now.since(time)));
                self.clock_differs = difference.is_some_and(|d| d > WARN_CLOCK && d < NO_CLOCK);
                match (known.trade, last_trade) {
                    (None, Some(trade)) => known.trade = Some(trade),
                    (Some(seen), Some(trade)) if trade > seen => {
                        known.frozen_since.get_or_insert(now);
                    }
                    _ => {}
                }
                Ok(None)
            }
            Frame::Subscriptions { tickers } => {
                for code in tickers {
                    if let Some(known) = self.by_code.get_mut(&code) {
                        known.acknowledged = true;
                    }
                }
                Ok(None)
            }
            Frame::Refused { .. } | Frame::Other => Ok(None),
        }
    }

    /// A product that trades while its ticker stands still for as long as a price may age makes the connection useless.
    pub(super) fn check_frozen(&self, now: Timestamp) -> Result<(), Trouble> {
        let frozen = |p: &Product| {
            p.last.is_some() && p.frozen_since.is_some_and(|since| now.since(since) > p.instrument.stale_after)
        };
        match self.by_code.iter().find(|(_, product)| frozen(product)) {
            Some((code, _)) => Err(Trouble::failed(format!("{code} trades, but its price stands still"))),
            None => Ok(()),
        }
    }

    /// The last prices of quiet products as prices of now (docs/alerts.md, B16.2): of those only that came on this connection,
    /// whose heartbeat goes on, and that have not traded since.
    pub(super) fn repeat_quiet(&mut self, now: Timestamp, silence: Span) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for product in self.by_code.values_mut() {
            let (Some(last), Some((beaten, exchange))) = (&product.last, product.beat) else { continue };
            let half = Span::from_micros(product.instrument.stale_after.as_micros() / 2);
            if now.since(product.delivered) < half || now.since(beaten) > silence || product.frozen_since.is_some() {
                continue;
            }
            // By the exchange's own clock, where it goes about right: ours may differ, and must not overtake its trades.
            let present = exchange.filter(|&t| t.since(now).max(now.since(t)) <= CLOCK_DIFFERENCE).unwrap_or(now);
            let time = present.minus(BEHIND).max(last.exchange_time.unwrap_or_default());
            ticks.push(Tick { exchange_time: Some(time), received_time: now, ..last.clone() });
            product.delivered = now;
        }
        ticks
    }
}
