//! Role 1: where prices come from. One task for each feed that has something to deliver.
//!
//! ```text
//!  binance/     (WebSocket)   ┐
//!  coinbase/    (WebSocket)   │
//!  kraken/      (WebSocket)   │
//!  coingecko.rs (polled)      ├─ parse ─▶ Link ─▶ news ─▶ desk/ ─▶ observations ─▶ evaluate
//!  yahoo/       (both ways)   │                             └───▶ events (FeedStatus) ─▶ hub
//!  finnhub.rs   (WebSocket)   │
//!  twelvedata.rs (polled)     │
//!  simulated.rs (no network)  │
//!  tape.rs      (a recording) ┘
//!  supervise.rs runs each of them, waits after a failure, and runs it again; the polled ones ask by crate::provider;
//!  socket.rs connects for the streams; codes.rs is what one connection of theirs knows of its instruments; wire.rs and
//!  scan.rs read JSON
//! ```
//!
//! A parser is a pure function from a payload to prices; whatever it meets, it never panics, never makes a price of what is
//! not one, and lets no bad symbol spoil its neighbours (docs/reliability.md, P11). Deliberately absent: judging prices (that is
//! core's evaluator), and keeping them (that is the hub's and the recorder's).

pub(crate) mod bench;
mod binance;
mod codes;
mod coinbase;
mod coingecko;
pub(crate) mod desk;
pub(crate) mod feeds;
mod finnhub;
mod kraken;
mod scan;
pub(crate) mod simulated;
mod socket;
mod supervise;
pub(crate) mod tape;
#[cfg(test)]
mod test_support;
mod twelvedata;
mod wire;
mod yahoo;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bellwether_core::{
    catalog::Catalog,
    config::Config,
    instrument::{FeedId, Instrument, ProviderCode, Symbol},
    time::Span,
};
use rust_decimal::Decimal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, links::Setup, metrics::Metrics, provider::Providers};
use desk::{Candidate, NewsSender, Wanted};
use supervise::Feed;

/// What every feed is given. All of it is shared; a clone is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Where the feeds tell what they see and how they are doing. Full: the feed waits.
    pub news: NewsSender,
    /// What is wanted of feeds that are to be asked for no more than that.
    pub wanted: watch::Receiver<Wanted>,
    /// Counts the jumps of time: connections from before one are not to be trusted.
    pub jumps: watch::Receiver<u64>,
    /// Whom the polled feeds ask.
    pub providers: Providers,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what came and what was not believed.
    pub metrics: Metrics,
    /// Ends the feed.
    pub stop: CancellationToken,
}

/// Which feed may deliver what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assigned {
    /// All instruments, each set up for the first of its feeds.
    pub(crate) instruments: Vec<Instrument>,
    /// What each feed can deliver, as first choice or as a reserve.
    pub(crate) feeds: BTreeMap<FeedId, Vec<Symbol>>,
    /// The feeds of each instrument, best first.
    pub(crate) candidates: BTreeMap<Symbol, Vec<Candidate>>,
}

impl Assigned {
    /// What a feed can deliver, set up for it.
    fn of(&self, feed: FeedId) -> Vec<Instrument> {
        let set_up = |instrument: &Instrument| {
            let candidate = self.candidates.get(&instrument.symbol)?.iter().find(|c| c.feed == feed)?;
            let mut instrument = instrument.clone();
            candidate.setup.apply(&mut instrument);
            Some(instrument)
        };
        self.instruments.iter().filter_map(set_up).collect()
    }

    /// What is wanted of the polled feeds before anything is known of the others: what they are the first choice for.
    pub(crate) fn wanted(&self) -> Wanted {
        let mut wanted: BTreeMap<FeedId, BTreeSet<Symbol>> = BTreeMap::new();
        for (symbol, candidates) in &self.candidates {
            for (place, candidate) in candidates.iter().enumerate().filter(|(_, c)| !c.streams) {
                let symbols = wanted.entry(candidate.feed).or_default();
                if place == 0 {
                    symbols.insert(*symbol);
                }
            }
        }
        Wanted(Arc::new(wanted))
    }

    /// The instruments with their candidates, as the desk wants them.
    pub(crate) fn routes(&self) -> Vec<(Instrument, Vec<Candidate>)> {
        let candidates = |i: &Instrument| self.candidates.get(&i.symbol).cloned().unwrap_or_default();
        self.instruments.iter().map(|i| (i.clone(), candidates(i))).collect()
    }
}

/// The shortest interval at which Yahoo is polled: it blocks clients that hurry.
const YAHOO_INTERVAL: Span = Span::from_seconds(30);
/// A step of a polled price beyond this many per cent waits for a second price that agrees.
const OUTLIER_PCT: Decimal = Decimal::from_parts(20, 0, 0, false, 0);

