//! What the HTTP channels share: a client that follows nothing, answers read to a limit, errors that never show an address,
//! and what a status means.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bellwether_core::{
    retry::{clamp_retry_after, retry_after_seconds},
    time::{Span, Timestamp},
};
use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER, redirect::Policy};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::{
    address::{self, Guard},
    channel::{BoxError, ChannelConfigError},
    trace::Trace,
};

/// The most of an answer that is read.
pub(super) const BODY: usize = 64 * 1024;

/// What the other side answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// `Retry-After`, as a span from now.
    pub(super) retry_after: Option<Span>,
    /// At most [`BODY`] bytes of the body.
    pub(super) body: String,
}

/// A client for one target. It follows no redirect; a target on this machine is never asked for through a proxy.
///
/// With a guard it connects only where that lets it, and never through a proxy: what that would resolve, nobody here could judge.
pub(super) fn client(url: &Url, deadline: Span, guard: Option<&Guard>) -> Result<Client, BoxError> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .timeout(deadline.into())
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(20))
        .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")));
    if guard.is_some() || is_loopback(url.host().as_ref()) {
        builder = builder.no_proxy();
    }
    if let Some(guard) = guard {
        builder = builder.dns_resolver(Arc::new(guard.clone()));
    }
    builder.build().map_err(|e| plain(&e).into())
}

/// Whether the host is this machine.
pub(super) fn is_loopback(host: Option<&Host<&str>>) -> bool {
    match host {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(*address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(*address).is_loopback(),
        None => false,
    }
}

/// Reads an address from the configuration: `http` or `https`, with a host, without user and password.
pub(super) fn target_url(key: &str, text: &str) -> Result<Url, ChannelConfigError> {
    let problem = |problem: &str| ChannelConfigError::new(key, problem);
    let wanted = "expected an address such as https://example.org/path";
    if text.is_empty() {
        return Err(problem("is empty"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(problem(&format!("{wanted}, without spaces")));
    }
    let url = Url::parse(text).map_err(|_| problem(wanted))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(problem("expected http or https before ://"));
    }
    if !url.has_host() {
        return Err(problem(wanted));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem("no user or password in the address: secrets belong in keys of their own"));
    }
    Ok(url)
}

/// For a test by hand: whether the target's name is known and its port open, one after the other. The request itself says the
/// rest, also where these fail: a proxy may know the way.
pub(super) async fn look_ahead(url: &Url, guard: Option<&Guard>, trace: &Trace) {
    if !trace.wanted() {
        return;
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return };
    reach(host.trim_matches(['[', ']']), port, guard, trace).await;
}

/// Looks whether a target can be reached, without a word to it: its name, its port, its certificate. Nothing where a proxy stands in between,
/// which alone knows the way.
pub(super) async fn knock(url: &Url, guard: Option<&Guard>) -> Option<Result<String, String>> {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    if guard.is_none() && !is_loopback(url.host().as_ref()) && proxies.iter().any(set) {
        return None;
    }
    let host = url.host_str()?.trim_matches(['[', ']']);
    let trace = Trace::on();
    let Some(stream) = reach(host, url.port_or_known_default()?, guard, &trace).await else {
        let said = trace.ended(false, "").pop().map(|step| step.said).unwrap_or_default();
        return Some(Err(format!("{host} cannot be reached: {said}")));
    };
    if url.scheme() != "https" {
        return Some(Ok(format!("{host} takes connections")));
    }
    Some(match shake_hands(host, stream).await {
        Ok(()) => Ok(format!("{host} takes connections, its certificate is accepted")),
        Err(why) => Err(format!("{host}: {why}")),
    })
}

/// TLS up to where the request would begin.
async fn shake_hands(host: &str, stream: TcpStream) -> Result<(), String> {
    use rustls_platform_verifier::BuilderVerifierExt as _;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(rustls::ConfigBuilder::with_platform_verifier)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let shaking = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream);
    match tokio::time::timeout(Duration::from_secs(3), shaking).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("TLS fails: {error}")),
        Err(_) => Err("no answer to TLS in time".to_owned()),
    }
}

