//! Which symbols Binance knows: asked one by one, and only for those that do not deliver.

use std::collections::BTreeMap;

use http::header::HeaderMap;
use serde::Deserialize;

use crate::provider::{Priority, Provider};

/// The most symbols that are looked up for one connection: each costs 20 of 6,000 units a minute.
const MOST: usize = 20;
/// The code of `{"code":-1121,"msg":"Invalid symbol."}`.
const INVALID_SYMBOL: &str = "-1121";

/// Why a symbol does not deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is none of that name.
    Unknown(String),
    /// Its status: `HALT`, `BREAK`, …
    Halted(String, String),
}

/// Asks for symbols, and remembers which are unknown.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    provider: Provider,
    unknown: BTreeMap<String, String>,
}

impl Listing {
    pub(super) fn new(provider: Provider) -> Self {
        Self { provider, unknown: BTreeMap::new() }
    }

    /// Symbols that were found to be unknown, and why they are refused.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&String, &String)> {
        self.unknown.iter()
    }

    pub(super) fn note(&mut self, verdict: &Verdict) {
        if let Verdict::Unknown(code) = verdict {
            self.unknown.insert(code.clone(), "Binance does not know it".to_owned());
        }
    }

    /// What is known of each of the first of these. Where the question itself fails, nothing more is asked.
    pub(super) async fn look_up(&self, codes: Vec<String>) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for code in codes.into_iter().take(MOST) {
            let query = [("symbol", code.as_str())];
            match self.provider.get("exchangeInfo", &query, HeaderMap::new(), Priority::Background).await {
                Ok(answer) => verdicts.extend(halted(&code, &answer.body)),
                Err(trouble) if trouble.status == Some(400) && trouble.text.contains(INVALID_SYMBOL) => {
                    verdicts.push(Verdict::Unknown(code));
                }
                Err(trouble) => {
                    tracing::debug!(feed = "binance", %trouble, "symbols that do not deliver could not be looked up");
                    break;
                }
            }
        }
        verdicts
    }
}

/// Reads `{"timezone":"UTC",…,"symbols":[{"symbol":"BTCUSDT","status":"TRADING",…}]}`; nothing where the symbol is traded, or
/// where the answer cannot be read.
fn halted(code: &str, body: &str) -> Option<Verdict> {
    #[derive(Deserialize)]
    struct Answer {
        symbols: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        symbol: String,
        status: String,
    }
    let answer: Answer = serde_json::from_str(body).ok()?;
    let listed = answer.symbols.into_iter().find(|listed| listed.symbol == code)?;
    (listed.status != "TRADING").then(|| Verdict::Halted(code.to_owned(), listed.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_who_is_halted() {
        let halt = Some(Verdict::Halted("XUSDT".to_owned(), "BREAK".to_owned()));
        assert_eq!(halted("XUSDT", r#"{"symbols":[{"symbol":"XUSDT","status":"BREAK","x":1}]}"#), halt);
        for body in [
            r#"{"symbols":[{"symbol":"XUSDT","status":"TRADING"}]}"#,
            r#"{"symbols":[{"symbol":"YUSDT","status":"BREAK"}]}"#,
            r#"{"symbols":[]}"#,
            "{}",
        ] {
            assert_eq!(halted("XUSDT", body), None, "{body}");
        }
    }
}
