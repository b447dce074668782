//! Finnhub: the trades of US stocks and ETFs by WebSocket, for those who have a key.
//!
//! `wss://ws.finnhub.io?token=KEY`, then one `{"type":"subscribe","symbol":"AAPL"}` for each symbol. Nothing is acknowledged, and
//! no last price is sent: what comes first of a symbol is its next trade. A ping comes about each minute while nobody trades; it
//! proves the connection live, but no price. A wrong key is HTTP 401 instead of a WebSocket. As the key stands in the address, no
//! error here repeats the address.

use std::{convert::Infallible, time::Duration};

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    config::{self, Secret},
    instrument::{AssetClass, FeedId, Instrument},
    tick::{DayStats, Session, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use url::Url;

use super::{
    codes::{Codes, Quote},
    socket::Socket,
    supervise::{Link, Remedy, Trouble, clean},
    wire::{Malformed, Text, millis, price, text},
};

/// The most symbols that a free key may subscribe to.
pub(super) const MOST: usize = 50;
/// From which age a price is stale: what is in the catalogue trades at least each few seconds while its market is open.
pub(super) const STALE_AFTER: Span = Span::from_seconds(120);
/// A trade this many per cent away from the last one waits for a second one that agrees.
pub(super) const OUTLIER_PCT: Decimal = Decimal::from_parts(5, 0, 0, false, 0);
/// Three pings.
const SILENCE: Duration = Duration::from_mins(3);
/// How long a wrong key is left alone. The daemon reads a new one at the next start or reload, which asks at once.
const WRONG_KEY: Span = Span::from_seconds(24 * 3600);
/// What to do about a wrong key.
const SET_KEY: &str = "Finnhub does not take the key: set feeds.finnhub.api_key to the one that finnhub.io shows";

/// What Finnhub calls an instrument: the plain ticker, with a dot where a class of shares has one (`BRK.B`).
pub(super) fn code(instrument: &Instrument) -> Option<String> {
    let listed = instrument.session == "us_equity"
        && instrument.currency == "USD"
        && matches!(instrument.class, AssetClass::Stock | AssetClass::Etf);
    listed.then(|| instrument.symbol.to_string())
}

/// The feed.
#[derive(Debug)]
pub(super) struct Finnhub {
    url: String,
    key: Option<Secret>,
    instruments: Vec<Instrument>,
}

impl Finnhub {
    pub(super) fn new(config: &config::Finnhub, instruments: Vec<Instrument>) -> Self {
        Self { url: config.ws_url.clone(), key: config.api_key.clone(), instruments }
    }

    fn key(&self) -> &str {
        self.key.as_ref().map(Secret::expose).unwrap_or_default()
    }

    /// The address with the key.
    fn address(&self) -> Result<String, Trouble> {
        if self.key().trim().is_empty() {
            return Err(wrong_key("it is empty"));
        }
        let mut url =
            Url::parse(&self.url).map_err(|e| Trouble::refused(format!("feeds.finnhub.ws_url cannot be used: {e}")))?;
        url.query_pairs_mut().append_pair("token", self.key().trim());
        Ok(url.into())
    }

    /// A foreign text without the key, whoever repeats it.
    fn without_key(&self, trouble: Trouble) -> Trouble {
        let key = self.key().trim();
        if key.is_empty() { trouble } else { Trouble { text: trouble.text.replace(key, "***"), ..trouble } }
    }

    /// The same of an error frame, before it comes into anything.
    fn clean_of_key(&self, frame: Frame) -> Frame {
        match frame {
            Frame::Error { message } => Frame::Error { message: message.replace(self.key().trim(), "***") },
            other => other,
        }
    }

    /// One connection, from its handshake to its end.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        self.connected(link).await.map_err(|trouble| self.without_key(trouble))
    }

    async fn connected(&self, link: &mut Link) -> Result<Infallible, Trouble> {
        let opened = Socket::open(&self.address()?, SILENCE, link.now()).await;
        let mut socket = opened.map_err(|trouble| {
            // The handshake's answer is known by its words alone.
            if trouble.remedy == Remedy::Wait && trouble.text.starts_with("HTTP 401") {
                return wrong_key("HTTP 401");
            }
            trouble
        })?;
        let mut trades = Trades::new(&self.instruments);
        for code in trades.codes.all() {
            socket.send(json!({ "type": "subscribe", "symbol": code }).to_string()).await?;
        }
        loop {
            let Some(text) = socket.text().await? else { continue };
            let Ok(frame) = parse(&text) else {
                link.rejected("malformed");
                continue;
            };
            socket.heard();
            let told = trades.take(self.clean_of_key(frame), link.now())?;
            for reason in told.rejected {
                link.rejected(reason);
            }
            for tick in told.ticks {
                link.streamed(tick).await?;
            }
            for (symbol, why) in trades.codes.lost() {
                link.lost(symbol, &why).await?;
            }
            link.live(trades.trouble()).await?;
        }
    }
}

/// Refused for good: asking again would change nothing.
fn wrong_key(why: &str) -> Trouble {
    Trouble::refused(format!("{SET_KEY} ({why})")).after(Some(WRONG_KEY))
}

