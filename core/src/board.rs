//! The picture that clients see, and how events change it. Daemon and dashboard fold the same events onto the same type.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    alert::AlertId,
    delivery::{Delivery, DeliveryId},
    event::{AlertRow, Event, FeedStatus, Ticker},
    firing::Firing,
    instrument::{FeedId, Symbol},
};

/// How many firings the board remembers; older ones are in the history.
pub const RECENT_FIRINGS: usize = 200;
/// How many deliveries the board remembers.
pub const RECENT_DELIVERIES: usize = 400;

/// Prices, alerts, recent firings with their deliveries, and feeds, as of event number [`Board::seq`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    seq: u64,
    tickers: BTreeMap<Symbol, Ticker>,
    alerts: BTreeMap<AlertId, AlertRow>,
    firings: VecDeque<Firing>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    feeds: BTreeMap<FeedId, FeedStatus>,
}

/// A board as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of the last event it contains.
    pub seq: u64,
    /// All known prices.
    pub prices: Vec<Ticker>,
    /// The alerts.
    pub alerts: Vec<AlertRow>,
    /// Recent firings, newest first.
    pub firings: Vec<Firing>,
    /// Their deliveries.
    pub deliveries: Vec<Delivery>,
    /// The feeds.
    pub feeds: Vec<FeedStatus>,
}

/// Events are missing between the board and the one it was given: ask for a fresh snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {got} came after {have}: some are missing")]
pub struct Gap {
    /// The last event the board contains.
    pub have: u64,
    /// The event that came.
    pub got: u64,
}

