//! What one connection knows of its products beside what every stream knows: what each subscription held, and whom a refusal
//! names.

use std::{collections::BTreeSet, time::Duration};

use bellwether_core::{
    instrument::{FeedId, Instrument, Symbol},
    tick::Tick,
    time::{Span, Timestamp},
};

use super::frame::Frame;
use crate::ingest::{codes::Codes, supervise::Trouble};

/// The most products in one subscription: one bad product spoils no more than its chunk, and that only until it is named.
const CHUNK: usize = 15;

/// What one connection knows of its products.
pub(crate) struct Products {
    codes: Codes,
    /// What each subscription held.
    chunks: Vec<BTreeSet<String>>,
}

impl Products {
    pub(crate) fn new(instruments: &[Instrument]) -> Self {
        let codes = Codes::new(FeedId::Coinbase, instruments);
        let chunks = codes.all().chunks(CHUNK).map(|chunk| chunk.iter().cloned().collect()).collect();
        Self { codes, chunks }
    }

    pub(super) fn chunks(&self) -> Vec<Vec<String>> {
        self.chunks.iter().map(|chunk| chunk.iter().cloned().collect()).collect()
    }

    /// How often quiet products are looked for: often enough that none turns stale.
    pub(super) fn pulse(&self) -> Duration {
        self.codes.pulse()
    }

    pub(super) fn delivering(&self) -> bool {
        self.codes.delivering()
    }

    /// What is not delivered, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        self.codes.trouble()
    }

    /// What turned out not to be delivered since this was last asked, and why.
    pub(super) fn lost(&mut self) -> Vec<(Symbol, String)> {
        self.codes.lost()
    }

    /// The instrument of a product whose ticker keeps up with its trades.
    pub(super) fn stands(&self, product: &str) -> Option<Symbol> {
        self.codes.stands(product)
    }

    /// A subscription was refused. Drops the products that the reason names and gives the rest of their chunks, to be subscribed again.
    pub(super) fn refuse(&mut self, message: &str, reason: &str) -> Result<Vec<String>, Trouble> {
        let words: Vec<&str> = reason.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
        let named: Vec<String> = self.codes.named_in(&words).cloned().collect();
        if named.is_empty() {
            return Err(Trouble::refused(format!("{message}: {reason}")));
        }
        let named: Vec<String> = named.into_iter().filter(|code| self.codes.refuse(code, reason)).collect();
        if named.is_empty() {
            // Said twice of the same product: nothing new.
            return Ok(Vec::new());
        }
        if self.codes.is_empty() {
            return Err(Trouble::refused(format!("every product was refused: {reason}")));
        }
        let mut rest = Vec::new();
        for chunk in &mut self.chunks {
            let before = chunk.len();
            chunk.retain(|code| !named.contains(code));
            if chunk.len() < before {
                rest.extend(chunk.iter().cloned());
            }
        }
        Ok(rest)
    }

    /// Products that were neither acknowledged nor delivered are named; where that is all of them, the connection is useless.
    pub(super) fn check_acknowledged(&mut self) -> Result<(), Trouble> {
        self.codes.check_acknowledged()
    }

    /// What a frame means: a price, nothing, or why it is not believed.
    pub(crate) fn take(&mut self, frame: Frame<'_>, now: Timestamp) -> Result<Option<Tick>, &'static str> {
        match frame {
            Frame::Ticker { product, quote } => self.codes.price(&product, quote, now).map(Some),
            Frame::Heartbeat { product, time, last_trade } => {
                self.codes.beat_of(&product, time, last_trade, now).map(|()| None)
            }
            Frame::Subscriptions { tickers } => {
                for code in tickers {
                    self.codes.acknowledge(&code);
                }
                Ok(None)
            }
            Frame::Refused { .. } | Frame::Other => Ok(None),
        }
    }

    /// A product that trades while its ticker stands still for as long as a price may age makes the connection useless.
    pub(super) fn check_frozen(&self, now: Timestamp) -> Result<(), Trouble> {
        self.codes.check_frozen(now)
    }

    /// The last prices of quiet products as prices of now (docs/alerts.md, B16.2).
    pub(super) fn repeat_quiet(&mut self, now: Timestamp, silence: Span) -> Vec<Tick> {
        self.codes.repeat_quiet(now, silence)
    }
}
