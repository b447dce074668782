//! Binance: a combined stream of `miniTicker`s from the market-data host.
//!
//! Each instrument comes each second, so its own ticker is the proof that its price is live; nothing is repeated, and an
//! instrument that stops coming turns stale. A connection lives a day at most. Before that, and when the server says that it will
//! shut down, the next one is opened and has delivered before this one is dropped; what both deliver counts once.
//!
//! A symbol that Binance does not know is accepted and never delivers. Those that have not delivered are looked up, each once.

mod frame;
mod listing;

use std::{convert::Infallible, future::Future, pin::Pin, time::Duration};

use bellwether_core::{
    config,
    instrument::{FeedId, Instrument},
    tick::Tick,
    time::Timestamp,
};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(super) use frame::{Frame, parse};
use listing::{Listing, Verdict};

use super::{
    codes::Codes,
    socket::Socket,
    supervise::{Link, Trouble},
    wire::Malformed,
};
use crate::provider::Provider;

/// The most streams of one connection.
const STREAMS: usize = 1_024;
/// The most streams in the address and in one subscription.
const CHUNK: usize = 100;
/// Between two subscriptions: the server hangs up at more than five messages a second.
const PACE: Duration = Duration::from_millis(250);
/// How long a connection is used: Binance closes it after 24 hours.
const LIFE: Duration = Duration::from_hours(23);
/// Before the next try to open the connection that is to replace this one.
const AGAIN: Duration = Duration::from_secs(30);

/// Something that is under way beside the connection.
type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// A connection that has delivered its first frame.
type Opened = Result<(Socket, Utf8Bytes), Trouble>;

/// The feed.
pub(super) struct Binance {
    url: String,
    silence: Duration,
    /// After how long a connection is replaced.
    life: Duration,
    instruments: Vec<Instrument>,
    listing: Listing,
}

impl Binance {
    pub(super) fn new(config: &config::Binance, instruments: Vec<Instrument>, provider: Provider) -> Self {
        let silence = Duration::from(config.silence).max(Duration::from_millis(50));
        // Not all at the same hour of the day after a power cut.
        let life = LIFE + Duration::from_secs(rand::random_range(0..1_800));
        Self { url: config.ws_url.clone(), silence, life, instruments, listing: Listing::new(provider) }
    }

    /// One connection and those that replace it, until one ends by itself.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        let mut market = Market::new(&self.instruments);
        for (code, why) in self.listing.refused() {
            market.codes.refuse(code, why);
        }
        Box::pin(self.deliver(&mut market, link)).await
    }

    async fn deliver(&mut self, market: &mut Market, link: &mut Link) -> Result<Infallible, Trouble> {
        market.check_any()?;
        let streams = market.streams();
        let mut socket = connect(&self.url, &streams, self.silence, link.now()).await?;
        let mut next: Option<Pending<Opened>> = None;
        let mut replace_at = Instant::now() + self.life;
        let mut verdicts: Option<Pending<Vec<Verdict>>> = None;
        // Before silence ends a connection that delivers nothing at all.
        let mut look_up_at = Some(Instant::now() + self.silence * 2 / 3);
        loop {
            let mut due = false;
            tokio::select! {
                text = socket.text() => {
                    if let Some(text) = text? {
                        due = self.take(market, &mut socket, &text, link).await? && next.is_none();
                    }
                }
                () = sleep_until(replace_at), if next.is_none() => due = true,
                opened = finished(&mut next) => {
                    next = None;
                    match opened {
                        Ok((new, first)) => {
                            tracing::info!(feed = "binance", "the connection was replaced");
                            std::mem::replace(&mut socket, new).close().await;
                            replace_at = Instant::now() + self.life;
                            self.take(market, &mut socket, &first, link).await?;
                        }
                        Err(trouble) => {
                            tracing::warn!(feed = "binance", trouble = %trouble.text, "no connection to replace this one");
                            replace_at = Instant::now() + trouble.after.map_or(AGAIN, Duration::from).max(AGAIN);
                        }
                    }
                }
                () = sleep_until(look_up_at.unwrap_or(replace_at)), if look_up_at.is_some() => {
                    look_up_at = None;
                    let missing = market.name_missing();
                    if !missing.is_empty() {
                        let listing = self.listing.clone();
                        verdicts = Some(Box::pin(async move { listing.look_up(missing).await }));
                        market.tell(link).await?;
                    }
                }
                found = finished(&mut verdicts) => {
                    verdicts = None;
                    for verdict in found {
                        self.listing.note(&verdict);
                        market.judge(verdict);
                    }
                    market.tell(link).await?;
                    market.check_any()?;
                }
            }
            if due {
                next = Some(Box::pin(open(self.url.clone(), streams.clone(), self.silence, link.now())));
            }
        }
    }

    /// Handles one frame. Whether the server said that it will shut down.
    async fn take(
        &self,
        market: &mut Market,
        socket: &mut Socket,
        text: &str,
        link: &mut Link,
    ) -> Result<bool, Trouble> {
        let now = link.now();
        match parse(text) {
            Ok(Frame::Shutdown) => return Ok(true),
            Ok(Frame::Refused { code, message }) => {
                return Err(Trouble::refused(format!("code {code}: {message}")));
            }
            Ok(frame) => {
                socket.heard();
                match market.take(frame, now) {
                    Ok(Some(tick)) => {
                        link.streamed(tick).await?;
                        link.live(market.codes.trouble()).await?;
                    }
                    Ok(None) => {}
                    Err(reason) => link.rejected(reason),
                }
            }
            Err(Malformed) => link.rejected("malformed"),
        }
        Ok(false)
    }
}

