//! What people do to deliveries: sending one again that had come to its end, and what an acknowledgement or a removal makes pointless.
//! The gateway asks; the outbox is notify's.

use std::sync::Arc;

use bellwether_core::{
    alert::{AlertId, UserId},
    delivery::{Delivery, DeliveryId},
    event::Event,
    time::Timestamp,
};

use super::ChannelSet;
use crate::{
    clock::Clock,
    links,
    metrics::Metrics,
    store::{Store, StoreError},
};

/// The hand on the outbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ByHand {
    /// Where the deliveries are.
    pub(crate) store: Store,
    /// Where they go.
    pub(crate) channels: Arc<ChannelSet>,
    /// Where it is told.
    pub(crate) events: links::Events,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The time.
    pub(crate) clock: Clock,
}

impl ByHand {
    /// Has a delivery of this owner sent again. `Err` of the inner result: why that makes no sense.
    pub(crate) async fn resend(&self, owner: UserId, id: DeliveryId) -> Result<Result<Delivery, String>, StoreError> {
        let delivery = match self.store.resend(owner, id, self.clock.now()).await? {
            Ok(delivery) => delivery,
            Err(state) => {
                return Ok(Err(format!("Delivery {id} is {state}: only what is dead or unknown can be sent again.")));
            }
        };
        if !self.channels.names().contains(&delivery.channel) {
            self.store.unroutable(self.channels.names(), self.clock.now()).await?;
            return Ok(Err(format!("Delivery {id} has no way: no channel {} is configured.", delivery.channel)));
        }
        let members = if delivery.merged > 0 { self.store.members(id).await? } else { Vec::new() };
        for news in [delivery.clone()].into_iter().chain(members) {
            self.publish(news).await;
        }
        self.channels.nudge(&delivery.channel);
        Ok(Ok(delivery))
    }

    /// Tells what became pointless with a change of this alert made since then.
    pub(crate) async fn withdrawn(&self, alert: AlertId, since: Timestamp) {
        match self.store.cancelled(alert, since).await {
            Ok(cancelled) => {
                for delivery in cancelled {
                    self.metrics.sent(&delivery.channel, "cancelled");
                    self.publish(delivery).await;
                }
            }
            // It is so all the same; who asks, reads it.
            Err(error) => tracing::warn!("what was cancelled with {alert} is not told: {error}"),
        }
    }

    async fn publish(&self, delivery: Delivery) {
        if self.events.send(Event::Delivery(delivery)).await.is_err() {
            tracing::debug!("nobody listens to events any more");
        }
    }
}
