//! The configuration: every setting, its default, and what is wrong with a file that cannot be taken.
//!
//! This module reads text, never files or the environment: the binary finds the file, and hands over what secrets resolve to.
//! `config.example.toml` documents every key; a test holds it equal to the defaults.

pub mod dashboard;
mod read;
mod set;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Deserializer};

use crate::{
    condition::ChannelName,
    delivery::{
        escalate::Step,
        group::{Grouping, WINDOW},
        quiet,
    },
    instrument::{FeedId, Symbol},
    rate::Allowance,
    time::Span,
};

pub use dashboard::Dashboard;
pub use read::{ConfigError, Senseless};
pub use set::masked;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The local HTTP server.
    pub server: Server,
    /// The person who runs it.
    pub user: User,
    /// Where prices come from.
    pub feeds: Feeds,
    /// Where firings go.
    pub channels: Channels,
    /// What is kept.
    pub data: Data,
    /// What is written to the log.
    pub log: Log,
    /// Who is told again and again that everything works.
    pub heartbeat: Heartbeat,
    /// How the dashboard looks and what it lists.
    pub dashboard: Dashboard,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where to listen. Absent: 127.0.0.1:8000, or a free port when that one is taken.
    #[serde(deserialize_with = "listen")]
    pub listen: Option<SocketAddr>,
    /// Allows an address other than this machine's own loopback, with `tls` or `behind_proxy`.
    pub allow_remote: bool,
    /// The certificate with which the server speaks TLS itself. Absent: it does not.
    pub tls: Option<Tls>,
    /// Whether a trusted proxy stands before it, which speaks TLS and says in `X-Forwarded-For` who asks.
    pub behind_proxy: bool,
    /// Further names that requests may carry in `Host`.
    pub allowed_hosts: Vec<String>,
    /// Further origins whose pages may use the API, such as `https://alerts.example.org`.
    pub allowed_origins: Vec<String>,
    /// Whether new accounts may be made.
    pub registration: bool,
    /// How many connections there may be at once, of all clients.
    pub max_connections: u32,
    /// How many of them may be `WebSocket`s.
    pub max_websockets: u32,
    /// How long a login lasts.
    pub token_lifetime: Span,
    /// The key that signs logins, at least 32 bytes. Absent: made at the first start and kept in the data folder.
    pub jwt_secret: Option<Secret>,
    /// The key before that one, by which logins are still accepted while keys change.
    pub jwt_secret_previous: Option<Secret>,
}

impl Server {
    /// Whether others than those on this machine can reach it: it listens for them, or answers to a name of a proxy's or tunnel's.
    pub fn is_shared(&self) -> bool {
        self.allow_remote || !self.allowed_hosts.is_empty()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: None,
            allow_remote: false,
            tls: None,
            behind_proxy: false,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            registration: true,
            max_connections: 256,
            max_websockets: 64,
            token_lifetime: Span::from_seconds(12 * 3600),
            jwt_secret: None,
            jwt_secret_previous: None,
        }
    }
}

/// `server.tls`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those between it and its authority, in PEM form.
    pub cert: PathBuf,
    /// Its private key, in PEM form.
    pub key: PathBuf,
}

/// `[user]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// IANA time zone of dates in alerts and of times in messages. Absent: the system's.
    pub timezone: Option<String>,
    /// Channels of alerts that name none.
    pub default_channels: Vec<ChannelName>,
    /// Which channels an `urgent` alert that names none reaches, and when.
    pub escalation: Vec<Step>,
    /// When messages are held until morning. Absent: never.
    pub quiet_hours: Option<QuietHours>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            timezone: None,
            default_channels: vec![ChannelName::new("desktop")],
            escalation: Step::defaults(),
            quiet_hours: None,
        }
    }
}

/// `[user.quiet_hours]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When they begin, as on the clock on the wall: `22:00`.
    pub from: String,
    /// When they end; not later than `from` means the next day.
    pub to: String,
    /// The days on which they begin: `mon` to `sun`.
    #[serde(default = "every_day")]
    pub days: Vec<String>,
    /// The IANA time zone of that clock. Absent: the user's.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Which channels are quiet: names, or kinds such as `webhook` for all of them.
    #[serde(default = "loud_channels")]
    pub channels: Vec<ChannelName>,
}

