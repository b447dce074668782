//! The worker of one channel: takes what is due from the outbox, keeps to the channel's limits, sends, records what came of it.
//!
//! One attempt at a time, so a slow or hanging target delays nobody but itself. A delivery is taken (marked `sending`, durable) before its
//! attempt and finished after it; a crash between the two repeats it with the same key.

use std::{sync::Arc, time::Duration};

use bellwether_core::{
    delivery::{
        Delivery, DeliveryId, DeliveryState, DueDelivery, Waits,
        limit::{Limiter, Refusal, Spent},
    },
    event::Event,
    notification::{Notification, Words},
    retry::Backoff,
    time::{Span, Timestamp},
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    Context, Policy,
    channel::{Outgoing, SendError},
    set::{ChannelSet, Health, Member},
};
use crate::{
    clock::Clock,
    links,
    metrics::Metrics,
    pulse::{Beat, Pulse},
    store::{Lane, Outcome, Store, StoreError, Take, Taken},
};

/// From this many failures in a row on, the target is down.
const DOWN: u32 = 5;
/// How long a target that refuses us is left alone. It is asked again after a restart at once.
const REFUSED: Span = Span::from_seconds(30 * 60);
/// The longest `Retry-After` that is obeyed.
const LONGEST_AFTER: Span = Span::from_seconds(3600);
/// A sleep looks at the clock this often: timers stand still while the machine is suspended, wall time does not.
const LOOK: Duration = Duration::from_secs(2);
/// How much longer than its deadline a send may take before its worker counts as stuck.
const SLACK: Duration = Duration::from_secs(5);
/// The wait after the store failed.
const STORE_WAIT: Span = Span::from_seconds(1);

/// What every worker has in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) events: links::Events,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) context: Context,
    pub(super) policy: Policy,
    pub(super) set: Arc<ChannelSet>,
    /// Cancelled when the workers are to finish the send in hand and end.
    pub(super) stop: CancellationToken,
    /// Where the workers show that they turn.
    pub(super) pulse: Pulse,
}

/// The worker of one channel.
pub(super) struct Worker {
    shared: Shared,
    member: Arc<Member>,
    limiter: Limiter,
    beat: Beat,
    /// Failures in a row.
    failures: u32,
    /// Nothing is tried before.
    closed_until: Timestamp,
    /// It is closed because we are refused, whatever the message: a restart, perhaps with another password, asks again.
    refused: bool,
    /// What went wrong last.
    trouble: String,
}

/// What a restart must not forget of a channel (docs/reliability.md, P4).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    spent: Spent,
    failures: u32,
    /// In microseconds.
    closed_until: Option<i64>,
    trouble: String,
}

impl Memory {
    /// As it is written down, with what this limiter has spent.
    fn with(self, limiter: &Limiter) -> Option<String> {
        serde_json::to_string(&Self { spent: limiter.spent(), ..self }).ok()
    }
}

impl Worker {
    pub(super) fn new(shared: Shared, member: Arc<Member>) -> Self {
        Self {
            limiter: Limiter::new(member.limits.allowance),
            beat: shared.pulse.part(&format!("worker of {}", member.name())),
            shared,
            member,
            failures: 0,
            closed_until: Timestamp::from_micros(i64::MIN),
            refused: false,
            trouble: String::new(),
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self) {
        while !self.shared.stop.is_cancelled() {
            let Err(error) = self.remember().await else { break };
            tracing::warn!("the outbox cannot be used: {error}");
            self.wait(Some(self.shared.clock.now().plus(STORE_WAIT))).await;
        }
        while !self.shared.stop.is_cancelled() {
            self.beat.turn();
            if let Err(until) = self.step().await {
                self.wait(until).await;
            }
        }
    }

    /// Goes on as before the restart.
    async fn remember(&mut self) -> Result<(), StoreError> {
        let Some(text) = self.shared.store.channel_memory(self.member.name().clone()).await? else { return Ok(()) };
        let memory: Memory = match serde_json::from_str(&text) {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!(channel = %self.member.name(), "its limits start afresh, they cannot be read: {error}");
                return Ok(());
            }
        };
        let now = self.shared.clock.now();
        self.limiter = self.limiter.clone().resumed(&memory.spent, now);
        self.failures = memory.failures;
        self.trouble = memory.trouble;
        if let Some(until) = memory.closed_until {
            // No rest is longer than the longest, whatever the clock did meanwhile.
            self.closed_until = Timestamp::from_micros(until).min(now.plus(LONGEST_AFTER));
        }
        if self.failures >= DOWN && self.member.health() == Health::Untried {
            self.member.set_health(Health::Down(self.trouble.clone()));
        }
        Ok(())
    }

