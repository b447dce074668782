//! What one WebSocket client has not been sent yet: of each symbol the newest price, and a bounded number of everything else.
//!
//! Filters by owner, symbol and topic, and gives each frame its number as it leaves. Pure, so that a slow client can be tested
//! without one.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::extract::ws::Message;
use bellwether_core::{
    alert::UserId,
    board::Snapshot,
    event::Event,
    instrument::Symbol,
    protocol::{ServerFrame, Topic},
};
use bytes::Bytes;
use tokio::time::Instant;

use super::hub::Published;

/// The most frames that are no prices. More: they are given up for a fresh snapshot.
const FRAMES: usize = 256;

/// What a client wants to hear; what is absent means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Only these instruments' prices.
    pub(crate) symbols: Option<HashSet<Symbol>>,
    /// Only these topics.
    pub(crate) topics: Option<HashSet<Topic>>,
    /// How far apart its prices go out; of each symbol the newest then. Absent: as the hub publishes them. Nothing at all: each.
    pub(crate) interval: Option<Duration>,
}

impl Choice {
    /// Whether it is every price.
    fn every_price(&self) -> bool {
        self.interval.is_some_and(|interval| interval.is_zero())
    }
}

impl Choice {
    fn topic(&self, topic: Topic) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.contains(&topic))
    }

    fn symbol(&self, symbol: Symbol) -> bool {
        self.symbols.as_ref().is_none_or(|symbols| symbols.contains(&symbol))
    }

    fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Price(ticker) => self.topic(Topic::Prices) && self.symbol(ticker.symbol),
            Event::AlertPut(_) | Event::AlertDeleted { .. } => self.topic(Topic::Alerts),
            Event::Fired(_) | Event::Delivery(_) => self.topic(Topic::Firings),
            Event::Feed(_) => self.topic(Topic::Status),
        }
    }

    /// Leaves what is `user`'s and chosen.
    fn narrow(&self, user: UserId, mut snapshot: Snapshot) -> Snapshot {
        let (alerts, firings) = (self.topic(Topic::Alerts), self.topic(Topic::Firings));
        snapshot.prices.retain(|ticker| self.topic(Topic::Prices) && self.symbol(ticker.symbol));
        snapshot.alerts.retain(|row| alerts && row.alert.owner == user);
        snapshot.firings.retain(|firing| firings && firing.owner == user);
        snapshot.deliveries.retain(|delivery| firings && delivery.owner == user);
        if !self.topic(Topic::Status) {
            snapshot.feeds.clear();
        }
        snapshot
    }
}

enum Frame {
    /// Without a number: hello, replies, errors.
    Said(Box<ServerFrame>),
    Snapshot(Box<Snapshot>),
    Event(Arc<Published>),
}

/// See the module.
pub(crate) struct Outbox {
    user: UserId,
    choice: Choice,
    /// The number of the last frame that left.
    seq: u64,
    ping: bool,
    renew: bool,
    frames: VecDeque<Frame>,
    /// Symbols in the order in which their prices will leave.
    turns: VecDeque<Symbol>,
    prices: HashMap<Symbol, Arc<Published>>,
    /// Prices wait until then.
    prices_from: Option<Instant>,
}

impl Outbox {
    /// For this user, who wants everything.
    pub(crate) fn new(user: UserId) -> Self {
        Self {
            user,
            choice: Choice::default(),
            seq: 0,
            ping: false,
            renew: false,
            frames: VecDeque::new(),
            turns: VecDeque::new(),
            prices: HashMap::new(),
            prices_from: None,
        }
    }

    /// Puts a frame without a number behind the others.
    pub(crate) fn say(&mut self, frame: ServerFrame) {
        self.frames.push_back(Frame::Said(Box::new(frame)));
    }

    /// Puts a snapshot behind what was said; older news are part of it.
    pub(crate) fn start(&mut self, snapshot: Snapshot) {
        self.renew = false;
        self.forget_news();
        let narrowed = self.choice.narrow(self.user, snapshot);
        self.frames.push_back(Frame::Snapshot(Box::new(narrowed)));
    }

    fn forget_news(&mut self) {
        self.frames.retain(|frame| matches!(frame, Frame::Said(_)));
        self.turns.clear();
        self.prices.clear();
    }

    /// Takes news, where they are this client's and wanted.
    pub(crate) fn offer(&mut self, beat: &[Arc<Published>]) {
        for published in beat {
            self.take(published);
        }
    }

