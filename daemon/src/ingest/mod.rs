//! Role 1: where prices come from. One task for each feed that has something to deliver.
//!
//! ```text
//!  binance/     (WebSocket)   ┐
//!  coinbase/    (WebSocket)   │
//!  kraken/      (WebSocket)   │
//!  coingecko.rs (polled)      ├─ parse ─▶ Link ─▶ news ─▶ desk/ ─▶ observations ─▶ evaluate
//!  yahoo/       (both ways)   │                             └───▶ events (FeedStatus) ─▶ hub
//!  simulated.rs (no network)  ┘
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
mod kraken;
mod scan;
pub(crate) mod simulated;
mod socket;
mod supervise;
#[cfg(test)]
mod test_support;
mod wire;
mod yahoo;

use std::{collections::BTreeMap, sync::Arc};

use bellwether_core::{
    catalog::Catalog,
    config::Config,
    instrument::{FeedId, Instrument, ProviderCode, Symbol},
    time::Span,
};
use rust_decimal::Decimal;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, metrics::Metrics, provider::Providers};
use desk::{NewsSender, Wanted};
use supervise::{Feed, Link, jittered, supervise};

/// What every feed is given. All of it is shared; a clone is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// All instruments.
    pub catalog: Arc<Catalog>,
    /// Where the feeds tell what they see and how they are doing. Full: the feed waits.
    pub news: NewsSender,
    /// What is wanted of feeds that are to be asked for no more than that.
    pub wanted: watch::Receiver<Wanted>,
    /// Whom the polled feeds ask.
    pub providers: Providers,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what came and what was not believed.
    pub metrics: Metrics,
    /// Ends all feeds.
    pub stop: CancellationToken,
}

/// All instruments, each set up for the feed that delivers it, and which feed delivers which.
pub(crate) type Assigned = (Vec<Instrument>, BTreeMap<FeedId, Vec<Symbol>>);

/// The shortest interval at which Yahoo is polled: it blocks clients that hurry.
const YAHOO_INTERVAL: Span = Span::from_seconds(30);
/// A step of a polled price beyond this many per cent waits for a second price that agrees.
const OUTLIER_PCT: Decimal = Decimal::from_parts(20, 0, 0, false, 0);

/// Which feed delivers which instruments: for each the first of its providers that is switched on, and no other: one
/// instrument, one stream (docs/alerts.md, B16.6). Sets what depends on that feed: from which age a price is stale, the
/// declared delay, and the quarantine of polled prices.
pub(crate) fn assign(config: &Config, catalog: &Catalog) -> Assigned {
    let enabled = config.enabled_feeds();
    let mut feeds: BTreeMap<FeedId, Vec<Symbol>> = BTreeMap::new();
    let instruments = catalog.instruments().iter().cloned().map(|mut instrument| {
        let feed = if enabled.contains(&FeedId::Simulated) {
            Some(FeedId::Simulated)
        } else {
            let usable = |p: &&ProviderCode| enabled.contains(&p.feed) && quotes_in_its_currency(&instrument, p);
            instrument.providers.iter().find(usable).map(|p| p.feed)
        };
        if let Some(feed) = feed {
            set_up(&mut instrument, feed, config, catalog.instruments().len());
            feeds.entry(feed).or_default().push(instrument.symbol);
        }
        instrument
    });
    (instruments.collect(), feeds)
}

/// Binance quotes in USDT, and a price in USDT is none in USD (docs/alerts.md, B16.6). Its codes end with what they are quoted in.
fn quotes_in_its_currency(instrument: &Instrument, provider: &ProviderCode) -> bool {
    provider.feed != FeedId::Binance || provider.code.ends_with(&instrument.currency)
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
        FeedId::Simulated => {
            instrument.delay = Span::ZERO;
            instrument.stale_after = simulated::stale_after(config.feeds.simulated.rate, instruments);
        }
        FeedId::Tape => {}
    }
}

