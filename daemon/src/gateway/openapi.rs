//! The routes and their description, made in one go from the handlers' own annotations, and the page that shows it.

use std::{io::Read as _, sync::Arc};

use axum::{
    Extension, Router,
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bellwether_core::{firing::Firing, protocol::Problem};
use flate2::read::GzDecoder;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::Config;

use super::{
    Gateway, Name, accounts, adding, alerts, asyncapi, backtest, channel_settings, channels, error::ApiError, events,
    health, import, instruments, own_account, prices, promises, stream,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "bellwether",
        description = "Price alerts on this machine. Prices and amounts are strings holding plain decimals; requests may also \
            send numbers. Times are RFC 3339 in UTC with milliseconds. Errors are RFC 9457 problem details."
    ),
    modifiers(&Bearer),
    components(schemas(Problem, Firing)),
    tags(
        (name = "accounts", description = "Who is asking"),
        (name = "alerts", description = "The caller's own alerts"),
        (name = "history", description = "What fired, and what became of it"),
        (name = "prices", description = "Current and past prices"),
        (name = "channels", description = "Where firings go"),
        (name = "health", description = "The daemon itself")
    )
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("From POST /auth/login, or the local owner's in daemon.json."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document's text.
#[derive(Clone)]
struct Document(Arc<str>);

/// The text of the WebSocket's document.
#[derive(Clone)]
struct Messages(Arc<str>);

/// Every path, and the document that describes them all.
pub(crate) fn routes() -> Router<Arc<Gateway>> {
    let (router, document) = described();
    let mut document = serde_json::to_value(document).expect("the document holds text, numbers and lists alone");
    promises::complete(&mut document);
    router
        .route("/docs/", get(|headers: HeaderMap| async move { docs_file("index.html", &headers) }))
        .route("/docs/{file}", get(|name: Name, headers: HeaderMap| async move { docs_file(&name.0, &headers) }))
        .layer(Extension(Messages(asyncapi::document(&document).to_string().into())))
        .layer(Extension(Document(document.to_string().into())))
}

pub(super) fn described() -> (Router<Arc<Gateway>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::login))
        .routes(routes!(own_account::read))
        .routes(routes!(own_account::refresh))
        .routes(routes!(own_account::password))
        .routes(routes!(own_account::logout))
        .routes(routes!(own_account::delete))
        .routes(routes!(own_account::rotate))
        .routes(routes!(alerts::list, alerts::create))
        .routes(routes!(import::import))
        .routes(routes!(alerts::read, alerts::update, alerts::delete))
        .routes(routes!(alerts::restore))
        .routes(routes!(events::of_alert))
        .routes(routes!(events::all))
        .routes(routes!(events::deliveries))
        .routes(routes!(events::retry))
        .routes(routes!(backtest::run))
        .routes(routes!(prices::all))
        .routes(routes!(prices::one))
        .routes(routes!(prices::candles))
        .routes(routes!(stream::open))
        .routes(routes!(instruments::list, adding::add))
        .routes(routes!(adding::everywhere))
        .routes(routes!(adding::remove))
        .routes(routes!(channels::list, channel_settings::add))
        .routes(routes!(channel_settings::read, channel_settings::update, channel_settings::remove))
        .routes(routes!(channels::test))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::status))
        .routes(routes!(health::metrics))
        .routes(routes!(document))
        .routes(routes!(messages))
        .routes(routes!(docs))
        .split_for_parts()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, body = serde_json::Value)))]
async fn document(Extension(document): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.0.to_string())
}

/// The messages of the WebSocket, for programs: `AsyncAPI` 3.0.
#[utoipa::path(get, path = "/asyncapi.json", tag = "health", responses((status = 200, body = serde_json::Value)))]
async fn messages(Extension(messages): Extension<Messages>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], messages.0.to_string())
}

/// This document as a page to read and try; works offline.
#[utoipa::path(get, path = "/docs", tag = "health", responses((status = 303, description = "To the page")))]
async fn docs() -> Redirect {
    Redirect::to("/docs/")
}

