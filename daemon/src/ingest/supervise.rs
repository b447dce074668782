//! What all feeds have in common: run, fail, wait, run again; and the one way in which they hand over prices.
//!
//! The waits: full jitter from 1 s doubling to 60 s, or half to all of 60 s doubling to 15 min where the provider said no; of
//! minutes to a day where it banned us, and 6 h where it does not serve this place; a `Retry-After` is a minimum. The count starts
//! anew only after a minute of good data (docs/reliability.md, P9 and P10).

use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use bellwether_core::{
    event::{FeedState, FeedStatus},
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    retry::Backoff,
    tick::{Candle, Tick},
    time::{Span, Timestamp},
};
use futures_util::FutureExt;
use rust_decimal::Decimal;
use tokio::{sync::watch, time::Instant};

use super::{
    Context,
    binance::Binance,
    coinbase::Coinbase,
    coingecko::Coingecko,
    desk::{News, Split, What, Whom},
    finnhub::Finnhub,
    kraken::Kraken,
    simulated::Simulated,
    tape::Tape,
    twelvedata::Twelvedata,
    yahoo::Yahoo,
};
pub(super) use crate::provider::{Wait, clean, describe, jittered};
use crate::{clock::Clock, provider};

/// How long data must have been good for the next failure to count as the first.
const PROOF: Duration = Duration::from_mins(1);
/// Any of the feeds.
pub(super) enum Feed {
    Coinbase(Coinbase),
    Kraken(Kraken),
    Binance(Binance),
    Coingecko(Coingecko),
    Yahoo(Box<Yahoo>),
    Finnhub(Finnhub),
    Twelvedata(Twelvedata),
    Simulated(Box<Simulated>),
    Tape(Tape),
    /// A parser with a fault, to show that it ends no more than its own connection.
    #[cfg(test)]
    Faulty,
}

impl Feed {
    /// Delivers until something goes wrong.
    async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        match self {
            Self::Coinbase(feed) => feed.run(link).await,
            Self::Kraken(feed) => feed.run(link).await,
            Self::Binance(feed) => feed.run(link).await,
            Self::Coingecko(feed) => feed.run(link).await,
            Self::Yahoo(feed) => feed.run(link).await,
            Self::Finnhub(feed) => feed.run(link).await,
            Self::Twelvedata(feed) => feed.run(link).await,
            Self::Simulated(feed) => feed.run(link).await,
            Self::Tape(feed) => feed.run(link).await,
            #[cfg(test)]
            Self::Faulty => panic!("index out of bounds"),
        }
    }
}

/// What the supervisor does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Try again soon.
    Retry,
    /// The provider said no: try again much later.
    Wait,
    /// Nothing went wrong at the provider: try again at once.
    Again,
    /// The provider shut this address out for a while: going on would only lengthen it.
    Banned,
    /// The provider does not serve this place at all: look again after some hours, for machines that travel.
    Blocked,
    /// Nobody takes the prices any more: the daemon is stopping.
    End,
}

/// Why a feed stopped delivering, in words without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) text: String,
    pub(super) remedy: Remedy,
    /// The least wait that the provider asked for.
    pub(super) after: Option<Span>,
}

impl Trouble {
    /// The connection, the network or the answer is broken: worth another try.
    pub(super) fn failed(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), remedy: Remedy::Retry, after: None }
    }

    /// The provider does not want us, or not now.
    pub(super) fn refused(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), remedy: Remedy::Wait, after: None }
    }

    /// What an HTTP status means that stands where a stream or an answer should be.
    pub(super) fn of_status(status: http::StatusCode, text: impl AsRef<str>) -> Self {
        match status.as_u16() {
            403 | 418 => Self { remedy: Remedy::Banned, ..Self::refused(text) },
            451 => Self { remedy: Remedy::Blocked, ..Self::refused(text) },
            400..=499 => Self::refused(text),
            _ => Self::failed(text),
        }
    }

    /// Not before so long.
    pub(super) fn after(self, after: Option<Span>) -> Self {
        Self { after, ..self }
    }

    /// Time has jumped: what was connected before is not to be trusted.
    fn jumped() -> Self {
        Self { text: "the machine was asleep, or its clock was set".to_owned(), remedy: Remedy::Again, after: None }
    }

    fn end() -> Self {
        Self { text: String::new(), remedy: Remedy::End, after: None }
    }
}

