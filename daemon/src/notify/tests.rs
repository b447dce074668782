//! The role as a whole: a real store, channels that play a part, a clock moved by hand. Tokio's time is paused, so waiting costs nothing.

use std::{collections::VecDeque, path::Path};

use bellwether_core::{
    alert::{AlertId, UserId},
    config::ChannelLimits,
    delivery::DeliveryId,
    firing::{FiringId, TermValue, Told},
    instrument::FeedId,
    rate::Allowance,
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;
use tempfile::TempDir;

use crate::store::{Lane, Take};

use super::{
    channel::{Channel, Limits, Outgoing, Receipt, SendError},
    *,
};

/// What a fake channel does with a message.
pub(super) enum Play {
    Accept,
    Fail(SendError),
    Hang,
    Panic,
}

/// A channel that plays its parts in order, then accepts everything.
pub(super) struct Fake {
    name: ChannelName,
    limits: Limits,
    plays: Mutex<VecDeque<Play>>,
    seen: Mutex<Vec<Outgoing>>,
    times: Mutex<Vec<Instant>>,
}

impl Fake {
    pub(super) fn new(name: &str, plays: Vec<Play>) -> Arc<Self> {
        Self::limited(name, plays, |_| {})
    }

    pub(super) fn limited(name: &str, plays: Vec<Play>, change: impl FnOnce(&mut Limits)) -> Arc<Self> {
        let mut limits = Limits {
            allowance: Allowance { burst: 1_000, refill: Span::from_millis(1), daily: None },
            deadline: Span::from_seconds(10),
            give_up: Span::from_seconds(24 * 3600),
            repeatable: true,
        };
        change(&mut limits);
        Arc::new(Self {
            name: ChannelName::new(name),
            limits,
            plays: Mutex::new(plays.into()),
            seen: Mutex::default(),
            times: Mutex::default(),
        })
    }

    pub(super) fn seen(&self) -> Vec<Outgoing> {
        self.seen.lock().expect("lock").clone()
    }

    pub(super) fn times(&self) -> Vec<Instant> {
        self.times.lock().expect("lock").clone()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.seen().into_iter().map(|m| m.key).collect()
    }
}

impl Channel for Fake {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn target(&self) -> String {
        "a fake".to_owned()
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move {
            self.times.lock().expect("lock").push(Instant::now());
            self.seen.lock().expect("lock").push(message.clone());
            let play = self.plays.lock().expect("lock").pop_front().unwrap_or(Play::Accept);
            match play {
                Play::Accept => Ok(Receipt { answer: "thanks".to_owned() }),
                Play::Fail(error) => Err(error),
                Play::Hang => std::future::pending().await,
                Play::Panic => panic!("a bug in a channel"),
            }
        })
    }
}

pub(super) fn retry() -> Play {
    Play::Fail(SendError::retry("busy"))
}

/// A running role.
pub(super) struct House {
    batches: Option<links::Batches>,
    pub(super) events: mpsc::Receiver<Event>,
    events_in: links::Events,
    pub(super) clock: Clock,
    pub(super) set: Arc<ChannelSet>,
    health: StoreHealth,
    pub(super) metrics: Metrics,
    pub(super) store: Store,
    role: tokio::task::JoinHandle<()>,
    folder: TempDir,
}

pub(super) const START: Timestamp = Timestamp::from_seconds(1_763_800_000);

/// A step of paused time.
const STEP: Duration = Duration::from_millis(10);

/// Lets a minute of paused time pass, in which whatever would be done wrongly is done.
pub(super) async fn settle() {
    for _ in 0..6_000 {
        tokio::time::sleep(STEP).await;
    }
}

pub(super) fn open(folder: &Path) -> Store {
    Store::open(folder).expect("a store")
}

pub(super) fn folder() -> TempDir {
    // The store wants a folder of its own.
    tempfile::tempdir().expect("a folder")
}

