//! The way to each feed: its name, its port, its certificate; and this machine's clock beside those of the others.
//!
//! The providers' interfaces themselves are left alone: what they allow is the daemon's to spend.

use std::time::Duration;

use bellwether_core::{config::Config, instrument::FeedId, time::Timestamp};
use reqwest::{Client, Url, header::DATE, redirect::Policy};

use super::Finding;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// From which difference the clock is wrong, in seconds: what is further ahead is not believed (docs/alerts.md, B3.2).
const SKEW: i64 = 60;

/// Looks at every feed that is on, all at once.
pub async fn feeds(config: &Config) -> Vec<Finding> {
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let said = format!("no feed can be reached over TLS: {}", causes(&error));
            let todo = "install them (Debian: apt install ca-certificates), or name a file: SSL_CERT_FILE";
            return vec![Finding::wrong("certificates", said, todo)];
        }
    };
    let looks = addresses(config).into_iter().map(|(feed, url)| {
        let client = client.clone();
        async move { look(&client, feed, &url).await }
    });
    let looked = futures_util::future::join_all(looks).await;
    let mut found: Vec<Finding> = Vec::new();
    let mut clocks = Vec::new();
    for (finding, clock) in looked {
        clocks.extend(clock);
        found.push(finding);
    }
    found.extend(clock(&clocks));
    found
}

/// The addresses of the feeds that are on: of each the roots of its servers, once.
fn addresses(config: &Config) -> Vec<(FeedId, Url)> {
    let feeds = &config.feeds;
    let all = [
        (FeedId::Coinbase, vec![&feeds.coinbase.ws_url, &feeds.coinbase.base_url]),
        (FeedId::Kraken, vec![&feeds.kraken.ws_url, &feeds.kraken.base_url]),
        (FeedId::Binance, vec![&feeds.binance.ws_url, &feeds.binance.base_url]),
        (FeedId::Coingecko, vec![&feeds.coingecko.base_url]),
        (FeedId::Yahoo, vec![&feeds.yahoo.base_url, &feeds.yahoo.ws_url]),
        (FeedId::Finnhub, vec![&feeds.finnhub.ws_url]),
        (FeedId::Twelvedata, vec![&feeds.twelvedata.base_url]),
    ];
    let enabled = config.enabled_feeds();
    let mut roots = Vec::new();
    for (feed, urls) in all.into_iter().filter(|(feed, _)| enabled.contains(feed)) {
        for url in
            urls.into_iter().filter(|url| feed != FeedId::Yahoo || feeds.yahoo.stream || **url != feeds.yahoo.ws_url)
        {
            let http = url.replacen("ws", "http", usize::from(url.starts_with("ws")));
            let Ok(mut root) = Url::parse(&http) else { continue };
            root.set_path("/");
            root.set_query(None);
            if !roots.contains(&(feed, root.clone())) {
                roots.push((feed, root));
            }
        }
    }
    roots
}

/// Resolves, connects, asks for the root; and what the other side's clock says beside ours, in seconds.
async fn look(client: &Client, feed: FeedId, url: &Url) -> (Finding, Option<i64>) {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let about = format!("feed {feed}");
    let port = url.port_or_known_default().unwrap_or(443);
    let off = format!("check the network, or switch it off: feeds.{feed}.enabled = false");
    let proxied =
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().any(|name| std::env::var_os(name).is_some());
    if !proxied {
        let resolved = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), port))).await;
        let said = match resolved {
            Ok(Ok(addresses)) => (addresses.count() == 0).then(|| format!("{host} has no address")),
            Ok(Err(e)) => Some(format!("{host} has no address: {e}")),
            Err(_) => Some(format!("{host}: DNS does not answer in time")),
        };
        if let Some(said) = said {
            return (
                Finding::wrong(about, said, "check the network and DNS (resolvectl status, /etc/resolv.conf)"),
                None,
            );
        }
    }
    match client.head(url.clone()).send().await {
        Ok(response) => {
            let theirs = response.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
            let ours = now_seconds();
            let login = response.status().as_u16() == 511;
            if login {
                let said = format!("{host}: a network login is in the way");
                return (Finding::wrong(about, said, "open a page in a browser and log in to the network"), None);
            }
            (Finding::fine(about, format!("{host} answers")), theirs.map(|theirs| ours - theirs))
        }
        Err(error) => {
            let text = causes(&error.without_url());
            let todo = if text.to_ascii_lowercase().contains("certificate") {
                "is this machine's clock right (timedatectl)? Does a company's proxy or a hotel's login stand in between?"
            } else {
                &off
            };
            (Finding::wrong(about, format!("{host} cannot be reached: {text}"), todo), None)
        }
    }
}