/// The days of the week as the configuration names them.
const DAYS: [(&str, jiff::civil::Weekday); 7] = [
    ("mon", jiff::civil::Weekday::Monday),
    ("tue", jiff::civil::Weekday::Tuesday),
    ("wed", jiff::civil::Weekday::Wednesday),
    ("thu", jiff::civil::Weekday::Thursday),
    ("fri", jiff::civil::Weekday::Friday),
    ("sat", jiff::civil::Weekday::Saturday),
    ("sun", jiff::civil::Weekday::Sunday),
];

fn every_day() -> Vec<String> {
    DAYS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

fn loud_channels() -> Vec<ChannelName> {
    vec![ChannelName::new("desktop"), ChannelName::new("sms")]
}

impl QuietHours {
    /// The hours as they are judged; `home` is the user's own zone. Otherwise the key at fault and what was expected.
    pub fn judged(&self, home: &jiff::tz::TimeZone) -> Result<quiet::QuietHours, (&'static str, &'static str)> {
        let time = |key, text: &str| {
            let form = text.len() == 5 && text.as_bytes()[2] == b':';
            let time = text.parse::<jiff::civil::Time>().ok().filter(|_| form);
            time.ok_or((key, "expected a time of day such as \"22:00\""))
        };
        let day = |name: &String| DAYS.iter().find(|(known, _)| known == name).map(|(_, day)| *day);
        let days = self.days.iter().map(day).collect::<Option<Vec<_>>>().filter(|days| !days.is_empty());
        let zone = match &self.timezone {
            Some(zone) => jiff::tz::TimeZone::get(zone)
                .map_err(|_| ("timezone", "expected an IANA time zone such as \"Europe/Berlin\""))?,
            None => home.clone(),
        };
        Ok(quiet::QuietHours::new(
            time("from", &self.from)?,
            time("to", &self.to)?,
            days.ok_or(("days", "expected days out of mon, tue, wed, thu, fri, sat, sun"))?,
            zone,
            self.channels.clone(),
        ))
    }
}

/// `[feeds]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feeds {
    /// Coinbase Exchange.
    pub coinbase: Coinbase,
    /// Kraken.
    pub kraken: Kraken,
    /// Binance.
    pub binance: Binance,
    /// `CoinGecko`.
    pub coingecko: Coingecko,
    /// Yahoo Finance.
    pub yahoo: Yahoo,
    /// Finnhub, on only with a key.
    pub finnhub: Finnhub,
    /// Twelve Data, on only with a key.
    pub twelvedata: Twelvedata,
    /// The simulated market, on only in the demo.
    pub simulated: Simulated,
    /// A recording that is played instead of all other feeds.
    pub tape: Tape,
}

/// `[feeds.coinbase]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coinbase {
    /// Whether it is used.
    pub enabled: bool,
    /// The WebSocket's address.
    pub ws_url: String,
    /// Where the history of its prices is asked for.
    pub base_url: String,
    /// From which silence of a connection it is opened anew.
    pub silence: Span,
}

impl Default for Coinbase {
    fn default() -> Self {
        Self {
            enabled: true,
            ws_url: "wss://ws-feed.exchange.coinbase.com".to_owned(),
            base_url: "https://api.exchange.coinbase.com".to_owned(),
            silence: Span::from_seconds(10),
        }
    }
}

/// `[feeds.kraken]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kraken {
    /// Whether it is used.
    pub enabled: bool,
    /// The WebSocket's address.
    pub ws_url: String,
    /// Where the REST API lives.
    pub base_url: String,
    /// From which silence of a connection it is opened anew.
    pub silence: Span,
}

impl Default for Kraken {
    fn default() -> Self {
        Self {
            enabled: true,
            ws_url: "wss://ws.kraken.com/v2".to_owned(),
            base_url: "https://api.kraken.com/0/public".to_owned(),
            silence: Span::from_seconds(10),
        }
    }
}

/// `[feeds.binance]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Binance {
    /// Whether it is used, where an instrument may be quoted in USDT.
    pub enabled: bool,
    /// Where the streams live.
    pub ws_url: String,
    /// Where the REST API lives.
    pub base_url: String,
    /// From which silence of a connection it is opened anew.
    pub silence: Span,
    /// Instruments quoted in USD whose price in USDT is good enough when nobody else delivers them.
    pub stand_in_for: Vec<Symbol>,
}

impl Default for Binance {
    fn default() -> Self {
        Self {
            enabled: true,
            ws_url: "wss://data-stream.binance.vision".to_owned(),
            base_url: "https://data-api.binance.vision/api/v3".to_owned(),
            silence: Span::from_seconds(15),
            stand_in_for: Vec::new(),
        }
    }
}