impl House {
    pub(super) fn start(channels: Vec<Arc<Fake>>) -> Self {
        let folder = folder();
        let store = open(&folder.path().join("data"));
        Self::with(channels, folder, store)
    }

    fn with(channels: Vec<Arc<Fake>>, folder: TempDir, store: Store) -> Self {
        Self::governed(channels, folder, store, Span::ZERO, Policy::default(), Clock::by_hand(START))
    }

    /// One that collects for so long, with this policy and clock.
    pub(super) fn governed(
        channels: Vec<Arc<Fake>>,
        folder: TempDir,
        store: Store,
        group: Span,
        policy: Policy,
        clock: Clock,
    ) -> Self {
        let channels = channels.into_iter().map(|c| c as Arc<dyn Channel>).collect();
        Self::of(channels, folder, store, group, policy, clock)
    }

    /// The same with channels of any kind; the first is the default.
    pub(super) fn of(
        channels: Vec<Arc<dyn Channel>>,
        folder: TempDir,
        store: Store,
        group: Span,
        policy: Policy,
        clock: Clock,
    ) -> Self {
        let defaults = channels.first().map(|c| c.name().clone()).into_iter().collect();
        let limits = |_: &ChannelName| ChannelLimits { group: Some(group), ..ChannelLimits::default() };
        let set = Arc::new(ChannelSet::of(channels, limits, defaults, clock.clone()));
        let (batches, inbox) = mpsc::channel(links::BATCHES);
        let (events_in, events) = mpsc::channel(links::EVENTS);
        let (health, metrics) = (StoreHealth::default(), Metrics::new());
        let deps = Deps {
            pulse: crate::pulse::Pulse::default(),
            store: store.clone(),
            channels: Arc::clone(&set),
            events: events_in.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            context: Context { catalog: Arc::new(Catalog::builtin()), timezone: None, simulated: false },
            policy,
            health: health.clone(),
        };
        let role = tokio::spawn(run(inbox, deps));
        Self { batches: Some(batches), events, events_in, clock, set, health, metrics, store, role, folder }
    }

    pub(super) async fn fire(&self, firings: Vec<Firing>) {
        self.batch(Batch { firings, started: Some(self.clock.now()), ..Batch::default() }).await;
    }

    /// The next event. Paused time goes in small steps meanwhile, because the store's thread lives in real time.
    pub(super) async fn event(&mut self) -> Event {
        let started = Instant::now();
        loop {
            if let Ok(event) = tokio::time::timeout(STEP, self.events.recv()).await {
                return event.expect("an event");
            }
            assert!(started.elapsed() < Duration::from_secs(30), "no event came");
        }
    }

    /// The next delivery that stands there; what comes before is skipped.
    pub(super) async fn delivery(&mut self, state: DeliveryState) -> Delivery {
        loop {
            if let Event::Delivery(delivery) = self.event().await
                && delivery.state == state
            {
                return delivery;
            }
        }
    }

