//! The task between channels: what a killed socket, silence and a gap look like from the evaluator's side.

use std::collections::BTreeSet;

use bellwether_core::{
    catalog::Catalog,
    event::{FeedState, FeedStatus},
    instrument::FeedId,
    tick::Session,
};
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::links::{Observation, Setup};

struct Rig {
    news: mpsc::Sender<News>,
    observations: mpsc::Receiver<Observation>,
    events: mpsc::Receiver<Event>,
    wanted: watch::Receiver<Wanted>,
    clock: Clock,
    metrics: Metrics,
    stop: CancellationToken,
    begun: Instant,
    started: Timestamp,
    task: JoinHandle<Left>,
}

fn btc() -> Symbol {
    "BTC".parse().expect("a symbol")
}

const START: Timestamp = Timestamp::from_seconds(1_795_300_000);

fn candidates() -> Vec<Candidate> {
    [(FeedId::Coinbase, true, 60), (FeedId::Kraken, true, 60), (FeedId::Coingecko, false, 300)]
        .map(|(feed, streams, stale)| {
            let setup = Setup {
                stale_after: Span::from_seconds(stale),
                delay: Span::ZERO,
                outlier_pct: None,
                outlier_window: Span::ZERO,
            };
            Candidate { feed, streams, setup }
        })
        .to_vec()
}

impl Rig {
    /// With the last price known at `known` seconds before the start, and candles for any gap.
    fn new(known: Option<i64>, candles: Vec<Candle>) -> Self {
        let (news, news_rx) = mpsc::channel(64);
        let (observations_tx, observations) = mpsc::channel(64);
        let (events_tx, events) = mpsc::channel(1_024);
        let (wanted_tx, wanted) = watch::channel(Wanted::default());
        let (clock, metrics, stop) = (Clock::by_hand(START), Metrics::new(), CancellationToken::new());
        let deps = Deps {
            observations: observations_tx,
            events: events_tx,
            wanted: wanted_tx,
            watched: watch::channel(Arc::new(BTreeSet::from([btc()]))).1,
            notices: Arc::new(|_| {}),
            fetch_gap: Arc::new(move |_, _, _| {
                let candles = candles.clone();
                Box::pin(async move { Ok(candles) })
            }),
            clock: clock.clone(),
            behind: Arc::default(),
            metrics: metrics.clone(),
            stop: stop.clone(),
            beat: Beat::default(),
        };
        let known = known.map(|seconds| {
            let ts = START.minus(Span::from_seconds(seconds));
            let price = "84000".parse().expect("a price");
            let source = FeedId::Coinbase;
            (btc(), evaluator::Observation { ts, price, session: Session::Regular, source, received: ts })
        });
        let instrument = Catalog::builtin().get(btc()).expect("BTC").clone();
        let instruments = vec![(instrument, candidates())];
        let task =
            tokio::spawn(run(instruments, known.into_iter().collect(), Left { news: news_rx, said: Vec::new() }, deps));
        let begun = Instant::now();
        Self { news, observations, events, wanted, clock, metrics, stop, begun, started: START, task }
    }

    fn now(&self) -> Timestamp {
        self.started.plus(self.begun.elapsed().into())
    }

    async fn say(&self, feed: FeedId, what: What) {
        self.news.send(News { feed, what }).await.expect("the desk listens");
    }

    async fn state(&self, feed: FeedId, state: FeedState) {
        let status = FeedStatus { feed, state, instruments: 1, since: self.now(), next_attempt: None, trouble: None };
        self.say(feed, What::Status(status)).await;
    }

    async fn tick(&self, feed: FeedId, price: &str) {
        let mut tick = Tick::new(btc(), price.parse().expect("a price"), feed, self.clock.now());
        tick.exchange_time = Some(self.clock.now());
        self.say(feed, What::Tick(tick)).await;
    }

    /// Lets so many milliseconds pass by both clocks.
    async fn pass(&self, millis: u64) {
        for _ in 0..millis / 50 {
            self.clock.advance(Span::from_millis(50));
            tokio::time::advance(Duration::from_millis(50)).await;
            tokio::task::yield_now().await;
        }
    }

    async fn observed(&mut self) -> Observation {
        timeout(Duration::from_secs(30), self.observations.recv()).await.expect("in time").expect("open")
    }

    async fn price(&mut self) -> (FeedId, String) {
        match self.observed().await {
            Observation::Tick(tick) => (tick.source, tick.price.to_string()),
            other => panic!("expected a price, got {other:?}"),
        }
    }

