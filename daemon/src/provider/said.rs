//! The reason in a provider's error body, in its own words.

use std::{borrow::Cow, collections::BTreeMap};

use bellwether_core::instrument::FeedId;
use serde::Deserialize;

use super::trouble::clean;

/// Error bodies are short; a long answer is none.
const LONGEST: usize = 4 << 10;

/// The reason that `body` gives, where it is an error of this provider.
pub(super) fn said(feed: FeedId, body: &str) -> Option<String> {
    if body.len() > LONGEST {
        return None;
    }
    match feed {
        FeedId::Coinbase => coinbase(body),
        FeedId::Kraken => kraken(body),
        FeedId::Binance => binance(body),
        FeedId::Coingecko => coingecko(body),
        FeedId::Yahoo => yahoo(body),
        FeedId::Twelvedata => twelvedata(body),
        FeedId::Finnhub | FeedId::Simulated | FeedId::Tape => None,
    }
}

/// `{"message":"NotFound"}`
fn coinbase(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    let body: Body<'_> = serde_json::from_str(body).ok()?;
    Some(clean(&body.message))
}

/// `{"error":["EQuery:Unknown asset pair"]}`, under HTTP 200; a good answer has an empty list.
fn kraken(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: Vec<String>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    (!body.error.is_empty()).then(|| clean(&body.error.join(", ")))
}

/// `{"code":-1121,"msg":"Invalid symbol."}`
fn binance(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        code: i64,
        #[serde(borrow)]
        msg: Cow<'a, str>,
    }
    let body: Body<'_> = serde_json::from_str(body).ok()?;
    Some(clean(&format!("{} {}", body.code, body.msg)))
}

/// `{"spark":{"result":null,"error":{"code":"Bad Request","description":"Number of …"}}}`; the outer name may also be `finance`
/// or `chart`.
fn yahoo(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Error {
        code: Option<String>,
        description: Option<String>,
    }
    #[derive(Deserialize)]
    struct Inner {
        error: Option<Error>,
    }
    let outer: BTreeMap<String, Inner> = serde_json::from_str(body).ok()?;
    let error = outer.into_values().find_map(|inner| inner.error)?;
    Some(clean(&format!("{} {}", error.code.unwrap_or_default(), error.description.unwrap_or_default())))
}

/// `{"code":429,"message":"You have run out of API credits for the current minute…","status":"error"}`, under HTTP 429 or 200.
fn twelvedata(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        code: i64,
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    let body: Body<'_> = serde_json::from_str(body).ok()?;
    let hint = if matches!(body.code, 401 | 403) { " (set feeds.twelvedata.api_key)" } else { "" };
    Some(format!("{}{hint}", clean(&format!("{} {}", body.code, body.message))))
}

/// `{"status":{"error_code":429,"error_message":"You've exceeded the Rate Limit. …"}}`,
/// `{"error":{"status":{"error_code":10010,"error_message":"…"}}}`, `{"error":"coin not found"}`; Cloudflare's HTML has none.
fn coingecko(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Status {
        error_code: Option<i64>,
        error_message: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Error {
        Text(String),
        Inside { status: Status },
    }
    #[derive(Deserialize)]
    struct Body {
        status: Option<Status>,
        error: Option<Error>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    let status = match (body.status, body.error) {
        (Some(status), _) | (None, Some(Error::Inside { status })) => status,
        (None, Some(Error::Text(text))) => return Some(clean(&text)),
        (None, None) => return None,
    };
    let text = status.error_message.unwrap_or_default();
    let hint = match status.error_code {
        Some(10_002) => " (set feeds.coingecko.api_key and plan)",
        Some(10_010 | 10_011) => " (feeds.coingecko.plan does not fit the key)",
        _ => "",
    };
    let code = status.error_code.map(|code| format!("{code} ")).unwrap_or_default();
    Some(clean(&format!("{code}{text}{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_providers_reasons_are_read_and_good_answers_give_none() {
        for (feed, body, expected) in [
            (FeedId::Coinbase, r#"{"message":"NotFound"}"#, Some("NotFound")),
            (FeedId::Coinbase, "[[1,2,3,4,5,6]]", None),
            (FeedId::Kraken, r#"{"error":["EQuery:Unknown asset pair"]}"#, Some("EQuery:Unknown asset pair")),
            (FeedId::Kraken, r#"{"error":[],"result":{"last":1}}"#, None),
            (FeedId::Binance, r#"{"code":-1121,"msg":"Invalid symbol."}"#, Some("-1121 Invalid symbol.")),
            (FeedId::Binance, "[]", None),
            (
                FeedId::Yahoo,
                r#"{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}"#,
                Some("Not Found No data found, symbol may be delisted"),
            ),
            (FeedId::Yahoo, r#"{"chart":{"result":[],"error":null}}"#, None),
            (FeedId::Coingecko, r#"{"error":"coin not found"}"#, Some("coin not found")),
            (
                FeedId::Coingecko,
                r#"{"error":{"status":{"error_code":10010,"error_message":"x"}}}"#,
                Some("10010 x (feeds.coingecko.plan does not fit the key)"),
            ),
            (FeedId::Coingecko, "<html>", None),
            (
                FeedId::Twelvedata,
                r#"{"code":401,"message":"x","status":"error"}"#,
                Some("401 x (set feeds.twelvedata.api_key)"),
            ),
            (FeedId::Twelvedata, r#"{"code":429,"message":"y","status":"error"}"#, Some("429 y")),
            (FeedId::Twelvedata, r#"{"EUR/USD":{"price":"1.08502"}}"#, None),
            (FeedId::Tape, "{}", None),
        ] {
            assert_eq!(said(feed, body).as_deref(), expected, "{feed}: {body}");
        }
    }
}
