//! The one way in which providers are asked: with deadlines, a limit on what is read, and errors that name no address.
//!
//! By itself the client has no deadline, follows any redirect, unpacks without limit and puts the whole URL into errors.

use std::time::Duration;

use bellwether_core::{
    retry::{clamp_retry_after, retry_after_seconds},
    time::{Span, Timestamp},
};
use reqwest::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect,
};
use url::Url;

use super::trouble::{Trouble, clean, describe};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole request may take, the last byte of its answer included.
const WHOLE: Duration = Duration::from_secs(15);
/// The most bytes of an answer that are read, counted after decompression.
const BODY: usize = 4 << 20;

/// A client for one provider.
#[derive(Clone, Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    base: Url,
}

/// What a provider answered, whatever its status.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) content_type: String,
    pub(super) retry_after: Option<Span>,
    /// The host that a redirect points to.
    elsewhere: Option<String>,
}

impl Client {
    /// A client for the provider at `base`.
    pub(super) fn new(base: &str) -> Result<Self, Trouble> {
        let base = Url::parse(base).map_err(|e| Trouble::failed(format!("base_url cannot be used: {e}")))?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::custom(same_host_only));
        let local = match base.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if local {
            // A provider on this machine is never asked through a proxy.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| Trouble::failed(describe(&e.without_url())))?;
        Ok(Self { client, base })
    }

    /// The host and port that it asks.
    pub(super) fn host(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.base.host_str().unwrap_or_default())
    }

    /// Asks for `path` below the base address.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
        now: Timestamp,
    ) -> Result<Raw, Trouble> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(query);
        let request = self.client.get(url).header(ACCEPT, "application/json").headers(headers).send();
        let failed = |e: reqwest::Error| Trouble::failed(describe(&e.without_url()));
        // The client's own deadline covers the body too; this one covers the client.
        let answer = tokio::time::timeout(WHOLE + CONNECT, async {
            let mut response = request.await.map_err(failed)?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > BODY {
                    return Err(Trouble::failed("the answer is longer than 4 MiB"));
                }
                body.extend_from_slice(&chunk);
            }
            let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
            Ok(Raw {
                status: response.status(),
                body: String::from_utf8_lossy(&body).into_owned(),
                content_type: header(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
                retry_after: retry_after(response.headers(), now),
                elsewhere: header(LOCATION)
                    .and_then(|to| response.url().join(to).ok())
                    .and_then(|to| to.host_str().map(str::to_owned)),
            })
        });
        answer.await.map_err(|_| Trouble::failed("no answer within 20 s"))?
    }
}

/// Follows a redirect only within its host and its scheme, and three times at most.
fn same_host_only(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let stays = attempt.previous().last().is_some_and(|from| place(from) == place(attempt.url()));
    if stays && attempt.previous().len() <= 3 { attempt.follow() } else { attempt.stop() }
}

/// What `Retry-After` asks for, in seconds or as a date; the longest where it is given twice.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Span> {
    let read = |text: &str| {
        retry_after_seconds(text).or_else(|| {
            let date = httpdate::parse_http_date(text.trim()).ok()?;
            let since_epoch = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let date = Timestamp::from_seconds(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX));
            Some(clamp_retry_after(date.since(now)))
        })
    };
    headers.get_all(RETRY_AFTER).iter().filter_map(|v| v.to_str().ok()).filter_map(read).max()
}

impl Raw {
    /// Whether it says "too fast" in words: under any status, 200 included, some edges do so as plain text and some interfaces in
    /// a short JSON (`{"error":["EGeneral:Too many requests"]}`).
    pub(super) fn is_hurried(&self) -> bool {
        let body = || self.body.to_ascii_lowercase();
        self.body.len() < 200 && (body().contains("too many requests") || body().contains("rate limit exceeded"))
    }

    /// The body of a good answer in JSON; everything else as the trouble it means. `said` is the provider's own reason,
    /// where its body gives one.
    pub(super) fn judged(&self, said: Option<String>) -> Result<String, Trouble> {
        let code = self.status.as_u16();
        if code == 429 || self.is_hurried() {
            return Err(self.refused("too many requests", said.as_deref()));
        }
        if self.status.is_redirection() || code == 511 {
            let to = self.elsewhere.as_deref().map(|host| format!(" to {}", clean(host))).unwrap_or_default();
            return Err(Trouble::failed(format!("HTTP {code}: sent{to}; network login needed?")));
        }
        if self.status.is_client_error() && code != 408 {
            let meaning = self.status.canonical_reason().unwrap_or("refused").to_lowercase();
            return Err(self.refused(&meaning, said.as_deref()));
        }
        if !self.status.is_success() {
            let text = said.map_or(format!("HTTP {code}"), |said| format!("HTTP {code}: {said}"));
            return Err(Trouble { status: Some(code), after: self.retry_after, ..Trouble::failed(text) });
        }
        if self.content_type.starts_with("text/html") || self.body.trim_start().starts_with('<') {
            return Err(Trouble::failed("answered text/html (captive portal?)"));
        }
        if self.body.trim().is_empty() {
            return Err(Trouble::failed("the answer is empty"));
        }
        Ok(self.body.clone())
    }

