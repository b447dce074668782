//! Stand-ins for providers, and the desk at which the evaluator and the hub would sit.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use bellwether_core::{
    catalog::Catalog,
    event::{FeedState, FeedStatus},
    instrument::{FeedId, Instrument},
    tick::Tick,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    desk::{News, Wanted, What},
    supervise::{Feed, Link, Wait, supervise},
};
use crate::{clock::Clock, metrics::Metrics};

/// Long enough for a slow machine, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes what a feed delivers.
pub(super) struct Desk {
    pub(super) context: Context,
    pub(super) wanted: watch::Sender<Wanted>,
    news: mpsc::Receiver<News>,
    /// What came while something else was waited for.
    ticks: VecDeque<Vec<Tick>>,
    others: VecDeque<What>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let (news_tx, news) = mpsc::channel(1_024);
        let (wanted, wanted_rx) = watch::channel(Wanted::default());
        let context = Context {
            catalog: Arc::new(Catalog::builtin()),
            news: news_tx,
            wanted: wanted_rx,
            clock: Clock::system(),
            metrics: Metrics::new(),
            stop: CancellationToken::new(),
        };
        Self { context, wanted, news, ticks: VecDeque::new(), others: VecDeque::new() }
    }

    pub(super) fn run(&self, feed: Feed, id: FeedId, wait: Wait) -> JoinHandle<anyhow::Result<()>> {
        tokio::spawn(supervise(feed, Link::new(id, 1, self.context.clone()), wait))
    }

    async fn take(&mut self) {
        let news = tokio::time::timeout(PATIENCE, self.news.recv()).await;
        match news.expect("news within half a minute").expect("the feed is gone").what {
            What::Tick(tick) => self.ticks.push_back(vec![tick]),
            What::Batch(ticks) => self.ticks.push_back(ticks),
            other => self.others.push_back(other),
        }
    }

    /// The next status of that kind.
    pub(super) async fn status(&mut self, wanted: FeedState) -> FeedStatus {
        let is_wanted = |what: &What| match what {
            What::Status(status) if status.state == wanted => Some(status.clone()),
            _ => None,
        };
        self.other(is_wanted).await
    }

    /// The next news other than prices of which `pick` makes something; those before it are forgotten.
    pub(super) async fn other<T>(&mut self, pick: impl Fn(&What) -> Option<T>) -> T {
        loop {
            while let Some(what) = self.others.pop_front() {
                if let Some(found) = pick(&what) {
                    return found;
                }
            }
            self.take().await;
        }
    }

    /// The prices of the next observation.
    pub(super) async fn ticks(&mut self) -> Vec<Tick> {
        loop {
            if let Some(ticks) = self.ticks.pop_front() {
                return ticks;
            }
            self.take().await;
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
