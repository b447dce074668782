//! Role 3: firings are committed with their deliveries, then told, then sent.
//!
//! ```text
//! batches ─▶ group commit (firings, deliveries, evaluator's memory: one transaction) ─▶ events
//!                                  └─ nudge ─▶ one worker a channel ─▶ desktop, mail, SMS, webhook, program
//! ```
//!
//! Which rows a firing needs, what is collected, held, limited, and when, core decides (`core/src/delivery/`). The outbox in the store *is* the queue: nothing is sent that is not recorded, and what is recorded is sent after any crash.

mod address;
mod by_hand;
mod channel;
mod chart;
mod command;
mod desktop;
mod desktop_bus;
mod desktop_chart;
mod email;
#[cfg(test)]
mod fake_http;
mod hands;
mod http;
mod mail_message;
mod mail_session;
mod set;
mod sms;
mod trace;
mod webhook;
mod webhook_template;
mod worker;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bellwether_core::{
    alert::{Alert, AlertId},
    catalog::Catalog,
    condition::ChannelName,
    delivery::{
        Delivery, DeliveryState, Waits,
        escalate::{self, Step},
        group::Grouping,
        quiet::QuietHours,
    },
    evaluator::Cut,
    event::{AlertRow, Event},
    firing::Firing,
    instrument::Symbol,
    time::{Span, Timestamp},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::worker::{Shared, Worker};
pub(crate) use self::{
    by_hand::ByHand,
    channel::ChannelConfigError,
    hands::{Action, Hands},
    set::ChannelSet,
};
use crate::{
    clock::Clock,
    links::{self, Batch},
    metrics::Metrics,
    pulse::{self, Beat, Pulse},
    store::{Record, Route, Store, StoreError},
};

/// The most batches that one transaction takes.
const GROUP: usize = 256;
/// The first and the longest wait after a commit that failed: ten seconds after the cure all goes on.
const COMMIT_WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// After this many failures of one commit the user is told by a way that needs no disk.
const TELL_AFTER: u32 = 3;
/// How long the workers may take to finish the send in hand when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(7);
/// How often the queues are measured.
const MEASURE: Duration = Duration::from_secs(5);

/// What the words of a notification need, beside the firing.
#[derive(Clone)]
pub(crate) struct Context {
    /// The instruments' names and currencies.
    pub(crate) catalog: Arc<Catalog>,
    /// The reader's IANA time zone; UTC where absent.
    pub(crate) timezone: Option<String>,
    /// Whether the market is simulated.
    pub(crate) simulated: bool,
}

impl Context {
    /// Name and currency of an instrument.
    fn instrument(&self, symbol: Symbol) -> (String, String) {
        match self.catalog.get(symbol) {
            Some(instrument) => (instrument.name.clone(), instrument.currency.clone()),
            None => (symbol.to_string(), "USD".to_owned()),
        }
    }
}

/// When firings go where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// When messages are held until morning.
    pub(crate) quiet: Option<QuietHours>,
    /// The escalation of urgent alerts that name no channel.
    pub(crate) steps: Vec<Step>,
}

impl Policy {
    /// The end of the quiet hours of a channel; nothing where it is not quiet.
    fn quiet_until(&self, channel: &ChannelName, now: Timestamp) -> Option<Timestamp> {
        self.quiet.as_ref().filter(|hours| hours.concern(channel)).and_then(|hours| hours.until(now))
    }
}

/// Whether firings can be recorded; shared with whoever reports the daemon's health.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreHealth(Arc<Mutex<Option<String>>>);