impl Board {
    /// The board that a snapshot describes.
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        let mut board = Self { seq: snapshot.seq, ..Self::default() };
        board.tickers = snapshot.prices.into_iter().map(|t| (t.symbol, t)).collect();
        board.alerts = snapshot.alerts.into_iter().map(|a| (a.alert.id, a)).collect();
        board.firings = snapshot.firings.into_iter().collect();
        board.deliveries = snapshot.deliveries.into_iter().map(|d| (d.id, d)).collect();
        board.feeds = snapshot.feeds.into_iter().map(|f| (f.feed, f)).collect();
        board
    }

    /// The whole picture, for a client that has none.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            seq: self.seq,
            prices: self.tickers.values().cloned().collect(),
            alerts: self.alerts.values().cloned().collect(),
            firings: self.firings.iter().cloned().collect(),
            deliveries: self.deliveries.values().cloned().collect(),
            feeds: self.feeds.values().cloned().collect(),
        }
    }

    /// Applies the event numbered `seq`. A gap in the numbers changes nothing; an event that the board contains already is skipped.
    pub fn apply(&mut self, seq: u64, event: Event) -> Result<(), Gap> {
        if seq <= self.seq {
            return Ok(());
        }
        if seq != self.seq + 1 {
            return Err(Gap { have: self.seq, got: seq });
        }
        self.seq = seq;
        self.put(event);
        Ok(())
    }

    /// Applies an event and gives it the next number.
    pub fn publish(&mut self, event: Event) -> u64 {
        self.seq += 1;
        self.put(event);
        self.seq
    }

    fn put(&mut self, event: Event) {
        match event {
            Event::Price(ticker) => {
                self.tickers.insert(ticker.symbol, ticker);
            }
            Event::AlertPut(row) => {
                let newer = self.alerts.get(&row.alert.id).is_none_or(|known| known.alert.version <= row.alert.version);
                if newer {
                    self.alerts.insert(row.alert.id, row);
                }
            }
            Event::AlertDeleted { id, .. } => {
                self.alerts.remove(&id);
            }
            Event::Fired(firing) => {
                self.firings.retain(|known| known.id != firing.id);
                self.firings.push_front(firing);
                self.firings.truncate(RECENT_FIRINGS);
            }
            Event::Delivery(delivery) => {
                // A worker may be ahead of the news that there is something to deliver.
                if self.deliveries.get(&delivery.id).is_none_or(|known| delivery.is_newer_than(known)) {
                    self.deliveries.insert(delivery.id, delivery);
                }
                while self.deliveries.len() > RECENT_DELIVERIES {
                    self.deliveries.pop_first();
                }
            }
            Event::Feed(status) => {
                self.feeds.insert(status.feed, status);
            }
        }
    }

    /// The number of the last event it contains.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The price row of an instrument.
    pub fn ticker(&self, symbol: Symbol) -> Option<&Ticker> {
        self.tickers.get(&symbol)
    }

    /// All price rows by symbol.
    pub fn tickers(&self) -> impl Iterator<Item = &Ticker> {
        self.tickers.values()
    }

    /// An alert.
    pub fn alert(&self, id: AlertId) -> Option<&AlertRow> {
        self.alerts.get(&id)
    }

    /// All alerts by number.
    pub fn alerts(&self) -> impl Iterator<Item = &AlertRow> {
        self.alerts.values()
    }

    /// Recent firings, newest first.
    pub fn firings(&self) -> impl Iterator<Item = &Firing> {
        self.firings.iter()
    }

    /// Recent deliveries, oldest first.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values()
    }

    /// All feeds.
    pub fn feeds(&self) -> impl Iterator<Item = &FeedStatus> {
        self.feeds.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::DeliveryState, event::FeedState, time::Timestamp};

    fn feed(trouble: &str) -> Event {
        Event::Feed(FeedStatus {
            feed: FeedId::Yahoo,
            state: FeedState::BackingOff,
            instruments: 3,
            since: Timestamp::from_seconds(1),
            next_attempt: None,
            trouble: Some(trouble.to_owned()),
        })
    }

    #[test]
    fn a_gap_is_refused_and_a_repeat_is_skipped() {
        let mut board = Board::default();
        assert_eq!(board.apply(1, feed("a")), Ok(()));
        assert_eq!(board.apply(3, feed("c")), Err(Gap { have: 1, got: 3 }));
        assert_eq!(board.apply(1, feed("z")), Ok(()));
        assert_eq!(board.feeds().next().and_then(|f| f.trouble.as_deref()), Some("a"));
    }

    #[test]
    fn a_delivery_never_goes_back() {
        let mut board = Board::default();
        let mut tell = |state: DeliveryState, attempts: u32, resent: u32| {
            let (id, firing) = (DeliveryId(1), "a1.1.1".parse().expect("an id"));
            let channel = crate::condition::ChannelName::new("email");
            let new = Delivery::new(id, firing, crate::alert::UserId::OWNER, channel, Timestamp::from_seconds(1));
            board.publish(Event::Delivery(Delivery { state, attempts, resent, ..new }));
            board.deliveries().next().map(|d| (d.state, d.attempts))
        };
        assert_eq!(tell(DeliveryState::Sending, 1, 0), Some((DeliveryState::Sending, 1)));
        assert_eq!(tell(DeliveryState::Queued, 0, 0), Some((DeliveryState::Sending, 1)));
        assert_eq!(tell(DeliveryState::Retry, 1, 0), Some((DeliveryState::Retry, 1)));
        assert_eq!(tell(DeliveryState::Sent, 2, 0), Some((DeliveryState::Sent, 2)));
        assert_eq!(tell(DeliveryState::Queued, 2, 0), Some((DeliveryState::Sent, 2)));
        assert_eq!(tell(DeliveryState::Queued, 2, 1), Some((DeliveryState::Queued, 2)), "but by hand it does");
    }

    #[test]
    fn a_snapshot_is_the_same_board() {
        let mut board = Board::default();
        board.publish(feed("a"));
        let text = serde_json::to_string(&board.snapshot()).expect("serialises");
        assert_eq!(Board::from_snapshot(serde_json::from_str(&text).expect("parses")), board);
    }
}
