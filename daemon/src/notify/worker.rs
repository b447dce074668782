//! The worker of one channel: takes what is due from the outbox, keeps to the channel's limits, sends, records what came of it.
//!
//! One attempt at a time, so a slow or hanging target delays nobody but itself. A delivery is taken (marked `sending`, durable) before its
//! attempt and finished after it; a crash between the two repeats it with the same key.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bellwether_core::{
    delivery::{Delivery, DeliveryId, DueDelivery},
    event::Event,
    notification::{Notification, Words},
    rate::TokenBucket,
    retry::Backoff,
    time::{Span, Timestamp},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    channel::{Limits, Outgoing, SendError},
    set::{ChannelSet, Health, Member},
};
use crate::{
    clock::Clock,
    links,
    metrics::Metrics,
    store::{Outcome, Store, StoreError},
};

/// From this many failures in a row on, the target is down.
const DOWN: u32 = 5;
/// How long a target that refuses us is left alone. It is asked again after a restart at once.
const REFUSED: Span = Span::from_seconds(30 * 60);
/// The longest `Retry-After` that is obeyed.
const LONGEST_AFTER: Span = Span::from_seconds(3600);
/// A sleep looks at the clock this often: timers stand still while the machine is suspended, wall time does not.
const LOOK: Duration = Duration::from_secs(2);
/// The wait after the store failed.
const STORE_WAIT: Span = Span::from_seconds(1);
const DAY: Span = Span::from_seconds(86_400);

/// What every worker has in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) events: links::Events,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) context: Context,
    pub(super) set: Arc<ChannelSet>,
    /// Cancelled when the workers are to finish the send in hand and end.
    pub(super) stop: CancellationToken,
}

/// The worker of one channel.
pub(super) struct Worker {
    shared: Shared,
    member: Arc<Member>,
    /// Told when something new is due.
    nudge: Arc<Notify>,
    limits: Limits,
    bucket: TokenBucket,
    /// The attempts of the last 24 hours, where they are limited.
    today: VecDeque<Timestamp>,
    /// Failures in a row.
    failures: u32,
    /// Nothing is tried before.
    closed_until: Timestamp,
    /// What went wrong last.
    trouble: String,
}

