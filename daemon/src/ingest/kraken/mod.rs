//! Kraken: the WebSocket v2 channel `ticker`, at each trade.
//!
//! Each symbol is acknowledged or refused by itself; a refused one beside heartbeats would look like a healthy connection, so
//! refusals are kept and shown. One heartbeat a second proves the connection live, and with it the last price of each quiet symbol:
//! that is repeated and does not turn stale. The first frame of a symbol, the snapshot, holds its last trade under that trade's own
//! time: a last known price. While Kraken says of itself that it is not `online`, nothing is news and nothing is repeated.

mod frame;

use std::{convert::Infallible, time::Duration};

use bellwether_core::{
    config,
    instrument::{FeedId, Instrument},
    tick::Tick,
    time::Timestamp,
};
use serde_json::json;
use tokio::time::Instant;

pub(super) use frame::{Frame, Row, parse};

use super::{
    codes::Codes,
    desk::Whom,
    socket::Socket,
    supervise::{Link, Trouble},
};

/// The most symbols in one subscription.
const CHUNK: usize = 50;
/// How often its clock is asked for at least: a ping is answered with the time.
const PING: Duration = Duration::from_mins(1);

/// The feed.
#[derive(Debug)]
pub(super) struct Kraken {
    url: String,
    silence: Duration,
    instruments: Vec<Instrument>,
}

impl Kraken {
    pub(super) fn new(config: &config::Kraken, instruments: Vec<Instrument>) -> Self {
        let silence = Duration::from(config.silence).max(Duration::from_millis(50));
        Self { url: config.ws_url.clone(), silence, instruments }
    }

    /// One connection, from its handshake to its end.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        let mut socket = Socket::open(&self.url, self.silence, link.now()).await?;
        let mut market = Market::new(&self.instruments);
        for (number, codes) in (1..).zip(market.codes.all().chunks(CHUNK)) {
            socket.send(subscription(codes, number)).await?;
        }
        let (mut acknowledged_by, mut pinged) = (Some(Instant::now() + self.silence), Instant::now());
        let mut pulse = tokio::time::interval(market.codes.pulse().min(self.silence / 4));
        loop {
            tokio::select! {
                text = socket.text() => {
                    let Some(text) = text? else { continue };
                    let Ok(frame) = parse(&text) else {
                        link.rejected("malformed");
                        continue;
                    };
                    // Whoever only answers pings is not alive, unless it has said that it rests.
                    if !matches!(frame, Frame::Pong { .. }) || market.not_online.is_some() {
                        socket.heard();
                    }
                    let told = market.take(frame, link.now())?;
                    for reason in told.rejected {
                        link.rejected(reason);
                    }
                    let delivers = !told.ticks.is_empty();
                    for tick in told.ticks {
                        link.streamed(tick).await?;
                    }
                    if told.alive {
                        link.alive(Whom::These(market.codes.standing())).await?;
                    }
                    if delivers || told.changed {
                        market.tell(link).await?;
                    }
                }
                _ = pulse.tick() => {
                    if acknowledged_by.is_some_and(|by| Instant::now() >= by) {
                        acknowledged_by = None;
                        market.check_acknowledged()?;
                        market.tell(link).await?;
                    }
                    let quiet = socket.silent_for() >= self.silence / 3 && pinged.elapsed() >= self.silence / 3;
                    if quiet || pinged.elapsed() >= PING {
                        pinged = Instant::now();
                        socket.send(json!({ "method": "ping" }).to_string()).await?;
                    }
                    for tick in market.repeat_quiet(link.now(), self.silence) {
                        link.tick(tick).await?;
                    }
                }
            }
        }
    }
}

/// `{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD","ETH/USD"],"event_trigger":"trades","snapshot":true},"req_id":1}`
fn subscription(codes: &[String], number: u32) -> String {
    let params = json!({ "channel": "ticker", "symbol": codes, "event_trigger": "trades", "snapshot": true });
    json!({ "method": "subscribe", "params": params, "req_id": number }).to_string()
}