/// `[feeds.coingecko]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coingecko {
    /// Whether it is used.
    pub enabled: bool,
    /// Where the API lives.
    pub base_url: String,
    /// A key, where one has been registered for.
    pub api_key: Option<Secret>,
    /// Which header the key goes into.
    pub plan: CoingeckoPlan,
    /// How often all its coins are asked for, in one call.
    pub interval: Span,
}

impl Default for Coingecko {
    fn default() -> Self {
        Self {
            enabled: true,
            base_url: "https://api.coingecko.com/api/v3".to_owned(),
            api_key: None,
            plan: CoingeckoPlan::None,
            interval: Span::from_seconds(60),
        }
    }
}

/// The plan of a `CoinGecko` key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoingeckoPlan {
    /// No key.
    #[default]
    None,
    /// A free key: header `x-cg-demo-api-key`.
    Demo,
    /// A paid key: header `x-cg-pro-api-key`.
    Pro,
}

/// `[feeds.yahoo]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Yahoo {
    /// Whether it is used. It is unofficial: see `docs/feeds.md`.
    pub enabled: bool,
    /// Where the API lives.
    pub base_url: String,
    /// How often each instrument is asked for, 20 in one call. At least 30 s.
    pub interval: Span,
    /// Whether prices are taken from the streamer too; otherwise they are only polled.
    pub stream: bool,
    /// The streamer's address.
    pub ws_url: String,
    /// The user agents it presents, the next one after a refusal.
    pub user_agents: Vec<String>,
}

impl Default for Yahoo {
    fn default() -> Self {
        Self {
            enabled: true,
            base_url: "https://query1.finance.yahoo.com".to_owned(),
            interval: Span::from_seconds(90),
            stream: true,
            ws_url: "wss://streamer.finance.yahoo.com/?version=2".to_owned(),
            user_agents: vec![
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)".to_owned(),
                "Mozilla/5.0".to_owned(),
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            ],
        }
    }
}

/// `[feeds.finnhub]`: used where a key is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Finnhub {
    /// The key that Finnhub gave. Absent: the feed is off.
    pub api_key: Option<Secret>,
    /// The WebSocket's address, without the key.
    pub ws_url: String,
}

impl Default for Finnhub {
    fn default() -> Self {
        Self { api_key: None, ws_url: "wss://ws.finnhub.io".to_owned() }
    }
}

/// `[feeds.twelvedata]`: used where a key is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Twelvedata {
    /// The key that Twelve Data gave. Absent: the feed is off.
    pub api_key: Option<Secret>,
    /// Where the API lives.
    pub base_url: String,
}

impl Default for Twelvedata {
    fn default() -> Self {
        Self { api_key: None, base_url: "https://api.twelvedata.com".to_owned() }
    }
}

/// `[feeds.simulated]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Simulated {
    /// Whether the market is simulated; every other feed is off then.
    pub enabled: bool,
    /// The same seed gives the same market.
    pub seed: u64,
    /// Ticks a second, over all instruments.
    pub rate: u32,
}

impl Default for Simulated {
    fn default() -> Self {
        Self { enabled: false, seed: 1, rate: 50 }
    }
}

/// `[feeds.tape]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tape {
    /// Whether the recording is played; every other feed is off then.
    pub enabled: bool,
    /// The recording: CSV with the columns `time,symbol,price`, or as a daemon has recorded it.
    pub file: PathBuf,
    /// How fast.
    pub speed: Speed,
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// So many times as fast as it was recorded.
    Times(u32),
    /// As fast as its prices can be judged.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Times(1)
    }
}

impl std::str::FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(times @ 1..=100_000) => Ok(Self::Times(times)),
            _ if text == "max" => Ok(Self::Max),
            _ => Err("expected a whole number from 1 to 100000, or max"),
        }
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(times) => times.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `[channels]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channels {
    /// Notifications on this machine's desktop.
    pub desktop: Desktop,
    /// Mail.
    pub email: Option<Email>,
    /// Text messages by Twilio.
    pub sms: Option<Sms>,
    /// Webhooks by name; `via webhook` is the one called `default`.
    pub webhook: BTreeMap<String, Webhook>,
    /// Programs of the user's own by name: `via command:NAME`.
    pub command: BTreeMap<String, Command>,
}

/// `[channels.command.NAME]`: a program that is run for each message, without a shell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments, as they are.
    #[serde(default)]
    pub args: Vec<String>,
    /// How long it may run.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// How often it may be used.
    #[serde(default)]
    pub limits: ChannelLimits,
}

const fn ten_seconds() -> Span {
    Span::from_seconds(10)
}

/// `[channels.desktop]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Desktop {
    /// Whether it is used.
    pub enabled: bool,
    /// After how long a notification goes away by itself; `urgent` ones never do. Absent: as the desktop likes.
    pub expire: Option<Span>,
    /// The program and its arguments that *Open chart* runs, with `{symbol}` in them. Absent: a terminal that is found, with the dashboard.
    pub open_chart: Option<Vec<String>>,
    /// How often it may be used.
    pub limits: ChannelLimits,
}