/// A provider that is asked said no, or nothing: what the supervisor does about it.
impl From<provider::Trouble> for Trouble {
    fn from(trouble: provider::Trouble) -> Self {
        let remedy = match (trouble.kind, trouble.status) {
            // 503 is the provider's own trouble, also where it says when to come back.
            (provider::Kind::Held, Some(503)) | (provider::Kind::Failed | provider::Kind::Busy, _) => Remedy::Retry,
            (provider::Kind::Held | provider::Kind::Refused, _) => Remedy::Wait,
        };
        Self { text: trouble.text, remedy, after: trouble.after }
    }
}

/// A price that may be shown and judged: above zero, unless the instrument may trade there.
pub(super) fn believable(instrument: &Instrument, price: Price) -> bool {
    price.is_positive() || instrument.allow_nonpositive
}

/// A feed's way out: to the desk, which decides what of it goes on; and figures about it.
pub(super) struct Link {
    feed: FeedId,
    instruments: u32,
    context: Context,
    status: Option<FeedStatus>,
    /// When the first price of this connection was handed over.
    good_since: Option<Instant>,
}

impl Link {
    pub(super) fn new(feed: FeedId, instruments: u32, context: Context) -> Self {
        Self { feed, instruments, context, status: None, good_since: None }
    }

    /// The present.
    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// Tells the time to tasks of the feed's own.
    pub(super) fn clock(&self) -> Clock {
        self.context.clock.clone()
    }

    /// Hands over one price.
    pub(super) async fn tick(&mut self, tick: Tick) -> Result<(), Trouble> {
        self.hand_over(What::Tick(tick), 1).await
    }

    /// Hands over one price of a stream, and notes how long after its own time it came.
    pub(super) async fn streamed(&mut self, tick: Tick) -> Result<(), Trouble> {
        if let Some(time) = tick.exchange_time {
            self.answered(tick.received_time.since(time).into());
        }
        self.tick(tick).await
    }

    /// Hands over the prices of one answer.
    pub(super) async fn batch(&mut self, ticks: Vec<Tick>) -> Result<(), Trouble> {
        if ticks.is_empty() {
            return Ok(());
        }
        let count = ticks.len() as u64;
        self.hand_over(What::Batch(ticks), count).await
    }

    /// Hands over closed candles of one instrument, oldest first: a feed that is polled too seldom for its last prices to say
    /// what happened in between (docs/alerts.md, B16.5).
    pub(super) async fn candles(&mut self, symbol: Symbol, candles: Vec<Candle>) -> Result<(), Trouble> {
        if candles.is_empty() {
            return Ok(());
        }
        let count = candles.len() as u64;
        self.hand_over(What::Candles(symbol, candles), count).await
    }

