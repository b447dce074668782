//! Reads a configuration from text, and says what is wrong with one that cannot be taken: where, what was found, what was expected.

use super::{CoingeckoPlan, Config, Secret};
use crate::time::Span;

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ConfigError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl ConfigError {
    /// A setting of this text that makes no sense, with its place; where the text does not name it, the start.
    pub fn of(text: &str, wrong: &Senseless) -> Self {
        Self::at(text, place_of(text, &wrong.key), wrong.to_string())
    }

    fn at(text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, message }
    }
}

/// One setting whose value makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}")]
pub struct Senseless {
    /// The key, such as `feeds.yahoo.interval`.
    pub key: String,
    /// What was expected.
    pub message: String,
}

impl Config {
    /// Reads a configuration. A byte order mark is accepted.
    ///
    /// Unknown keys, wrong types and impossible values are refused with their place.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let config: Self = toml::from_str(text)
            .map_err(|e| ConfigError::at(text, e.span().map_or(0, |s| s.start), for_people(e.message())))?;
        match config.senseless().into_iter().next() {
            Some(wrong) => Err(ConfigError::of(text, &wrong)),
            None => Ok(config),
        }
    }

    /// Settings whose values cannot be meant.
    #[expect(clippy::too_many_lines, reason = "a list: each setting that can be wrong, and what to write instead")]
    pub fn senseless(&self) -> Vec<Senseless> {
        let mut found = Vec::new();
        let mut wrong = |key: &str, message: &str| {
            found.push(Senseless { key: key.to_owned(), message: message.to_owned() });
        };
        if let Some(listen) = self.server.listen
            && !listen.ip().is_loopback()
        {
            if !self.server.allow_remote {
                wrong(
                    "server.listen",
                    "anybody on the network could reach it. Listen on 127.0.0.1, or set allow_remote = true, with tls or behind_proxy",
                );
            } else if self.server.tls.is_none() && !self.server.behind_proxy {
                wrong(
                    "server.listen",
                    "passwords and tokens would travel for anybody to read. Set tls = { cert = \"…\", key = \"…\" }, or \
                     behind_proxy = true where a proxy that speaks TLS stands before it",
                );
            }
        }
        if self.server.jwt_secret_previous.is_some() && self.server.jwt_secret.is_none() {
            wrong("server.jwt_secret_previous", "expected the key that signs now too: set server.jwt_secret");
        }
        if !(1..=100_000).contains(&self.server.max_connections) {
            wrong("server.max_connections", "expected a number from 1 to 100000");
        }
        if self.server.max_websockets >= self.server.max_connections {
            wrong(
                "server.max_websockets",
                "expected fewer than server.max_connections: other calls need connections too",
            );
        }
        if self.server.token_lifetime < Span::from_seconds(60) {
            wrong("server.token_lifetime", "expected a duration from 1m upward");
        }
        for origin in &self.server.allowed_origins {
            if !(origin.starts_with("http://") || origin.starts_with("https://")) || origin.ends_with('/') {
                wrong(
                    "server.allowed_origins",
                    "expected origins such as \"https://alerts.example.org\", without a path",
                );
            }
        }
        if let Some(zone) = &self.user.timezone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            wrong("user.timezone", "expected an IANA time zone such as \"Europe/Berlin\"");
        }
        self.senseless_delivery(&mut wrong);
        if self.feeds.yahoo.interval < Span::from_seconds(30) {
            wrong("feeds.yahoo.interval", "expected a duration from 30s upward: Yahoo blocks clients that hurry");
        }
        if self.feeds.yahoo.user_agents.is_empty() {
            wrong("feeds.yahoo.user_agents", "expected at least one user agent");
        }
        if self.feeds.coingecko.interval < Span::from_seconds(10) {
            wrong("feeds.coingecko.interval", "expected a duration from 10s upward");
        }
        if self.feeds.coingecko.plan != CoingeckoPlan::None && self.feeds.coingecko.api_key.is_none() {
            wrong("feeds.coingecko.plan", "this plan needs a key: set feeds.coingecko.api_key");
        }
        if self.data.keep_bars < Span::from_seconds(86_400) {
            wrong("data.keep_bars", "expected a duration from 1d upward");
        }
        if self.data.keep_history < Span::from_seconds(31 * 86_400) {
            wrong("data.keep_history", "expected a duration from 31d upward");
        }
        if self.heartbeat.every < Span::from_seconds(10) {
            wrong("heartbeat.every", "expected a duration from 10s upward");
        }
        if let Some(Secret::Value(url)) = &self.heartbeat.url
            && let Err(message) = check_url(url, ["https", "http"])
        {
            wrong("heartbeat.url", &message);
        }
        if self.data.backups > 366 {
            wrong("data.backups", "expected an integer from 0 to 366");
        }
        for host in &self.server.allowed_hosts {
            let name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
            if !name {
                wrong(
                    "server.allowed_hosts",
                    "expected host names such as \"alerts.example.org\", without a scheme or path",
                );
            }
        }
        let plain = ["error", "warn", "info", "debug", "trace", "off"].contains(&self.log.level.as_str());
        if !plain && !self.log.level.contains('=') {
            wrong(
                "log.level",
                "expected error, warn, info, debug or trace, or a filter such as \"info,bellwether_daemon::ingest=debug\"",
            );
        }
        if !(1..=50_000).contains(&self.feeds.simulated.rate) {
            wrong("feeds.simulated.rate", "expected an integer from 1 to 50000");
        }
        if self.feeds.tape.enabled && self.feeds.tape.file.as_os_str().is_empty() {
            wrong("feeds.tape.file", "expected a file that was recorded with `bellwether daemon --record FILE`");
        }
        for (key, url, schemes) in [
            ("feeds.coinbase.ws_url", &self.feeds.coinbase.ws_url, ["wss", "ws"]),
            ("feeds.coinbase.base_url", &self.feeds.coinbase.base_url, ["https", "http"]),
            ("feeds.kraken.ws_url", &self.feeds.kraken.ws_url, ["wss", "ws"]),
            ("feeds.kraken.base_url", &self.feeds.kraken.base_url, ["https", "http"]),
            ("feeds.binance.ws_url", &self.feeds.binance.ws_url, ["wss", "ws"]),
            ("feeds.binance.base_url", &self.feeds.binance.base_url, ["https", "http"]),
            ("feeds.yahoo.ws_url", &self.feeds.yahoo.ws_url, ["wss", "ws"]),
            ("feeds.finnhub.ws_url", &self.feeds.finnhub.ws_url, ["wss", "ws"]),
            ("feeds.twelvedata.base_url", &self.feeds.twelvedata.base_url, ["https", "http"]),
            ("feeds.coingecko.base_url", &self.feeds.coingecko.base_url, ["https", "http"]),
            ("feeds.yahoo.base_url", &self.feeds.yahoo.base_url, ["https", "http"]),
        ] {
            if let Err(message) = check_url(url, schemes) {
                wrong(key, &message);
            }
        }
        if let Some(sms) = &self.channels.sms
            && let Err(message) = check_url(&sms.base_url, ["https", "http"])
        {
            wrong("channels.sms.base_url", &message);
        }
        found.append(&mut self.dashboard.senseless());
        let mut wrong = |key: &str, message: &str| {
            found.push(Senseless { key: key.to_owned(), message: message.to_owned() });
        };
        let known = self.channel_names();
        if let Some(name) = self.user.default_channels.iter().find(|name| {
            // The desktop may be switched off and still be the default of the default.
            !known.contains(name) && name.as_str() != "desktop"
        }) {
            wrong(
                "user.default_channels",
                &format!(
                    "the channel `{name}` is not set up: give it a section [channels.{}]",
                    name.as_str().replacen(':', ".", 1)
                ),
            );
        }
        found
    }

    /// The same of when and how often messages go out.
    fn senseless_delivery(&self, wrong: &mut impl FnMut(&str, &str)) {
        if let Some(Err((key, message))) =
            self.user.quiet_hours.as_ref().map(|hours| hours.judged(&jiff::tz::TimeZone::UTC))
        {
            wrong(&format!("user.quiet_hours.{key}"), message);
        }
        let names = self.channel_names();
        let limited = names.iter().map(|name| (name.as_str().replacen(':', ".", 1), self.channel_limits(name)));
        for (name, limits) in limited {
            if limits.burst == Some(0) {
                wrong(&format!("channels.{name}.limits.burst"), "expected an integer from 1 upward");
            }
            if limits.group.is_some_and(|group| group > Span::from_seconds(3600)) {
                wrong(&format!("channels.{name}.limits.group"), "expected a duration of at most 1h");
            }
        }
    }
}