/// Resolves a name and opens a connection, both as steps of the trace.
pub(super) async fn reach(host: &str, port: u16, guard: Option<&Guard>, trace: &Trace) -> Option<TcpStream> {
    let limit = Duration::from_secs(3);
    let resolving = async {
        match guard {
            Some(guard) => {
                let found = guard.resolve(host).await?;
                Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
            None => tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<Vec<_>>),
        }
    };
    let addresses: Vec<_> = match tokio::time::timeout(limit, resolving).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            match address::forbidden(&error) {
                Some(forbidden) => trace.failed("resolved", &forbidden.to_string()),
                None => trace.failed("resolved", &format!("{host}: {error}")),
            }
            return None;
        }
        Err(_) => {
            trace.failed("resolved", &format!("{host}: no answer in time"));
            return None;
        }
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    trace.done("resolved", &format!("{host} is {}", shown.join(", ")));
    match tokio::time::timeout(limit, TcpStream::connect(&*addresses)).await {
        Ok(Ok(stream)) => {
            trace.done("connected", &stream.peer_addr().map_or_else(|e| e.to_string(), |address| address.to_string()));
            Some(stream)
        }
        Ok(Err(error)) => {
            trace.failed("connected", &format!("port {port}: {error}"));
            None
        }
        Err(_) => {
            trace.failed("connected", &format!("port {port}: no answer in time"));
            None
        }
    }
}

/// What the request showed of TLS, and that it was answered, as steps of the trace.
pub(super) fn looked_at(url: &Url, asked: &Result<Response, reqwest::Error>, trace: &Trace) {
    match asked {
        Ok(response) => {
            if url.scheme() == "https" {
                trace.done("TLS", "the certificate is good");
            }
            trace.done("asked", &format!("answered in {:?}", response.version()));
        }
        Err(error) if url.scheme() == "https" && error.is_connect() => trace.failed("TLS", &innermost(error)),
        Err(error) => trace.failed("asked", &plain(error)),
    }
}

/// The innermost cause, which names no address.
fn innermost(error: &reqwest::Error) -> String {
    let Some(mut cause) = std::error::Error::source(error) else { return plain(error) };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What went wrong, without the address (it may hold a token) and without anything else from outside.
pub(super) fn plain(error: &reqwest::Error) -> String {
    if let Some(forbidden) = address::forbidden(error) {
        return forbidden.to_string();
    }
    let what = if error.is_timeout() && error.is_connect() {
        "no connection in time"
    } else if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else if error.is_builder() {
        "the request cannot be made"
    } else {
        "the connection broke"
    };
    match root_io(error) {
        Some(kind) => format!("{what} ({kind})"),
        None => what.to_owned(),
    }
}

/// The system's word for the innermost failure.
fn root_io(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    let mut source = std::error::Error::source(error);
    let mut found = None;
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            found = Some(io.kind());
        }
        source = error.source();
    }
    found.filter(|kind| *kind != std::io::ErrorKind::Other)
}

/// Reads the answer, at most [`BODY`] bytes of its body. A body that breaks off does not change what the status said.
pub(super) async fn answer(mut response: Response, now: Timestamp) -> Answer {
    let status = response.status();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|text| read_retry_after(text, now));
    let mut body = Vec::new();
    while body.len() < BODY {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        let room = BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Answer { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
fn read_retry_after(text: &str, now: Timestamp) -> Option<Span> {
    retry_after_seconds(text).or_else(|| {
        let date = httpdate::parse_http_date(text.trim()).ok()?;
        let seconds = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        let date = Timestamp::from_seconds(i64::try_from(seconds).ok()?);
        Some(clamp_retry_after(date.since(now)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_when_the_configuration_is_read() {
        for (text, problem) in [
            ("", "is empty"),
            ("file:///etc/passwd", "expected http or https before ://"),
            ("ftp://h/", "expected http or https before ://"),
            ("http://user:pw@h/", "no user or password in the address: secrets belong in keys of their own"),
            ("http://", "expected an address such as https://example.org/path"),
            ("example.org", "expected an address such as https://example.org/path"),
            ("http://a b/", "expected an address such as https://example.org/path, without spaces"),
        ] {
            let error = target_url("channels.webhook.x.url", text).expect_err(text).to_string();
            assert_eq!(error, format!("channels.webhook.x.url: {problem}"));
        }
        assert!(target_url("k", "https://example.org/hook?token=1").is_ok());
    }

    #[test]
    fn retry_after_may_be_a_date() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        assert_eq!(read_retry_after("Sun, 22 Nov 2026 12:01:30 GMT", now), Some(Span::from_seconds(90)));
        assert_eq!(read_retry_after("Sun, 22 Nov 2020 12:01:30 GMT", now), Some(Span::from_seconds(1)));
        assert_eq!(read_retry_after("30", now), Some(Span::from_seconds(30)));
        assert_eq!(read_retry_after("soon", now), None);
    }
}