impl Worker {
    pub(super) fn new(shared: Shared, member: Arc<Member>, nudge: Arc<Notify>) -> Self {
        let limits = member.channel.limits();
        Self {
            shared,
            member,
            nudge,
            limits,
            bucket: TokenBucket::new(limits.burst, limits.refill),
            today: VecDeque::new(),
            failures: 0,
            closed_until: Timestamp::from_micros(i64::MIN),
            trouble: String::new(),
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self) {
        while !self.shared.stop.is_cancelled() {
            if let Err(until) = self.step().await {
                self.wait(until).await;
            }
        }
    }

    /// Makes one attempt, or says until when there is nothing to do.
    async fn step(&mut self) -> Result<(), Option<Timestamp>> {
        let now = self.shared.clock.now();
        let later = |error: StoreError| {
            tracing::warn!("the outbox cannot be used: {error}");
            Some(now.plus(STORE_WAIT))
        };
        let name = self.member.name().clone();
        match self.shared.store.next_due(name.clone()).await.map_err(later)? {
            None => return Err(None),
            Some(due) if due > now => return Err(Some(due)),
            Some(_) => {}
        }
        if self.closed_until > now {
            return Err(Some(self.closed_until));
        }
        self.may_send(now).map_err(Some)?;
        let taken = self.shared.store.take_due(name, now, 1).await.map_err(later)?;
        let Some(due) = taken.into_iter().next() else {
            return Err(Some(now.plus(STORE_WAIT)));
        };
        self.publish(due.delivery.clone()).await;
        self.attempt(due).await;
        Ok(())
    }

    /// Takes a token, or says when there will be one (docs/alerts.md, C6).
    fn may_send(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(daily) = self.limits.daily {
            while self.today.front().is_some_and(|at| now.since(*at) >= DAY) {
                self.today.pop_front();
            }
            if self.today.len() >= daily
                && let Some(oldest) = self.today.front()
            {
                let until = oldest.plus(DAY);
                self.tell(
                    "has reached its daily limit",
                    &format!("{daily} in 24 hours; the next one goes out {until}"),
                );
                return Err(until);
            }
        }
        self.bucket.take(now)?;
        if self.limits.daily.is_some() {
            self.today.push_back(now);
        }
        Ok(())
    }

    async fn attempt(&mut self, due: DueDelivery) {
        let DueDelivery { delivery, firing } = due;
        let now = self.shared.clock.now();
        if let Health::Gone(trouble) = self.member.health() {
            let answer = format!("the target is switched off: {trouble}");
            return self.finish(delivery.id, Outcome::Dead { answer }, "dead").await;
        }
        if self.failures >= DOWN && now.since(delivery.created) > self.limits.give_up {
            let answer = format!("gave up after {}, the target was down: {}", self.limits.give_up, self.trouble);
            return self.finish(delivery.id, Outcome::Dead { answer }, "dead").await;
        }
        let context = &self.shared.context;
        let (name, currency) = context.instrument(firing.symbol);
        let words = Words {
            name: &name,
            currency: &currency,
            timezone: context.timezone.as_deref(),
            now,
            simulated: context.simulated,
        };
        let key = delivery.id.to_string();
        let message = Outgoing {
            number: delivery.id.0,
            attempt: delivery.attempts,
            created: delivery.created,
            fired: firing.received,
            now,
            urgent: firing.urgent,
            notification: Notification::of(&firing, &key, &words),
            key,
        };
        match self.member.send(&message).await {
            Ok(receipt) => {
                self.failures = 0;
                self.member.set_health(Health::Working);
                self.finish(delivery.id, Outcome::Sent { answer: receipt.answer }, "sent").await;
            }
            Err(error) => self.failed(&delivery, error).await,
        }
    }

    /// Sorts a failure (docs/alerts.md, C4 and C5).
    async fn failed(&mut self, delivery: &Delivery, error: SendError) {
        let answer = error.to_string();
        self.trouble.clone_from(&answer);
        tracing::warn!(channel = %self.member.name(), delivery = %delivery.id, attempt = delivery.attempts, "{answer}");
        let (outcome, status) = match error {
            SendError::Permanent { .. } => {
                self.failures = 0;
                (Outcome::Dead { answer }, "dead")
            }
            SendError::Gone { .. } => {
                self.member.set_health(Health::Gone(answer.clone()));
                self.tell("is gone and was switched off", &answer);
                (Outcome::Dead { answer }, "dead")
            }
            SendError::Ambiguous { .. } => (Outcome::Unknown { answer }, "unknown"),
            SendError::Retry { after, .. } => self.again(delivery, after, false, answer),
            SendError::Doubtful { .. } => self.again(delivery, None, true, answer),
            SendError::Refused { .. } => {
                self.failures = self.failures.max(DOWN - 1);
                self.closed_until = self.shared.clock.now().plus(REFUSED);
                self.again(delivery, None, false, answer)
            }
        };
        self.finish(delivery.id, outcome, status).await;
    }

    /// Tries again later, unless the time is up.
    fn again(
        &mut self,
        delivery: &Delivery,
        after: Option<Span>,
        doubtful: bool,
        answer: String,
    ) -> (Outcome, &'static str) {
        let now = self.shared.clock.now();
        self.failures = self.failures.saturating_add(1);
        let mut at = now.plus(Backoff::DELIVERY.delay(delivery.attempts, rand::random()));
        if let Some(after) = after {
            // It is the target that wants peace, not just this message.
            self.closed_until = self.closed_until.max(now.plus(after.min(LONGEST_AFTER)));
            at = at.max(self.closed_until);
        }
        if self.failures >= DOWN {
            let longest = Span::from_micros(self.limits.give_up.as_micros() / 10);
            let probe = Backoff::DELIVERY.delay(self.failures - (DOWN - 1), rand::random()).min(longest);
            self.closed_until = self.closed_until.max(now.plus(probe));
            self.member.set_health(Health::Down(answer.clone()));
            self.tell("is down", &answer);
        } else {
            self.member.set_health(Health::Failing(answer.clone()));
        }
        if at <= delivery.created.plus(self.limits.give_up) {
            return (Outcome::Retry { at, answer }, "retry");
        }
        let answer = format!("gave up after {}: {answer}", self.limits.give_up);
        if doubtful { (Outcome::Unknown { answer }, "unknown") } else { (Outcome::Dead { answer }, "dead") }
    }

    /// One notice over another channel, beside this worker's own work.
    fn tell(&self, what: &str, answer: &str) {
        let (set, name) = (Arc::clone(&self.shared.set), self.member.name().clone());
        let title = format!("bellwether: channel {name} {what}");
        let body = format!("Notifications to {} wait or are lost: {answer}", self.member.channel.target());
        let about = format!("{name} {what}");
        tokio::spawn(async move { set.notice(&about, Some(&name), &title, &body).await });
    }

    /// Records the end of an attempt. What has been sent must be noted, so this does not give up while the disk is full.
    async fn finish(&self, id: DeliveryId, outcome: Outcome, status: &'static str) {
        self.shared.metrics.sent(self.member.name(), status);
        loop {
            match self.shared.store.finish(id, outcome.clone(), self.shared.clock.now()).await {
                Ok(delivery) => return self.publish(delivery).await,
                Err(StoreError::Unwritable(trouble)) => {
                    tracing::error!(delivery = %id, "its outcome ({status}) cannot be recorded: {trouble}");
                    tokio::select! {
                        () = self.shared.stop.cancelled() => return,
                        () = tokio::time::sleep(STORE_WAIT.into()) => {}
                    }
                }
                Err(error) => {
                    tracing::error!(delivery = %id, "its outcome ({status}) is not recorded: {error}");
                    return;
                }
            }
        }
    }

    async fn publish(&self, delivery: Delivery) {
        // Without a hub the daemon is ending, and nobody watches.
        if self.shared.events.send(Event::Delivery(delivery)).await.is_err() {
            tracing::debug!("nobody listens to events any more");
        }
    }

    /// Until this time, or for ever; less when nudged or told to stop.
    async fn wait(&self, until: Option<Timestamp>) {
        loop {
            let rest = match until {
                None => Duration::MAX,
                Some(until) => {
                    let now = self.shared.clock.now();
                    if now >= until {
                        return;
                    }
                    Duration::from(until.since(now)).min(LOOK)
                }
            };
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = self.nudge.notified() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }
}
