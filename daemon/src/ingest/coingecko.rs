//! `CoinGecko`: all its coins in one call each interval.
//!
//! It recomputes a coin about once a minute and says when (`last_updated`); a price whose time did not change is delivered as
//! it is, and the evaluator drops it. Coins are asked for by id: their symbols are ambiguous.

use std::{borrow::Cow, convert::Infallible, time::Duration};

use bellwether_core::{
    config,
    instrument::{FeedId, Instrument},
    price::Price,
    tick::{DayStats, Tick},
    time::Timestamp,
};
use reqwest::header::HeaderMap;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::supervise::{Link, Trouble, believable, clean};
use crate::provider::{Priority, Provider};

/// The most coins that one call may ask for.
const PER_CALL: usize = 250;

/// The feed.
#[derive(Debug)]
pub(super) struct Coingecko {
    provider: Provider,
    interval: Duration,
    instruments: Vec<Instrument>,
}

impl Coingecko {
    pub(super) fn new(config: &config::Coingecko, instruments: Vec<Instrument>, provider: Provider) -> Self {
        Self { provider, interval: config.interval.into(), instruments }
    }

    /// Polls until a call fails.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        loop {
            let begun = Instant::now();
            let mut silent = Vec::new();
            let wanted = link.wanted(&self.instruments);
            if wanted.is_empty() {
                link.idle().await?;
                link.wanted_changed().await?;
                continue;
            }
            for coins in wanted.chunks(PER_CALL) {
                let asked = Instant::now();
                let ids: Vec<&str> = coins.iter().filter_map(|c| c.code_at(FeedId::Coingecko)).collect();
                let query = [
                    ("vs_currency", "usd"),
                    ("ids", &ids.join(",")),
                    ("per_page", "250"),
                    ("price_change_percentage", "24h"),
                    ("precision", "full"),
                ];
                let answer = self.provider.get("coins/markets", &query, HeaderMap::new(), Priority::Live).await?;
                let rows = parse(&answer.body, coins, link.now()).ok_or_else(|| answer.not_understood())?;
                link.answered(asked.elapsed());
                for reason in rows.rejected {
                    link.rejected(reason);
                }
                silent.extend(coins.iter().filter(|c| !rows.ticks.iter().any(|t| t.symbol == c.symbol)));
                link.batch(rows.ticks).await?;
            }
            let names: Vec<&str> = silent.iter().map(|c| c.symbol.as_str()).collect();
            link.live((!names.is_empty()).then(|| clean(&format!("no price of {}", names.join(", "))))).await?;
            tokio::select! {
                () = tokio::time::sleep_until(begun + self.interval) => {}
                // What was not wanted before is wanted soon; the budget keeps this from becoming a habit.
                changed = link.wanted_beside(&self.instruments, &wanted) => changed?,
            }
        }
    }
}

/// One coin of `/coins/markets`:
/// `{"id":"bitcoin","symbol":"btc",…,"current_price":77671,…,"total_volume":33235034316,"high_24h":78419,"low_24h":76696,
/// "price_change_24h":-747.3360347281705,…,"last_updated":"2026-05-18T12:49:21.599Z",…}`; everything but the id may be null.
#[derive(Deserialize)]
struct Coin<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    current_price: Option<&'a RawValue>,
    #[serde(borrow)]
    total_volume: Option<&'a RawValue>,
    #[serde(borrow)]
    high_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    low_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    price_change_24h: Option<&'a RawValue>,
    #[serde(borrow)]
    last_updated: Option<Cow<'a, str>>,
}

/// What one answer held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    ticks: Vec<Tick>,
    /// Why others were not believed.
    rejected: Vec<&'static str>,
}

/// Reads an answer of `/coins/markets`; nothing where it is not a list of coins.
fn parse(body: &str, coins: &[Instrument], now: Timestamp) -> Option<Rows> {
    let list: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    let mut rows = Rows::default();
    for raw in list {
        let row = serde_json::from_str::<Coin<'_>>(raw.get()).map_err(|_| "malformed");
        match row.and_then(|coin| read(&coin, coins, now)) {
            Ok(tick) if rows.ticks.iter().any(|t| t.symbol == tick.symbol) => rows.rejected.push("twice"),
            Ok(tick) => rows.ticks.push(tick),
            Err(reason) => rows.rejected.push(reason),
        }
    }
    // A list in which nothing is a coin is some other list.
    let other = rows.ticks.is_empty() && !rows.rejected.is_empty() && rows.rejected.iter().all(|r| *r == "malformed");
    (!other).then_some(rows)
}

fn read(coin: &Coin<'_>, coins: &[Instrument], now: Timestamp) -> Result<Tick, &'static str> {
    let instrument =
        coins.iter().find(|i| i.code_at(FeedId::Coingecko) == Some(coin.id.as_ref())).ok_or("unknown_symbol")?;
    let number = |raw: Option<&RawValue>| raw.and_then(|raw| Price::from_json(raw.get()).ok());
    let positive = |raw| number(raw).filter(|p| p.is_positive());
    let price = number(coin.current_price).filter(|&p| believable(instrument, p)).ok_or("price")?;
    let exchange_time = match coin.last_updated.as_deref() {
        Some(text) => Some(text.parse().map_err(|_| "time")?),
        None => None,
    };
    let before = |change: Price| price.decimal().checked_sub(change.decimal()).map(Price::new);
    // The volume comes in dollars.
    let units = |dollars: Price| dollars.decimal().checked_div(price.decimal()).map(|v: Decimal| v.round_dp(4));
    Ok(Tick {
        exchange_time,
        day: DayStats {
            reference: number(coin.price_change_24h).and_then(before).filter(|p| p.is_positive()),
            high: positive(coin.high_24h),
            low: positive(coin.low_24h),
            volume: positive(coin.total_volume).and_then(units).map(Price::new),
        },
        ..Tick::new(instrument.symbol, price, FeedId::Coingecko, now)
    })
}

#[cfg(test)]
#[path = "coingecko_tests.rs"]
mod tests;
