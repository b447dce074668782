//! Twelve Data: exchange rates in one call now and then, for those who have a key.
//!
//! A free key has 8 credits a minute and 800 a day, and each symbol of a call costs one. So no more than eight pairs are asked
//! for, as seldom as the day's credits want it, and only while the market is open: `/price` gives no time, and a price of Friday would
//! pass for one of Sunday. The same lack makes the time of arrival the price's own.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    instrument::{AssetClass, FeedId, Instrument},
    tick::Tick,
    time::{Span, Timestamp},
};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    supervise::{Link, Trouble, believable, clean},
    wire,
};
use crate::provider::{Priority, Provider};

/// The most pairs: what the credits of one minute pay for.
pub(super) const MOST: usize = 8;
/// A day has 86,400 s and 800 credits: 108 s for each, and two more so that some are left for a restart.
const EACH: Span = Span::from_seconds(110);
/// How often it is looked whether the market has opened.
const CLOSED: Duration = Duration::from_mins(1);
/// How long a wrong key is left alone. The daemon reads a new one at the next start or reload, which asks at once.
const WRONG_KEY: Span = Span::from_seconds(24 * 3600);

/// What Twelve Data calls an instrument: `EUR/USD`.
pub(super) fn code(instrument: &Instrument) -> Option<String> {
    let base = instrument.symbol.as_str().strip_suffix(instrument.currency.as_str())?;
    (instrument.class == AssetClass::Fx && base.len() == 3).then(|| format!("{base}/{}", instrument.currency))
}

/// How often so many pairs may be asked for.
pub(super) fn interval(pairs: usize) -> Span {
    EACH.times(i64::try_from(pairs.max(1)).unwrap_or(i64::MAX))
}

/// The feed.
#[derive(Debug)]
pub(super) struct Twelvedata {
    provider: Provider,
    instruments: Vec<Instrument>,
}

impl Twelvedata {
    pub(super) fn new(instruments: Vec<Instrument>, provider: Provider) -> Self {
        Self { provider, instruments }
    }

    /// Polls until a call fails.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        loop {
            let mut wanted = link.wanted(&self.instruments);
            let now = link.now();
            wanted.retain(|i| market_hours(&i.session, &i.timezone, now) != MarketHours::Closed);
            if wanted.is_empty() {
                link.idle().await?;
                tokio::select! {
                    () = tokio::time::sleep(CLOSED) => {}
                    changed = link.wanted_changed() => changed?,
                }
                continue;
            }
            wanted.truncate(MOST);
            let begun = Instant::now();
            self.ask(link, &wanted).await?;
            // What is wanted anew waits its turn: the credits are counted out.
            tokio::time::sleep_until(begun + interval(wanted.len()).into()).await;
        }
    }

    async fn ask(&self, link: &mut Link, pairs: &[Instrument]) -> Result<(), Trouble> {
        let asked = Instant::now();
        let codes: Vec<&str> = pairs.iter().filter_map(|i| i.code_at(FeedId::Twelvedata)).collect();
        let query = [("symbol", codes.join(","))];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
        let refused = |trouble: Trouble, status: Option<i64>| match status {
            // A wrong key, or one whose plan has no exchange rates: asking again would change nothing.
            Some(401 | 403) => trouble.after(Some(WRONG_KEY)),
            Some(429) => trouble.after(Some(interval(pairs.len()))),
            _ => trouble,
        };
        let answer = self.provider.get("price", &query, HeaderMap::new(), Priority::Live).await;
        let answer = answer.map_err(|trouble| {
            let (status, after) = (trouble.status.map(i64::from), trouble.after);
            // What the answer itself asks for goes first.
            if after.is_some() { trouble.into() } else { refused(trouble.into(), status) }
        })?;
        let rows = match parse(&answer.body, pairs, link.now()) {
            Ok(rows) => rows,
            Err(code) => return Err(refused(answer.not_understood().into(), code)),
        };
        link.answered(asked.elapsed());
        for reason in rows.rejected {
            link.rejected(reason);
        }
        let silent = pairs.iter().filter(|i| !rows.ticks.iter().any(|t| t.symbol == i.symbol));
        let names: Vec<&str> = silent.map(|i| i.symbol.as_str()).collect();
        let trouble = (!names.is_empty()).then(|| clean(&format!("no price of {}", names.join(", "))));
        link.batch(rows.ticks).await?;
        link.live(trouble).await
    }
}

/// What one answer held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    ticks: Vec<Tick>,
    /// Why others were not believed.
    rejected: Vec<&'static str>,
}

/// One price, or why there is none: `{"price":"1.08502"}`, `{"code":404,"message":"**symbol** not found: EUR/XYZ…","status":"error"}`.
#[derive(Deserialize)]
struct Quote<'a> {
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    code: Option<i64>,
}

/// Reads an answer of `/price`: a map by symbol, `{"EUR/USD":{"price":"1.08502"},"USD/JPY":{"price":"154.77100"}}`, or the bare price
/// where one symbol was asked for. An error in its place is given back with its code, where it has one.
fn parse(body: &str, pairs: &[Instrument], now: Timestamp) -> Result<Rows, Option<i64>> {
    let whole: BTreeMap<String, &RawValue> = serde_json::from_str(body).map_err(|_| None)?;
    if let Some(code) = whole.get("code") {
        return Err(code.get().parse().ok());
    }
    let mut rows = Rows::default();
    if let (Some(price), [pair]) = (whole.get("price"), pairs) {
        match tick(Some(price), pair, now) {
            Ok(tick) => rows.ticks.push(tick),
            Err(reason) => rows.rejected.push(reason),
        }
        return Ok(rows);
    }
    for (symbol, raw) in whole {
        let pair = pairs.iter().find(|i| i.code_at(FeedId::Twelvedata) == Some(symbol.as_str()));
        let quote = serde_json::from_str::<Quote<'_>>(raw.get()).map_err(|_| "malformed");
        let read = quote.and_then(|quote| match quote.code {
            Some(_) => Err("refused"),
            None => tick(quote.price, pair.ok_or("unknown_symbol")?, now),
        });
        match read {
            Ok(tick) => rows.ticks.push(tick),
            Err(reason) => rows.rejected.push(reason),
        }
    }
    // A map in which nothing is a quote is some other answer.
    let other = rows.ticks.is_empty() && rows.rejected.iter().all(|r| *r == "malformed");
    if other { Err(None) } else { Ok(rows) }
}

fn tick(raw: Option<&RawValue>, pair: &Instrument, now: Timestamp) -> Result<Tick, &'static str> {
    let price = wire::price(raw).filter(|&p| believable(pair, p)).ok_or("price")?;
    Ok(Tick::new(pair.symbol, price, FeedId::Twelvedata, now))
}

#[cfg(test)]
#[path = "twelvedata_tests.rs"]
mod tests;