/// Starts one task for each feed with something to deliver. They end when `context.stop` is cancelled, or when nobody takes
/// their prices any more; whatever else happens, they try again.
pub(crate) fn start(
    config: &Config,
    assigned: &Assigned,
    context: &Context,
    tasks: &mut JoinSet<(&'static str, anyhow::Result<()>)>,
) {
    let (all, feeds) = assigned;
    for (&id, symbols) in feeds {
        let instruments: Vec<Instrument> = symbols
            .iter()
            .filter_map(|symbol| all.iter().find(|i| i.symbol == *symbol).or_else(|| context.catalog.get(*symbol)))
            .cloned()
            .collect();
        let count = u32::try_from(instruments.len()).unwrap_or(u32::MAX);
        let feed = match id {
            FeedId::Coinbase => Feed::Coinbase(coinbase::Coinbase::new(&config.feeds.coinbase, instruments)),
            FeedId::Kraken => Feed::Kraken(kraken::Kraken::new(&config.feeds.kraken, instruments)),
            FeedId::Binance => Feed::Binance(binance::Binance::new(
                &config.feeds.binance,
                instruments,
                context.providers.binance.clone(),
            )),
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
            FeedId::Simulated => {
                Feed::Simulated(Box::new(simulated::Simulated::new(&config.feeds.simulated, instruments)))
            }
            FeedId::Tape => continue,
        };
        let link = Link::new(id, count, context.clone());
        tasks.spawn(async move { (id.as_str(), supervise(feed, link, jittered).await) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_of(assigned: &Assigned, symbol: &str) -> Option<FeedId> {
        let symbol = symbol.parse().expect("a symbol");
        assigned.1.iter().find(|(_, symbols)| symbols.contains(&symbol)).map(|(feed, _)| *feed)
    }

    #[test]
    fn each_instrument_comes_from_the_first_of_its_providers_that_is_on() {
        let catalog = Catalog::builtin();
        let mut config = Config::default();
        let assigned = assign(&config, &catalog);
        assert_eq!(assigned.0.len(), 102);
        assert_eq!(assigned.1.values().map(Vec::len).sum::<usize>(), 102, "nothing is left without a feed");
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
        assert_eq!(assigned.1.keys().copied().collect::<Vec<_>>(), [FeedId::Simulated]);
        assert_eq!(assigned.1[&FeedId::Simulated].len(), 102);
    }

    #[tokio::test(start_paused = true)]
    async fn every_feed_with_something_to_deliver_runs_until_it_is_told_to_stop() {
        let mut desk = test_support::Desk::new();
        let mut config = Config::default();
        config.feeds.simulated.enabled = true;
        let assigned = assign(&config, &desk.context.catalog);
        let mut tasks = JoinSet::new();
        start(&config, &assigned, &desk.context, &mut tasks);
        let tick = desk.ticks().await.remove(0);
        let instrument = assigned.0.iter().find(|i| i.symbol == tick.symbol).expect("assigned");
        assert!(tick.price.is_positive() && instrument.stale_after >= Span::from_seconds(30));
        desk.stop();
        let (name, ended) = tasks.join_next().await.expect("one task").expect("no panic");
        assert_eq!(name, "simulated");
        ended.expect("a stop is no error");
        assert!(tasks.is_empty());
    }

    #[test]
    fn a_price_is_stale_only_after_its_delay_and_three_intervals() {
        let mut config = Config::default();
        config.feeds.yahoo.interval = Span::from_seconds(1);
        let (instruments, _) = assign(&config, &Catalog::builtin());
        let find = |symbol: &str| instruments.iter().find(|i| i.symbol.as_str() == symbol).expect(symbol);
        let gold = find("GOLD");
        assert_eq!(gold.delay, Span::from_seconds(600));
        assert!(gold.stale_after > Span::from_seconds(600 + 3 * 30));
        assert!(gold.outlier_pct.is_some(), "a polled price that leaps waits for a second one");
        assert_eq!(find("BTC").stale_after, Span::from_seconds(60));
        assert_eq!(find("BTC").outlier_pct, None);
    }
}
