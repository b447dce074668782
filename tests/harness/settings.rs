//! A configuration for a test: nothing is on but what the test asks for.

use std::{collections::BTreeMap, fmt};

use super::{Exchange, MailServer, Receiver, Site};

/// Sections with their lines; written as the program's TOML.
#[derive(Clone, Debug)]
pub(crate) struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    /// A daemon on a free port, without feeds and without channels.
    pub(crate) fn quiet() -> Self {
        Self(BTreeMap::new())
            .with("server", "listen = \"127.0.0.1:0\"")
            .with("feeds.coinbase", "enabled = false")
            .with("feeds.kraken", "enabled = false")
            .with("feeds.binance", "enabled = false")
            .with("feeds.coingecko", "enabled = false")
            .with("feeds.yahoo", "enabled = false")
            .with("channels.desktop", "enabled = false")
    }

    /// Another line in a section; it replaces one of the same key.
    pub(crate) fn with(mut self, section: &str, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        let lines = self.0.entry(section.to_owned()).or_default();
        lines.retain(|known| key(known) != key(line));
        lines.push(line.to_owned());
        self
    }

    /// Prices from the fake exchange.
    pub(crate) fn coinbase(self, exchange: &Exchange) -> Self {
        self.with("feeds.coinbase", "enabled = true")
            .with("feeds.coinbase", &format!("ws_url = \"{}\"", exchange.url()))
            // Nobody is there: the past is what is recorded.
            .with("feeds.coinbase", "base_url = \"http://127.0.0.1:9\"")
    }

    /// Prices from a fake `CoinGecko`.
    pub(crate) fn coingecko(self, site: &Site) -> Self {
        self.with("feeds.coingecko", "enabled = true")
            .with("feeds.coingecko", &format!("base_url = \"{}/api/v3\"", site.url()))
    }

    /// Prices from a fake Yahoo.
    pub(crate) fn yahoo(self, site: &Site) -> Self {
        self.with("feeds.yahoo", "enabled = true")
            .with("feeds.yahoo", "stream = false")
            .with("feeds.yahoo", &format!("base_url = \"{}\"", site.url()))
    }

    /// A signed webhook called `name`, received under the same name.
    pub(crate) fn webhook(self, name: &str, receiver: &Receiver) -> Self {
        let section = format!("channels.webhook.{name}");
        self.with(&section, &format!("url = \"{}\"", receiver.url(name)))
            .with(&section, &format!("secret = \"{}\"", Receiver::secret()))
    }

    /// How often a webhook may be used, and how long it collects: as good as always, and so long.
    pub(crate) fn unlimited(self, name: &str, group: &str) -> Self {
        let section = format!("channels.webhook.{name}.limits");
        self.with(&section, "burst = 1000000")
            .with(&section, "refill = \"1ms\"")
            .with(&section, &format!("group = \"{group}\""))
    }

    /// Mail by a server on this machine, without TLS and login.
    pub(crate) fn mail(self, server: &MailServer) -> Self {
        self.with("channels.email", "host = \"127.0.0.1\"")
            .with("channels.email", &format!("port = {}", server.port()))
            .with("channels.email", "tls = \"none\"")
            .with("channels.email", "from = \"bellwether <bell@example.org>\"")
            .with("channels.email", "to = [\"me@example.org\"]")
    }

    /// Channels of alerts that name none.
    pub(crate) fn by_default(self, channel: &str) -> Self {
        self.with("user", &format!("default_channels = [\"{channel}\"]"))
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (section, lines) in &self.0 {
            writeln!(f, "[{section}]")?;
            for line in lines {
                writeln!(f, "{line}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