/// A frame.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    /// `{"data":[{"c":["1","8","24","12"],"p":122.1,"s":"TSLA","t":1672348887195,"v":1},{"c":["1","24","12"],"p":129.58,"s":"AAPL",
    /// "t":1672348887666,"v":1}],"type":"trade"}`: price, symbol, milliseconds since 1970, size, conditions.
    Trade { rows: Vec<Option<Row>> },
    /// `{"type":"ping"}`
    Ping,
    /// `{"msg":"Invalid symbol XYZ","type":"error"}`
    Error { message: String },
    /// Another kind: none that was asked for, and no harm.
    Other,
}

/// One trade.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    symbol: String,
    quote: Quote,
}

/// Reads a frame. A trade that cannot be read stands as `None` among the others.
fn parse(frame: &str) -> Result<Frame, Malformed> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(borrow)]
        data: Option<Vec<&'a RawValue>>,
        #[serde(borrow)]
        msg: Option<&'a RawValue>,
    }
    let wire: Wire<'_> = serde_json::from_str(frame).map_err(|_| Malformed)?;
    match wire.kind.as_str() {
        "trade" => Ok(Frame::Trade { rows: wire.data.ok_or(Malformed)?.into_iter().map(row).collect() }),
        "ping" => Ok(Frame::Ping),
        "error" => {
            let message = text(wire.msg).unwrap_or_else(|| "an error without a reason".into());
            Ok(Frame::Error { message: clean(&message) })
        }
        _ => Ok(Frame::Other),
    }
}

fn row(raw: &RawValue) -> Option<Row> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        p: Option<&'a RawValue>,
        #[serde(borrow)]
        s: Option<&'a RawValue>,
        #[serde(borrow)]
        t: Option<&'a RawValue>,
    }
    let wire: Wire<'_> = serde_json::from_str(raw.get()).ok()?;
    // The size of a trade is not the day's volume.
    let quote = Quote { price: price(wire.p), time: millis(wire.t), day: DayStats::default() };
    Some(Row { symbol: text(wire.s)?.into_owned(), quote })
}

/// What one connection knows.
struct Trades {
    codes: Codes,
    /// The last complaint that is about no single symbol.
    said: Option<String>,
}

/// What a frame brought.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    ticks: Vec<Tick>,
    rejected: Vec<&'static str>,
}

impl Trades {
    fn new(instruments: &[Instrument]) -> Self {
        Self { codes: Codes::new(FeedId::Finnhub, instruments), said: None }
    }

    /// What a frame means.
    fn take(&mut self, frame: Frame, now: Timestamp) -> Result<Told, Trouble> {
        let mut told = Told::default();
        match frame {
            Frame::Trade { rows } => {
                for row in rows {
                    match row.ok_or("malformed").and_then(|row| self.trade(&row, now)) {
                        Ok(tick) => told.ticks.push(tick),
                        Err(reason) => told.rejected.push(reason),
                    }
                }
            }
            Frame::Error { message } => self.complaint(message)?,
            Frame::Ping | Frame::Other => {}
        }
        Ok(told)
    }

    fn trade(&mut self, row: &Row, now: Timestamp) -> Result<Tick, &'static str> {
        // Without a time it may be from any session.
        let time = row.quote.time.ok_or("time")?;
        let session = session(time).ok_or("closed")?;
        Ok(Tick { session, ..self.codes.price(&row.symbol, row.quote, now)? })
    }

    /// An error drops the symbol that it names. Without one it is about the key or the whole connection.
    fn complaint(&mut self, message: String) -> Result<(), Trouble> {
        let words: Vec<&str> = message.split([' ', ',', ':', '\'', '"']).collect();
        let named = self.codes.named_in(&words).next().cloned();
        if let Some(code) = named {
            self.codes.refuse(&code, &message);
            if self.codes.is_empty() {
                return Err(Trouble::refused(format!("every symbol was refused: {message}")));
            }
            return Ok(());
        }
        let lower = message.to_ascii_lowercase();
        if ["api key", "apikey", "token", "unauthorized"].iter().any(|word| lower.contains(word)) {
            return Err(wrong_key(&message));
        }
        self.said = Some(message);
        Ok(())
    }

    /// What is not delivered, in words.
    fn trouble(&self) -> Option<String> {
        let said: Vec<String> = self.said.clone().into_iter().chain(self.codes.trouble()).collect();
        (!said.is_empty()).then(|| clean(&said.join("; ")))
    }
}

/// The part of the day in New York to which a trade of that time belongs, by the usual hours; none where nobody trades.
fn session(time: Timestamp) -> Option<Session> {
    match market_hours("us_equity", "America/New_York", time) {
        MarketHours::Pre => Some(Session::Pre),
        MarketHours::Open | MarketHours::Unknown => Some(Session::Regular),
        MarketHours::Post => Some(Session::Post),
        MarketHours::Closed => None,
    }
}

#[cfg(test)]
#[path = "finnhub_tests.rs"]
mod tests;