    /// What is to be remembered, but for what was spent.
    fn memory(&self) -> Memory {
        Memory {
            spent: Spent::default(),
            failures: self.failures,
            closed_until: (!self.refused).then(|| self.closed_until.as_micros()).filter(|until| *until > i64::MIN),
            trouble: self.trouble.clone(),
        }
    }

    /// Sends one message, or says until when there is nothing to do.
    async fn step(&mut self) -> Result<(), Option<Timestamp>> {
        let now = self.shared.clock.now();
        let later = |error: StoreError| {
            tracing::warn!("the outbox cannot be used: {error}");
            Some(now.plus(STORE_WAIT))
        };
        let name = self.member.name().clone();
        let next = self.shared.store.next_due(name.clone()).await.map_err(later)?;
        let due: Vec<Lane> = Lane::ALL
            .into_iter()
            .zip(next)
            .filter(|(_, at)| at.is_some_and(|at| at <= now))
            .map(|(lane, _)| lane)
            .collect();
        let Some(lane) = due.first().copied() else { return Err(next.into_iter().flatten().min()) };
        if self.closed_until > now {
            self.mark(due, Waits::TargetDown, now).await.map_err(later)?;
            return Err(Some(self.closed_until));
        }
        if lane != Lane::Urgent
            && let Some(until) = self.shared.policy.quiet_until(&name, now)
        {
            for held in self.shared.store.hold(name, until, now).await.map_err(later)? {
                self.publish(held).await;
            }
            return Ok(());
        }
        let mut limiter = self.limiter.clone();
        if let Err(refusal) = limiter.take(now, lane == Lane::Urgent) {
            self.refused_by_limits(refusal, now).await;
            self.mark(due, Waits::Limit, now).await.map_err(later)?;
            // What is urgent has tokens of its own: look again when the next of that is due.
            let urgent = next[0].filter(|at| *at > now);
            return Err(Some(urgent.map_or(refusal.until, |at| at.min(refusal.until))));
        }
        let take = Take { lane, grouping: self.member.grouping, memory: self.memory().with(&limiter), now };
        let Some(taken) = self.shared.store.take(name, take).await.map_err(later)? else {
            // Cancelled in between: nothing was sent.
            return Err(Some(now.plus(STORE_WAIT)));
        };
        self.limiter = limiter;
        let mut next = Some(taken);
        while let Some(taken) = next {
            self.tell_taken(&taken).await;
            next = self.attempt(taken.due).await;
        }
        Ok(())
    }

    async fn tell_taken(&self, taken: &Taken) {
        self.publish(taken.due.delivery.clone()).await;
        if !taken.merged.is_empty() {
            self.shared.metrics.ended(self.member.name(), "merged", taken.due.delivery.merged.into());
        }
        for merged in &taken.merged {
            self.publish(merged.clone()).await;
        }
    }