    async fn both_live(&mut self) {
        for feed in [FeedId::Coinbase, FeedId::Kraken] {
            self.state(feed, FeedState::Live).await;
        }
        self.tick(FeedId::Coinbase, "84000").await;
        assert_eq!(self.price().await, (FeedId::Coinbase, "84000".to_owned()));
        self.pass(100).await;
        self.tick(FeedId::Kraken, "84010").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_by_the_hot_reserve() {
    let mut rig = Rig::new(None, Vec::new());
    rig.both_live().await;
    rig.state(FeedId::Coinbase, FeedState::BackingOff).await;
    rig.pass(1_500).await;
    assert!(rig.observations.try_recv().is_err(), "it may be back any moment");
    rig.pass(1_000).await;
    let Observation::Feed(using) = rig.observed().await else { panic!("the feed is told first") };
    assert_eq!((using.source, using.instead.map(|i| i.0)), (FeedId::Kraken, Some(FeedId::Coinbase)));
    assert_eq!(rig.price().await, (FeedId::Kraken, "84010".to_owned()), "what the reserve knew already");
    let text = rig.metrics.render();
    assert!(text.contains("ingestor_feed_switches_total{from=\"coinbase\",to=\"kraken\"} 1"), "{text}");
    rig.pass(300).await;
    let mut stands_in = false;
    while let Ok(event) = rig.events.try_recv() {
        if let Event::Feed(FeedStatus { feed: FeedId::Coinbase, trouble: Some(trouble), instruments, .. }) = event {
            stands_in |= trouble == "kraken stands in for BTC" && instruments == 0;
        }
    }
    assert!(stands_in);
    // The old one comes back with what happened meanwhile: nobody hears it until it has proved itself.
    rig.state(FeedId::Coinbase, FeedState::Live).await;
    for _ in 0..62 {
        rig.tick(FeedId::Coinbase, "84020").await;
        rig.pass(500).await;
        rig.tick(FeedId::Kraken, "84015").await;
        rig.pass(500).await;
    }
    let mut seen = Vec::new();
    while let Ok(observation) = rig.observations.try_recv() {
        match observation {
            Observation::Tick(tick) => seen.push(tick.source),
            Observation::Feed(using) => assert_eq!((using.source, using.instead), (FeedId::Coinbase, None)),
            other => panic!("{other:?}"),
        }
    }
    let back = seen.iter().position(|f| *f == FeedId::Coinbase).expect("it is back");
    assert!((59..=61).contains(&back), "after a minute: {back}");
    assert!(seen[back..].iter().all(|f| *f == FeedId::Coinbase), "one stream at a time: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_of_eight_seconds_is_as_good_as_a_loss() {
    let mut rig = Rig::new(None, Vec::new());
    rig.both_live().await;
    for _ in 0..9 {
        rig.pass(1_000).await;
        rig.say(FeedId::Kraken, What::Alive(Whom::One(btc()))).await;
    }
    assert!(matches!(rig.observed().await, Observation::Feed(using) if using.source == FeedId::Kraken));
    assert_eq!(rig.price().await.0, FeedId::Kraken);
}

#[tokio::test(start_paused = true)]
async fn a_polled_reserve_is_asked_when_all_streams_are_down() {
    let rig = Rig::new(None, Vec::new());
    let wants = || rig.wanted.borrow().of(FeedId::Coingecko, btc());
    rig.pass(300).await;
    assert!(!wants(), "the streams may still come");
    rig.pass(2_500).await;
    assert!(wants());
    rig.state(FeedId::Kraken, FeedState::Live).await;
    rig.tick(FeedId::Kraken, "84000").await;
    rig.pass(500).await;
    assert!(!wants());
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_before_the_first_live_price() {
    let price = |text: &str| text.parse().expect("a price");
    let candle = |minutes: i64| Candle {
        from: START.minus(Span::from_seconds(60 * minutes)),
        to: START.minus(Span::from_seconds(60 * minutes - 60)),
        open: price("84000"),
        high: price("85500"),
        low: price("83900"),
        close: price("84100"),
        session: Session::Regular,
        volume: None,
    };
    let mut rig = Rig::new(Some(600), vec![candle(2), candle(9), candle(20), candle(0)]);
    rig.state(FeedId::Coinbase, FeedState::Live).await;
    rig.tick(FeedId::Coinbase, "84120").await;
    match rig.observed().await {
        Observation::Backfill { symbol, candles, .. } => {
            assert_eq!(symbol, btc());
            let minutes: Vec<i64> = candles.iter().map(|c| START.since(c.from).as_seconds() / 60).collect();
            assert_eq!(minutes, [9, 2], "in order, and only what lies in the gap");
        }
        other => panic!("expected what was missed, got {other:?}"),
    }
    assert_eq!(rig.price().await.1, "84120");
    drop(rig.news);
    rig.stop.cancel();
    drop(rig.task.await.expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_without_feeds_goes_on_until_it_is_told_to_stop() {
    let Rig { news, stop, mut task, observations: _kept, .. } = Rig::new(None, Vec::new());
    drop(news);
    assert!(timeout(Duration::from_mins(1), &mut task).await.is_err(), "nobody asked it to end");
    stop.cancel();
    drop(task.await.expect("no panic"));
}