/// What one connection knows.
pub(super) struct Market {
    codes: Codes,
    /// What Kraken says of itself, where that is not `online`.
    not_online: Option<String>,
}

/// What a frame brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) ticks: Vec<Tick>,
    pub(super) rejected: Vec<&'static str>,
    /// Whether it proved the whole connection live.
    alive: bool,
    /// Whether the feed's own state may have changed.
    changed: bool,
}

impl Market {
    pub(super) fn new(instruments: &[Instrument]) -> Self {
        Self { codes: Codes::new(FeedId::Kraken, instruments), not_online: None }
    }

    /// What a frame means.
    pub(super) fn take(&mut self, frame: Frame<'_>, now: Timestamp) -> Result<Told, Trouble> {
        let mut told = Told::default();
        match frame {
            Frame::Ticker { rows } => {
                for Row { symbol, quote } in rows {
                    // Kept even while Kraken is not online: it will be the last price when it is again.
                    match self.codes.price(&symbol, quote, now) {
                        Ok(tick) if self.not_online.is_none() => told.ticks.push(tick),
                        Ok(_) => told.rejected.push("not_trading"),
                        Err(reason) => told.rejected.push(reason),
                    }
                }
                // Heartbeats may be left out where there is other traffic.
                self.codes.beat(now);
            }
            Frame::Heartbeat => {
                self.codes.beat(now);
                told.alive = self.not_online.is_none();
            }
            Frame::Status { system } => {
                self.not_online = system.filter(|system| system != "online");
                told.changed = true;
            }
            Frame::Subscribed { symbol, time } => {
                self.codes.acknowledge(&symbol);
                self.clock(time, now);
            }
            Frame::Pong { time } => self.clock(time, now),
            Frame::Refused { symbol, error } => {
                self.refuse(symbol.as_deref(), &error)?;
                told.changed = true;
            }
            Frame::Other => {}
        }
        Ok(told)
    }

    fn clock(&mut self, time: Option<Timestamp>, now: Timestamp) {
        if let Some(time) = time {
            self.codes.clock(time, now);
        }
    }

    /// The symbol stands in its own field, or at least in the words.
    fn refuse(&mut self, symbol: Option<&str>, error: &str) -> Result<(), Trouble> {
        let words: Vec<&str> = symbol.into_iter().chain(error.split([' ', ',', ':', '\'', '"'])).collect();
        let Some(code) = self.codes.named_in(&words).next().cloned() else {
            return Err(Trouble::refused(error));
        };
        if error.to_ascii_lowercase().contains("already subscribed") {
            self.codes.acknowledge(&code);
            return Ok(());
        }
        self.codes.refuse(&code, error);
        if self.codes.is_empty() {
            return Err(Trouble::refused(format!("every symbol was refused: {error}")));
        }
        Ok(())
    }

    /// Each symbol should have been acknowledged by now, and have delivered its snapshot.
    fn check_acknowledged(&mut self) -> Result<(), Trouble> {
        self.codes.check_acknowledged()?;
        for code in self.codes.without_price() {
            if !self.codes.is_named(&code) {
                self.codes.name_silent(&code, "acknowledged, but no price has come");
            }
        }
        Ok(())
    }

    /// The last prices of quiet symbols as prices of now (docs/alerts.md, B16.2).
    fn repeat_quiet(&mut self, now: Timestamp, silence: Duration) -> Vec<Tick> {
        if self.not_online.is_some() { Vec::new() } else { self.codes.repeat_quiet(now, silence.into()) }
    }

    /// Tells everybody how the feed is doing, as soon as that is known.
    async fn tell(&mut self, link: &mut Link) -> Result<(), Trouble> {
        for (symbol, why) in self.codes.lost() {
            link.lost(symbol, &why).await?;
        }
        match &self.not_online {
            Some(system) => link.paused(format!("Kraken is not online: {system}")).await,
            None if self.codes.delivering() => link.live(self.codes.trouble()).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