/// How old a price of a recording may be beside its declared delay.
const TAPE_SILENCE: Span = Span::from_seconds(600);

/// Which feeds may deliver which instruments: of each its providers that are switched on and quote it in its own currency, or are
/// allowed to stand in for it by name, in the catalogue's order. One of them is in use at a time: one instrument, one stream (docs/alerts.md, B16.6). Sets what depends
/// on the feed: from which age a price is stale, the declared delay, and the quarantine of polled prices.
pub(crate) fn assign(config: &Config, catalog: &Catalog) -> Assigned {
    let enabled = config.enabled_feeds();
    let count = catalog.instruments().len();
    let mut assigned = Assigned::default();
    for instrument in catalog.instruments() {
        let mut instrument = instrument.clone();
        for (feed, code, most) in [
            (FeedId::Finnhub, finnhub::code(&instrument), finnhub::MOST),
            (FeedId::Twelvedata, twelvedata::code(&instrument), twelvedata::MOST),
        ] {
            let room = assigned.feeds.get(&feed).is_none_or(|taken| taken.len() < most);
            if let Some(code) = code.filter(|_| room && enabled.contains(&feed)) {
                enlist(&mut instrument, feed, code);
            }
        }
        let feeds: Vec<FeedId> = if config.is_simulated() {
            enabled.clone()
        } else {
            let allowed = |p: &ProviderCode| {
                p.feed == FeedId::Binance && config.feeds.binance.stand_in_for.contains(&instrument.symbol)
            };
            let usable =
                |p: &&ProviderCode| enabled.contains(&p.feed) && (quotes_in_its_currency(&instrument, p) || allowed(p));
            instrument.providers.iter().filter(usable).map(|p| p.feed).collect()
        };
        let candidates: Vec<Candidate> =
            feeds.into_iter().map(|feed| candidate(&instrument, feed, config, count)).collect();
        if let Some(first) = candidates.first() {
            first.setup.apply(&mut instrument);
        }
        for candidate in &candidates {
            assigned.feeds.entry(candidate.feed).or_default().push(instrument.symbol);
        }
        assigned.candidates.insert(instrument.symbol, candidates);
        assigned.instruments.push(instrument);
    }
    assigned
}

/// Adds a feed that somebody got a key for: one that streams goes before those of the catalogue, one that is asked now and then
/// behind them. Its code is derived, unless the catalogue names one.
fn enlist(instrument: &mut Instrument, feed: FeedId, code: String) {
    if instrument.code_at(feed).is_none() {
        let place = if feed == FeedId::Finnhub { 0 } else { instrument.providers.len() };
        instrument.providers.insert(place, ProviderCode { feed, code });
    }
}

fn candidate(instrument: &Instrument, feed: FeedId, config: &Config, instruments: usize) -> Candidate {
    let mut set = instrument.clone();
    set_up(&mut set, feed, config, instruments);
    // Yahoo's streamer and Finnhub say nothing of quiet instruments, so that silence of seconds proves nothing.
    let streams = !matches!(feed, FeedId::Coingecko | FeedId::Yahoo | FeedId::Finnhub | FeedId::Twelvedata);
    Candidate { feed, streams, setup: Setup::of(&set) }
}

/// A price in USDT is none in USD (docs/alerts.md, B16.6). Codes end with what they are quoted in: `BTCUSDT`, `BTC/USD`, `BTC-USD`.
fn quotes_in_its_currency(instrument: &Instrument, provider: &ProviderCode) -> bool {
    let currency = instrument.currency.as_str();
    match provider.feed {
        FeedId::Binance => provider.code.ends_with(currency),
        FeedId::Kraken | FeedId::Coinbase | FeedId::Twelvedata => {
            provider.code.rsplit(['/', '-']).next() == Some(currency)
        }
        FeedId::Coingecko | FeedId::Finnhub => currency == "USD",
        // Its answers name the currency, and another one is refused.
        FeedId::Yahoo | FeedId::Simulated | FeedId::Tape => true,
    }
}

