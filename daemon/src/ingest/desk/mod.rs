//! The desk: the one task between the feeds and the evaluator. Feeds tell it news; what it believes goes on as observations.

mod news;

use tokio::sync::{mpsc, watch};

use crate::links::{Events, Observation, Observations};
use bellwether_core::event::Event;

pub(crate) use news::{NEWS, News, NewsSender, Split, Wanted, What, Whom};

/// What the desk works with.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Where observations go.
    pub(crate) observations: Observations,
    /// Where it is told how the feeds are doing.
    pub(crate) events: Events,
    /// What is wanted of the polled feeds.
    pub(crate) wanted: watch::Sender<Wanted>,
}

impl Desk {
    /// Works until all feeds are gone.
    pub(crate) async fn run(self, mut news: mpsc::Receiver<News>) -> anyhow::Result<()> {
        self.wanted.send_replace(Wanted::default());
        while let Some(News { feed, what }) = news.recv().await {
            let sent = match what {
                What::Tick(tick) => self.observations.send(Observation::Tick(tick)).await.is_ok(),
                What::Batch(ticks) => self.observations.send(Observation::Batch(ticks)).await.is_ok(),
                What::Status(status) => self.events.send(Event::Feed(status)).await.is_ok(),
                What::Candles(symbol, candles) => {
                    let observation = Observation::Candles { symbol, candles, source: feed };
                    self.observations.send(observation).await.is_ok()
                }
                What::Alive(_) | What::Lost(..) | What::Split(_) => true,
            };
            if !sent {
                tracing::debug!(%feed, "nobody takes what feeds deliver any more");
                break;
            }
        }
        Ok(())
    }
}
