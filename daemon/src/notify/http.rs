//! What the HTTP channels share: a client that follows nothing, answers read to a limit, errors that never show an address,
//! and what a status means.

use std::{net::IpAddr, time::Duration};

use bellwether_core::{
    retry::{clamp_retry_after, retry_after_seconds},
    time::{Span, Timestamp},
};
use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER, redirect::Policy};
use url::{Host, Url};

use super::channel::{BoxError, ChannelConfigError};

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
pub(super) fn client(url: &Url, deadline: Span) -> Result<Client, BoxError> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .timeout(deadline.into())
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(20))
        .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url.host().as_ref()) {
        builder = builder.no_proxy();
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

/// What went wrong, without the address (it may hold a token) and without anything else from outside.
pub(super) fn plain(error: &reqwest::Error) -> String {
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