impl Default for Desktop {
    fn default() -> Self {
        Self { enabled: true, expire: None, open_chart: None, limits: ChannelLimits::default() }
    }
}

/// `[channels.….limits]`: how often a channel may be used. What is absent stays as it is for that kind of channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelLimits {
    /// So many at once, ...
    pub burst: Option<u32>,
    /// ... then one each so long.
    pub refill: Option<Span>,
    /// At most so many in 24 hours; 0 means any number.
    pub daily: Option<u32>,
    /// How long firings are collected into one message; `0s` means that each goes out by itself.
    #[serde(deserialize_with = "some_span_or_zero")]
    pub group: Option<Span>,
}

impl ChannelLimits {
    /// The allowance with what was configured in place of what the kind of channel has.
    #[must_use]
    pub fn over(self, usual: Allowance) -> Allowance {
        let daily = self.daily.map_or(usual.daily, |daily| (daily > 0).then_some(daily));
        Allowance { burst: self.burst.unwrap_or(usual.burst), refill: self.refill.unwrap_or(usual.refill), daily }
    }

    /// How firings are collected.
    pub fn grouping(self) -> Grouping {
        Grouping { window: self.group.unwrap_or(WINDOW) }
    }
}

/// A duration, or `0s`.
pub(crate) fn span_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(deserializer)?;
    if text == "0s" { Ok(Span::ZERO) } else { text.parse().map_err(D::Error::custom) }
}

fn some_span_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    span_or_zero(deserializer).map(Some)
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS after `STARTTLS`, which the server must offer.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None; only for a server on this machine.
    None,
}

/// How the mail server is told who we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailAuth {
    /// By the password, with AUTH PLAIN or AUTH LOGIN, whichever the server offers.
    #[default]
    Password,
    /// With AUTH PLAIN alone.
    Plain,
    /// With AUTH LOGIN alone.
    Login,
    /// By an OAuth 2.0 access token, with AUTH XOAUTH2.
    Xoauth2,
}

/// `[channels.email]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The mail server.
    pub host: String,
    /// Its port. Absent: 587, 465 for implicit TLS, 25 for none.
    #[serde(default, deserialize_with = "port")]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: MailTls,
    /// The account; absent: no login.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password; the access token for `xoauth2`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How it is told.
    #[serde(default)]
    pub auth: MailAuth,
    /// A program and its arguments that prints an access token, for `xoauth2`: such a token lasts an hour.
    #[serde(default)]
    pub token_command: Option<Vec<String>>,
    /// Whether mails have a picture of the price.
    #[serde(default = "yes")]
    pub chart: bool,
    /// The sender, such as `bellwether <me@example.org>`. Absent: the account name.
    #[serde(default)]
    pub from: Option<String>,
    /// The recipients. Absent: the sender.
    #[serde(default)]
    pub to: Vec<String>,
    /// A file of further certificate authorities in PEM, for a server with a certificate of its own.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How often it may be used.
    #[serde(default)]
    pub limits: ChannelLimits,
}

/// `[channels.sms]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// The Twilio account, `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Its token.
    pub auth_token: Secret,
    /// The sending number (E.164) or messaging service (`MG…`).
    pub from: String,
    /// The receiving numbers (E.164).
    #[serde(default)]
    pub to: Vec<String>,
    /// Where the API lives.
    #[serde(default = "twilio")]
    pub base_url: String,
    /// How often it may be used.
    #[serde(default)]
    pub limits: ChannelLimits,
}

const fn yes() -> bool {
    true
}

fn twilio() -> String {
    "https://api.twilio.com".to_owned()
}