    fn take(&mut self, published: &Arc<Published>) {
        let own = published.event.owner().is_none_or(|owner| owner == self.user);
        if self.renew || !own || !self.choice.wants(&published.event) {
            return;
        }
        if let Event::Price(ticker) = &published.event {
            let symbol = ticker.symbol;
            // Of those that a slow client is behind with, the newest again.
            if self.choice.every_price() && self.turns.is_empty() && self.frames.len() < FRAMES / 2 {
                self.frames.push_back(Frame::Event(Arc::clone(published)));
                return;
            }
            if self.prices.insert(symbol, Arc::clone(published)).is_none() {
                self.turns.push_back(symbol);
            }
        } else if self.frames.len() < FRAMES {
            self.frames.push_back(Frame::Event(Arc::clone(published)));
        } else {
            self.lost();
        }
    }

    /// Something is missing, or the client asked: a fresh snapshot is due.
    pub(crate) fn lost(&mut self) {
        self.forget_news();
        self.renew = true;
    }

    /// Chooses anew, which is answered by a fresh snapshot.
    pub(crate) fn choose(&mut self, choice: Choice) {
        self.choice = choice;
        self.prices_from = None;
        self.lost();
    }

    /// Whether every price is to be offered.
    pub(crate) fn wants_every_price(&self) -> bool {
        self.choice.every_price()
    }

    /// A ping is due.
    pub(crate) fn ping(&mut self) {
        self.ping = true;
    }

    /// Whether a snapshot is wanted before anything else of substance.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.renew
    }

    /// Until when the prices that are there wait.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        self.prices_from.filter(|from| !self.turns.is_empty() && *from > Instant::now())
    }

    /// The next message. Prices come last: they are the ones that newer ones overtake.
    pub(crate) fn next(&mut self) -> Option<Message> {
        if std::mem::take(&mut self.ping) {
            return Some(Message::Ping(Bytes::new()));
        }
        let text = match self.frames.pop_front() {
            Some(Frame::Said(frame)) => encode(&frame),
            Some(Frame::Snapshot(snapshot)) => {
                self.seq += 1;
                encode(&ServerFrame::from_snapshot(self.seq, *snapshot))
            }
            Some(Frame::Event(published)) => {
                self.seq += 1;
                published.numbered(self.seq)
            }
            None if self.waits_until().is_some() => return None,
            None => {
                let published = self.prices.remove(&self.turns.pop_front()?)?;
                if self.turns.is_empty() {
                    let interval = self.choice.interval.filter(|interval| !interval.is_zero());
                    self.prices_from = interval.map(|interval| Instant::now() + interval);
                }
                self.seq += 1;
                published.numbered(self.seq)
            }
        };
        Some(Message::Text(text.into()))
    }
}

fn encode(frame: &ServerFrame) -> String {
    serde_json::to_string(frame).expect("frames hold text, numbers and lists alone")
}

#[cfg(test)]
mod tests {
    use bellwether_core::board::Board;

    use super::*;
    use crate::gateway::testing::{alert_event, feed_event, price_event, ticker};

    fn news(event: Event) -> [Arc<Published>; 1] {
        [Published::of(event)]
    }

    fn frames(outbox: &mut Outbox) -> Vec<ServerFrame> {
        std::iter::from_fn(|| outbox.next())
            .map(|message| serde_json::from_str(message.to_text().unwrap()).expect("a frame"))
            .collect()
    }