    fn refused(&self, meaning: &str, said: Option<&str>) -> Trouble {
        let code = self.status.as_u16();
        let text = match said {
            Some(said) => format!("HTTP {code}, {meaning}: {said}"),
            None => format!("HTTP {code}, {meaning}"),
        };
        Trouble { after: self.retry_after, ..Trouble::refused(text, Some(code)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        Kind,
        stand_in::{StandIn, gzip_of_zeros, http_answer},
    };

    async fn raw(answer: impl Into<Vec<u8>>) -> Result<Raw, Trouble> {
        let stand_in = StandIn::serving(vec![answer.into()]).await;
        let client = Client::new(&stand_in.base)?;
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        client.get("v1/prices", &[("ids", "a b")], HeaderMap::new(), now).await
    }

    async fn ask(answer: impl Into<Vec<u8>>) -> Result<String, Trouble> {
        raw(answer).await?.judged(None)
    }

    #[tokio::test]
    async fn a_good_answer_is_its_body() {
        let answer = ask(http_answer("200 OK", "Content-Type: application/json\r\n", b"{\"a\":1}")).await;
        assert_eq!(answer.as_deref(), Ok("{\"a\":1}"));
    }

    #[tokio::test]
    async fn retry_after_is_read_in_all_its_forms_and_bounded() {
        for (header, seconds) in [
            ("Retry-After: 119\r\n", Some(119)),
            ("Retry-After: 0\r\n", Some(1)),
            ("Retry-After: -1\r\n", Some(1)),
            ("Retry-After: 99999999999\r\n", Some(72 * 3600)),
            ("Retry-After: Sun, 22 Nov 2026 12:02:00 GMT\r\n", Some(120)),
            ("Retry-After: Sun, 22 Nov 2020 12:02:00 GMT\r\n", Some(1)),
            ("Retry-After: 5\r\nRetry-After: 60\r\n", Some(60)),
            ("Retry-After: soon\r\n", None),
            ("", None),
        ] {
            let raw = raw(http_answer("429 Too Many Requests", header, b"")).await.expect(header);
            assert_eq!(raw.retry_after, seconds.map(Span::from_seconds), "{header}");
            assert_eq!(raw.judged(None).map_err(|trouble| trouble.kind), Err(Kind::Refused));
        }
    }

    #[tokio::test]
    async fn what_is_not_an_answer_is_named() {
        let html = "Content-Type: text/html; charset=utf-8\r\n";
        let json = "Content-Type: application/json\r\n";
        for (answer, expected, remedy) in [
            (http_answer("200 OK", html, b"<html>log in"), "captive portal?", Kind::Failed),
            (http_answer("200 OK", json, b"<!DOCTYPE html>"), "captive portal?", Kind::Failed),
            (http_answer("200 OK", json, b"  "), "empty", Kind::Failed),
            (http_answer("200 OK", "", b"Edge: Too Many Requests"), "too many requests", Kind::Refused),
            (http_answer("302 Found", "Location: https://login.example/\r\n", b""), "login.example", Kind::Failed),
            (http_answer("511 Network Authentication Required", html, b"<p>"), "network login needed?", Kind::Failed),
            (http_answer("403 Forbidden", html, b"<p>"), "HTTP 403, forbidden", Kind::Refused),
            (http_answer("503 Service Unavailable", html, b"<p>"), "HTTP 503", Kind::Failed),
            // Half of what was promised, then the connection is closed.
            (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"a\":".to_vec(), "body", Kind::Failed),
            (b"".to_vec(), "error sending request", Kind::Failed),
        ] {
            let trouble = ask(answer).await.expect_err(expected);
            assert!(trouble.text.contains(expected), "{expected} is not in {:?}", trouble.text);
            assert_eq!(trouble.kind, remedy, "{expected}");
            assert!(!trouble.text.contains("a+b") && !trouble.text.contains("127.0.0.1"), "{}", trouble.text);
        }
    }

    #[tokio::test]
    async fn a_bomb_is_cut_while_it_unpacks() {
        let bomb = gzip_of_zeros(16 << 20);
        assert!(bomb.len() < 32 << 10, "16 MiB in {} bytes", bomb.len());
        let head = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
        let trouble = ask(http_answer("200 OK", head, &bomb)).await.expect_err("too long");
        assert_eq!(trouble.text, "the answer is longer than 4 MiB");
    }
}
