//! What the catalogue lacks: looked for at the providers, added and removed by the local owner.
//!
//! A change is stored first; then the daemon takes it up by starting its parts anew, as it does for a changed configuration, so
//! that every part has it from its first moment.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
};
use bellwether_core::{
    catalog::{Catalog, LookupError},
    instrument::{Instrument, ProviderCode, Symbol},
    protocol::{AddedInstrument, NewInstrument, Problem, SearchAnswer},
    text,
};

use super::{
    Gateway, Name,
    auth::Caller,
    body::{Query, json},
    error::ApiError,
};
use crate::{
    provider::{Kind, Trouble},
    search::{self, Found},
    store::StoreError,
};

/// The most characters of a name.
const LONGEST_NAME: usize = 80;

/// What the providers know under a name, `CoinGecko` first, then Yahoo. Nothing is picked: many things share a name.
#[utoipa::path(get, path = "/instruments/search", tag = "prices", security(("token" = [])), params(
    ("q" = String, Query, description = "A name, or part of one")),
    responses((status = 200, body = SearchAnswer), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn everywhere(
    State(gateway): State<Arc<Gateway>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<SearchAnswer>, ApiError> {
    let query = Query::read(query.as_deref(), &["q"])?;
    let wanted = query.get("q").unwrap_or_default().trim();
    if wanted.is_empty() || wanted.chars().count() > search::LONGEST || wanted.chars().any(char::is_control) {
        return Err(ApiError::field("q", format!("Write a name of 1 to {} characters.", search::LONGEST)));
    }
    Ok(Json(gateway.search.everywhere(wanted, &gateway.catalog).await))
}

/// Add an instrument. The provider is asked once whether it has it and what it is quoted in; within a few seconds the daemon
/// delivers it.
#[utoipa::path(post, path = "/instruments", tag = "prices", security(("token" = [])), request_body = NewInstrument,
    responses((status = 201, body = AddedInstrument), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    (status = 503, body = Problem)))]
pub(crate) async fn add(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<AddedInstrument>), ApiError> {
    owner_only(caller)?;
    let wanted: NewInstrument = json(&headers, body).await?;
    let symbol = wanted.symbol.trim().to_uppercase();
    let symbol: Symbol =
        symbol.parse().map_err(|e| ApiError::field("symbol", format!("This cannot be a symbol: {e}.")))?;
    if !gateway.search.is_on(wanted.feed) || !wanted.feed.is_real() {
        return Err(ApiError::field("feed", format!("The feed {} is not on here.", wanted.feed)));
    }
    let code = wanted.code.trim();
    if !search::is_code(code) {
        return Err(ApiError::field("code", "Write the provider's own code, such as TSLA, bitcoin or BTC-USD."));
    }
    is_free(&gateway.catalog, symbol, &wanted)?;
    let found = gateway.search.probe(wanted.feed, code).await.map_err(|t| refused(&wanted, &t))?;
    let price = found.price;
    let instrument = instrument(symbol, &wanted, found)?;
    gateway.store.add_instrument(instrument.clone(), gateway.clock.now()).await.map_err(|error| match error {
        StoreError::Exists => ApiError::Conflict(format!("{symbol} has just been added.")),
        other => other.into(),
    })?;
    tracing::info!(%symbol, feed = %wanted.feed, code, "an instrument was added");
    gateway.renew.notify_one();
    Ok((StatusCode::CREATED, Json(AddedInstrument { instrument, price })))
}