/// Whose form a webhook's body takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookPreset {
    /// Standard Webhooks 1.0: signed JSON.
    #[default]
    Standard,
    /// ntfy: `{"topic","title","message",…}`.
    Ntfy,
    /// Telegram `sendMessage`.
    Telegram,
    /// Discord.
    Discord,
    /// Slack.
    Slack,
    /// Pushover.
    Pushover,
    /// Gotify.
    Gotify,
}

/// How a webhook is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WebhookMethod {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

/// `[channels.webhook.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where it is posted to. It may hold a token, so it counts as a secret.
    pub url: Secret,
    /// Whose form the body takes.
    #[serde(default)]
    pub preset: WebhookPreset,
    /// The signing secret of `standard`: `whsec_` and base64.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// A bearer token (ntfy), application token (Pushover) or application key (Gotify).
    #[serde(default)]
    pub token: Option<Secret>,
    /// The topic (ntfy), chat id (Telegram) or user key (Pushover).
    #[serde(default)]
    pub target: Option<String>,
    /// A body of one's own for `standard`: a minijinja template.
    #[serde(default)]
    pub template: Option<String>,
    /// What kind of text the template makes. Absent: `application/json`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// How it is called.
    #[serde(default)]
    pub method: WebhookMethod,
    /// Further headers. Their values may hold keys, so they count as secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Whether it may reach this machine and private networks. Absent: unless others use the daemon ([`Server::is_shared`]).
    #[serde(default)]
    pub allow_private: Option<bool>,
    /// How often it may be used.
    #[serde(default)]
    pub limits: ChannelLimits,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// How long one-minute bars are kept.
    pub keep_bars: Span,
    /// How long firings and their deliveries are kept, from when they were recorded.
    pub keep_history: Span,
    /// A file into which every price is recorded that is handed to the evaluator.
    pub record: Option<PathBuf>,
    /// How many daily backups of the database are kept beside it; 0: none is made.
    pub backups: u32,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            keep_bars: Span::from_seconds(30 * 86_400),
            keep_history: Span::from_seconds(730 * 86_400),
            record: None,
            backups: 3,
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,bellwether_daemon::ingest=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// `[heartbeat]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    /// What is called (GET) while prices come in, alerts are judged and firings can be recorded. Absent: nobody. It counts as a secret.
    pub url: Option<Secret>,
    /// How often.
    pub every: Span,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { url: None, every: Span::from_seconds(60) }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A value that must not be shown: written inline, or as `{ env = "X" }` or `{ file = "…" }`. Prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Value(String),
    /// The name of an environment variable that holds it.
    Env(String),
    /// The path of a file that holds it (a systemd credential is one).
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// The value. Empty while the secret has not been resolved, which the binary does before anything starts.
    pub fn expose(&self) -> &str {
        match self {
            Self::Value(value) => value,
            Self::Env(_) | Self::File(_) => "",
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Secret;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text, { env = \"VARIABLE\" } or { file = \"PATH\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::Value(text.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                use serde::de::Error as _;
                let wanted = || A::Error::custom("expected { env = \"VARIABLE\" } or { file = \"PATH\" }");
                let secret = match map.next_key::<String>()?.as_deref() {
                    Some("env") => Secret::Env(map.next_value()?),
                    Some("file") => Secret::File(map.next_value()?),
                    _ => return Err(wanted()),
                };
                if map.next_key::<String>()?.is_some() { Err(wanted()) } else { Ok(secret) }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A port: an integer from 1 to 65535.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = Option<u16>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer from 1 to 65535")
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
            match u16::try_from(value) {
                Ok(port) if port > 0 => Ok(Some(port)),
                _ => Err(E::invalid_value(serde::de::Unexpected::Signed(value), &self)),
            }
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// An address and port to listen on.
fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(deserializer)?;
    let text = text.strip_prefix("localhost:").map_or_else(|| text.clone(), |port| format!("127.0.0.1:{port}"));
    text.parse().map(Some).map_err(|_| D::Error::custom("expected an address and a port such as \"127.0.0.1:8000\""))
}

impl Config {
    /// The channels that alerts may name, in the order in which they are listed.
    pub fn channel_names(&self) -> Vec<ChannelName> {
        let mut names = Vec::new();
        if self.channels.desktop.enabled {
            names.push(ChannelName::new("desktop"));
        }
        if self.channels.email.is_some() {
            names.push(ChannelName::new("email"));
        }
        if self.channels.sms.is_some() {
            names.push(ChannelName::new("sms"));
        }
        for name in self.channels.webhook.keys() {
            names.push(if name == "default" {
                ChannelName::new("webhook")
            } else {
                ChannelName::new(&format!("webhook:{name}"))
            });
        }
        names.extend(self.channels.command.keys().map(|name| ChannelName::new(&format!("command:{name}"))));
        names
    }

    /// Whether prices are not those of the present: simulated, or from a recording.
    pub fn is_simulated(&self) -> bool {
        self.feeds.simulated.enabled || self.feeds.tape.enabled
    }

    /// Whether a webhook may reach this machine and private networks: as it says itself; where it says nothing, if nobody else can
    /// reach the daemon.
    pub fn may_reach_private(&self, webhook: &Webhook) -> bool {
        webhook.allow_private.unwrap_or(!self.server.is_shared())
    }

    /// What was configured about how often a channel may be used.
    pub fn channel_limits(&self, channel: &ChannelName) -> ChannelLimits {
        let name = channel.as_str().split_once(':').map_or("default", |(_, name)| name);
        match channel.kind() {
            "desktop" => self.channels.desktop.limits,
            "email" => self.channels.email.as_ref().map(|email| email.limits).unwrap_or_default(),
            "sms" => self.channels.sms.as_ref().map(|sms| sms.limits).unwrap_or_default(),
            "command" => self.channels.command.get(name).map(|command| command.limits).unwrap_or_default(),
            "webhook" => self.channels.webhook.get(name).map(|webhook| webhook.limits).unwrap_or_default(),
            _ => ChannelLimits::default(),
        }
    }

    /// The feeds that are switched on.
    pub fn enabled_feeds(&self) -> Vec<FeedId> {
        if self.feeds.simulated.enabled {
            return vec![FeedId::Simulated];
        }
        if self.feeds.tape.enabled {
            return vec![FeedId::Tape];
        }
        [
            (FeedId::Coinbase, self.feeds.coinbase.enabled),
            (FeedId::Kraken, self.feeds.kraken.enabled),
            (FeedId::Binance, self.feeds.binance.enabled),
            (FeedId::Coingecko, self.feeds.coingecko.enabled),
            (FeedId::Yahoo, self.feeds.yahoo.enabled),
            (FeedId::Finnhub, self.feeds.finnhub.api_key.is_some()),
            (FeedId::Twelvedata, self.feeds.twelvedata.api_key.is_some()),
        ]
        .into_iter()
        .filter_map(|(feed, enabled)| enabled.then_some(feed))
        .collect()
    }

    /// Every secret with its key, for the binary to resolve.
    pub fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let mut secrets: Vec<(String, &mut Secret)> = Vec::new();
        if let Some(secret) = &mut self.server.jwt_secret {
            secrets.push(("server.jwt_secret".to_owned(), secret));
        }
        if let Some(secret) = &mut self.server.jwt_secret_previous {
            secrets.push(("server.jwt_secret_previous".to_owned(), secret));
        }
        if let Some(secret) = &mut self.feeds.coingecko.api_key {
            secrets.push(("feeds.coingecko.api_key".to_owned(), secret));
        }
        if let Some(secret) = &mut self.feeds.finnhub.api_key {
            secrets.push(("feeds.finnhub.api_key".to_owned(), secret));
        }
        if let Some(secret) = &mut self.feeds.twelvedata.api_key {
            secrets.push(("feeds.twelvedata.api_key".to_owned(), secret));
        }
        if let Some(secret) = &mut self.heartbeat.url {
            secrets.push(("heartbeat.url".to_owned(), secret));
        }
        if let Some(secret) = self.channels.email.as_mut().and_then(|email| email.password.as_mut()) {
            secrets.push(("channels.email.password".to_owned(), secret));
        }
        if let Some(sms) = &mut self.channels.sms {
            secrets.push(("channels.sms.auth_token".to_owned(), &mut sms.auth_token));
        }
        for (name, webhook) in &mut self.channels.webhook {
            secrets.push((format!("channels.webhook.{name}.url"), &mut webhook.url));
            if let Some(secret) = &mut webhook.secret {
                secrets.push((format!("channels.webhook.{name}.secret"), secret));
            }
            if let Some(token) = &mut webhook.token {
                secrets.push((format!("channels.webhook.{name}.token"), token));
            }
            for (header, value) in &mut webhook.headers {
                secrets.push((format!("channels.webhook.{name}.headers.{header}"), value));
            }
        }
        secrets
    }
}
