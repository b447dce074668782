//! Stand-ins for providers, and the desk at which the evaluator and the hub would sit.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use bellwether_core::{
    catalog::Catalog,
    event::{Event, FeedState, FeedStatus},
    instrument::{FeedId, Instrument},
    tick::Tick,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    supervise::{Feed, Link, Wait, supervise},
};
use crate::{clock::Clock, links::Observation, metrics::Metrics};

/// Long enough for a slow machine, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes what a feed delivers.
pub(super) struct Desk {
    pub(super) context: Context,
    observations: mpsc::Receiver<Observation>,
    events: mpsc::Receiver<Event>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let (observations_tx, observations) = mpsc::channel(1_024);
        let (events_tx, events) = mpsc::channel(1_024);
        let context = Context {
            catalog: Arc::new(Catalog::builtin()),
            observations: observations_tx,
            events: events_tx,
            clock: Clock::system(),
            metrics: Metrics::new(),
            stop: CancellationToken::new(),
        };
        Self { context, observations, events }
    }

    pub(super) fn run(&self, feed: Feed, id: FeedId, wait: Wait) -> JoinHandle<anyhow::Result<()>> {
        tokio::spawn(supervise(feed, Link::new(id, 1, self.context.clone()), wait))
    }

    /// The next status of that kind.
    pub(super) async fn status(&mut self, wanted: FeedState) -> FeedStatus {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.events.recv().await {
                    Some(Event::Feed(status)) if status.state == wanted => return status,
                    Some(_) => {}
                    None => panic!("the feed is gone"),
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("the feed never said {wanted:?}"))
    }

    /// The prices of the next observation.
    pub(super) async fn ticks(&mut self) -> Vec<Tick> {
        match tokio::time::timeout(PATIENCE, self.observations.recv()).await.expect("a price within half a minute") {
            Some(Observation::Tick(tick)) => vec![tick],
            Some(Observation::Batch(ticks)) => ticks,
            other => panic!("expected prices, got {other:?}"),
        }
    }

    /// How often a price was not believed for this reason.
    pub(super) fn rejected(&self, feed: FeedId, reason: &str) -> u64 {
        let name = format!("ingestor_ticks_rejected_total{{provider=\"{feed}\",reason=\"{reason}\"}} ");
        let text = self.context.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().expect("a number"))
    }

    pub(super) fn stop(&self) {
        self.context.stop.cancel();
    }
}

/// Instruments of the catalogue.
pub(super) fn instruments(symbols: &[&str]) -> Vec<Instrument> {
    let catalog = Catalog::builtin();
    symbols.iter().map(|s| catalog.resolve(s).expect("in the catalogue").clone()).collect()
}

/// An instrument that the catalogue lacks, with this code at this provider.
pub(super) fn unlisted(feed: FeedId, code: &str, currency: &str) -> Instrument {
    let mut instrument = Instrument::unlisted(code.parse().expect("a symbol"));
    instrument.currency = currency.to_owned();
    instrument.providers.push(bellwether_core::instrument::ProviderCode { feed, code: code.to_owned() });
    instrument
}

/// A web server that gives the listed answers, one a connection, the last one again and again.
pub(super) struct StandIn {
    pub(super) base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    pub(super) async fn serving(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}/api", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                seen.lock().expect("no panic").push(String::from_utf8_lossy(&head).into_owned());
                // A client that has seen enough may be gone already.
                stream.write_all(&answers[number.min(answers.len() - 1)]).await.ok();
                stream.shutdown().await.ok();
            }
        });
        Self { base, requests }
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// An HTTP answer; `headers` end with a line break each.
pub(super) fn http_answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A good answer in JSON.
pub(super) fn json_answer(body: &str) -> Vec<u8> {
    http_answer("200 OK", "Content-Type: application/json\r\n", body.as_bytes())
}

/// So many zero bytes, packed.
pub(super) fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; bytes]).expect("memory");
    encoder.finish().expect("memory")
}

/// The text with one byte replaced, for every place and several bytes that mean something in JSON.
pub(super) fn damaged(text: &str) -> impl Iterator<Item = String> {
    let places = (0..text.len()).flat_map(|place| b"\"09{[,-e".iter().map(move |&byte| (place, byte)));
    places.filter_map(|(place, byte)| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = byte;
        String::from_utf8(bytes).ok()
    })
}