/// `stale_after` exceeds the declared delay and three normal intervals (docs/alerts.md, B3).
fn set_up(instrument: &mut Instrument, feed: FeedId, config: &Config, instruments: usize) {
    let polled = |instrument: &mut Instrument, interval: Span| {
        instrument.stale_after = Span::from_micros(instrument.delay.as_micros() + interval.times(4).as_micros())
            .max(Span::from_seconds(180));
        instrument.outlier_pct = Some(OUTLIER_PCT);
        instrument.outlier_window = instrument.outlier_window.max(interval.times(4));
    };
    let streamed = |instrument: &mut Instrument, silence: Span| {
        instrument.delay = Span::ZERO;
        instrument.stale_after = Span::from_seconds(60).max(silence.times(4));
    };
    match feed {
        // Proven alive each second; quiet instruments are repeated every `stale_after` / 2.
        FeedId::Coinbase => streamed(instrument, config.feeds.coinbase.silence),
        FeedId::Kraken => streamed(instrument, config.feeds.kraken.silence),
        // Each instrument each second.
        FeedId::Binance => streamed(instrument, config.feeds.binance.silence),
        // It recomputes a coin about once a minute, however often it is asked.
        FeedId::Coingecko => {
            instrument.delay = Span::ZERO;
            polled(instrument, config.feeds.coingecko.interval.max(Span::from_seconds(75)));
        }
        FeedId::Yahoo => polled(instrument, config.feeds.yahoo.interval.max(YAHOO_INTERVAL)),
        FeedId::Finnhub => {
            instrument.delay = Span::ZERO;
            instrument.stale_after = finnhub::STALE_AFTER;
            // Single trades, reported by anybody: one far away from all others happens.
            instrument.outlier_pct = Some(finnhub::OUTLIER_PCT);
        }
        FeedId::Twelvedata => {
            instrument.delay = Span::ZERO;
            polled(instrument, twelvedata::interval(twelvedata::MOST));
        }
        FeedId::Simulated => {
            instrument.delay = Span::ZERO;
            instrument.stale_after = simulated::stale_after(config.feeds.simulated.rate, instruments);
        }
        // A recording may hold prices of feeds that are polled seldom.
        FeedId::Tape => {
            instrument.stale_after = Span::from_micros(instrument.delay.as_micros() + TAPE_SILENCE.as_micros());
        }
    }
}

