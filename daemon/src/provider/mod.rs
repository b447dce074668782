//! The providers' plain HTTP interfaces: one client, one budget and one memory of bans for each, whoever asks.
//!
//! ```text
//!  ingest (polls) ─┐
//!  history ────────┼─▶ Provider ─ banned? ─ budget (live before gaps before persons before background) ─▶ client ─▶ the provider
//!  search ─────────┘       ▲                                                                               │
//!                          └──── 429, 418, 403, 451, Retry-After: kept in the store, for everybody ◀───────┘
//! ```
//!
//! While a ban lasts no request leaves, not after a restart or a reload either (docs/reliability.md, P10). Deliberately absent:
//! what is asked and what the answers mean; trying again (that is the caller's, who knows whether it is still wanted).

mod ban;
mod budget;
mod client;
mod number;
mod said;
#[cfg(test)]
pub(crate) mod stand_in;
#[cfg(test)]
mod tests;
mod trouble;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bellwether_core::{
    config::{self, CoingeckoPlan, Config, Secret},
    instrument::FeedId,
    retry::Backoff,
    time::Span,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use self::{
    ban::{Bans, Verdict},
    budget::Budget,
    client::Client,
};
pub(crate) use self::{
    budget::Priority,
    client::retry_after,
    number::undisguised,
    trouble::{Kind, Trouble, clean, describe},
};
use crate::{clock::Clock, store::Store};

/// Where paid keys of `CoinGecko` are served; at the other host they are an error.
const COINGECKO_PRO: &str = "https://pro-api.coingecko.com/api/v3";

/// How long to wait after so many refusals in a row where the provider does not say; tests wait shorter.
pub(crate) type Wait = fn(Backoff, u32) -> Span;

/// The wait with chance in it.
pub(crate) fn jittered(backoff: Backoff, failures: u32) -> Span {
    backoff.delay(failures, rand::random())
}

/// One provider. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    feed: FeedId,
    /// Without one, why: an address that cannot be used is told to whoever asks.
    client: Result<Client, Trouble>,
    key: Option<(Place, Secret)>,
    /// Presented in turn, the next one after a refusal; none: the program's own.
    user_agents: Vec<String>,
    agent: AtomicUsize,
    budget: Budget,
    bans: Bans,
    clock: Clock,
}

/// Where a key goes in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A header of that name.
    Header(&'static str),
    /// A parameter of that name, behind all others.
    Query(&'static str),
}

/// What a provider is made of.
pub(crate) struct Setup {
    /// Who it is.
    pub(crate) feed: FeedId,
    /// Below which address everything is asked.
    pub(crate) base: String,
    /// A key, and where it goes.
    pub(crate) key: Option<(Place, Secret)>,
    /// What to present oneself as, in turn.
    pub(crate) user_agents: Vec<String>,
    /// How many requests may go out at once, and how often one more.
    pub(crate) budget: (u32, Span),
}

/// A good answer: JSON, as far as its beginning tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The text.
    pub(crate) body: String,
    content_type: String,
    said: Option<String>,
}

impl Answer {
    /// What it means that the answer is not the JSON that was expected.
    pub(crate) fn not_understood(&self) -> Trouble {
        if let Some(said) = &self.said {
            return Trouble::refused(format!("refused under HTTP 200: {said}"), Some(200));
        }
        let kind = if self.content_type.is_empty() { "something" } else { &self.content_type };
        Trouble::failed(format!("answered {kind} of {} bytes that is not the expected JSON", self.body.len()))
    }
}

