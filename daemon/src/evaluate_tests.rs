//! What the task does beyond the evaluator: feeds in use, splits, what was missed.

use super::*;
use crate::{links::Setup, pulse::Pulse};
use bellwether_core::instrument::FeedId;

#[test]
fn changes_are_in_per_cent_with_two_places() {
    let price = |text: &str| text.parse::<Price>().expect(text);
    assert_eq!(change_pct(price("84430.55"), price("84737.58")), Some(price("0.36")));
    assert_eq!(change_pct(price("200"), price("190")), Some(price("-5")));
    assert_eq!(change_pct(price("0"), price("1")), None);
}

struct Rig {
    observations: mpsc::Sender<Observation>,
    changes: mpsc::Sender<Change>,
    batches: mpsc::Receiver<Batch>,
    events: mpsc::Receiver<Event>,
    watched: watch::Receiver<Arc<BTreeSet<Symbol>>>,
    notices: mpsc::UnboundedReceiver<Notice>,
    pulse: Pulse,
}

const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);

fn symbol() -> Symbol {
    "ACME".parse().expect("a symbol")
}

fn tick(seconds: i64, price: &str, source: FeedId) -> Observation {
    let at = NOW.plus(Span::from_seconds(seconds));
    Observation::Tick(Tick::new(symbol(), price.parse().expect(price), source, at))
}

impl Rig {
    fn new() -> Self {
        let (observations, observations_rx) = mpsc::channel(16);
        let (changes, changes_rx) = mpsc::channel(16);
        let (batches_tx, batches) = mpsc::channel(16);
        let (events_tx, events) = mpsc::channel(64);
        let (watched_tx, watched) = watch::channel(Arc::default());
        let (notices_tx, notices) = mpsc::unbounded_channel();
        let instrument = Instrument::unlisted(symbol());
        let pulse = Pulse::default();
        let evaluate = Evaluate {
            beat: pulse.part("evaluate"),
            evaluator: Evaluator::new([instrument.clone()]),
            instruments: HashMap::from([(symbol(), instrument)]),
            batches: batches_tx,
            events: events_tx,
            trades: mpsc::channel(16).0,
            needs: mpsc::channel(1).0,
            days: Days::default(),
            recorder: None,
            watched: watched_tx,
            notices: Arc::new(move |notice| notices_tx.send(notice).expect("the test listens")),
            clock: Clock::by_hand(NOW),
            metrics: Metrics::new(),
        };
        tokio::spawn(evaluate.run(observations_rx, changes_rx));
        Self { observations, changes, batches, events, watched, notices, pulse }
    }

    async fn add(&self, line: &str) {
        let catalog = bellwether_core::catalog::Catalog::new([Instrument::unlisted(symbol())]);
        let timezone = jiff::tz::TimeZone::UTC;
        let context =
            bellwether_core::parse::ParseContext { catalog: &catalog, now: NOW, timezone: &timezone, channels: &[] };
        let rule = bellwether_core::parse::parse(line, &context).expect("an alert");
        let alert = Alert {
            id: AlertId(1),
            owner: bellwether_core::alert::UserId::OWNER,
            version: 1,
            rule,
            paused: false,
            snoozed_until: None,
            created: NOW,
            updated: NOW,
        };
        let (done, told) = tokio::sync::oneshot::channel();
        self.changes.send(Change { change: AlertChange::Put(alert), returned: None, done }).await.expect("it lives");
        told.await.expect("it answers");
    }

