//! The feeds that run, over reloads: those that new settings do not concern keep their connections, and what they say meanwhile waits
//! (docs/reliability.md, P19).

use std::collections::BTreeMap;

use bellwether_core::{
    config::{self, Config},
    instrument::{FeedId, Instrument},
};
use futures_util::future;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Assigned, Context, desk,
    desk::{News, NewsSender, Wanted},
    make,
    supervise::{Link, jittered, supervise},
};
use crate::{clock::Clock, metrics::Metrics, provider::Providers};

/// A feed that runs.
#[derive(Debug)]
struct Running {
    /// What it was made of.
    instruments: Vec<Instrument>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// All feeds.
#[derive(Debug)]
pub(crate) struct Feeds {
    running: BTreeMap<FeedId, Running>,
    /// The settings that they run under.
    settings: config::Feeds,
    providers: Providers,
    news: NewsSender,
    wanted: watch::Sender<Wanted>,
    jumps: watch::Sender<u64>,
}

impl Feeds {
    /// None yet; and where the news of those to come is read. Full: the feed waits, TCP pushes back.
    pub(crate) fn new(config: &Config, providers: Providers) -> (Self, mpsc::Receiver<News>) {
        let (news, receiver) = mpsc::channel(desk::NEWS);
        let (wanted, jumps) = (watch::channel(Wanted::default()).0, watch::channel(0).0);
        let settings = config.feeds.clone();
        (Self { running: BTreeMap::new(), settings, providers, news, wanted, jumps }, receiver)
    }

    /// Whether they run under these settings already.
    pub(crate) fn are_under(&self, config: &Config) -> bool {
        self.settings == config.feeds
    }

    /// Where it is told what is wanted of the polled ones.
    pub(crate) fn wanted(&self) -> watch::Sender<Wanted> {
        self.wanted.clone()
    }

    /// Where the jumps of time are counted.
    pub(crate) fn jumps(&self) -> watch::Sender<u64> {
        self.jumps.clone()
    }

    /// Whom the polled ones ask.
    pub(crate) fn providers(&self) -> Providers {
        self.providers.clone()
    }

    /// Ends those that these settings concern, which is what must be done before [`start`](Self::start) under them. Providers whose
    /// settings are as they were keep what they have of their budget.
    pub(crate) async fn settle(&mut self, config: &Config, assigned: &Assigned, providers: Providers) {
        let old = std::mem::replace(&mut self.settings, config.feeds.clone());
        let mut ended = Vec::new();
        for (id, feed) in std::mem::take(&mut self.running) {
            let kept = is_the_same(id, &old, &config.feeds)
                && assigned.feeds.contains_key(&id)
                && assigned.of(id) == feed.instruments;
            if kept {
                self.running.insert(id, feed);
            } else {
                feed.stop.cancel();
                ended.push(feed.task);
            }
        }
        for task in ended {
            drop(task.await);
        }
        self.providers.follow(providers, |feed| !is_the_same(feed, &old, &config.feeds));
    }

    /// Starts those with something to deliver that do not run yet.
    pub(crate) fn start(&mut self, config: &Config, assigned: &Assigned, clock: &Clock, metrics: &Metrics) {
        for &id in assigned.feeds.keys() {
            if self.running.contains_key(&id) {
                continue;
            }
            let stop = CancellationToken::new();
            let context = Context {
                news: self.news.clone(),
                wanted: self.wanted.subscribe(),
                jumps: self.jumps.subscribe(),
                providers: self.providers.clone(),
                clock: clock.clone(),
                metrics: metrics.clone(),
                stop: stop.clone(),
            };
            let instruments = assigned.of(id);
            let count = u32::try_from(instruments.len()).unwrap_or(u32::MAX);
            let feed = make(id, config, instruments.clone(), &context);
            let task = tokio::spawn(supervise(feed, Link::new(id, count, context), jittered));
            self.running.insert(id, Running { instruments, stop, task });
        }
    }

    /// Those that run.
    pub(crate) fn names(&self) -> Vec<FeedId> {
        self.running.keys().copied().collect()
    }

    /// Waits until one ends although nobody asked it to.
    pub(crate) async fn ended(&mut self) -> (FeedId, anyhow::Error) {
        if self.running.is_empty() {
            return future::pending().await;
        }
        let tasks = self.running.iter_mut().map(|(id, feed)| {
            let id = *id;
            Box::pin(async move { (id, (&mut feed.task).await) })
        });
        let ((id, ended), ..) = future::select_all(tasks).await;
        self.running.remove(&id);
        let error = match ended {
            Ok(Ok(())) => anyhow::anyhow!("{id} ended although nobody asked it to"),
            Ok(Err(error)) => error.context(format!("{id} failed")),
            Err(error) => anyhow::anyhow!("a part of the daemon broke: {error}; please report this"),
        };
        (id, error)
    }

    /// Ends all of them.
    pub(crate) async fn stop(&mut self) {
        for feed in self.running.values() {
            feed.stop.cancel();
        }
        for (_, feed) in std::mem::take(&mut self.running) {
            drop(feed.task.await);
        }
    }
}

impl Drop for Feeds {
    /// Nobody takes their prices any more.
    fn drop(&mut self) {
        for feed in self.running.values() {
            feed.stop.cancel();
        }
    }
}

/// Whether the settings of a feed are the same in both.
fn is_the_same(id: FeedId, a: &config::Feeds, b: &config::Feeds) -> bool {
    match id {
        FeedId::Coinbase => a.coinbase == b.coinbase,
        FeedId::Kraken => a.kraken == b.kraken,
        FeedId::Binance => a.binance == b.binance,
        FeedId::Coingecko => a.coingecko == b.coingecko,
        FeedId::Yahoo => a.yahoo == b.yahoo,
        FeedId::Finnhub => a.finnhub == b.finnhub,
        FeedId::Twelvedata => a.twelvedata == b.twelvedata,
        FeedId::Simulated => a.simulated == b.simulated,
        FeedId::Tape => a.tape == b.tape,
    }
}