/// Whether a polled feed may ask as often as its interval wants.
pub fn budget(feed: FeedId, taken: u32, allowed: u32) -> Finding {
    let about = format!("budget of {feed}");
    if taken <= allowed {
        return Finding::fine(about, format!("prices take {taken} of {allowed} calls an hour"));
    }
    Finding::note(
        about,
        format!("its interval wants {taken} calls an hour, and its provider allows {allowed}: prices come less often"),
        format!("raise feeds.{feed}.interval, or leave it: no more is asked than is allowed"),
    )
}

fn now_seconds() -> i64 {
    Timestamp::from(jiff::Timestamp::now()).as_seconds()
}

/// The error with its causes: the first says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7) in seconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp().as_second())
}

/// How far this machine's clock is from most of the others.
fn clock(differences: &[i64]) -> Option<Finding> {
    let mut sorted = differences.to_vec();
    sorted.sort_unstable();
    let middle = *sorted.get(sorted.len() / 2)?;
    Some(if middle.abs() > SKEW {
        let which = if middle > 0 { "ahead" } else { "behind" };
        Finding::wrong(
            "clock",
            format!("this machine's clock is {} s {which} of the feeds'", middle.abs()),
            "set it: timedatectl set-ntp true",
        )
    } else {
        Finding::fine("clock", format!("within {} s of the feeds'", middle.abs().max(1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn each_server_of_a_feed_that_is_on_is_looked_at_once_and_without_its_path() {
        let mut config = Config::default();
        config.feeds.kraken.enabled = false;
        config.feeds.yahoo.stream = false;
        let shown: Vec<String> = addresses(&config).iter().map(|(feed, url)| format!("{feed} {url}")).collect();
        assert!(shown.contains(&"coinbase https://ws-feed.exchange.coinbase.com/".to_owned()), "{shown:?}");
        assert!(shown.contains(&"coingecko https://api.coingecko.com/".to_owned()), "{shown:?}");
        assert!(!shown.iter().any(|s| s.contains("kraken") || s.contains("streamer")), "{shown:?}");
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_by_the_most_of_the_others() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(clock(&[]), None);
        assert_eq!(clock(&[0, 1, 90_000]).expect("one").verdict, Verdict::Fine, "one of them is wrong");
        let found = clock(&[-3_600, -3_601, 2]).expect("one");
        assert!(found.verdict == Verdict::Wrong && found.said.contains("3600 s behind"), "{found:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_apart_from_a_name_that_is_not() {
        let mut config = Config::default();
        let feeds = &mut config.feeds;
        (feeds.coinbase.enabled, feeds.binance.enabled, feeds.yahoo.enabled) = (false, false, false);
        feeds.kraken.enabled = false;
        feeds.coingecko.base_url = "http://127.0.0.1:9/api".to_owned();
        let found = super::feeds(&config).await;
        assert_eq!(found.len(), 1);
        assert!(found[0].said.starts_with("127.0.0.1 cannot be reached: "), "{found:?}");
        assert!(found[0].todo.as_deref().is_some_and(|todo| todo.contains("feeds.coingecko.enabled")), "{found:?}");
    }
}