    /// The next batch with something in it.
    async fn batch(&mut self) -> Batch {
        loop {
            let batch = self.batches.recv().await.expect("it lives");
            if !batch.firings.is_empty() || !batch.rewritten.is_empty() {
                return batch;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_firing_on_the_price_of_a_reserve_says_so_and_the_row_ages_by_the_reserve() {
    let mut rig = Rig::new();
    rig.add("ACME > 100 each").await;
    let setup = Setup {
        stale_after: Span::from_seconds(300),
        delay: Span::from_seconds(60),
        outlier_pct: None,
        outlier_window: Span::ZERO,
    };
    let instead = Some((FeedId::Coinbase, NOW));
    let using = Using { symbol: symbol(), source: FeedId::Coingecko, setup, instead };
    for observation in [tick(0, "99", FeedId::Coinbase), Observation::Feed(using), tick(1, "101", FeedId::Coingecko)] {
        rig.observations.send(observation).await.expect("it lives");
    }
    let firing = rig.batch().await.firings.remove(0);
    let reason = firing.reason().into_owned();
    assert!(reason.ends_with(&format!(" (by coingecko, in place of coinbase since {NOW})")), "{reason}");
    assert!(firing.delayed, "the reserve says that it is late");
    let mut rows = Vec::new();
    while let Ok(event) = rig.events.try_recv() {
        if let Event::Price(ticker) = event {
            rows.push((ticker.source, ticker.stale_after, ticker.delay));
        }
    }
    let (seconds, none) = (Span::from_seconds, Span::ZERO);
    let default = bellwether_core::instrument::default_stale_after();
    assert_eq!(rows, [(FeedId::Coinbase, default, none), (FeedId::Coingecko, seconds(300), seconds(60))]);
    let back = Using { source: FeedId::Coinbase, instead: None, ..using };
    for observation in [Observation::Feed(back), tick(2, "90", FeedId::Coinbase), tick(3, "102", FeedId::Coinbase)] {
        rig.observations.send(observation).await.expect("it lives");
    }
    let firing = rig.batch().await.firings.remove(0);
    assert!(!firing.reason().contains("in place of"), "{}", firing.reason());
}

#[tokio::test(start_paused = true)]
async fn a_split_changes_the_alert_is_recorded_and_told_and_fires_nothing() {
    let mut rig = Rig::new();
    rig.add("ACME < 500 once").await;
    rig.watched.changed().await.expect("it lives");
    assert!(rig.watched.borrow().contains(&symbol()), "what alerts stand on is known to the desk");
    rig.observations.send(tick(0, "1200", FeedId::Yahoo)).await.expect("it lives");
    let split = Observation::Split { symbol: symbol(), ratio: Decimal::TEN, received: NOW };
    rig.observations.send(split).await.expect("it lives");
    rig.observations.send(tick(1, "121", FeedId::Yahoo)).await.expect("it lives");
    let batch = rig.batch().await;
    assert!(batch.firings.is_empty(), "nothing happened to its worth");
    assert_eq!(batch.rewritten[0].version, 2);
    assert_eq!(batch.rewritten[0].rule.to_string(), "ACME < 50 once");
    assert!(batch.cut.alerts.iter().any(|memory| memory.version == 2), "of one moment");
    let notice = rig.notices.recv().await.expect("told");
    assert_eq!(notice.title, "bellwether: ACME was split, 10 for 1");
    assert_eq!(notice.body, "These alerts were changed with it:\na1: ACME < 50 once");
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_fires_late() {
    let mut rig = Rig::new();
    rig.add("ACME > 100 once").await;
    rig.observations.send(tick(0, "99", FeedId::Coinbase)).await.expect("it lives");
    let price = |text: &str| text.parse::<Price>().expect(text);
    let candle = Candle {
        from: NOW.plus(Span::from_seconds(60)),
        to: NOW.plus(Span::from_seconds(120)),
        open: price("99"),
        high: price("103"),
        low: price("98"),
        close: price("99"),
        session: bellwether_core::tick::Session::Regular,
        volume: None,
    };
    let backfill = Observation::Backfill {
        symbol: symbol(),
        candles: vec![candle],
        source: FeedId::Coinbase,
        received: NOW.plus(Span::from_seconds(4_000)),
    };
    rig.observations.send(backfill).await.expect("it lives");
    let firing = rig.batch().await.firings.remove(0);
    assert!(firing.late, "found in candles");
    assert_eq!(firing.price, Some(price("103")));
}

#[tokio::test(start_paused = true)]
async fn an_evaluator_that_stands_still_is_noticed_within_the_watchdogs_period() {
    let mut rig = Rig::new();
    let mut watch = rig.pulse.watch();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(watch.still().is_empty(), "it turns although nothing happens");
    }
    // Nobody takes its news any more: it waits for ever.
    for second in 0..100 {
        let price = if second % 2 == 0 { "99" } else { "101" };
        if rig.observations.try_send(tick(second, price, FeedId::Coinbase)).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(watch.still());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(watch.still(), ["evaluate"]);
    while rig.events.try_recv().is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(watch.still().is_empty(), "and it turns again");
}
