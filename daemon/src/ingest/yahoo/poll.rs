//! The poll: `spark` for up to 20 symbols a call, `chart` for the splits of one.

use std::{borrow::Cow, collections::BTreeMap};

use bellwether_core::{
    instrument::{FeedId, Instrument},
    time::Timestamp,
};
use reqwest::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::meta::{Arrays, Found, Meta, read};
use crate::provider::{self, Answer, Priority, Provider, clean};

/// The most symbols a call may ask for.
pub(super) const PER_CALL: usize = 20;

/// Asks for the prices of these codes; `minutes` with the candles of the day so far, one a minute, those outside the regular
/// hours included.
pub(super) async fn ask(
    provider: Provider,
    codes: String,
    minutes: bool,
    now: Timestamp,
) -> Result<Answer, provider::Trouble> {
    let (interval, pre_post) = if minutes { ("1m", "true") } else { ("5m", "false") };
    // The last parameter only makes the address a new one: known addresses may be answered from a cache.
    let dummy = now.as_seconds().to_string();
    let query =
        [("symbols", &*codes), ("range", "1d"), ("interval", interval), ("includePrePost", pre_post), ("_", &dummy)];
    provider.get("v7/finance/spark", &query, headers(), Priority::Live).await
}

/// Asks for the splits of one symbol; nobody waits for them.
pub(super) async fn ask_splits(provider: Provider, code: String, now: Timestamp) -> Result<Answer, provider::Trouble> {
    let dummy = now.as_seconds().to_string();
    let query = [("range", "5d"), ("interval", "1d"), ("events", "div,splits"), ("_", &*dummy)];
    provider.get(&format!("v8/finance/chart/{code}"), &query, headers(), Priority::Background).await
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))])
}

/// `{"spark":{"result":[{"symbol":"PTT.BK","response":[{"meta":{…},"timestamp":[…],"indicators":{…}}]}],"error":null}}`
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    spark: Spark<'a>,
}

#[derive(Deserialize)]
pub(super) struct Spark<'a> {
    #[serde(borrow)]
    pub(super) result: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    response: Vec<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    meta: Meta<'a>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    indicators: Option<&'a RawValue>,
}

/// What one answer held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// By the place among those asked for.
    pub(super) found: Vec<(usize, Found)>,
    /// Those whose prices are in another currency than the instrument's.
    pub(super) currencies: Vec<(usize, String)>,
    /// Why others were not believed.
    pub(super) rejected: Vec<&'static str>,
}

impl Rows {
    fn add(&mut self, place: usize, meta: &Meta<'_>, arrays: Arrays<'_>, instrument: &Instrument, now: Timestamp) {
        if let Some(currency) = meta.other_currency(instrument) {
            self.currencies.push((place, clean(currency)));
            return self.rejected.push("currency");
        }
        match read(meta, arrays, instrument, now) {
            Ok(_) if self.found.iter().any(|(known, _)| *known == place) => self.rejected.push("twice"),
            Ok(found) => self.found.push((place, found)),
            Err(reason) => self.rejected.push(reason),
        }
    }
}

/// Reads an answer of `spark` in either shape; nothing where it is neither.
pub(super) fn parse(body: &str, asked: &[Instrument], now: Timestamp) -> Option<Rows> {
    let mut rows = Rows::default();
    if let Ok(wrapped) = serde_json::from_str::<Wrapped<'_>>(body) {
        for raw in wrapped.spark.result {
            let entry = serde_json::from_str::<Entry<'_>>(raw.get()).ok();
            let Some((symbol, response)) = entry.as_ref().and_then(|e| Some((&e.symbol, e.response.first()?))) else {
                rows.rejected.push("malformed");
                continue;
            };
            match find(symbol, asked) {
                Some(place) => {
                    let arrays = Arrays { timestamp: response.timestamp, indicators: response.indicators };
                    rows.add(place, &response.meta, arrays, &asked[place], now);
                }
                None => rows.rejected.push("unknown_symbol"),
            }
        }
        return Some(rows);
    }
    let map: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body).ok()?;
    // Without a single symbol that was asked for it is some other object.
    if !map.keys().any(|code| find(code, asked).is_some()) {
        return None;
    }
    for (code, raw) in map {
        match (find(&code, asked), serde_json::from_str::<Meta<'_>>(raw.get())) {
            (_, Err(_)) => rows.rejected.push("malformed"),
            (Some(place), Ok(meta)) => rows.add(place, &meta, Arrays::default(), &asked[place], now),
            (None, _) => rows.rejected.push("unknown_symbol"),
        }
    }
    Some(rows)
}

/// The place of what was asked for by this code. Dollar pairs may come back under their short name: `INR=X` for `USDINR=X`.
fn find(code: &str, asked: &[Instrument]) -> Option<usize> {
    let is = |i: &Instrument, code: &str| i.code_at(FeedId::Yahoo).is_some_and(|c| c.eq_ignore_ascii_case(code));
    let by = |code: &str| asked.iter().position(|i| is(i, code));
    by(code).or_else(|| by(&format!("USD{code}")))
}