impl Provider {
    /// A provider with what `store` knows of its bans. Without a store (tests) they are forgotten at the end.
    pub(crate) fn new(
        setup: Setup,
        known: &[crate::store::Ban],
        store: Option<Store>,
        clock: Clock,
        wait: Wait,
    ) -> Self {
        let client = Client::new(&setup.base);
        let host = client.as_ref().map_or_else(|_| String::new(), Client::host);
        let shared = Shared {
            feed: setup.feed,
            client,
            key: setup.key,
            user_agents: setup.user_agents,
            agent: AtomicUsize::new(0),
            budget: Budget::new(setup.budget.0, setup.budget.1),
            bans: Bans::new(setup.feed, host, known, store, wait, clock.now()),
            clock,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Who it is.
    pub(crate) fn feed(&self) -> FeedId {
        self.shared.feed
    }

    /// The ban that stands now, as the trouble it gives whoever asks.
    pub(crate) fn banned(&self) -> Option<Trouble> {
        self.shared.bans.standing(self.shared.clock.now())
    }

    /// Asks for `path` below the base address, in its turn. The answer is good JSON as far as its beginning tells; everything
    /// else is the trouble it means, and a refusal holds for everybody.
    ///
    /// # Errors
    /// [`Kind::Held`] without a request while a ban stands, [`Kind::Busy`] without one when the turn does not come within the
    /// patience of `priority`, [`Kind::Refused`] for what this request asks, [`Kind::Failed`] for all that may be better soon.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut headers: HeaderMap,
        priority: Priority,
    ) -> Result<Answer, Trouble> {
        let shared = &self.shared;
        let client = shared.client.as_ref().map_err(Clone::clone)?;
        self.banned().map_or(Ok(()), Err)?;
        shared.budget.turn(priority).await.map_err(Trouble::busy)?;
        // Somebody else may have been refused while this one waited.
        self.banned().map_or(Ok(()), Err)?;
        self.sign(&mut headers)?;
        let now = shared.clock.now();
        let mut query = query.to_vec();
        if let Some((Place::Query(name), key)) = &shared.key {
            query.push((name, key.expose()));
        }
        let raw = client.get(path, &query, headers, now).await?;
        let said = said::said(shared.feed, &raw.body).map(|said| self.without_key(&said));
        if let Verdict::Ban(least) = ban::verdict(&raw, said.as_deref()) {
            shared.agent.fetch_add(1, Ordering::Relaxed);
            let trouble = raw.judged(said).err().unwrap_or_else(|| Trouble::failed("refused"));
            return Err(shared.bans.refused(&trouble, least, raw.retry_after, shared.clock.now()).await);
        }
        let (content_type, status) = (raw.content_type.clone(), raw.status);
        let body = raw.judged(said.clone())?;
        if status.is_success() {
            shared.bans.answered().await;
        }
        Ok(Answer { body, content_type, said })
    }

    fn sign(&self, headers: &mut HeaderMap) -> Result<(), Trouble> {
        if let Some((Place::Header(name), key)) = &self.shared.key {
            let mut value = HeaderValue::from_str(key.expose()).map_err(|_| {
                let text = format!("api_key of feeds.{} holds characters that no key has", self.shared.feed);
                Trouble::refused(text, None)
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let agents = &self.shared.user_agents;
        if !agents.is_empty() && !headers.contains_key(USER_AGENT) {
            let agent = &agents[self.shared.agent.load(Ordering::Relaxed) % agents.len()];
            let value = HeaderValue::from_str(agent).map_err(|_| {
                let text =
                    format!("user_agents of feeds.{} holds characters that no header may have", self.shared.feed);
                Trouble::failed(text)
            })?;
            headers.insert(USER_AGENT, value);
        }
        Ok(())
    }

    /// A provider that repeats the key in its error must not bring it into our log.
    fn without_key(&self, text: &str) -> String {
        match &self.shared.key {
            Some((_, key)) if !key.expose().is_empty() => text.replace(key.expose(), "***"),
            _ => text.to_owned(),
        }
    }
}

/// All providers. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Providers {
    /// Coinbase Exchange.
    pub(crate) coinbase: Provider,
    /// Kraken.
    pub(crate) kraken: Provider,
    /// Binance spot.
    pub(crate) binance: Provider,
    /// `CoinGecko`.
    pub(crate) coingecko: Provider,
    /// Yahoo Finance.
    pub(crate) yahoo: Provider,
    /// Twelve Data.
    pub(crate) twelvedata: Provider,
}

impl Providers {
    /// The providers as configured, with the bans that the store remembers.
    pub(crate) async fn open(config: &Config, store: &Store, clock: &Clock) -> Self {
        let known = match store.bans().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "what providers said before this start is not known");
                Vec::new()
            }
        };
        Self::new(config, &known, Some(store), clock, jittered)
    }

    /// The providers as configured.
    pub(crate) fn new(
        config: &Config,
        known: &[crate::store::Ban],
        store: Option<&Store>,
        clock: &Clock,
        wait: Wait,
    ) -> Self {
        let make = |setup| Provider::new(setup, known, store.cloned(), clock.clone(), wait);
        let plain = |feed, base: &str, burst, each| Setup {
            feed,
            base: base.to_owned(),
            key: None,
            user_agents: Vec::new(),
            budget: (burst, Span::from_millis(each)),
        };
        Self {
            // 10 requests a second and address.
            coinbase: make(plain(FeedId::Coinbase, &config.feeds.coinbase.base_url, 8, 150)),
            // About one call a second and address.
            kraken: make(plain(FeedId::Kraken, &config.feeds.kraken.base_url, 3, 1_200)),
            binance: make(plain(FeedId::Binance, &config.feeds.binance.base_url, 10, 100)),
            coingecko: make(coingecko(&config.feeds.coingecko)),
            yahoo: make(yahoo(&config.feeds.yahoo)),
            twelvedata: make(twelvedata(&config.feeds.twelvedata)),
        }
    }

