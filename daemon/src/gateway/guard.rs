//! Only this machine, only known pages: what is checked of every request before anything else (`docs/reliability.md`, P21).
//!
//! A page in the user's browser can reach the loopback address: by rebinding its own name to it (then `Host` is foreign) or
//! directly (then `Origin` is). The log-in form needs no preflight, so this check is its only guard.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bellwether_core::config;

use super::{door::Schemes, error::ApiError};

const CSP: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The documentation's page loads its own script and style, and asks this server.
const CSP_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                        connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names and pages that are known.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// This machine's own names and the configured ones.
    pub(crate) fn new(server: &config::Server) -> Arc<Self> {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let configured = server.allowed_hosts.iter().map(|h| h.to_ascii_lowercase());
        let origins = server.allowed_origins.iter().map(|o| o.trim_end_matches('/').to_ascii_lowercase());
        // Who asks for the address that is listened on, asks for this server.
        let listened = server.listen.map(|at| at.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        Arc::new(Self {
            hosts: own.into_iter().chain(configured).chain(listened).collect(),
            origins: origins.collect(),
        })
    }

    /// Checks names and pages. Gives the configured origin that asks, which is to be told that it may read the answer.
    fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        schemes: Schemes,
    ) -> Result<Option<HeaderValue>, ApiError> {
        let bad = |detail: &str| ApiError::Malformed { detail: detail.to_owned(), at: None };
        let host = one(headers, &header::HOST)
            .ok_or_else(|| bad("The request needs exactly one `Host`."))?
            .ok_or_else(|| bad("The request needs exactly one `Host`."))?;
        let host = host.to_str().map_err(|_| bad("`Host` is no name."))?.to_ascii_lowercase();
        self.check_host(&host)?;
        if let Some(authority) = uri.authority() {
            self.check_host(&authority.as_str().to_ascii_lowercase())?;
        }
        let foreign = || ApiError::Forbidden("This page may not use this server.".to_owned());
        let origin = one(headers, &header::ORIGIN).ok_or_else(foreign)?;
        if let Some(origin) = origin {
            let text = origin.to_str().map_err(|_| foreign())?.to_ascii_lowercase();
            if self.origins.contains(&text) {
                return Ok(Some(origin.clone()));
            }
            if !schemes.own(&text, &host) {
                return Err(foreign());
            }
        }
        let opens_docs = method == Method::GET && uri.path().trim_end_matches('/') == "/docs";
        let cross_site = headers.get_all(FETCH_SITE).iter().any(|v| v.as_bytes().eq_ignore_ascii_case(b"cross-site"));
        if cross_site && !opens_docs { Err(foreign()) } else { Ok(None) }
    }

    /// `name`, `name:port` or `[address]:port`; the name must equal a known one, the port may be any: people tunnel.
    fn check_host(&self, host: &str) -> Result<(), ApiError> {
        let malformed =
            || ApiError::Malformed { detail: "`Host` is no name with an optional port.".to_owned(), at: None };
        let name_end = match host.strip_prefix('[') {
            Some(rest) => rest.find(']').map(|at| at + 2).ok_or_else(malformed)?,
            None => host.find(':').unwrap_or(host.len()),
        };
        let (name, port) = host.split_at(name_end);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(malformed());
        }
        if let Some(digits) = port.strip_prefix(':') {
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.parse::<u16>().is_err() {
                return Err(malformed());
            }
        } else if !port.is_empty() {
            return Err(malformed());
        }
        if self.hosts.iter().any(|known| known == name || known == host) {
            return Ok(());
        }
        let detail = format!("This server is not called `{name}`; further names stand in `server.allowed_hosts`.");
        Err(ApiError::Misdirected(detail))
    }
}

/// The header's only value; nothing where it stands there twice.
#[expect(clippy::option_option, reason = "twice, never and once are three cases")]
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a HeaderValue>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    values.next().is_none().then_some(first)
}

/// The layer around everything: the check, and what every answer carries.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let schemes = request.extensions().get().copied().unwrap_or(Schemes::Http);
    let docs = request.uri().path().starts_with("/docs");
    let (mut response, page) = match guard.check(request.method(), request.uri(), request.headers(), schemes) {
        Err(refused) => (refused.into_response(), None),
        Ok(Some(page)) if request.method() == Method::OPTIONS => (preflight(), Some(page)),
        Ok(page) => (next.run(request).await, page),
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, if docs { CSP_DOCS } else { CSP }),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(page) = page {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("etag, location, retry-after, x-request-id"),
        );
        headers
            .insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    }
    response
}

fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match, idempotency-key, x-request-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        match guard.check(&Method::GET, &path.parse().unwrap(), &map, Schemes::Http) {
            Ok(_) => 200,
            Err(error) => error.problem().status,
        }
    }

    #[test]
    fn only_this_servers_own_names_are_answered() {
        let guard = Guard::new(&config::Server::default());
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]", "[::1]:8000", "localhost:65535"] {
            assert_eq!(status(&guard, "/prices", &[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.", "localhost.evil.example:8000", "0.0.0.0", "[::]"]
        {
            assert_eq!(status(&guard, "/prices", &[("host", host)]), 421, "{host}");
        }
        for host in [
            "",
            ":8000",
            "localhost:8000@evil",
            "127.0.0.1:evil",
            "localhost:",
            "localhost:70000",
            "[::1",
            "[::1]x",
            "localhost:80:80",
            "l\u{f6}calhost",
            "local host",
        ] {
            assert_eq!(status(&guard, "/prices", &[("host", host)]), 400, "{host}");
        }
        assert_eq!(status(&guard, "/prices", &[]), 400);
        assert_eq!(status(&guard, "/prices", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status(&guard, "http://evil.example/prices", &[("host", "localhost")]), 421);
    }

    #[test]
    fn only_known_pages_are_answered() {
        let server = config::Server {
            allowed_origins: vec!["https://alerts.example.org".to_owned()],
            allowed_hosts: vec!["alerts.example.org".to_owned()],
            ..config::Server::default()
        };
        let guard = Guard::new(&server);
        let host = ("host", "localhost:8000");
        for origin in ["http://localhost:8000", "https://alerts.example.org"] {
            assert_eq!(status(&guard, "/prices", &[host, ("origin", origin)]), 200, "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://localhost.evil:8000",
            "http://localhost:3000",
            "file://",
            "",
            "https://localhost:8000",
            "http://127.0.0.1:8000",
            "https://alerts.example.org.evil",
        ] {
            assert_eq!(status(&guard, "/prices", &[host, ("origin", origin)]), 403, "{origin}");
        }
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(status(&guard, "/auth/login", &[host, cross]), 403);
        assert_eq!(status(&guard, "/prices", &[host, cross]), 403);
        assert_eq!(status(&guard, "/docs", &[host, cross]), 200);
        assert_eq!(status(&guard, "/prices", &[host, cross, ("origin", "https://alerts.example.org")]), 200);
        assert_eq!(status(&guard, "/prices", &[host, ("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(status(&guard, "/prices", &[("host", "alerts.example.org")]), 200);
    }
}