    /// What the gateway does to the outbox.
    pub(super) fn by_hand(&self) -> ByHand {
        ByHand {
            store: self.store.clone(),
            channels: Arc::clone(&self.set),
            events: self.events_in.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Hands over what the evaluator found.
    pub(super) async fn batch(&self, batch: Batch) {
        self.batches.as_ref().expect("running").send(batch).await.expect("the role takes it");
    }

    /// Closes the link and waits for the end.
    pub(super) async fn stop(mut self) -> TempDir {
        self.batches = None;
        self.role.await.expect("ends well");
        self.store.close().await;
        self.folder
    }
}

pub(crate) fn firing(alert: i64, number: u32, via: &[&str]) -> Firing {
    let price = "60012.5".parse().expect("a price");
    Firing {
        id: FiringId { alert: AlertId(alert), version: 1, number },
        owner: UserId::OWNER,
        symbol: "BTC".parse().expect("a symbol"),
        time: START,
        received: START,
        price: Some(price),
        previous: None,
        direction: None,
        source: FeedId::Coinbase,
        late: false,
        more: 0,
        delayed: false,
        urgent: false,
        story: Told {
            rule: "BTC > 60000 each".to_owned(),
            condition: "above".into(),
            values: vec![TermValue { term: "BTC > 60000".to_owned(), value: Some(price), level: None }],
            reason: "BTC rose above 60,000".to_owned(),
            note: None,
            via: via.iter().map(|name| ChannelName::new(name)).collect(),
        }
        .into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_firing_is_recorded_then_told_then_sent() {
    let phone = Fake::new("phone", vec![]);
    let mut house = House::start(vec![Arc::clone(&phone)]);
    house.fire(vec![firing(1, 1, &[])]).await;
    // A worker that looks into the outbox by itself may be ahead of the news.
    let (mut fired, mut states) = (0, Vec::new());
    while fired < 1 || states.len() < 3 {
        match house.event().await {
            Event::Fired(firing) => {
                assert_eq!(firing.id.to_string(), "a1.1.1");
                fired += 1;
            }
            Event::Delivery(delivery) => {
                assert_eq!(delivery.id, DeliveryId(1));
                states.push(delivery.state);
            }
            other => panic!("{other:?}"),
        }
    }
    for state in [DeliveryState::Queued, DeliveryState::Sending, DeliveryState::Sent] {
        assert!(states.contains(&state), "{state} is missing: {states:?}");
    }
    let message = phone.seen().remove(0);
    assert_eq!((message.key.as_str(), message.attempt), ("d1", 1));
    assert_eq!(message.notification.title, "BTC above 60,000.00: 60,012.50");
    assert!(message.notification.text.contains("Bitcoin (BTC)"));
    let text = house.metrics.render();
    assert!(text.contains("evaluator_alerts_triggered_total{condition=\"above\"} 1"));
    assert!(text.contains("notifier_notifications_sent_total{channel=\"phone\",status=\"sent\"} 1"));
    assert!(text.contains("notifier_tick_to_commit_seconds_count 1"));
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_not_configured_any_more_is_a_dead_row_with_that_reason() {
    let mut house = House::start(vec![Fake::new("phone", vec![])]);
    house.fire(vec![firing(1, 1, &["pager"])]).await;
    let dead = house.delivery(DeliveryState::Dead).await;
    assert_eq!(dead.answer.as_deref(), Some("no channel pager is configured"));
    house.stop().await;
    // Without any channel it is recorded and that is all.
    let mut house = House::start(vec![]);
    house.fire(vec![firing(2, 1, &[])]).await;
    assert!(matches!(house.event().await, Event::Fired(_)));
    assert_eq!(house.store.recent().await.expect("history").1, []);
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn busy_means_later_and_the_wait_asked_for_is_obeyed_up_to_an_hour() {
    let after =
        |seconds| Play::Fail(SendError::Retry { after: Some(Span::from_seconds(seconds)), source: "429".into() });
    let phone = Fake::new("phone", vec![retry(), after(119), after(7_200)]);
    let mut house = House::start(vec![Arc::clone(&phone)]);
    house.fire(vec![firing(1, 1, &[])]).await;
    for (attempts, least, most) in [(1, 1, 2), (2, 119, 119), (3, 3_600, 3_600)] {
        let failed = house.delivery(DeliveryState::Retry).await;
        let wait = failed.next_attempt.expect("another attempt").since(house.clock.now());
        assert_eq!(failed.attempts, attempts);
        assert!(wait >= Span::from_seconds(least) && wait <= Span::from_seconds(most), "{wait}");
        house.clock.advance(wait);
    }
    assert_eq!(house.delivery(DeliveryState::Sent).await.attempts, 4);
    assert_eq!(phone.keys(), ["d1", "d1", "d1", "d1"], "the key is the same over all attempts");
    assert!(phone.seen()[3].notification.text.contains("Late: fired"), "a late message says so");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_or_may_have_been_accepted_is_not_sent_again() {
    let phone = Fake::new(
        "phone",
        vec![
            Play::Fail(SendError::permanent("550 no such user")),
            Play::Fail(SendError::Ambiguous { source: "nobody knows".into() }),
            Play::Panic,
        ],
    );
    let mut house = House::start(vec![Arc::clone(&phone)]);
    for (number, state, answer) in [
        (1, DeliveryState::Dead, "550 no such user"),
        (2, DeliveryState::Unknown, "nobody knows"),
        (3, DeliveryState::Dead, "a bug in this channel: please report it"),
        (4, DeliveryState::Sent, "thanks"),
    ] {
        house.fire(vec![firing(1, number, &[])]).await;
        let ended = house.delivery(state).await;
        assert_eq!((ended.attempts, ended.answer.as_deref()), (1, Some(answer)));
    }
    assert_eq!(phone.seen().len(), 4);
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_is_switched_off_and_the_user_hears_of_it() {
    let hook = Fake::new("hook", vec![Play::Fail(SendError::Gone { source: "410 Gone".into() })]);
    let phone = Fake::new("phone", vec![]);
    let mut house = House::start(vec![Arc::clone(&hook), Arc::clone(&phone)]);
    house.fire(vec![firing(1, 1, &["hook"]), firing(2, 1, &["hook"])]).await;
    house.delivery(DeliveryState::Dead).await;
    let second = house.delivery(DeliveryState::Dead).await;
    assert_eq!(second.answer.as_deref(), Some("the target is switched off: 410 Gone"));
    assert_eq!(hook.seen().len(), 1);
    assert_eq!(house.set.views()[0].status, "a fake: switched off: 410 Gone");
    house.stop().await;
    assert_eq!(phone.seen()[0].notification.title, "bellwether: channel hook is gone and was switched off");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_gets_one_probe_at_a_time_and_the_others_wait_unharmed() {
    let hook = Fake::new("hook", (0..6).map(|_| retry()).collect());
    let phone = Fake::new("phone", vec![]);
    let mut house = House::start(vec![Arc::clone(&hook), Arc::clone(&phone)]);
    house.fire((1..=8).map(|alert| firing(alert, 1, &["hook"])).collect()).await;
    for _ in 0..5 {
        house.delivery(DeliveryState::Retry).await;
    }
    // Five in a row: closed. However much time passes for the workers, nobody asks until the clock allows it.
    settle().await;
    assert_eq!(hook.seen().len(), 5);
    assert!(!house.set.views()[0].ready);
    house.clock.advance(Span::from_seconds(2));
    house.delivery(DeliveryState::Retry).await;
    settle().await;
    assert_eq!(hook.seen().len(), 6, "one probe");
    house.clock.advance(Span::from_seconds(3_600));
    let mut attempts = Vec::new();
    for _ in 0..8 {
        attempts.push(house.delivery(DeliveryState::Sent).await.attempts);
    }
    attempts.sort_unstable();
    assert_eq!(attempts.iter().sum::<u32>(), 14, "six failures and eight successes: {attempts:?}");
    assert!(house.set.views()[0].ready);
    house.stop().await;
    assert_eq!(phone.seen().len(), 1, "one notice over another channel");
    assert_eq!(phone.seen()[0].notification.title, "bellwether: channel hook is down");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_password_stops_the_channel_and_does_not_hammer_the_account() {
    let mail = Fake::new("mail", vec![Play::Fail(SendError::refused("535 no"))]);
    let mut house = House::start(vec![Arc::clone(&mail)]);
    house.fire((1..=3).map(|alert| firing(alert, 1, &[])).collect()).await;
    house.delivery(DeliveryState::Retry).await;
    house.clock.advance(Span::from_seconds(29 * 60));
    settle().await;
    assert_eq!(mail.seen().len(), 1);
    house.clock.advance(Span::from_seconds(60));
    for _ in 0..3 {
        house.delivery(DeliveryState::Sent).await;
    }
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_delays_no_other() {
    let hook = Fake::new("hook", vec![Play::Hang]);
    let phone = Fake::new("phone", vec![]);
    let mut house = House::start(vec![Arc::clone(&hook), Arc::clone(&phone)]);
    let mut ends = Vec::new();
    house.fire(vec![firing(1, 1, &["hook", "phone"])]).await;
    while ends.len() < 2 {
        if let Event::Delivery(delivery) = house.event().await
            && matches!(delivery.state, DeliveryState::Sent | DeliveryState::Retry)
        {
            ends.push((delivery.channel.to_string(), delivery.answer.unwrap_or_default()));
        }
    }
    ends.sort();
    let expected = [("hook", "no answer in time"), ("phone", "thanks")];
    assert_eq!(ends, expected.map(|(channel, answer)| (channel.to_owned(), answer.to_owned())));
    house.stop().await;
}

/// In real time, a few seconds of it: paused time would jump to the end of the target's hour whenever only the store works.
#[tokio::test]
async fn stopping_does_not_wait_for_a_target_that_hangs() {
    let hook = Fake::limited("hook", vec![Play::Hang], |limits| limits.deadline = Span::from_seconds(3_600));
    let mut house = House::start(vec![Arc::clone(&hook)]);
    house.fire(vec![firing(1, 1, &[])]).await;
    house.delivery(DeliveryState::Sending).await;
    let folder = house.stop().await;
    let store = open(&folder.path().join("data"));
    let left = store.deliveries(UserId::OWNER, None, None, 10).await.expect("read");
    assert_eq!(
        left.items[0].state,
        DeliveryState::Sending,
        "{left:?}: had it waited for the target's time to run out, it would be `retry`"
    );
    // The next start takes it up again.
    let phone = Fake::new("hook", vec![]);
    let mut house = House::with(vec![Arc::clone(&phone)], folder, store);
    assert_eq!(house.delivery(DeliveryState::Sent).await.attempts, 2);
    assert_eq!(phone.keys(), ["d1"]);
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_its_time_is_up_a_delivery_is_dead_or_unknown() {
    for (play, state) in
        [(retry(), DeliveryState::Dead), (Play::Fail(SendError::doubtful("no answer")), DeliveryState::Unknown)]
    {
        let phone = Fake::limited("phone", vec![play], |limits| limits.give_up = Span::from_millis(500));
        let mut house = House::start(vec![phone]);
        house.fire(vec![firing(1, 1, &[])]).await;
        let ended = house.delivery(state).await;
        assert!(ended.answer.is_some_and(|a| a.starts_with("gave up after 500ms: ")));
        house.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_limit_waits_and_is_not_dropped() {
    let phone = Fake::limited("phone", vec![], |limits| {
        limits.allowance = Allowance { burst: 2, refill: Span::from_seconds(3), daily: Some(3) };
    });
    let spare = Fake::new("spare", vec![]);
    let mut house = House::start(vec![Arc::clone(&phone), Arc::clone(&spare)]);
    house.fire((1..=4).map(|alert| firing(alert, 1, &[])).collect()).await;
    house.delivery(DeliveryState::Sent).await;
    house.delivery(DeliveryState::Sent).await;
    settle().await;
    assert_eq!(phone.seen().len(), 2);
    house.clock.advance(Span::from_seconds(3));
    house.delivery(DeliveryState::Sent).await;
    house.clock.advance(Span::from_seconds(3_600));
    settle().await;
    assert_eq!(phone.seen().len(), 3, "three a day");
    assert_eq!(spare.seen()[0].notification.title, "bellwether: channel phone has reached its daily limit");
    house.clock.advance(Span::from_seconds(86_400));
    assert_eq!(house.delivery(DeliveryState::Sent).await.attempts, 1, "waiting is not an attempt");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_per_alert_and_channel_but_not_across() {
    let phone = Fake::new("phone", vec![retry()]);
    let mut house = House::start(vec![Arc::clone(&phone)]);
    house.fire(vec![firing(1, 1, &[]), firing(1, 2, &[]), firing(2, 1, &[])]).await;
    assert_eq!(house.delivery(DeliveryState::Sent).await.firing.to_string(), "a2.1.1");
    house.clock.advance(Span::from_seconds(2));
    assert_eq!(house.delivery(DeliveryState::Sent).await.firing.to_string(), "a1.1.1");
    assert_eq!(house.delivery(DeliveryState::Sent).await.firing.to_string(), "a1.1.2");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_interrupted_is_sent_after_the_restart_with_the_same_key() {
    let folder = folder();
    let store = open(&folder.path().join("data"));
    let routes = |alert| vec![Route::new(firing(alert, 1, &[]).id, ChannelName::new("phone"))];
    // One was being sent, one was only recorded.
    for alert in [1, 2] {
        let firings = vec![firing(alert, 1, &[])];
        let record = Record { firings, routes: routes(alert), now: START, ..Record::default() };
        store.record(record).await.expect("recorded");
    }
    let take = Take { lane: Lane::Fresh, grouping: Grouping::OFF, memory: None, now: START };
    assert!(store.take(ChannelName::new("phone"), take).await.expect("taken").is_some());
    let phone = Fake::new("phone", vec![]);
    let mut house = House::with(vec![Arc::clone(&phone)], folder, store);
    house.delivery(DeliveryState::Sent).await;
    house.delivery(DeliveryState::Sent).await;
    let mut seen: Vec<_> = phone.seen().into_iter().map(|m| (m.key, m.attempt)).collect();
    seen.sort();
    assert_eq!(seen, [("d1".to_owned(), 2), ("d2".to_owned(), 1)]);
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_recorded_nothing_is_told_or_sent() {
    let phone = Fake::new("phone", vec![]);
    let mut house = House::start(vec![Arc::clone(&phone)]);
    house.fire(vec![firing(1, 1, &[])]).await;
    house.delivery(DeliveryState::Sent).await;
    assert_eq!(house.health.trouble(), None);
    settle().await;
    while house.events.try_recv().is_ok() {}
    house.store.close().await;
    house.fire(vec![firing(1, 2, &[])]).await;
    while phone.seen().len() < 2 {
        tokio::time::sleep(STEP).await;
    }
    assert!(house.health.trouble().is_some_and(|t| t.starts_with("firings cannot be recorded: ")));
    assert_eq!(phone.seen()[1].notification.title, "bellwether: firings cannot be recorded");
    settle().await;
    assert_eq!(phone.seen().len(), 2, "told once, and the firing is not sent");
    assert!(house.events.try_recv().is_err(), "and no event");
    house.role.abort();
}

#[tokio::test(start_paused = true)]
async fn a_test_message_goes_past_the_outbox_and_says_what_came_back() {
    let phone = Fake::new("phone", vec![Play::Accept, Play::Fail(SendError::refused("535 no"))]);
    let house = House::start(vec![Arc::clone(&phone)]);
    let name = ChannelName::new("phone");
    let told = house.set.test(&name).await.expect("a channel");
    assert_eq!((told.accepted, told.answer.as_str()), (true, "thanks"));
    let told = house.set.test(&name).await.expect("a channel");
    assert_eq!((told.accepted, told.answer.as_str()), (false, "535 no"));
    assert_eq!(house.set.test(&ChannelName::new("pager")).await, None);
    assert_eq!(house.store.recent().await.expect("history").0, []);
    let views = house.set.views();
    assert!(views[0].default && views[0].name == name);
    house.stop().await;
}

#[test]
fn of_several_memories_in_a_group_only_the_newest_is_written() {
    let mut group = Group::of(Batch::default());
    group.add(Batch::default());
    assert_eq!(group.batches, 2);
    group.settle();
    assert_eq!(group.cut, Cut::default());
}