    /// Takes those that are concerned from `new`, and goes on with the others: what they have spent stays spent.
    pub(crate) fn follow(&mut self, new: Self, concerned: impl Fn(FeedId) -> bool) {
        let Self { coinbase, kraken, binance, coingecko, yahoo, twelvedata } = new;
        for (old, new) in [
            (&mut self.coinbase, coinbase),
            (&mut self.kraken, kraken),
            (&mut self.binance, binance),
            (&mut self.coingecko, coingecko),
            (&mut self.yahoo, yahoo),
            (&mut self.twelvedata, twelvedata),
        ] {
            if concerned(new.feed()) {
                *old = new;
            }
        }
    }

    /// The provider behind a feed, where it has one.
    pub(crate) fn of(&self, feed: FeedId) -> Option<&Provider> {
        match feed {
            FeedId::Coinbase => Some(&self.coinbase),
            FeedId::Kraken => Some(&self.kraken),
            FeedId::Binance => Some(&self.binance),
            FeedId::Coingecko => Some(&self.coingecko),
            FeedId::Yahoo => Some(&self.yahoo),
            FeedId::Twelvedata => Some(&self.twelvedata),
            FeedId::Finnhub | FeedId::Simulated | FeedId::Tape => None,
        }
    }
}

/// Of each polled feed that is on: how many calls an hour its prices take at its interval, and how many its provider's budget has in the
/// long run (docs/feeds.md, *When a feed fails*).
pub(crate) fn hourly(config: &Config) -> Vec<(FeedId, u32, u32)> {
    let an_hour = |each: Span| u32::try_from(3_600_000_000 / each.as_micros().max(1)).unwrap_or(u32::MAX);
    let feeds = &config.feeds;
    let polled =
        [(coingecko(&feeds.coingecko), feeds.coingecko.interval, 1), (yahoo(&feeds.yahoo), feeds.yahoo.interval, 4)];
    let enabled = config.enabled_feeds();
    polled
        .into_iter()
        .filter(|(setup, ..)| enabled.contains(&setup.feed))
        .map(|(setup, interval, calls)| (setup.feed, an_hour(interval).saturating_mul(calls), an_hour(setup.budget.1)))
        .collect()
}

/// Without a key between 5 and 15 calls a minute pass, with a free one at least 30; failed ones count too. Who configures a shorter
/// interval of polls is given that.
fn coingecko(config: &config::Coingecko) -> Setup {
    let (header, each) = match config.plan {
        CoingeckoPlan::None => (None, Span::from_seconds(12)),
        CoingeckoPlan::Demo => (Some("x-cg-demo-api-key"), Span::from_millis(2_500)),
        CoingeckoPlan::Pro => (Some("x-cg-pro-api-key"), Span::from_millis(500)),
    };
    let usual = config.base_url == config::Coingecko::default().base_url;
    let pro = usual && config.plan == CoingeckoPlan::Pro;
    Setup {
        feed: FeedId::Coingecko,
        base: if pro { COINGECKO_PRO.to_owned() } else { config.base_url.clone() },
        key: header.map(Place::Header).zip(config.api_key.clone()),
        user_agents: Vec::new(),
        budget: (5, each.min(Span::from_micros(config.interval.as_micros() / 2))),
    }
}

/// One call each 12.5 s in the long run and eight at once: less than 300 an hour, for polls, history and search together.
fn yahoo(config: &config::Yahoo) -> Setup {
    let mut user_agents = config.user_agents.clone();
    if user_agents.is_empty() {
        user_agents = config::Yahoo::default().user_agents;
    }
    Setup {
        feed: FeedId::Yahoo,
        base: config.base_url.clone(),
        key: None,
        user_agents,
        budget: (8, Span::from_millis(12_500)),
    }
}

/// A call takes up to eight credits, and there are eight a minute.
fn twelvedata(config: &config::Twelvedata) -> Setup {
    Setup {
        feed: FeedId::Twelvedata,
        base: config.base_url.clone(),
        key: config.api_key.clone().map(|key| (Place::Query("apikey"), key)),
        user_agents: Vec::new(),
        budget: (1, Span::from_seconds(61)),
    }
}