/// The result of what is under way; never, where nothing is.
async fn finished<T>(pending: &mut Option<Pending<T>>) -> T {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// Opens a connection with all streams, and waits for its first ticker.
async fn open(url: String, streams: Vec<String>, silence: Duration, now: Timestamp) -> Opened {
    let mut socket = connect(&url, &streams, silence, now).await?;
    loop {
        let Some(text) = socket.text().await? else { continue };
        if let Ok(Frame::MiniTicker { .. } | Frame::Refused { .. }) = parse(&text) {
            return Ok((socket, text));
        }
    }
}

/// Opens a connection with all streams.
///
/// The first of them stand in the address, the others are subscribed to:
/// `{"method":"SUBSCRIBE","params":["btcusdt@miniTicker"],"id":1}`
async fn connect(url: &str, streams: &[String], silence: Duration, now: Timestamp) -> Result<Socket, Trouble> {
    let mut chunks = streams.chunks(CHUNK);
    let names = chunks.next().unwrap_or_default().join("/");
    let address = format!("{}/stream?streams={names}", url.trim_end_matches('/'));
    let mut socket = Socket::open(&address, silence, now).await?;
    for (number, chunk) in (1..).zip(chunks) {
        sleep(PACE).await;
        socket.send(json!({ "method": "SUBSCRIBE", "params": chunk, "id": number }).to_string()).await?;
    }
    Ok(socket)
}

/// What one connection knows.
pub(super) struct Market {
    codes: Codes,
}

impl Market {
    pub(super) fn new(instruments: &[Instrument]) -> Self {
        let mut codes = Codes::new(FeedId::Binance, instruments);
        for code in codes.all() {
            if !code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
                codes.refuse(&code, "no code of Binance's, such as BTCUSDT");
            }
        }
        for code in codes.all().iter().skip(STREAMS) {
            codes.refuse(code, "one connection holds no more than 1,024 streams");
        }
        Self { codes }
    }

    /// `btcusdt@miniTicker` for each.
    fn streams(&self) -> Vec<String> {
        self.codes.all().iter().map(|code| format!("{}@miniTicker", code.to_ascii_lowercase())).collect()
    }

    /// What a frame means: a price, nothing, or why it is not believed.
    pub(super) fn take(&mut self, frame: Frame<'_>, now: Timestamp) -> Result<Option<Tick>, &'static str> {
        match frame {
            Frame::MiniTicker { symbol, quote } => {
                if let Some(time) = quote.time {
                    self.codes.clock(time, now);
                }
                self.codes.price(&symbol, quote, now).map(Some)
            }
            Frame::Shutdown | Frame::Subscribed | Frame::Refused { .. } | Frame::Other => Ok(None),
        }
    }

    /// Names those that have not delivered.
    fn name_missing(&mut self) -> Vec<String> {
        let missing = self.codes.without_price();
        for code in &missing {
            self.codes.name_silent(code, "never delivered");
        }
        missing
    }

    fn judge(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Unknown(code) => {
                self.codes.refuse(&code, "Binance does not know it");
            }
            Verdict::Halted(code, status) => self.codes.name_silent(&code, &format!("not traded now ({status})")),
        }
    }

    /// Tells everybody how the feed is doing, as soon as it delivers.
    async fn tell(&mut self, link: &mut Link) -> Result<(), Trouble> {
        for (symbol, why) in self.codes.lost() {
            link.lost(symbol, &why).await?;
        }
        if self.codes.delivering() { link.live(self.codes.trouble()).await } else { Ok(()) }
    }

    /// Without any symbol there is nothing to connect for.
    fn check_any(&self) -> Result<(), Trouble> {
        match self.codes.trouble() {
            Some(why) if self.codes.is_empty() => Err(Trouble::refused(why)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
