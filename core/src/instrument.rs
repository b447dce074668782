//! What is traded: its name, what it is quoted in, when it trades, and who delivers its price.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::time::Span;

/// The most bytes a symbol may have.
pub const MAX_SYMBOL: usize = 31;

/// The name of an instrument, as the catalogue spells it: `BTC`, `BRK.B`, `BTC/USDT`. Copied freely, compared byte by byte.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
pub struct Symbol {
    bytes: [u8; MAX_SYMBOL],
    length: u8,
}

/// The text cannot be a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a symbol has 1 to {MAX_SYMBOL} visible ASCII characters, without quotes")]
pub struct SymbolError;

impl Symbol {
    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether the alert language can write it without quotes (grammar A1: letter, digit or `^`, then also `. _ = - @`).
    pub fn is_plain(&self) -> bool {
        let mut bytes = self.as_str().bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'^')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"^._=-@".contains(&b))
    }
}

impl Symbol {
    /// The bytes and the length as four words.
    #[inline]
    fn words(&self) -> [u64; 4] {
        let [a, b, c] = [0, 8, 16].map(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&self.bytes[at..at + 8]);
            u64::from_le_bytes(word)
        });
        let mut last = [self.length; 8];
        last[..7].copy_from_slice(&self.bytes[24..]);
        [a, b, c, u64::from_le_bytes(last)]
    }
}

/// Four words instead of thirty-two bytes: every tick looks its instrument up.
impl PartialEq for Symbol {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.words(), other.words());
        one.iter().zip(&two).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// Like equality, by words.
impl std::hash::Hash for Symbol {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, c, last] = self.words();
        state.write_u64(a);
        state.write_u64(last);
        if self.length > 8 {
            state.write_u64(b);
            state.write_u64(c);
        }
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let visible = text.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b'"' && b != b'\\');
        if text.is_empty() || text.len() > MAX_SYMBOL || !visible || text.trim() != text {
            return Err(SymbolError);
        }
        let mut bytes = [0; MAX_SYMBOL];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: u8::try_from(text.len()).map_err(|_| SymbolError)? })
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What kind of thing is traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AssetClass {
    /// A crypto currency.
    Crypto,
    /// A share of a company.
    Stock,
    /// A fund traded like a share.
    Etf,
    /// A figure computed from many prices.
    Index,
    /// A future on a good.
    Commodity,
    /// One currency in another.
    Fx,
}

impl fmt::Display for AssetClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Crypto => "crypto",
            Self::Stock => "stock",
            Self::Etf => "etf",
            Self::Index => "index",
            Self::Commodity => "commodity",
            Self::Fx => "fx",
        })
    }
}

/// Where ticks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FeedId {
    /// Coinbase Exchange, WebSocket `ticker`.
    Coinbase,
    /// Kraken, WebSocket v2 `ticker`.
    Kraken,
    /// Binance spot, market-data streams.
    Binance,
    /// `CoinGecko`, one batched call a minute.
    Coingecko,
    /// Yahoo Finance, batched polling.
    Yahoo,
    /// Finnhub, WebSocket trades of US stocks, with a key.
    Finnhub,
    /// Twelve Data, exchange rates now and then, with a key.
    Twelvedata,
    /// The market of `bellwether demo`.
    Simulated,
    /// Ticks read from a file.
    Tape,
}

impl FeedId {
    /// The feed's name as configuration, catalogue and clients write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::Binance => "binance",
            Self::Coingecko => "coingecko",
            Self::Yahoo => "yahoo",
            Self::Finnhub => "finnhub",
            Self::Twelvedata => "twelvedata",
            Self::Simulated => "simulated",
            Self::Tape => "tape",
        }
    }

    /// Whether its prices are those of the present, not made up and not from a recording.
    pub const fn is_real(self) -> bool {
        !matches!(self, Self::Simulated | Self::Tape)
    }
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One provider's own code for an instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderCode {
    /// The provider.
    pub feed: FeedId,
    /// What it calls the instrument, such as `BTC-USD`.
    pub code: String,
}

/// Something that has a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Instrument {
    /// Its name here.
    pub symbol: Symbol,
    /// Its name for people.
    pub name: String,
    /// What kind of thing it is.
    pub class: AssetClass,
    /// The quote currency: an ISO 4217 code, a coin's code, or a hundredth (`GBp`, `USX`).
    pub currency: String,
    /// IANA time zone of its market.
    pub timezone: String,
    /// Its trading hours by name: `24x7`, `us_equity`, `nse`, `cme`, `fx`, `lse`, `xetra`, ...
    pub session: String,
    /// Who delivers it, in order of preference.
    pub providers: Vec<ProviderCode>,
    /// How late the first provider says its prices are.
    #[serde(default)]
    pub delay: Span,
    /// Other names for it, each of which the alert language takes too.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether a price at or below zero can be real.
    #[serde(default)]
    pub allow_nonpositive: bool,
    /// The age (receive time minus source time) from which a price is stale and fires nothing. Set by the daemon from
    /// the feed in use: it exceeds the declared delay plus three normal intervals.
    #[serde(default = "default_stale_after")]
    pub stale_after: Span,
    /// Quarantine: a step larger than this many per cent waits for a second tick that agrees. Off where absent.
    #[serde(default)]
    pub outlier_pct: Option<rust_decimal::Decimal>,
    /// How old the last observation may be for the quarantine to apply.
    #[serde(default = "default_outlier_window")]
    pub outlier_window: Span,
}

/// Two minutes.
pub const fn default_stale_after() -> Span {
    Span::from_seconds(120)
}

const fn default_outlier_window() -> Span {
    Span::from_seconds(300)
}

impl Instrument {
    /// An instrument that the catalogue lacks, quoted in US dollars, as `backtest --ticks` and tests take them.
    pub fn unlisted(symbol: Symbol) -> Self {
        Self {
            symbol,
            name: symbol.to_string(),
            class: AssetClass::Stock,
            currency: "USD".to_owned(),
            timezone: "UTC".to_owned(),
            session: "24x7".to_owned(),
            providers: Vec::new(),
            delay: Span::ZERO,
            aliases: Vec::new(),
            allow_nonpositive: false,
            stale_after: default_stale_after(),
            outlier_pct: None,
            outlier_window: default_outlier_window(),
        }
    }

    /// What the given provider calls it.
    pub fn code_at(&self, feed: FeedId) -> Option<&str> {
        self.providers.iter().find(|p| p.feed == feed).map(|p| p.code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_short_visible_and_know_when_they_need_quotes() {
        for plain in ["BTC", "BRK.B", "^GSPC", "GC=F", "BTC@kraken", "1INCH"] {
            assert!(plain.parse::<Symbol>().is_ok_and(|s| s.is_plain()), "{plain}");
        }
        for quoted in ["M&M", "S&P 500", "BTC/USDT"] {
            assert!(quoted.parse::<Symbol>().is_ok_and(|s| !s.is_plain()), "{quoted}");
        }
        for bad in ["", " BTC", "B\u{1b}TC", "\u{412}TC", "A\"B", &"X".repeat(32)] {
            assert!(bad.parse::<Symbol>().is_err(), "{bad:?}");
        }
    }
}
