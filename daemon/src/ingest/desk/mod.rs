//! The desk: the one task between the feeds and the evaluator. It decides which feed is in use for each instrument, holds what
//! cannot be believed yet, and has what was missed fetched before the first live price.
//!
//! ```text
//!            news                    ┌ route.rs   which feed is in use
//!  feeds ──────────▶ mod.rs ──▶ book.rs ┤ doubt.rs   what is held until it is explained
//!                    │  ▲            └ gap.rs     what was missed, and the prices that wait for it
//!      observations ◀┘  └── candles of gaps
//! ```
//!
//! Everything but this file is pure: told the time, tested by tables and by a property over any schedule of faults.

mod book;
mod dead;
mod doubt;
mod gap;
mod news;
mod offset;
mod route;

use std::{sync::Arc, time::Duration};

use bellwether_core::{
    evaluator,
    event::{Event, FeedStatus},
    instrument::{Instrument, Symbol},
    tick::{Candle, Tick},
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    links::{Events, Notices, Observations},
    metrics::Metrics,
    pulse::Beat,
};
pub(crate) use book::Watched;
use book::{Book, Out};
use doubt::Last;
pub(crate) use news::{NEWS, News, NewsSender, Split, Wanted, What, Whom};
pub(crate) use route::Candidate;

/// How often is looked whether time alone has changed something.
const BEAT: Duration = Duration::from_millis(250);
/// How many beats pass between two looks for dead feeds.
const MOURN: u32 = 20;
/// How much news is taken at a time.
const MANY: usize = 64;
/// A source time further ahead than this is a wrong clock (docs/alerts.md, B3.2).
const AHEAD: Span = Span::from_seconds(60);

/// The time by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Now {
    /// The present.
    wall: Timestamp,
    /// What measures how long something has lasted: it stands still in a suspend, and no setting of the clock moves it.
    steady: Timestamp,
}

/// The time of a price as the evaluator will see it.
fn time_of(tick: &Tick) -> Timestamp {
    tick.exchange_time.filter(|time| *time <= tick.received_time.plus(AHEAD)).unwrap_or(tick.received_time)
}

/// Fetches the finest candles there are of an instrument between two times.
pub(crate) type FetchGap =
    Arc<dyn Fn(Symbol, Timestamp, Timestamp) -> BoxFuture<'static, Result<Vec<Candle>, String>> + Send + Sync>;

/// What the desk works with.
pub(crate) struct Deps {
    /// Where observations go.
    pub(crate) observations: Observations,
    /// Where it is told how the feeds are doing.
    pub(crate) events: Events,
    /// What is wanted of the polled feeds.
    pub(crate) wanted: watch::Sender<Wanted>,
    /// On which instruments alerts stand.
    pub(crate) watched: watch::Receiver<Watched>,
    /// Tells the owner of trouble.
    pub(crate) notices: Notices,
    /// Fetches what was missed.
    pub(crate) fetch_gap: FetchGap,
    /// The time.
    pub(crate) clock: Clock,
    /// Told when the system's clock was set back to the time of the sources, which [`Self::clock`] is ahead of.
    pub(crate) behind: Arc<Notify>,
    /// The figures.
    pub(crate) metrics: Metrics,
    /// Tells it to end.
    pub(crate) stop: CancellationToken,
    /// Shows that it turns.
    pub(crate) beat: Beat,
}

/// What a desk leaves to the one after it.
#[derive(Debug)]
pub(crate) struct Left {
    /// What the feeds say, which nobody reads meanwhile.
    pub(crate) news: mpsc::Receiver<News>,
    /// What they said of themselves last.
    pub(crate) said: Vec<FeedStatus>,
}

/// Works until it is told to stop, or nobody takes prices any more. What the feeds had said by then has gone on. The feeds may go on:
/// their news is for the next desk, which is given what they `said` of themselves.
pub(crate) async fn run(
    instruments: Vec<(Instrument, Vec<Candidate>)>,
    known: Vec<(Symbol, evaluator::Observation)>,
    Left { mut news, said }: Left,
    deps: Deps,
) -> Left {
    let (started, begun) = (deps.clock.now(), Instant::now());
    let now = || Now { wall: deps.clock.now(), steady: started.plus(begun.elapsed().into()) };
    let known = known.into_iter().map(|(symbol, o)| (symbol, Last { ts: o.ts, price: o.price, session: o.session }));
    let mut book = Book::new(instruments, known, now());
    book.watch(deps.watched.borrow().clone());
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = 0_u32;
    // Bounded by the number of instruments: each has at most one gap.
    let mut fetching = JoinSet::new();
    let (mut some, mut out) = (Vec::with_capacity(MANY), Vec::new());
    for status in said {
        book.news(News { feed: status.feed, what: What::Status(status) }, now(), &mut out);
    }
    loop {
        deps.beat.turn();
        tokio::select! {
            () = deps.stop.cancelled() => break,
            count = news.recv_many(&mut some, MANY) => {
                if count == 0 {
                    deps.stop.cancelled().await;
                    break;
                }
                let now = now();
                for news in some.drain(..) {
                    book.news(news, now, &mut out);
                }
            }
            _ = beat.tick() => {
                let now = now();
                beats = beats.wrapping_add(1);
                book.watch(deps.watched.borrow().clone());
                book.beat(now, &mut out);
                if beats.is_multiple_of(MOURN) {
                    book.mourn(now, &mut out);
                    if book.sources_are_behind_by(deps.clock.lead()) {
                        deps.clock.trust_the_system();
                        deps.behind.notify_one();
                    }
                }
                let wanted = book.wanted(now);
                deps.wanted.send_if_modified(|old| *old != wanted && { *old = wanted; true });
            }
            Some(fetched) = fetching.join_next() => match fetched {
                Ok((symbol, answer)) => book.fetched(symbol, answer, now(), &mut out),
                // Its prices are released when their patience is over.
                Err(error) => tracing::error!("what was missed could not be fetched: {error}"),
            },
        }
        for out in out.drain(..) {
            if !act(out, &deps, &mut fetching).await {
                return Left { news, said: book.said() };
            }
        }
    }
    for _ in 0..news.len() {
        if let Ok(news) = news.try_recv() {
            book.news(news, now(), &mut out);
        }
    }
    book.close(&mut out);
    for out in out {
        if !act(out, &deps, &mut fetching).await {
            break;
        }
    }
    Left { news, said: book.said() }
}

type Fetched = (Symbol, Result<Vec<Candle>, String>);

/// Does it; false where nobody takes it any more.
async fn act(out: Out, deps: &Deps, fetching: &mut JoinSet<Fetched>) -> bool {
    match out {
        Out::Observe(observation) => return deps.observations.send(observation).await.is_ok(),
        Out::Status(status) => return deps.events.send(Event::Feed(status)).await.is_ok(),
        Out::Fetch { symbol, from, to } => {
            let fetch = (deps.fetch_gap)(symbol, from, to);
            fetching.spawn(async move { (symbol, fetch.await) });
        }
        Out::Rejected(feed, reason) => deps.metrics.rejected(feed, reason),
        Out::Switched { symbol, from, to, why } => {
            deps.metrics.switched(from, to);
            tracing::info!(%symbol, %from, %to, "another feed has taken over: {}", why.as_str());
        }
        Out::Note(text) => tracing::warn!("{text}"),
        Out::Notice(notice) => (deps.notices)(notice),
    }
    true
}

#[cfg(test)]
mod figures;
#[cfg(test)]
mod tests;