    async fn hand_over(&mut self, what: What, count: u64) -> Result<(), Trouble> {
        self.send(what).await?;
        self.context.metrics.ticks(self.feed, count);
        self.good_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    async fn send(&self, what: What) -> Result<(), Trouble> {
        self.context.news.send(News { feed: self.feed, what }).await.map_err(|_| Trouble::end())
    }

    /// The source has just proved that it lives, without a price: a heartbeat. Without prices and without this, an instrument
    /// of a stream counts as silent after some seconds, and its reserve takes over.
    pub(super) async fn alive(&mut self, whom: Whom) -> Result<(), Trouble> {
        self.send(What::Alive(whom)).await
    }

    /// The feed does not deliver this instrument: refused, delisted, never acknowledged. Its next price says otherwise.
    pub(super) async fn lost(&mut self, symbol: Symbol, why: &str) -> Result<(), Trouble> {
        self.send(What::Lost(symbol, clean(why))).await
    }

    /// The source records a split: `ratio` new units for one old, from `at` on. To be told as often as the source says it.
    pub(super) async fn split(&mut self, symbol: Symbol, ratio: Decimal, at: Timestamp) -> Result<(), Trouble> {
        self.send(What::Split(Split { symbol, ratio, at })).await
    }

    /// Whether the desk wants this of this feed now.
    pub(super) fn wants(&self, symbol: Symbol) -> bool {
        self.context.wanted.borrow().of(self.feed, symbol)
    }

    /// Those that the desk wants of this feed now. A polled feed asks for these and for nothing else.
    pub(super) fn wanted(&self, instruments: &[Instrument]) -> Vec<Instrument> {
        let wanted = self.context.wanted.borrow();
        instruments.iter().filter(|i| wanted.of(self.feed, i.symbol)).cloned().collect()
    }

    /// Waits until what is wanted changes. It may be the same for this feed.
    pub(super) async fn wanted_changed(&mut self) -> Result<(), Trouble> {
        self.context.wanted.changed().await.map_err(|_| Trouble::end())
    }

    /// Waits until something is wanted of this feed that was not before; `asked` is what was wanted last.
    pub(super) async fn wanted_beside(
        &mut self,
        instruments: &[Instrument],
        asked: &[Instrument],
    ) -> Result<(), Trouble> {
        let mut before = asked.to_vec();
        loop {
            self.wanted_changed().await?;
            let wanted = self.wanted(instruments);
            if wanted.iter().any(|i| before.iter().all(|b| b.symbol != i.symbol)) {
                return Ok(());
            }
            before = wanted;
        }
    }

    /// A price was not believed.
    pub(super) fn rejected(&self, reason: &'static str) {
        self.context.metrics.rejected(self.feed, reason);
        tracing::debug!(feed = %self.feed, reason, "a price was not believed");
    }

    /// A request was answered after so long, or a streamed price arrived so long after its own time.
    pub(super) fn answered(&self, elapsed: Duration) {
        self.context.metrics.fetched(self.feed, elapsed.as_secs_f64());
    }

    /// Nothing is wanted of the feed at present.
    pub(super) async fn idle(&mut self) -> Result<(), Trouble> {
        self.tell(FeedState::Off, None, None).await
    }

    /// The feed delivers; `trouble` names what it does not deliver.
    pub(super) async fn live(&mut self, trouble: Option<String>) -> Result<(), Trouble> {
        self.tell(FeedState::Live, None, trouble).await
    }

    /// The connection stands, but the provider's market does not trade.
    pub(super) async fn paused(&mut self, trouble: String) -> Result<(), Trouble> {
        self.tell(FeedState::Paused, None, Some(trouble)).await
    }

    async fn connecting(&mut self) -> Result<(), Trouble> {
        self.good_since = None;
        let trouble = self.status.as_ref().and_then(|s| s.trouble.clone());
        self.tell(FeedState::Connecting, None, trouble).await
    }

    /// Tells everybody, if anything has changed; `wait` is how long it takes until the next attempt.
    async fn tell(&mut self, state: FeedState, wait: Option<Span>, trouble: Option<String>) -> Result<(), Trouble> {
        let now = self.now();
        let since = match &self.status {
            Some(s) if s.state == state && wait.is_none() && s.trouble == trouble => return Ok(()),
            Some(s) if s.state == state => s.since,
            _ => now,
        };
        let next_attempt = wait.map(|wait| now.plus(wait));
        let (feed, instruments) = (self.feed, self.instruments);
        let status = FeedStatus { feed, state, instruments, since, next_attempt, trouble };
        self.status = Some(status.clone());
        self.send(What::Status(status)).await
    }

    fn was_good(&self) -> bool {
        self.good_since.is_some_and(|since| since.elapsed() >= PROOF)
    }
}

/// Runs a feed for ever: after each failure it waits and begins again. Ends when it is told to stop.
pub(super) async fn supervise(mut feed: Feed, mut link: Link, wait: Wait) -> anyhow::Result<()> {
    let stop = link.context.stop.clone();
    // Not `?` inside: only the daemon's stop ends a feed, and then without an error.
    let ended = tokio::select! {
        () = stop.cancelled() => Trouble::end(),
        Err(trouble) = keep_running(&mut feed, &mut link, wait) => trouble,
    };
    if let Some(status) = link.status.take().filter(|_| ended.remedy == Remedy::End) {
        // Nobody may be listening any more, and nobody needs to.
        let off = FeedStatus { state: FeedState::Off, since: link.now(), next_attempt: None, trouble: None, ..status };
        link.context.news.try_send(News { feed: off.feed, what: What::Status(off) }).ok();
    }
    Ok(())
}

async fn keep_running(feed: &mut Feed, link: &mut Link, wait: Wait) -> Result<Infallible, Trouble> {
    let mut failures = 0;
    let mut jumps = link.context.jumps.clone();
    jumps.mark_unchanged();
    loop {
        link.connecting().await?;
        let trouble = tokio::select! {
            ended = AssertUnwindSafe(feed.run(link)).catch_unwind() => match ended {
                Ok(Err(trouble)) => trouble,
                // A fault in a parser costs its connection, not the daemon.
                Err(panic) => Trouble::failed(format!("a fault in this program: {}", panic_text(panic.as_ref()))),
            },
            Ok(()) = jumps.changed() => Trouble::jumped(),
        };
        if trouble.remedy == Remedy::End {
            return Err(trouble);
        }
        failures = match trouble.remedy {
            Remedy::Again => failures,
            _ if link.was_good() => 1,
            _ => failures + 1,
        };
        let (state, backoff) = match trouble.remedy {
            Remedy::Wait => (FeedState::Refused, Backoff::POLITE),
            Remedy::Banned => (FeedState::Banned, Backoff::BANNED),
            Remedy::Blocked => (FeedState::Blocked, Backoff::PLACE),
            Remedy::Retry | Remedy::Again | Remedy::End => (FeedState::BackingOff, Backoff::FEED),
        };
        let delay = if trouble.remedy == Remedy::Again { Span::ZERO } else { wait(backoff, failures) };
        let delay = delay.max(trouble.after.unwrap_or(Span::ZERO));
        tracing::warn!(feed = %link.feed, failures, wait = %Span::from_millis(delay.as_millis()), trouble = %trouble.text, "a feed failed");
        link.tell(state, Some(delay), Some(trouble.text)).await?;
        sleep(delay, link, &mut jumps).await;
        link.context.metrics.reconnected(link.feed);
    }
}

/// Waits so long by the wall clock: timers stand still while the machine is asleep, and no wait may become longer by that.
async fn sleep(delay: Span, link: &Link, jumps: &mut watch::Receiver<u64>) {
    let until = link.now().plus(delay);
    let timer = tokio::time::sleep(delay.into());
    tokio::pin!(timer);
    loop {
        tokio::select! {
            () = &mut timer => return,
            Ok(()) = jumps.changed() => {
                if link.now() >= until {
                    return;
                }
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, ingest::test_support::Desk};

    #[tokio::test(start_paused = true)]
    async fn a_fault_in_a_parser_ends_the_connection_and_the_feed_tries_again() {
        let mut desk = Desk::new();
        let task = desk.run(Feed::Faulty, FeedId::Yahoo, jittered);
        let status = desk.status(FeedState::BackingOff).await;
        assert!(status.trouble.expect("a reason").contains("index out of bounds"));
        desk.status(FeedState::Connecting).await;
        desk.status(FeedState::BackingOff).await;
        desk.stop();
        task.await.expect("the task did not panic").expect("stopped without an error");
    }

    #[tokio::test]
    async fn a_connection_from_before_a_suspend_is_dropped_and_opened_anew() {
        let mut desk = Desk::new();
        let config = bellwether_core::config::Simulated::default();
        let feed = Simulated::new(&config, crate::ingest::test_support::instruments(&["BTC"]));
        // No wait but the one after a jump.
        desk.run(Feed::Simulated(Box::new(feed)), FeedId::Simulated, |_, _| Span::from_seconds(3_600));
        desk.status(FeedState::Live).await;
        desk.jumps.send_modify(|count| *count += 1);
        let status = desk.status(FeedState::BackingOff).await;
        assert_eq!(status.trouble.as_deref(), Some("the machine was asleep, or its clock was set"));
        desk.status(FeedState::Live).await;
        desk.stop();
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_becomes_longer_by_a_suspend() {
        let mut desk = Desk::new();
        let clock = Clock::by_hand(Timestamp::from_seconds(1_795_300_000));
        desk.context.clock = clock.clone();
        desk.run(Feed::Faulty, FeedId::Yahoo, |_, _| Span::from_seconds(900));
        desk.status(FeedState::BackingOff).await;
        // Eight hours of sleep, in which no timer moved.
        clock.advance(Span::from_seconds(8 * 3_600));
        let before = Instant::now();
        desk.jumps.send_modify(|count| *count += 1);
        desk.status(FeedState::Connecting).await;
        assert!(before.elapsed() < Duration::from_secs(1), "the wait was over long ago");
        desk.stop();
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_minute_of_good_data_forgives_earlier_failures() {
        let desk = Desk::new();
        let mut link = Link::new(FeedId::Yahoo, 1, desk.context.clone());
        assert!(!link.was_good());
        let tick =
            Tick::new("BTC".parse().expect("a symbol"), "1".parse().expect("a price"), FeedId::Yahoo, link.now());
        assert!(link.tick(tick).await.is_ok());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!link.was_good());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(link.was_good());
        link.connecting().await.expect("somebody listens");
        assert!(!link.was_good(), "a new connection has to prove itself");
    }
}
