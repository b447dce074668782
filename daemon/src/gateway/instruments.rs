//! The catalogue: what there is to watch.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use bellwether_core::{
    catalog::LookupError,
    instrument::{Instrument, Symbol},
    protocol::{Page, Problem},
    text,
};

use super::{
    Gateway,
    auth::Caller,
    body::Query,
    error::{ApiError, FieldError},
};

impl Gateway {
    /// The instrument that is called so, as part of a path.
    pub(crate) fn instrument(&self, name: &str) -> Result<Symbol, ApiError> {
        self.catalog.resolve(name).map(|i| i.symbol).map_err(|e| ApiError::NotFound(unknown(name, &e)))
    }

    /// The instrument that is called so, as the value of a field.
    pub(crate) fn instrument_in(&self, field: &str, name: &str) -> Result<Symbol, ApiError> {
        self.catalog.resolve(name.trim()).map(|i| i.symbol).map_err(|error| {
            let suggestion = match &error {
                LookupError::Unknown { suggestion } => suggestion.map(|s| s.to_string()),
                LookupError::Ambiguous { .. } => None,
            };
            let code = Some(bellwether_core::parse::ErrorCode::Symbol.as_str());
            let detail = unknown(name, &error);
            ApiError::Field(Box::new(FieldError { field: field.to_owned(), detail, code, suggestion, at: None }))
        })
    }
}

fn unknown(name: &str, error: &LookupError) -> String {
    let name = text::sanitize(name);
    let name = text::cut(&name, 40);
    match error {
        LookupError::Unknown { suggestion: Some(near) } => {
            format!("No instrument is called `{name}`; did you mean {near}?")
        }
        LookupError::Unknown { suggestion: None } => format!("No instrument is called `{name}`."),
        LookupError::Ambiguous { candidates } => {
            let all: Vec<&str> = candidates.iter().map(Symbol::as_str).collect();
            format!("Several instruments are called `{name}`: {}.", all.join(", "))
        }
    }
}

/// The instruments that can be watched.
#[utoipa::path(get, path = "/instruments", tag = "prices", security(("token" = [])), params(
    ("q" = Option<String>, Query, description = "Part of a symbol, an alias or a name; nearly right will do")),
    responses((status = 200, body = Page<Instrument>), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Instrument>>, ApiError> {
    let query = Query::read(query.as_deref(), &["q"])?;
    let items = gateway.catalog.search(query.get("q").unwrap_or_default()).into_iter().cloned().collect();
    Ok(Json(Page { items, next: None }))
}
