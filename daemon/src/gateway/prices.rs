//! Current prices and their history as bars.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{RawQuery, State},
};
use bellwether_core::{
    event::Ticker,
    price::Price,
    protocol::{Candles, Page, PriceView, Problem},
    time::{Span, Timestamp},
};

use super::{Gateway, Name, auth::Caller, body::Query, error::ApiError};
use crate::provider::Priority;

/// How far back a sparkline reaches, and in how many steps.
const SPARKLINE: (Span, u32) = (Span::from_seconds(86_400), 48);
const INTERVALS: [&str; 6] = ["1m", "5m", "15m", "1h", "4h", "1d"];
const DEFAULT_BARS: u32 = 120;

impl Gateway {
    fn price_view(&self, ticker: Ticker, now: Timestamp, sparkline: Option<Vec<Price>>) -> PriceView {
        let known = self.catalog.get(ticker.symbol);
        PriceView {
            name: known.map_or_else(|| ticker.symbol.to_string(), |i| i.name.clone()),
            currency: known.map_or_else(String::new, |i| i.currency.clone()),
            stale: ticker.is_stale(now),
            open: self.days.open(ticker.symbol),
            sparkline,
            ticker,
        }
    }
}

/// All current prices, by symbol.
#[utoipa::path(get, path = "/prices", tag = "prices", security(("token" = [])), params(
    ("symbols" = Option<String>, Query, description = "Only these, separated by commas"),
    ("sparkline" = Option<bool>, Query, description = "With the closes of the last 24 hours")),
    responses((status = 200, body = Page<PriceView>), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn all(
    State(gateway): State<Arc<Gateway>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<PriceView>>, ApiError> {
    let query = Query::read(query.as_deref(), &["symbols", "sparkline"])?;
    let names = query.get("symbols").map(|names| names.split(',').take(1_001));
    let wanted = names.map(|n| n.map(|name| gateway.instrument_in("symbols", name)).collect::<Result<Vec<_>, _>>());
    let wanted = wanted.transpose()?;
    let now = gateway.clock.now();
    let mut sparklines = HashMap::new();
    if query.flag("sparkline")? {
        sparklines = gateway.store.sparklines(now.minus(SPARKLINE.0), now, SPARKLINE.1).await?;
    }
    let with_sparklines = query.flag("sparkline")?;
    let tickers = gateway.hub.prices().await?.into_iter();
    let chosen = tickers.filter(|t| wanted.as_ref().is_none_or(|w| w.contains(&t.symbol)));
    let items = chosen.map(|ticker| {
        let sparkline = with_sparklines.then(|| sparklines.remove(&ticker.symbol).unwrap_or_default());
        gateway.price_view(ticker, now, sparkline)
    });
    Ok(Json(Page { items: items.collect(), next: None }))
}

/// One current price.
#[utoipa::path(get, path = "/prices/{symbol}", tag = "prices", security(("token" = [])),
    params(("symbol" = String, Path, description = "Symbol or alias")),
    responses((status = 200, body = PriceView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    _caller: Caller,
    name: Name,
) -> Result<Json<PriceView>, ApiError> {
    let symbol = gateway.instrument(&name.0)?;
    let none = || ApiError::NotFound(format!("There is no price of {symbol} yet."));
    let ticker = gateway.hub.ticker(symbol).await?.ok_or_else(none)?;
    gateway.days.want(symbol);
    Ok(Json(gateway.price_view(ticker, gateway.clock.now(), None)))
}

/// Bars of one instrument, oldest first.
///
/// Recorded here, and where that is not enough fetched from the instrument's providers. What cannot be had at the moment is left out.
#[utoipa::path(get, path = "/prices/{symbol}/candles", tag = "prices", security(("token" = [])), params(
    ("symbol" = String, Path, description = "Symbol or alias"),
    ("interval" = Option<String>, Query, description = "1m (default), 5m, 15m, 1h, 4h or 1d"),
    ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many, 120 by default"),
    ("before" = Option<Timestamp>, Query, description = "Only bars that start before this time: the `from` of the oldest one so far \
        turns the page")),
    responses((status = 200, body = Candles), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn candles(
    State(gateway): State<Arc<Gateway>>,
    _caller: Caller,
    name: Name,
    RawQuery(query): RawQuery,
) -> Result<Json<Candles>, ApiError> {
    let symbol = gateway.instrument(&name.0)?;
    let query = Query::read(query.as_deref(), &["interval", "limit", "before"])?;
    let limit = query.limit(DEFAULT_BARS)?;
    let word = query.get("interval").unwrap_or(INTERVALS[0]);
    let interval = INTERVALS.contains(&word).then(|| word.parse::<Span>().ok()).flatten();
    let interval = interval
        .ok_or_else(|| ApiError::field("interval", format!("`interval` is one of {}.", INTERVALS.join(", "))))?;
    let now = gateway.clock.now();
    let before = query.get("before").map(str::parse::<Timestamp>).transpose();
    let before = before.map_err(|error| ApiError::field("before", format!("`before`: {error}.")))?;
    let before = before.unwrap_or(Timestamp::from_micros(i64::MAX)).min(now.plus(interval));
    let items = gateway.history.newest(symbol, interval, limit, before, Priority::Person).await?;
    Ok(Json(Candles { symbol, interval, items }))
}