/// Remove an instrument that was added. Refused while an alert looks at it.
#[utoipa::path(delete, path = "/instruments/{symbol}", tag = "prices", security(("token" = [])),
    params(("symbol" = String, Path, description = "Its symbol")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub(crate) async fn remove(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    name: Name,
) -> Result<StatusCode, ApiError> {
    owner_only(caller)?;
    let added = gateway.store.added_instruments().await?;
    let Some(symbol) = added.iter().map(|i| i.symbol).find(|s| s.as_str().eq_ignore_ascii_case(&name.0)) else {
        let symbol = gateway.instrument(&name.0)?;
        return Err(ApiError::Conflict(format!("{symbol} is part of the program and cannot be removed.")));
    };
    let alerts = gateway.store.alerts().await?;
    let used: Vec<String> =
        alerts.iter().filter(|a| a.rule.symbols().contains(&symbol)).map(|a| a.id.to_string()).collect();
    if !used.is_empty() {
        let some = used.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if used.len() > 10 { format!(" and {} more", used.len() - 10) } else { String::new() };
        return Err(ApiError::Conflict(format!("Alerts look at {symbol}: {some}{more}. Delete them first.")));
    }
    gateway.store.remove_instrument(symbol).await?;
    tracing::info!(%symbol, "an instrument was removed");
    gateway.renew.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

fn owner_only(caller: Caller) -> Result<(), ApiError> {
    if caller.owner {
        return Ok(());
    }
    Err(ApiError::Forbidden("Instruments belong to the local owner, whose token is in daemon.json.".to_owned()))
}

/// Refuses what would have two meanings.
fn is_free(catalog: &Catalog, symbol: Symbol, wanted: &NewInstrument) -> Result<(), ApiError> {
    let taken = |known: &Instrument| {
        let from: Vec<String> = known.providers.iter().map(|p| format!("{}:{}", p.feed, p.code)).collect();
        let what =
            format!("{} is {} ({}, in {}, {})", known.symbol, known.name, known.class, known.currency, from.join(" "));
        ApiError::Conflict(format!("{what} already."))
    };
    match catalog.resolve(symbol.as_str()) {
        Ok(known) => return Err(taken(known)),
        Err(LookupError::Ambiguous { .. }) => {
            return Err(ApiError::Conflict(format!("Several instruments are called {symbol} already.")));
        }
        Err(LookupError::Unknown { .. }) => {}
    }
    match search::known(catalog, wanted.feed, wanted.code.trim()).and_then(|known| catalog.get(known)) {
        Some(known) => Err(taken(known)),
        None => Ok(()),
    }
}

/// The provider's refusal, as one of the field; everything else as what may be better soon.
fn refused(wanted: &NewInstrument, trouble: &Trouble) -> ApiError {
    let said = format!("{} does not deliver {}: {trouble}.", wanted.feed, wanted.code);
    match (trouble.kind, trouble.after) {
        (Kind::Refused, _) => ApiError::field("code", said),
        (_, Some(after)) => {
            ApiError::Busy { detail: said, after: u64::try_from(after.as_seconds()).unwrap_or(1).max(1) }
        }
        _ => ApiError::Unavailable(said),
    }
}

fn instrument(symbol: Symbol, wanted: &NewInstrument, found: Found) -> Result<Instrument, ApiError> {
    let said = |text: &Option<String>| text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
    if let Some(currency) = said(&wanted.currency).filter(|currency| *currency != found.currency) {
        let detail = format!("{} is quoted in {}, not in {currency}.", wanted.code, found.currency);
        return Err(ApiError::field("currency", detail));
    }
    let session = said(&wanted.session).unwrap_or(found.session);
    if !bellwether_core::calendar::is_session(&session) {
        return Err(ApiError::field(
            "session",
            "Write 24x7, us_equity, fx or another of the catalogue, or hours such as 09:00-17:30.",
        ));
    }
    let name = said(&wanted.name).or(found.name).unwrap_or_else(|| symbol.to_string());
    Ok(Instrument {
        name: text::cut(&text::sanitize(&name), LONGEST_NAME).into_owned(),
        class: wanted.class.unwrap_or(found.class),
        currency: found.currency,
        timezone: found.timezone,
        session,
        delay: found.delay,
        providers: vec![ProviderCode { feed: wanted.feed, code: found.code }],
        ..Instrument::unlisted(symbol)
    })
}
