//! The task that owns the picture clients see. It takes every role's events, and publishes them to the sessions.
//!
//! Prices are conflated: of each symbol the newest goes out, at most ten times a second. Everything else goes out at once. Who wants
//! every price has a channel for that. A subscription and the snapshot it continues are given in one answer, so that nothing falls
//! between them.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bellwether_core::{
    alert::{AlertId, UserId},
    board::{Board, Snapshot},
    event::{AlertRow, Event, FeedStatus, Ticker},
    instrument::Symbol,
    protocol::ServerFrame,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::Instant,
};

use super::error::ApiError;

/// Hub to sessions. Full: the oldest are skipped, and that session sends a fresh snapshot.
const BROADCAST: usize = 256;
/// Questions to the hub. Full: the asker waits.
const QUESTIONS: usize = 64;
/// How far apart the prices of one symbol go out.
const PRICE_INTERVAL: Duration = Duration::from_millis(100);

/// An event on its way to the sessions.
#[derive(Debug)]
pub(crate) struct Published {
    /// What happened.
    pub(crate) event: Event,
    /// Its frame before and behind the session's number.
    text: OnceLock<(String, String)>,
}

impl Published {
    /// Of this event.
    pub(crate) fn of(event: Event) -> Arc<Self> {
        Arc::new(Self { event, text: OnceLock::new() })
    }

    /// The event's frame under a session's number: written once for all sessions, which differ in the number only.
    pub(crate) fn numbered(&self, seq: u64) -> String {
        let (head, tail) = self.text.get_or_init(|| {
            let frame = ServerFrame::from_event(0, self.event.clone());
            let text = serde_json::to_string(&frame).expect("frames hold text, numbers and lists alone");
            let (head, tail) = text.split_once("\"seq\":0").expect("the frame of an event has its number first");
            (format!("{head}\"seq\":"), tail.to_owned())
        });
        [head, seq.to_string().as_str(), tail].concat()
    }
}

/// What the sessions are told at once: an event, or the prices of a tenth of a second. So each is woken once for them.
pub(crate) type Beat = Arc<[Arc<Published>]>;

/// What follows a snapshot.
#[derive(Debug)]
pub(crate) struct Changes {
    all: broadcast::Receiver<Beat>,
    /// Every price as it comes, in place of those in `all`.
    ticks: Option<broadcast::Receiver<Beat>>,
}

impl Changes {
    /// The next ones. With every price, these and the rest keep their own order each.
    ///
    /// # Errors
    /// When some were missed, or the hub has ended.
    pub(crate) async fn recv(&mut self) -> Result<Beat, broadcast::error::RecvError> {
        let Some(ticks) = &mut self.ticks else { return self.all.recv().await };
        loop {
            let next = tokio::select! {
                tick = ticks.recv() => return tick,
                next = self.all.recv() => next?,
            };
            // A beat holds prices alone or none.
            if !next.iter().all(|one| matches!(one.event, Event::Price(_))) {
                return Ok(next);
            }
        }
    }
}

/// A snapshot and what follows it.
pub(crate) type Subscription = (Snapshot, Changes);

enum Question {
    /// With every price, or with the newest ten times a second.
    Subscribe(bool, oneshot::Sender<Subscription>),
    Snapshot(oneshot::Sender<Snapshot>),
    Ticker(Symbol, oneshot::Sender<Option<Ticker>>),
    Prices(oneshot::Sender<Vec<Ticker>>),
    Alert(AlertId, oneshot::Sender<Option<AlertRow>>),
    AlertsOf(UserId, oneshot::Sender<Vec<AlertRow>>),
    Feeds(oneshot::Sender<Vec<FeedStatus>>),
}

/// How to ask the hub; cheap to clone. The task ends when all senders of events are gone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    questions: mpsc::Sender<Question>,
}

impl Hub {
    /// Starts the task with the picture as it was left, and gives its handle for waiting too.
    pub(crate) fn start(before: Snapshot, events: mpsc::Receiver<Event>) -> (Self, tokio::task::JoinHandle<()>) {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let task = Task {
            board: Board::from_snapshot(before),
            pending: BTreeSet::new(),
            flushed: None,
            sessions: broadcast::Sender::new(BROADCAST),
            ticks: broadcast::Sender::new(BROADCAST),
        };
        (Self { questions }, tokio::spawn(task.run(events, asked)))
    }

    /// The picture now, and every change of it from here on; of the prices every one, or the newest ten times a second.
    pub(crate) async fn subscribe(&self, every_price: bool) -> Result<Subscription, ApiError> {
        self.ask(|answer| Question::Subscribe(every_price, answer)).await
    }

    /// The picture now.
    pub(crate) async fn board_snapshot(&self) -> Result<Snapshot, ApiError> {
        self.ask(Question::Snapshot).await
    }

