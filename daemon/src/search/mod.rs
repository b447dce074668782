//! What the providers know beyond the catalogue: a search in their lists, and a look at one thing before it is added.
//!
//! Its own layer beside `provider/`: every question goes through the providers' budgets and bans, as a person's. Deliberately
//! absent: picking one of several. Many coins share a name, so all are shown, with their rank.

mod listing;
mod probe;
#[cfg(test)]
mod tests;

use bellwether_core::{
    catalog::Catalog,
    instrument::FeedId,
    protocol::{Listing, SearchAnswer},
};
use reqwest::header::HeaderMap;

pub(crate) use self::probe::{Found, is_code};
use crate::provider::{Priority, Providers, Trouble};

/// The most characters of a question.
pub(crate) const LONGEST: usize = 64;
/// The most things that one provider's answer may add.
const MOST: usize = 25;

/// Asks the providers. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    providers: Providers,
    enabled: Vec<FeedId>,
}

impl Search {
    /// A search among these providers, as far as their feeds are on.
    pub(crate) const fn new(providers: Providers, enabled: Vec<FeedId>) -> Self {
        Self { providers, enabled }
    }

    /// Whether this feed is on.
    pub(crate) fn is_on(&self, feed: FeedId) -> bool {
        self.enabled.contains(&feed)
    }

    /// What `CoinGecko` and Yahoo know under this name, each in its own order. Who does not answer is named, and spoils nothing.
    pub(crate) async fn everywhere(&self, query: &str, catalog: &Catalog) -> SearchAnswer {
        let coins = [("query", query)];
        let coins = self.ask(FeedId::Coingecko, "search", &coins, listing::coingecko);
        let yahoo = [("q", query), ("quotesCount", "20"), ("newsCount", "0")];
        let tickers = self.ask(FeedId::Yahoo, "v1/finance/search", &yahoo, listing::yahoo);
        let (coins, tickers) = tokio::join!(coins, tickers);
        let mut answer = SearchAnswer { items: Vec::new(), troubles: Vec::new() };
        for (feed, found) in [(FeedId::Coingecko, coins), (FeedId::Yahoo, tickers)] {
            match found {
                Ok(items) => answer.items.extend(items.into_iter().take(MOST)),
                Err(trouble) => answer.troubles.push(format!("{feed}: {trouble}")),
            }
        }
        for item in &mut answer.items {
            item.known = known(catalog, item.feed, &item.code);
        }
        answer
    }

    /// What the provider says of the thing with this code: that it is there, and what it is quoted in.
    ///
    /// # Errors
    /// [`crate::provider::Kind::Refused`] where there is no such thing, or it is not traded.
    pub(crate) async fn probe(&self, feed: FeedId, code: &str) -> Result<Found, Trouble> {
        let provider = self.providers.of(feed).ok_or_else(|| Trouble::refused("it lists nothing", None))?;
        probe::probe(provider, code).await
    }

    async fn ask(
        &self,
        feed: FeedId,
        path: &str,
        query: &[(&str, &str)],
        read: fn(&str) -> Option<Vec<Listing>>,
    ) -> Result<Vec<Listing>, Trouble> {
        if !self.is_on(feed) {
            return Err(Trouble::refused("it is switched off", None));
        }
        let Some(provider) = self.providers.of(feed) else { return Ok(Vec::new()) };
        let answer = provider.get(path, query, HeaderMap::new(), Priority::Person).await?;
        read(&answer.body).ok_or_else(|| answer.not_understood())
    }
}

/// The instrument that has this code there.
pub(crate) fn known(catalog: &Catalog, feed: FeedId, code: &str) -> Option<bellwether_core::instrument::Symbol> {
    let has = |i: &&bellwether_core::instrument::Instrument| {
        i.providers.iter().any(|p| p.feed == feed && p.code.eq_ignore_ascii_case(code))
    };
    catalog.instruments().iter().find(has).map(|i| i.symbol)
}