/// One file of that page. They are kept packed, and unpacked only for those who cannot.
fn docs_file(name: &str, headers: &HeaderMap) -> Response {
    let config = Config::from("/openapi.json").validator_url("none").persist_authorization(false);
    let broken = |error: &dyn std::fmt::Display| ApiError::Broken(format!("the page of the documentation: {error}"));
    let file = match utoipa_swagger_ui::serve(name, Arc::new(config)) {
        Ok(Some(file)) => file,
        Ok(None) => return ApiError::nothing().into_response(),
        Err(error) => return broken(&error).into_response(),
    };
    let kind = [(header::CONTENT_TYPE, file.content_type), (header::VARY, "accept-encoding".to_owned())];
    if !file.gzpipped {
        return (kind, file.bytes.into_owned()).into_response();
    }
    if takes_gzip(headers) {
        return (kind, [(header::CONTENT_ENCODING, "gzip")], file.bytes.into_owned()).into_response();
    }
    let mut plain = Vec::new();
    match GzDecoder::new(&*file.bytes).read_to_end(&mut plain) {
        Ok(_) => (kind, plain).into_response(),
        Err(error) => broken(&error).into_response(),
    }
}

/// Whether the caller takes gzip: named, and not with a weight of nothing (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, ""));
            name.trim().eq_ignore_ascii_case("gzip").then(|| weight.trim().trim_start_matches("q="))
        })
        .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0) || weight.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_are_sent_only_to_those_who_unpack_them() {
        let asked =
            |value: &str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]));
        assert!(!takes_gzip(&HeaderMap::new()));
        for yes in ["gzip", "br, gzip", "deflate;q=1, GZIP ;q=0.5"] {
            assert!(asked(yes), "{yes}");
        }
        for no in ["identity", "gzip;q=0", "gzip; q=0.0", "br"] {
            assert!(!asked(no), "{no}");
        }
    }

    #[tokio::test]
    async fn the_page_is_the_same_packed_and_unpacked() {
        let plain = docs_file("swagger-ui.css", &HeaderMap::new());
        let packed =
            docs_file("swagger-ui.css", &HeaderMap::from_iter([(header::ACCEPT_ENCODING, "gzip".parse().unwrap())]));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        let body = async |answer: Response| axum::body::to_bytes(answer.into_body(), 16 << 20).await.unwrap();
        let (plain, packed) = (body(plain).await, body(packed).await);
        let mut unpacked = Vec::new();
        GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
        assert_eq!(plain, unpacked);
        assert!(
            plain.starts_with(b".swagger-ui") && packed.len() * 4 < plain.len(),
            "{} {}",
            packed.len(),
            plain.len()
        );
    }

    #[test]
    fn every_path_of_the_contract_is_described() {
        let (_, document) = described();
        let json: serde_json::Value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
        assert!(json["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{}", json["openapi"]);
        for (path, methods) in [
            ("/auth/register", "post"),
            ("/auth/login", "post"),
            ("/auth/account", "get"),
            ("/auth/refresh", "post"),
            ("/auth/password", "post"),
            ("/auth/logout", "post"),
            ("/auth/delete", "post"),
            ("/auth/keys/rotate", "post"),
            ("/alerts", "get post"),
            ("/alerts/{id}", "get patch delete"),
            ("/alerts/{id}/events", "get"),
            ("/alerts/{id}/restore", "post"),
            ("/events", "get"),
            ("/deliveries", "get"),
            ("/deliveries/{id}/retry", "post"),
            ("/prices", "get"),
            ("/prices/{symbol}", "get"),
            ("/prices/{symbol}/candles", "get"),
            ("/prices/ws", "get"),
            ("/instruments", "get post"),
            ("/instruments/search", "get"),
            ("/instruments/{symbol}", "delete"),
            ("/backtest", "post"),
            ("/channels", "get post"),
            ("/channels/{id}", "get patch delete"),
            ("/channels/{id}/test", "post"),
            ("/health/live", "get"),
            ("/health/ready", "get"),
            ("/health/status", "get"),
            ("/metrics", "get"),
            ("/docs", "get"),
            ("/openapi.json", "get"),
            ("/asyncapi.json", "get"),
        ] {
            for method in methods.split(' ') {
                assert!(json["paths"][path][method].is_object(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let (_, document) = described();
        let text = document.to_json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schemas = &json["components"]["schemas"];
        for piece in text.split("\"#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap_or_default();
            assert!(schemas[name].is_object(), "{name}");
        }
        assert!(schemas["AlertView"]["properties"]["target_price"].is_object());
    }
}
