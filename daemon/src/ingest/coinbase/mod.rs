//! Coinbase Exchange: the WebSocket `ticker` with its `heartbeat`.
//!
//! The heartbeat, once a second for each product, proves the connection live and says how many trades there have been. So a
//! quiet instrument is repeated and does not turn stale, while one whose ticker stands still although it trades does.

mod frame;
mod products;

use std::{convert::Infallible, time::Duration};

use bellwether_core::{config, instrument::Instrument};
use serde_json::json;
use tokio::time::Instant;

pub(super) use frame::{Frame, parse};
pub(super) use products::Products;

use super::{
    desk::Whom,
    socket::Socket,
    supervise::{Link, Trouble},
    wire::Malformed,
};

/// The feed.
#[derive(Debug)]
pub(super) struct Coinbase {
    url: String,
    silence: Duration,
    instruments: Vec<Instrument>,
}

impl Coinbase {
    pub(super) fn new(config: &config::Coinbase, instruments: Vec<Instrument>) -> Self {
        let silence = Duration::from(config.silence).max(Duration::from_millis(50));
        Self { url: config.ws_url.clone(), silence, instruments }
    }

    /// One connection, from its handshake to its end.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        let mut socket = Socket::open(&self.url, self.silence, link.now()).await?;
        let mut products = Products::new(&self.instruments);
        for codes in products.chunks() {
            socket.send(subscription(&codes)).await?;
        }
        let acknowledged_by = Instant::now() + self.silence;
        let mut unacknowledged = true;
        let mut pulse = tokio::time::interval(products.pulse());
        loop {
            tokio::select! {
                text = socket.text() => {
                    let Some(text) = text? else { continue };
                    let now = link.now();
                    match parse(&text) {
                        Ok(Frame::Refused { message, reason }) => {
                            socket.heard();
                            let rest = products.refuse(&message, &reason)?;
                            for (symbol, why) in products.lost() {
                                link.lost(symbol, &why).await?;
                            }
                            if !rest.is_empty() {
                                socket.send(subscription(&rest)).await?;
                            }
                            if products.delivering() {
                                link.live(products.trouble()).await?;
                            }
                        }
                        Ok(frame) => {
                            socket.heard();
                            let beaten = match &frame {
                                Frame::Heartbeat { product, .. } => Some(product.clone()),
                                _ => None,
                            };
                            match products.take(frame, now) {
                                Ok(Some(tick)) => {
                                    link.streamed(tick).await?;
                                    link.live(products.trouble()).await?;
                                }
                                Ok(None) => {
                                    if let Some(symbol) = beaten.and_then(|product| products.stands(&product)) {
                                        link.alive(Whom::One(symbol)).await?;
                                    }
                                }
                                Err(reason) => link.rejected(reason),
                            }
                        }
                        Err(Malformed) => link.rejected("malformed"),
                    }
                }
                _ = pulse.tick() => {
                    let now = link.now();
                    if unacknowledged && Instant::now() >= acknowledged_by {
                        unacknowledged = false;
                        products.check_acknowledged()?;
                        for (symbol, why) in products.lost() {
                            link.lost(symbol, &why).await?;
                        }
                        if products.delivering() {
                            link.live(products.trouble()).await?;
                        }
                    }
                    products.check_frozen(now)?;
                    for tick in products.repeat_quiet(now, self.silence.into()) {
                        link.tick(tick).await?;
                    }
                }
            }
        }
    }
}

fn subscription(codes: &[String]) -> String {
    json!({ "type": "subscribe", "product_ids": codes, "channels": ["ticker", "heartbeat"] }).to_string()
}

#[cfg(test)]
mod tests;