    /// The price row of an instrument.
    pub(crate) async fn ticker(&self, symbol: Symbol) -> Result<Option<Ticker>, ApiError> {
        self.ask(|answer| Question::Ticker(symbol, answer)).await
    }

    /// All price rows, by symbol.
    pub(crate) async fn prices(&self) -> Result<Vec<Ticker>, ApiError> {
        self.ask(Question::Prices).await
    }

    /// An alert and what it is doing, whosever it is.
    pub(crate) async fn alert_row(&self, id: AlertId) -> Result<Option<AlertRow>, ApiError> {
        self.ask(|answer| Question::Alert(id, answer)).await
    }

    /// Somebody's alerts and what they are doing, by number.
    pub(crate) async fn alerts_of(&self, owner: UserId) -> Result<Vec<AlertRow>, ApiError> {
        self.ask(|answer| Question::AlertsOf(owner, answer)).await
    }

    /// How the feeds are doing.
    pub(crate) async fn feeds(&self) -> Result<Vec<FeedStatus>, ApiError> {
        self.ask(Question::Feeds).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, ApiError> {
        let stopping = |()| ApiError::Unavailable("The daemon is stopping.".to_owned());
        let (answer, answered) = oneshot::channel();
        self.questions.send(question(answer)).await.map_err(|_| stopping(()))?;
        answered.await.map_err(|_| stopping(()))
    }
}

struct Task {
    board: Board,
    /// Symbols whose newest price has not gone out.
    pending: BTreeSet<Symbol>,
    flushed: Option<Instant>,
    sessions: broadcast::Sender<Beat>,
    /// Prices alone, each.
    ticks: broadcast::Sender<Beat>,
}

impl Task {
    async fn run(mut self, mut events: mpsc::Receiver<Event>, mut questions: mpsc::Receiver<Question>) {
        loop {
            let due = self.flushed.map_or_else(Instant::now, |last| last + PRICE_INTERVAL);
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        self.take(event);
                        self.drain(&mut events);
                    }
                    None => break,
                },
                Some(question) = questions.recv() => {
                    // What a role told before it was asked about must be part of the answer.
                    self.drain(&mut events);
                    self.answer(question);
                }
                () = tokio::time::sleep_until(due), if !self.pending.is_empty() => self.flush(),
            }
        }
        self.flush();
    }

    /// Takes what waits, but no more than one channel full, so that questions are not starved.
    fn drain(&mut self, events: &mut mpsc::Receiver<Event>) {
        for _ in 0..events.max_capacity() {
            match events.try_recv() {
                Ok(event) => self.take(event),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, event: Event) {
        match &event {
            Event::Price(ticker) => {
                let symbol = ticker.symbol;
                self.pending.insert(symbol);
                self.board.publish(event);
                // As the board has it: with what earlier prices said of the day.
                if self.ticks.receiver_count() > 0
                    && let Some(ticker) = self.board.ticker(symbol)
                {
                    drop(self.ticks.send([Published::of(Event::Price(ticker.clone()))].into()));
                }
                return;
            }
            // The price that did it comes before what it did.
            Event::Fired(firing) if self.pending.remove(&firing.symbol) => self.send_prices([firing.symbol]),
            _ => {}
        }
        self.board.publish(event.clone());
        self.send([event]);
    }

    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.send_prices(pending);
        self.flushed = Some(Instant::now());
    }

    fn send_prices(&self, symbols: impl IntoIterator<Item = Symbol>) {
        let tickers = symbols.into_iter().filter_map(|symbol| self.board.ticker(symbol));
        self.send(tickers.map(|ticker| Event::Price(ticker.clone())));
    }

    fn send(&self, events: impl IntoIterator<Item = Event>) {
        // Fails only while nobody listens.
        if self.sessions.receiver_count() > 0 {
            let beat: Beat = events.into_iter().map(Published::of).collect();
            drop(self.sessions.send(beat));
        }
    }

    /// Answers; an asker that has gone away is no trouble.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Subscribe(every_price, answer) => {
                let ticks = every_price.then(|| self.ticks.subscribe());
                drop(answer.send((self.board.snapshot(), Changes { all: self.sessions.subscribe(), ticks })));
            }
            Question::Snapshot(answer) => drop(answer.send(self.board.snapshot())),
            Question::Ticker(symbol, answer) => drop(answer.send(self.board.ticker(symbol).cloned())),
            Question::Prices(answer) => drop(answer.send(self.board.tickers().cloned().collect())),
            Question::Alert(id, answer) => drop(answer.send(self.board.alert(id).cloned())),
            Question::AlertsOf(owner, answer) => {
                let own = self.board.alerts().filter(|row| row.alert.owner == owner);
                drop(answer.send(own.cloned().collect()));
            }
            Question::Feeds(answer) => drop(answer.send(self.board.feeds().cloned().collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::{alert_event, feed_event, firing, price_event, ticker};

    async fn next(changes: &mut Changes) -> Event {
        let beat = changes.recv().await.unwrap();
        assert_eq!(beat.len(), 1);
        beat[0].event.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn of_each_symbol_the_newest_price_goes_out_ten_times_a_second() {
        let (events, receiver) = mpsc::channel(64);
        let (hub, _task) = Hub::start(Snapshot::default(), receiver);
        let (snapshot, mut changes) = hub.subscribe(false).await.unwrap();
        assert!(snapshot.prices.is_empty());
        events.send(price_event("BTC", "1")).await.unwrap();
        assert_eq!(next(&mut changes).await, price_event("BTC", "1"), "the first price waits for nothing");
        let start = Instant::now();
        for price in ["2", "3", "4"] {
            events.send(price_event("BTC", price)).await.unwrap();
            events.send(price_event("ETH", price)).await.unwrap();
        }
        events.send(feed_event()).await.unwrap();
        assert_eq!(next(&mut changes).await, feed_event(), "what is no price does not wait");
        assert_eq!(hub.ticker("BTC".parse().unwrap()).await, Ok(Some(ticker("BTC", "4"))));
        let beat = changes.recv().await.unwrap();
        let together: Vec<_> = beat.iter().map(|one| one.event.clone()).collect();
        assert_eq!(together, [price_event("BTC", "4"), price_event("ETH", "4")], "each session is woken once");
        assert_eq!(start.elapsed(), PRICE_INTERVAL);
        let more = tokio::time::timeout(PRICE_INTERVAL * 5, changes.recv()).await;
        assert!(more.is_err(), "what was overtaken never goes out: {more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_every_price_gets_each_as_it_comes_and_once() {
        let (events, receiver) = mpsc::channel(64);
        let (hub, _task) = Hub::start(Snapshot::default(), receiver);
        let (_, mut changes) = hub.subscribe(true).await.unwrap();
        let start = Instant::now();
        for price in ["1", "2", "3"] {
            events.send(price_event("BTC", price)).await.unwrap();
            assert_eq!(next(&mut changes).await, price_event("BTC", price));
        }
        events.send(feed_event()).await.unwrap();
        assert_eq!(next(&mut changes).await, feed_event());
        assert_eq!(start.elapsed(), Duration::ZERO);
        let more = tokio::time::timeout(PRICE_INTERVAL * 5, changes.recv()).await;
        assert!(more.is_err(), "the conflated ones are not for it: {more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_price_that_did_it_comes_before_what_it_did() {
        let (events, receiver) = mpsc::channel(64);
        let (hub, _task) = Hub::start(Snapshot::default(), receiver);
        let (_, mut changes) = hub.subscribe(false).await.unwrap();
        events.send(price_event("BTC", "1")).await.unwrap();
        changes.recv().await.unwrap();
        events.send(price_event("BTC", "60001")).await.unwrap();
        events.send(Event::Fired(firing(1, 1, 1))).await.unwrap();
        assert_eq!(next(&mut changes).await, price_event("BTC", "60001"));
        assert_eq!(next(&mut changes).await, Event::Fired(firing(1, 1, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_contains_all_that_was_told_before() {
        let (events, receiver) = mpsc::channel(64);
        let (hub, task) = Hub::start(Snapshot::default(), receiver);
        for number in 1..=20 {
            events.send(price_event("BTC", &number.to_string())).await.unwrap();
            let known = hub.ticker("BTC".parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(known.price.to_string(), number.to_string());
        }
        drop(events);
        task.await.unwrap();
        assert!(matches!(hub.board_snapshot().await, Err(ApiError::Unavailable(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_that_sleeps_is_told_that_it_missed_something() {
        let (events, receiver) = mpsc::channel(64);
        let (hub, _task) = Hub::start(Snapshot::default(), receiver);
        let (_, mut changes) = hub.subscribe(false).await.unwrap();
        for _ in 0..BROADCAST + 5 {
            events.send(feed_event()).await.unwrap();
        }
        hub.board_snapshot().await.unwrap();
        assert!(matches!(changes.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
    }

    #[test]
    fn a_frame_is_written_once_and_differs_in_the_number_alone() {
        for event in [price_event("BTC", "0.10"), feed_event(), Event::Fired(firing(1, 1, 1)), alert_event(1, 1)] {
            let published = Published::of(event.clone());
            for seq in [0, 7, u64::MAX] {
                let expected = serde_json::to_string(&ServerFrame::from_event(seq, event.clone())).unwrap();
                assert_eq!(published.numbered(seq), expected);
            }
        }
    }
}
