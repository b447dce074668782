//! A fake Coinbase Exchange: takes subscriptions, sends tickers on command and heartbeats by itself, loses connections when told.
//!
//! Like the real one it sends the last ticker of a product to whoever subscribes, so a daemon that comes back learns where the
//! market stands, and nothing of what it missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::{Task, eventually, lock};

/// How often heartbeats come. The real ones come once a second.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    _tasks: [Task; 2],
}

#[derive(Debug, Default)]
struct Desk {
    sessions: Vec<Session>,
    last: BTreeMap<String, (String, u64)>,
    /// The last time that was given out, in microseconds: no two frames share one.
    time: i64,
    trades: u64,
    connections: usize,
    closed: bool,
    /// How far its clock is from this machine's, in microseconds.
    ahead: i64,
}

#[derive(Debug)]
struct Session {
    number: usize,
    products: BTreeSet<String>,
    frames: mpsc::UnboundedSender<String>,
}

impl Exchange {
    /// An exchange that nobody has traded at yet.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let desk = Arc::new(Mutex::new(Desk::default()));
        let accepting = Arc::clone(&desk);
        let accept = Task::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.push(Task::spawn(serve(socket, Arc::clone(&accepting))));
            }
        });
        let beating = Arc::clone(&desk);
        let beat = Task::spawn(async move {
            let mut pulse = tokio::time::interval(HEARTBEAT);
            loop {
                pulse.tick().await;
                lock(&beating).beat();
            }
        });
        Self { address, desk, _tasks: [accept, beat] }
    }

    /// Its address for the configuration.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Somebody trades a product (`BTC-USD`) at this price. The text goes out as it is.
    pub(crate) fn trade(&self, product: &str, price: &str) {
        let mut desk = lock(&self.desk);
        desk.trades += 1;
        let trade = desk.trades;
        desk.last.insert(product.to_owned(), (price.to_owned(), trade));
        let frame = desk.ticker(product);
        desk.send(product, &frame);
    }

    /// Sends a frame as it is to everybody.
    pub(crate) fn frame(&self, text: &str) {
        for session in &lock(&self.desk).sessions {
            session.frames.send(text.to_owned()).ok();
        }
    }

    /// The present as the exchange writes it, later than any time before.
    pub(crate) fn now(&self) -> String {
        lock(&self.desk).now()
    }

    /// Waits until somebody has subscribed to the product.
    pub(crate) async fn subscribed(&self, product: &str) {
        eventually(&format!("a subscription to {product}"), async || {
            lock(&self.desk).sessions.iter().any(|s| s.products.contains(product)).then_some(())
        })
        .await;
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.desk).connections
    }

    /// Its clock goes ahead of this machine's by so many seconds.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        lock(&self.desk).ahead = seconds * 1_000_000;
    }

    /// Cuts all connections; new ones are cut as well until [`Exchange::open`].
    pub(crate) fn close(&self) {
        let mut desk = lock(&self.desk);
        desk.closed = true;
        desk.sessions.clear();
    }

    /// Takes connections again.
    pub(crate) fn open(&self) {
        lock(&self.desk).closed = false;
    }
}

impl Desk {
    fn now(&mut self) -> String {
        self.time = (jiff::Timestamp::now().as_microsecond() + self.ahead).max(self.time + 1);
        let time = jiff::Timestamp::from_microsecond(self.time).expect("a time");
        format!("{time:.6}")
    }

    /// `{"type":"ticker","sequence":…,"product_id":"BTC-USD","price":"84737.58",…,"time":"2026-10-03T20:58:31.127510Z",…}`
    fn ticker(&mut self, product: &str) -> String {
        let time = self.now();
        let (price, trade) = &self.last[product];
        json!({
            "type": "ticker", "sequence": trade, "product_id": product, "price": price, "open_24h": price,
            "volume_24h": "1836.96781750", "low_24h": price, "high_24h": price, "volume_30d": "175984.53012145",
            "best_bid": price, "best_ask": price, "side": "sell", "time": time, "trade_id": trade,
            "last_size": "0.00000025",
        })
        .to_string()
    }

    fn send(&self, product: &str, frame: &str) {
        for session in self.sessions.iter().filter(|s| s.products.contains(product)) {
            session.frames.send(frame.to_owned()).ok();
        }
    }

    fn beat(&mut self) {
        let last: Vec<(String, u64)> =
            self.last.iter().map(|(product, (_, trade))| (product.clone(), *trade)).collect();
        for (product, trade) in last {
            let time = self.now();
            let frame = json!({
                "type": "heartbeat", "sequence": trade, "last_trade_id": trade, "product_id": product, "time": time,
            });
            self.send(&product, &frame.to_string());
        }
    }

    /// Takes a subscription: acknowledges it, and sends the last ticker of each product.
    fn subscribe(&mut self, session: usize, request: &Value) {
        let wanted: Vec<String> = serde_json::from_value(request["product_ids"].clone()).unwrap_or_default();
        let Some(known) = self.sessions.iter_mut().find(|s| s.number == session) else { return };
        known.products.extend(wanted.iter().cloned());
        let products: Vec<&String> = known.products.iter().collect();
        let channel = |name: &str| json!({ "name": name, "product_ids": products, "account_ids": null });
        let acknowledged = json!({ "type": "subscriptions", "channels": [channel("ticker"), channel("heartbeat")] });
        let frames = known.frames.clone();
        frames.send(acknowledged.to_string()).ok();
        for product in wanted.iter().filter(|p| self.last.contains_key(*p)).cloned().collect::<Vec<_>>() {
            frames.send(self.ticker(&product)).ok();
        }
    }
}

/// One connection, to its end.
async fn serve(socket: TcpStream, desk: Arc<Mutex<Desk>>) {
    if lock(&desk).closed {
        return;
    }
    let Ok(mut socket) = accept_async(socket).await else { return };
    let (frames, mut outgoing) = mpsc::unbounded_channel();
    let number = {
        let mut desk = lock(&desk);
        desk.connections += 1;
        let number = desk.connections;
        desk.sessions.push(Session { number, products: BTreeSet::new(), frames });
        number
    };
    loop {
        tokio::select! {
            frame = outgoing.recv() => match frame {
                Some(frame) => if socket.send(Message::text(frame)).await.is_err() { break },
                None => break,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let request: Value = serde_json::from_str(&text).expect("clients speak JSON");
                    if request["type"] == "subscribe" {
                        lock(&desk).subscribe(number, &request);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    lock(&desk).sessions.retain(|s| s.number != number);
}