    /// Notes that a message was accepted and takes the next one, in one transaction, where a look at the queue would only find that it
    /// may be sent: nothing is held, closed or used up. Otherwise, and where that fails, the accepted one is noted by itself.
    async fn finish_and_take(&mut self, sent: &Delivery, outcome: Outcome) -> Option<Taken> {
        let now = self.shared.clock.now();
        let quiet = self.shared.policy.quiet_until(self.member.name(), now).is_some();
        let (limiter, stop) = (self.limiter.clone(), self.shared.stop.clone());
        let (memory, grouping) = (self.memory(), self.member.grouping);
        let choose = move |next: [Option<Timestamp>; 3]| {
            let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
            let (lane, _) = Lane::ALL.into_iter().zip(next).find(|(_, at)| due(*at))?;
            if stop.is_cancelled() || (quiet && lane != Lane::Urgent) {
                return None;
            }
            let mut limiter = limiter;
            limiter.take(now, lane == Lane::Urgent).ok()?;
            Some(Take { lane, grouping, memory: memory.with(&limiter), now })
        };
        if self.closed_until > now {
            self.finish(sent, outcome, "sent").await;
            return None;
        }
        match self.shared.store.finish_and_take(sent.id, outcome.clone(), now, choose).await {
            Ok((delivery, taken)) => {
                self.shared.metrics.sent(self.member.name(), "sent");
                self.tell_finished(delivery, "sent").await;
                if let Some(taken) = &taken {
                    // As it was allowed in the transaction: of what it is and when, nothing has changed.
                    let allowed = self.limiter.take(now, taken.due.delivery.urgent);
                    debug_assert!(allowed.is_ok(), "{allowed:?}");
                }
                taken
            }
            Err(error) => {
                tracing::debug!(delivery = %sent.id, "its outcome is noted by itself: {error}");
                self.finish(sent, outcome, "sent").await;
                None
            }
        }
    }

    /// Says of the first that wait what for.
    async fn mark(&self, lanes: Vec<Lane>, waits: Waits, now: Timestamp) -> Result<(), StoreError> {
        for waiting in self.shared.store.mark(self.member.name().clone(), lanes, waits, now).await? {
            self.publish(waiting).await;
        }
        Ok(())
    }

    /// Once a day another channel tells how many more there are than may be sent (docs/alerts.md, C6).
    async fn refused_by_limits(&mut self, refusal: Refusal, now: Timestamp) {
        if !refusal.daily || !self.limiter.tell(now) {
            return;
        }
        self.keep_memory().await;
        let name = self.member.name();
        let queue = self.shared.store.queue().await.unwrap_or_default();
        let more = queue.iter().find(|(channel, _, _)| channel == name).map_or(0, |(_, count, _)| *count);
        let daily = self.member.limits.allowance.daily.unwrap_or_default();
        self.tell(
            "has reached its daily limit",
            &format!("{more} more than the {daily} of 24 hours; the next one goes out {}", refusal.until),
        );
    }

    /// Writes down how the channel is doing. Where that fails, the next message does it.
    async fn keep_memory(&self) {
        if let Some(memory) = self.memory().with(&self.limiter)
            && let Err(error) = self.shared.store.remember_channel(self.member.name().clone(), memory).await
        {
            tracing::debug!("how a channel is doing is not written down: {error}");
        }
    }

    /// One attempt, and what came of it. Gives the next message where it could be taken with that.
    async fn attempt(&mut self, due: DueDelivery) -> Option<Taken> {
        let DueDelivery { delivery, .. } = &due;
        let now = self.shared.clock.now();
        if let Health::Gone(trouble) = self.member.health() {
            let answer = format!("the target is switched off: {trouble}");
            self.finish(delivery, Outcome::Dead { answer }, "dead").await;
            return None;
        }
        let give_up = self.member.limits.give_up;
        if self.failures >= DOWN && now.since(delivery.offered) > give_up {
            let answer = format!("gave up after {give_up}, the target was down: {}", self.trouble);
            self.finish(delivery, Outcome::Dead { answer }, "dead").await;
            return None;
        }
        let message = self.message(&due, now);
        self.beat.busy(Duration::from(self.member.limits.deadline) + SLACK);
        let began = tokio::time::Instant::now();
        let answer = self.member.send(&message).await;
        self.shared.metrics.attempted(self.member.name(), began.elapsed().as_secs_f64());
        match answer {
            Ok(receipt) => {
                let age = Duration::from(self.shared.clock.now().since(due.firing.received));
                self.shared.metrics.accepted(self.member.name(), age.as_secs_f64());
                self.member.set_health(Health::Working);
                let recovered = std::mem::take(&mut self.failures) > 0;
                let next = self.finish_and_take(delivery, Outcome::Sent { answer: receipt.answer }).await;
                if recovered {
                    self.keep_memory().await;
                }
                next
            }
            Err(error) => {
                self.failed(delivery, error).await;
                None
            }
        }
    }