/// An address with one of two schemes and a host, without credentials.
fn check_url(url: &str, schemes: [&str; 2]) -> Result<(), String> {
    let expected = || format!("expected an address such as \"{}://host\"", schemes[0]);
    let (scheme, rest) = url.split_once("://").ok_or_else(expected)?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !schemes.contains(&scheme) || host.is_empty() || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(expected());
    }
    if host.contains('@') {
        return Err("an address must hold no user name or password".to_owned());
    }
    Ok(())
}

/// The parser's message in our words; an unknown key gets the nearest known one.
fn for_people(message: &str) -> String {
    let message = message.trim();
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.lines().collect::<Vec<_>>().join("; ");
    };
    let Some((key, expected)) = rest.split_once('`') else { return message.to_owned() };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match crate::suggest::nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => match elsewhere(key) {
            Some(place) => format!("unknown key `{key}`; did you mean `{place}`?"),
            None => format!("unknown key `{key}`; known here: {}", known.join(", ")),
        },
    }
}

/// A section of that name, or nearly, that stands below another one.
fn elsewhere(key: &str) -> Option<String> {
    let below = [
        ("channels", &["desktop", "email", "sms", "webhook", "command"][..]),
        (
            "feeds",
            &["coinbase", "kraken", "binance", "coingecko", "yahoo", "finnhub", "twelvedata", "simulated", "tape"],
        ),
    ];
    below.iter().find_map(|(above, names)| {
        crate::suggest::nearest(key, names.iter().copied()).map(|name| format!("{above}.{name}"))
    })
}

/// Where the value of a dotted key stands in the text; the start where it cannot be found.
fn place_of(text: &str, key: &str) -> usize {
    let Ok(table) = toml::de::DeTable::parse(text) else { return 0 };
    let mut place = 0;
    let mut table = Some(table.get_ref().clone());
    for part in key.split('.') {
        let Some(value) = table.as_ref().and_then(|t| t.get(part)).cloned() else { return place };
        place = value.span().start;
        table = value.get_ref().as_table().cloned();
    }
    place
}