impl StoreHealth {
    /// Why firings cannot be recorded at this moment; `None` when they can.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// What the role works with.
pub(crate) struct Deps {
    /// Where firings and deliveries are kept.
    pub(crate) store: Store,
    /// Where notifications go.
    pub(crate) channels: Arc<ChannelSet>,
    /// Where it is told what happened.
    pub(crate) events: links::Events,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The time.
    pub(crate) clock: Clock,
    /// What the words need.
    pub(crate) context: Context,
    /// When firings go where.
    pub(crate) policy: Policy,
    /// Set while firings cannot be recorded.
    pub(crate) health: StoreHealth,
    /// Where it and its workers show that they turn.
    pub(crate) pulse: Pulse,
}

/// Records and delivers until `batches` closes; then the workers finish the send in hand, and it ends.
///
/// # Panics
/// When a worker ends early: the daemon must not go on without one of its channels.
pub(crate) async fn run(mut batches: mpsc::Receiver<Batch>, deps: Deps) {
    let notifier = Notifier { beat: deps.pulse.part("recorder of firings"), deps };
    notifier.recover().await;
    let stop = CancellationToken::new();
    let mut workers = notifier.start_workers(&stop);
    let mut measure = tokio::time::interval(MEASURE);
    measure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = tokio::time::interval(pulse::TURN);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        notifier.beat.turn();
        tokio::select! {
            batch = batches.recv() => {
                let Some(batch) = batch else { break };
                let mut group = Group::of(batch);
                while group.batches < GROUP
                    && let Ok(batch) = batches.try_recv()
                {
                    group.add(batch);
                }
                notifier.take(group).await;
            }
            ended = workers.join_next(), if !workers.is_empty() => {
                if let Some(Err(error)) = ended
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
                unreachable!("a worker ends only after it was told to");
            }
            _ = measure.tick() => notifier.measure().await,
            _ = turn.tick() => {}
        }
    }
    stop.cancel();
    let ended = async {
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a worker failed at the end: {error}");
            }
        }
    };
    if tokio::time::timeout(FAREWELL, ended).await.is_err() {
        // What they were sending stays marked so, and is due again at the next start.
        tracing::warn!("a channel did not end in time and was cut off");
        workers.shutdown().await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn seconds(span: Span) -> f64 {
    span.as_micros() as f64 / 1e6
}

/// Several batches on their way into one transaction.
struct Group {
    batches: usize,
    firings: Vec<Firing>,
    cut: Cut,
    rows: Vec<AlertRow>,
    over: Vec<(AlertId, u32)>,
    rewritten: Vec<Alert>,
    started: Vec<Timestamp>,
}

impl Group {
    fn of(batch: Batch) -> Self {
        let mut group = Self {
            batches: 0,
            firings: Vec::new(),
            cut: Cut::default(),
            rows: Vec::new(),
            over: Vec::new(),
            rewritten: Vec::new(),
            started: Vec::new(),
        };
        group.add(batch);
        group
    }

    fn add(&mut self, batch: Batch) {
        self.batches += 1;
        self.firings.extend(batch.firings);
        self.cut.alerts.extend(batch.cut.alerts);
        self.cut.instruments.extend(batch.cut.instruments);
        self.rows.extend(batch.rows);
        self.over.extend(batch.over);
        self.rewritten.extend(batch.rewritten);
        self.started.extend(batch.started);
    }

    /// Of several memories of one thing only the newest is worth writing.
    fn settle(&mut self) {
        let mut seen = HashSet::new();
        self.cut.alerts.reverse();
        self.cut.alerts.retain(|memory| seen.insert(memory.id));
        self.cut.alerts.reverse();
        let mut seen = HashSet::new();
        self.cut.instruments.reverse();
        self.cut.instruments.retain(|memory| seen.insert(memory.symbol));
        self.cut.instruments.reverse();
    }
}

struct Notifier {
    deps: Deps,
    beat: Beat,
}

impl Notifier {
    /// At start: what was being sent when the last run ended is due again; what waits for a channel that is gone is given up.
    async fn recover(&self) {
        let mut wait = COMMIT_WAIT.0;
        loop {
            let now = self.deps.clock.now();
            let done = async {
                let again = self.deps.store.recover(now).await?;
                let lost = self.deps.store.unroutable(self.deps.channels.names(), now).await?;
                Ok::<_, StoreError>((again, lost))
            };
            match done.await {
                Ok((again, lost)) => {
                    if again + lost > 0 {
                        tracing::info!("outbox: {again} deliveries are sent again, {lost} had no channel any more");
                    }
                    return self.deps.health.set(None);
                }
                Err(error) => self.trouble("the outbox cannot be taken up again", &error, &mut wait).await,
            }
        }
    }

    fn start_workers(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        let shared = Shared {
            store: self.deps.store.clone(),
            events: self.deps.events.clone(),
            metrics: self.deps.metrics.clone(),
            clock: self.deps.clock.clone(),
            context: self.deps.context.clone(),
            policy: self.deps.policy.clone(),
            set: Arc::clone(&self.deps.channels),
            stop: stop.clone(),
            pulse: self.deps.pulse.clone(),
        };
        for member in &self.deps.channels.members {
            workers.spawn(Worker::new(shared.clone(), Arc::clone(member)).run());
        }
        let set = Arc::clone(&self.deps.channels);
        tokio::spawn(async move { set.probe().await });
        workers
    }

    /// Commits a group, then has it sent, and tells the world.
    async fn take(&self, mut group: Group) {
        group.settle();
        // Here, not in the evaluator, and once for everybody who reads them.
        group.firings.iter_mut().for_each(Firing::write_out);
        let record = Record {
            routes: self.routes(&group.firings, self.deps.clock.now()),
            firings: std::mem::take(&mut group.firings),
            over: std::mem::take(&mut group.over),
            rewritten: std::mem::take(&mut group.rewritten),
            cut: std::mem::take(&mut group.cut),
            now: self.deps.clock.now(),
        };
        let (deliveries, firings) = self.commit(record).await;
        let now = self.deps.clock.now();
        for started in &group.started {
            self.deps.metrics.tick_to_commit.observe(seconds(now.since(*started)));
        }
        // Before the news, of which there may be thousands: the first message does not wait for them.
        let woken: HashSet<&ChannelName> = deliveries.iter().map(|d| &d.channel).collect();
        for name in woken {
            self.deps.channels.nudge(name);
        }
        // Only after the commit: a dashboard must never show a firing that the next start would not know.
        for firing in firings {
            self.deps.metrics.triggered(firing.condition());
            self.publish(Event::Fired(firing)).await;
        }
        for row in group.rows {
            self.publish(Event::AlertPut(row)).await;
        }
        self.hand_over(deliveries).await;
    }

    /// Each firing with each of its channels: its own, the default ones, or the steps of what is urgent.
    fn routes(&self, firings: &[Firing], now: Timestamp) -> Vec<Route> {
        let set = &self.deps.channels;
        let known = set.names();
        let quiet: HashMap<&ChannelName, Timestamp> =
            known.iter().filter_map(|name| Some((name, self.deps.policy.quiet_until(name, now)?))).collect();
        let grouping: HashMap<&ChannelName, Grouping> =
            set.members.iter().map(|member| (member.name(), member.grouping)).collect();
        let mut seen = HashSet::new();
        let mut routes = Vec::new();
        for firing in firings.iter().filter(|firing| seen.insert(firing.id)) {
            for planned in escalate::plan(firing, &self.deps.policy.steps, &set.defaults, &known) {
                let not_before = if planned.after.is_zero() {
                    quiet.get(&planned.channel).filter(|_| !firing.urgent).map(|until| (*until, Waits::QuietHours))
                } else {
                    Some((now.plus(planned.after), Waits::Escalation))
                };
                routes.push(Route {
                    firing: firing.id,
                    step: planned.step,
                    urgent: firing.urgent,
                    not_before,
                    grouping: grouping.get(&planned.channel).copied().unwrap_or(Grouping::OFF),
                    channel: planned.channel,
                });
            }
        }
        routes
    }

    /// Records until it is recorded, and gives the firings back. While that fails nothing is sent and nothing more is taken, so the
    /// evaluator waits too.
    async fn commit(&self, record: Record) -> (Vec<Delivery>, Vec<Firing>) {
        let (mut wait, mut failures) = (COMMIT_WAIT.0, 0);
        loop {
            let started = Instant::now();
            let attempt = Record { now: self.deps.clock.now(), ..record.clone() };
            match self.deps.store.record(attempt).await {
                Ok(deliveries) => {
                    self.deps.metrics.commit.observe(started.elapsed().as_secs_f64());
                    if failures > 0 {
                        tracing::info!("firings can be recorded again");
                        self.deps.health.set(None);
                    }
                    return (deliveries, record.firings);
                }
                Err(error) => {
                    failures += 1;
                    if failures == TELL_AFTER {
                        let set = Arc::clone(&self.deps.channels);
                        let body = format!("Nothing is judged or sent until they can: {error}");
                        tokio::spawn(async move {
                            set.notice("store", None, "bellwether: firings cannot be recorded", &body).await;
                        });
                    }
                    self.trouble("firings cannot be recorded", &error, &mut wait).await;
                }
            }
        }
    }

    async fn trouble(&self, what: &str, error: &StoreError, wait: &mut Duration) {
        tracing::error!("{what}: {error}");
        self.deps.health.set(Some(format!("{what}: {error}")));
        // A disk that refuses is told and waited for: no reason to start anew.
        self.beat.turn();
        tokio::time::sleep(*wait).await;
        *wait = (*wait * 2).min(COMMIT_WAIT.1);
    }

    /// Tells of new deliveries; those whose channel does not exist any more end here.
    async fn hand_over(&self, deliveries: Vec<Delivery>) {
        let known = self.deps.channels.names();
        let mut lost = false;
        for mut delivery in deliveries {
            if delivery.state == DeliveryState::Cancelled {
                self.deps.metrics.sent(&delivery.channel, "cancelled");
            } else if !known.contains(&delivery.channel) {
                lost = true;
                self.deps.metrics.sent(&delivery.channel, "dead");
                delivery.state = DeliveryState::Dead;
                delivery.next_attempt = None;
                delivery.waits = None;
                delivery.finished = Some(self.deps.clock.now());
                delivery.answer = Some(format!("no channel {} is configured", delivery.channel));
            }
            self.publish(Event::Delivery(delivery)).await;
        }
        if lost && let Err(error) = self.deps.store.unroutable(known, self.deps.clock.now()).await {
            // The next start does it.
            tracing::warn!("deliveries without a channel are not closed yet: {error}");
        }
    }

    async fn publish(&self, event: Event) {
        // Without a hub the daemon is ending, and nobody watches.
        if self.deps.events.send(event).await.is_err() {
            tracing::debug!("nobody listens to events any more");
        }
    }

    /// How many deliveries of each channel wait, and how old the oldest is.
    async fn measure(&self) {
        let Ok(queue) = self.deps.store.queue().await else { return };
        let now = self.deps.clock.now();
        let waiting: HashMap<_, _> = queue.into_iter().map(|(name, depth, oldest)| (name, (depth, oldest))).collect();
        for name in self.deps.channels.names() {
            let (depth, oldest) = waiting.get(&name).copied().unwrap_or((0, now));
            self.deps.metrics.queue(&name, depth, Duration::from(now.since(oldest)).as_secs_f64());
        }
        let Ok(census) = self.deps.store.census().await else { return };
        for name in self.deps.channels.names() {
            for state in [DeliveryState::Queued, DeliveryState::Sending, DeliveryState::Retry, DeliveryState::Dead] {
                let known = census.iter().find(|(channel, found, _)| (channel, found) == (&name, &state));
                self.deps.metrics.deliveries(&name, state.as_str(), known.map_or(0, |(_, _, count)| *count));
            }
        }
    }
}

#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod pipeline_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::firing as a_firing;