    /// The words of a delivery, or of the digest that it carries.
    fn message(&self, due: &DueDelivery, now: Timestamp) -> Outgoing {
        let DueDelivery { delivery, firing, digest } = due;
        let context = &self.shared.context;
        let (name, currency) = context.instrument(firing.symbol);
        let words = Words {
            name: &name,
            currency: &currency,
            timezone: context.timezone.as_deref(),
            now,
            simulated: context.simulated,
            collected: digest.as_ref().map_or(1, |digest| digest.firings),
        };
        let key = delivery.id.to_string();
        let notification = match digest {
            Some(digest) if digest.alerts > 1 => Notification::digest(digest, &key, &words),
            _ => Notification::of(firing, &key, &words),
        };
        Outgoing {
            number: delivery.id.0,
            attempt: delivery.attempts,
            created: delivery.created,
            fired: firing.received,
            now,
            urgent: delivery.urgent,
            notification,
            key,
        }
    }

    /// Sorts a failure (docs/alerts.md, C4 and C5).
    async fn failed(&mut self, delivery: &Delivery, error: SendError) {
        let answer = error.to_string();
        self.trouble.clone_from(&answer);
        tracing::warn!(channel = %self.member.name(), delivery = %delivery.id, attempt = delivery.attempts, "{answer}");
        self.refused = false;
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
                self.refused = true;
                self.again(delivery, None, false, answer)
            }
        };
        self.finish(delivery, outcome, status).await;
        self.keep_memory().await;
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
            let longest = Span::from_micros(self.member.limits.give_up.as_micros() / 10);
            let probe = Backoff::DELIVERY.delay(self.failures - (DOWN - 1), rand::random()).min(longest);
            self.closed_until = self.closed_until.max(now.plus(probe));
            self.member.set_health(Health::Down(answer.clone()));
            self.tell("is down", &answer);
        } else {
            self.member.set_health(Health::Failing(answer.clone()));
        }
        let give_up = self.member.limits.give_up;
        if at <= delivery.offered.plus(give_up) {
            return (Outcome::Retry { at, answer }, "retry");
        }
        let answer = format!("gave up after {give_up}: {answer}");
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
    async fn finish(&self, sent: &Delivery, outcome: Outcome, status: &'static str) {
        let id = sent.id;
        self.shared.metrics.sent(self.member.name(), status);
        loop {
            match self.shared.store.finish(id, outcome.clone(), self.shared.clock.now()).await {
                Ok(delivery) => return self.tell_finished(delivery, status).await,
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

    /// Tells what became of a delivery, and of those in its digest.
    async fn tell_finished(&self, delivery: Delivery, status: &'static str) {
        let id = delivery.id;
        let ended = delivery.merged > 0 && delivery.state.is_final();
        if ended && delivery.state != DeliveryState::Sent {
            self.shared.metrics.ended(self.member.name(), status, delivery.merged.into());
        }
        self.publish(delivery).await;
        if ended {
            self.publish_members(id).await;
        }
    }

    /// Tells what became of those in a digest, as far as anybody still shows them.
    async fn publish_members(&self, id: DeliveryId) {
        for member in self.shared.store.members(id).await.unwrap_or_default() {
            self.publish(member).await;
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
            self.beat.turn();
            let rest = match until {
                None => LOOK,
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
                () = self.member.nudge.notified() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }
}