    #[test]
    fn a_slow_client_gets_the_newest_price_of_each_symbol() {
        let mut outbox = Outbox::new(UserId::OWNER);
        outbox.start(Snapshot::default());
        for round in 1..=1_000 {
            for symbol in ["BTC", "ETH"] {
                outbox.offer(&news(price_event(symbol, &round.to_string())));
            }
        }
        let got = frames(&mut outbox);
        assert_eq!(got.len(), 3);
        assert_eq!(got[1].clone().into_event(), Some((2, price_event("BTC", "1000"))));
        assert_eq!(got[2].clone().into_event(), Some((3, price_event("ETH", "1000"))));
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn too_many_news_become_one_snapshot_and_no_reply_is_lost() {
        let mut outbox = Outbox::new(UserId::OWNER);
        outbox.say(ServerFrame::Error { problem: bellwether_core::protocol::Problem::default() });
        for _ in 0..FRAMES + 10 {
            outbox.offer(&news(feed_event()));
        }
        assert!(outbox.wants_snapshot());
        outbox.start(Snapshot { prices: vec![ticker("BTC", "1")], ..Snapshot::default() });
        let got = frames(&mut outbox);
        assert!(matches!(&got[..], [ServerFrame::Error { .. }, ServerFrame::Snapshot { seq: 1, .. }]), "{got:?}");
    }

    #[test]
    fn numbers_have_no_gaps_though_much_is_not_this_clients() {
        let mut outbox = Outbox::new(UserId(7));
        outbox.start(Snapshot {
            alerts: [7, 8]
                .map(|owner| match alert_event(owner, owner) {
                    Event::AlertPut(row) => row,
                    other => panic!("{other:?}"),
                })
                .to_vec(),
            ..Snapshot::default()
        });
        for owner in [8, 7, 8, 8, 7] {
            outbox.offer(&news(alert_event(owner, owner)));
        }
        let mut board = Board::default();
        for frame in frames(&mut outbox) {
            match frame {
                ServerFrame::Snapshot { seq, alerts, .. } => {
                    assert!(alerts.iter().all(|a| a.owner == UserId(7)), "another's alert in the snapshot");
                    board = Board::from_snapshot(Snapshot { seq, ..Snapshot::default() });
                }
                frame => {
                    let (seq, event) = frame.into_event().expect("an event");
                    assert_eq!(event.owner(), Some(UserId(7)));
                    board.apply(seq, event).expect("no gap");
                }
            }
        }
        assert_eq!(board.seq(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_wants_prices_rarely_gets_the_newest_rarely_and_all_else_at_once() {
        let mut outbox = Outbox::new(UserId::OWNER);
        outbox.choose(Choice { interval: Some(Duration::from_secs(1)), ..Choice::default() });
        outbox.start(Snapshot::default());
        outbox.offer(&news(price_event("BTC", "1")));
        assert_eq!(frames(&mut outbox).len(), 2, "the snapshot, and the first price");
        outbox.offer(&news(price_event("BTC", "2")));
        assert_eq!(outbox.next(), None, "the second one waits");
        outbox.offer(&news(feed_event()));
        outbox.offer(&news(price_event("BTC", "3")));
        assert_eq!(frames(&mut outbox).len(), 1, "what is no price does not wait");
        tokio::time::sleep_until(outbox.waits_until().expect("a price waits")).await;
        let got = frames(&mut outbox);
        assert_eq!(got[0].clone().into_event(), Some((4, price_event("BTC", "3"))));
        assert_eq!(got.len(), 1);
    }

    #[test]
    fn of_every_price_a_slow_client_gets_what_it_is_not_behind_with() {
        let mut outbox = Outbox::new(UserId::OWNER);
        outbox.choose(Choice { interval: Some(Duration::ZERO), ..Choice::default() });
        outbox.start(Snapshot::default());
        for round in 1..=3 {
            outbox.offer(&news(price_event("BTC", &round.to_string())));
        }
        assert_eq!(frames(&mut outbox).len(), 4, "the snapshot, and each price");
        for round in 1..=1_000 {
            outbox.offer(&news(price_event("BTC", &round.to_string())));
        }
        let got = frames(&mut outbox);
        assert!(!outbox.wants_snapshot() && got.len() <= FRAMES, "{} frames", got.len());
        assert_eq!(got.last().unwrap().clone().into_event().map(|(_, e)| e), Some(price_event("BTC", "1000")));
    }

    #[test]
    fn what_was_not_chosen_is_not_sent() {
        let mut outbox = Outbox::new(UserId::OWNER);
        let symbols = Some(HashSet::from(["BTC".parse().unwrap()]));
        outbox.choose(Choice { symbols, topics: Some(HashSet::from([Topic::Prices])), interval: None });
        outbox.start(Snapshot { prices: vec![ticker("BTC", "1"), ticker("ETH", "1")], ..Snapshot::default() });
        for event in [price_event("ETH", "2"), feed_event(), alert_event(1, 1), price_event("BTC", "2")] {
            outbox.offer(&news(event));
        }
        let got = frames(&mut outbox);
        assert!(matches!(&got[0], ServerFrame::Snapshot { prices, .. } if prices.len() == 1));
        assert_eq!(got[1].clone().into_event(), Some((2, price_event("BTC", "2"))));
        assert_eq!(got.len(), 2);
    }
}
