//! The way of a frame to a tick without a connection, for `benches/parse.rs` alone.

use bellwether_core::{
    instrument::{FeedId, Instrument},
    tick::Tick,
    time::Timestamp,
};

use super::{binance, coinbase, kraken};

/// What a connection would know after subscribing.
#[doc(hidden)]
pub struct Reader(Inner);

enum Inner {
    Coinbase(coinbase::Products),
    Kraken(kraken::Market),
    Binance(binance::Market),
}

impl Reader {
    /// For these instruments at one of the three exchanges.
    pub fn new(feed: FeedId, instruments: &[Instrument]) -> Option<Self> {
        match feed {
            FeedId::Coinbase => Some(Self(Inner::Coinbase(coinbase::Products::new(instruments)))),
            FeedId::Kraken => Some(Self(Inner::Kraken(kraken::Market::new(instruments)))),
            FeedId::Binance => Some(Self(Inner::Binance(binance::Market::new(instruments)))),
            _ => None,
        }
    }

    /// The price in a frame that came at `now`, as the evaluator would get it.
    pub fn tick(&mut self, frame: &str, now: Timestamp) -> Option<Tick> {
        match &mut self.0 {
            Inner::Coinbase(products) => products.take(coinbase::parse(frame).ok()?, now).ok()?,
            Inner::Kraken(market) => market.take(kraken::parse(frame).ok()?, now).ok()?.ticks.pop(),
            Inner::Binance(market) => market.take(binance::parse(frame).ok()?, now).ok()?,
        }
    }
}