/// A feed for these instruments, which delivers once it is supervised.
fn make(id: FeedId, config: &Config, instruments: Vec<Instrument>, context: &Context) -> Feed {
    match id {
        FeedId::Coinbase => Feed::Coinbase(coinbase::Coinbase::new(&config.feeds.coinbase, instruments)),
        FeedId::Kraken => Feed::Kraken(kraken::Kraken::new(&config.feeds.kraken, instruments)),
        FeedId::Binance => {
            Feed::Binance(binance::Binance::new(&config.feeds.binance, instruments, context.providers.binance.clone()))
        }
        FeedId::Coingecko => Feed::Coingecko(coingecko::Coingecko::new(
            &config.feeds.coingecko,
            instruments,
            context.providers.coingecko.clone(),
        )),
        FeedId::Yahoo => {
            let interval = config.feeds.yahoo.interval.max(YAHOO_INTERVAL);
            let provider = context.providers.yahoo.clone();
            let feed = yahoo::Yahoo::new(&config.feeds.yahoo, interval, instruments, provider);
            Feed::Yahoo(Box::new(feed))
        }
        FeedId::Finnhub => Feed::Finnhub(finnhub::Finnhub::new(&config.feeds.finnhub, instruments)),
        FeedId::Twelvedata => {
            Feed::Twelvedata(twelvedata::Twelvedata::new(instruments, context.providers.twelvedata.clone()))
        }
        FeedId::Simulated => Feed::Simulated(Box::new(simulated::Simulated::new(&config.feeds.simulated, instruments))),
        FeedId::Tape => Feed::Tape(tape::Tape::new(&config.feeds.tape, instruments)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_of(assigned: &Assigned, symbol: &str) -> Option<FeedId> {
        feeds_of(assigned, symbol).first().copied()
    }

    fn feeds_of(assigned: &Assigned, symbol: &str) -> Vec<FeedId> {
        let symbol = symbol.parse().expect("a symbol");
        assigned.candidates[&symbol].iter().map(|c| c.feed).collect()
    }

    #[test]
    fn each_instrument_comes_from_the_first_of_its_providers_that_is_on() {
        let catalog = Catalog::builtin();
        let mut config = Config::default();
        let assigned = assign(&config, &catalog);
        assert_eq!(assigned.instruments.len(), 102);
        assert!(assigned.candidates.values().all(|c| !c.is_empty()), "nothing is left without a feed");
        let all = [FeedId::Coinbase, FeedId::Kraken, FeedId::Coingecko, FeedId::Yahoo];
        assert_eq!(feeds_of(&assigned, "BTC"), all);
        assert_eq!(feed_of(&assigned, "BTC"), Some(FeedId::Coinbase));
        assert_eq!(feed_of(&assigned, "TRX"), Some(FeedId::Kraken), "Coinbase does not list it");
        assert_eq!(feed_of(&assigned, "AAPL"), Some(FeedId::Yahoo));

        config.feeds.coinbase.enabled = false;
        assert_eq!(feed_of(&assign(&config, &catalog), "BTC"), Some(FeedId::Kraken));
        config.feeds.kraken.enabled = false;
        assert_eq!(feed_of(&assign(&config, &catalog), "BTC"), Some(FeedId::Coingecko), "Binance has it in USDT only");
        config.feeds.yahoo.enabled = false;
        assert_eq!(feed_of(&assign(&config, &catalog), "AAPL"), None);
        config.feeds.simulated.enabled = true;
        let assigned = assign(&config, &catalog);
        assert_eq!(assigned.feeds.keys().copied().collect::<Vec<_>>(), [FeedId::Simulated]);
        assert_eq!(assigned.feeds[&FeedId::Simulated].len(), 102);
    }

    #[tokio::test(start_paused = true)]
    async fn every_feed_with_something_to_deliver_runs_until_it_is_told_to_stop() {
        let mut desk = test_support::Desk::new();
        let mut config = Config::default();
        config.feeds.simulated.enabled = true;
        let assigned = assign(&config, &Catalog::builtin());
        let (mut feeds, news) = feeds::Feeds::new(&config, desk.context.providers.clone());
        desk.news = news;
        let (clock, metrics) = (desk.context.clock.clone(), desk.context.metrics.clone());
        feeds.start(&config, &assigned, &clock, &metrics);
        let tick = desk.ticks().await.remove(0);
        let instrument = assigned.instruments.iter().find(|i| i.symbol == tick.symbol).expect("assigned");
        assert!(tick.price.is_positive() && instrument.stale_after >= Span::from_seconds(30));
        assert_eq!(feeds.names(), [FeedId::Simulated]);
        // Settings that do not concern it leave it alone, others end it.
        config.feeds.kraken.enabled = false;
        let providers = feeds.providers();
        feeds.settle(&config, &assign(&config, &Catalog::builtin()), providers.clone()).await;
        assert_eq!(feeds.names(), [FeedId::Simulated]);
        config.feeds.simulated.seed = 7;
        feeds.settle(&config, &assign(&config, &Catalog::builtin()), providers).await;
        assert_eq!(feeds.names(), []);
        feeds.start(&config, &assigned, &clock, &metrics);
        feeds.stop().await;
        assert_eq!(feeds.names(), []);
    }

    #[test]
    fn a_price_is_stale_only_after_its_delay_and_three_intervals() {
        let mut config = Config::default();
        config.feeds.yahoo.interval = Span::from_seconds(1);
        let Assigned { instruments, .. } = assign(&config, &Catalog::builtin());
        let find = |symbol: &str| instruments.iter().find(|i| i.symbol.as_str() == symbol).expect(symbol);
        let gold = find("GOLD");
        assert_eq!(gold.delay, Span::from_seconds(600));
        assert!(gold.stale_after > Span::from_seconds(600 + 3 * 30));
        assert!(gold.outlier_pct.is_some(), "a polled price that leaps waits for a second one");
        assert_eq!(find("BTC").stale_after, Span::from_seconds(60));
        assert_eq!(find("BTC").outlier_pct, None);
    }

    #[test]
    fn a_price_in_another_currency_is_no_candidate() {
        let catalog = Catalog::builtin();
        let quotes = |symbol: &str, feed: FeedId| {
            let instrument = catalog.resolve(symbol).expect("in the catalogue");
            let provider = instrument.providers.iter().find(|p| p.feed == feed).expect("listed");
            quotes_in_its_currency(instrument, provider)
        };
        assert!(quotes("BTC", FeedId::Coinbase) && quotes("BTC", FeedId::Kraken) && quotes("BTC", FeedId::Coingecko));
        assert!(!quotes("BTC", FeedId::Binance), "it is quoted in USDT there");
        let mut config = Config::default();
        assert!(!assign(&config, &catalog).feeds.contains_key(&FeedId::Binance));
        config.feeds.binance.stand_in_for = vec!["BTC".parse().expect("a symbol")];
        let assigned = assign(&config, &catalog);
        assert_eq!(assigned.feeds[&FeedId::Binance], config.feeds.binance.stand_in_for, "by name, and no other");
    }

    #[test]
    fn each_feed_is_set_up_for_itself() {
        let assigned = assign(&Config::default(), &Catalog::builtin());
        let of = |feed| assigned.of(feed).into_iter().find(|i| i.symbol.as_str() == "BTC").expect("BTC");
        assert_eq!(of(FeedId::Coinbase).outlier_pct, None);
        assert!(of(FeedId::Coingecko).outlier_pct.is_some());
        assert!(of(FeedId::Yahoo).stale_after > of(FeedId::Coinbase).stale_after);
    }
}
