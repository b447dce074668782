//! Stand-ins for providers, and the desk at which the evaluator and the hub would sit.

use std::{collections::VecDeque, time::Duration};

use bellwether_core::{
    catalog::Catalog,
    config::Config,
    event::{FeedState, FeedStatus},
    instrument::{FeedId, Instrument},
    retry::Backoff,
    tick::Tick,
    time::Span,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    desk::{News, Wanted, What},
    supervise::{Feed, Link, Wait, supervise},
};
pub(super) use crate::provider::stand_in::{StandIn, damaged, http_answer, json_answer};
use crate::{
    clock::Clock,
    metrics::Metrics,
    provider::{Providers, jittered},
};

/// Long enough for a slow machine, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes what a feed delivers.
pub(super) struct Desk {
    pub(super) context: Context,
    pub(super) wanted: watch::Sender<Wanted>,
    pub(super) jumps: watch::Sender<u64>,
    pub(super) news: mpsc::Receiver<News>,
    /// What came while something else was waited for.
    ticks: VecDeque<Vec<Tick>>,
    others: VecDeque<What>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let (news_tx, news) = mpsc::channel(1_024);
        let (wanted, wanted_rx) = watch::channel(Wanted::default());
        let (jumps, jumps_rx) = watch::channel(0);
        let clock = Clock::system();
        let context = Context {
            providers: Providers::new(&Config::default(), &[], None, &clock, jittered),
            news: news_tx,
            wanted: wanted_rx,
            jumps: jumps_rx,
            clock,
            metrics: Metrics::new(),
            stop: CancellationToken::new(),
        };
        Self { context, wanted, jumps, news, ticks: VecDeque::new(), others: VecDeque::new() }
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

/// The frames of a file that holds one in each line, as `{"frame":"…",…}`.
pub(super) fn recorded(lines: &str) -> impl Iterator<Item = String> {
    let line = |line| serde_json::from_str::<serde_json::Value>(line).expect("a line of frames");
    lines.lines().map(line).map(|line| line["frame"].as_str().expect("a frame").to_owned())
}

/// A recorded frame, and what it is taken for.
#[derive(serde::Deserialize)]
pub(super) struct Recorded {
    pub(super) name: String,
    pub(super) frame: String,
    /// Absent where no single word says it.
    #[serde(default)]
    pub(super) expect: String,
}

/// A provider's answer to a call that failed, and what is done about it.
#[derive(serde::Deserialize)]
pub(super) struct RecordedError {
    pub(super) name: String,
    pub(super) http_status: u16,
    pub(super) content_type: String,
    pub(super) body: String,
    pub(super) expect: String,
}

/// The recordings of a file that has one in each line.
pub(super) fn recordings<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).expect("a recording")).collect()
}

/// Reads all recorded frames, whole and damaged; `read` says whether it was done the quick way, and judges what came of it.
pub(super) fn read_both_ways(lines: &str, mut read: impl FnMut(&str) -> bool) {
    let mut quickly = 0;
    for frame in recorded(lines) {
        for text in damaged(&frame).chain([frame.clone()]) {
            quickly += usize::from(read(&text));
        }
    }
    assert!(quickly > 100, "{quickly}");
}

/// Waits no longer than it must between two attempts.
pub(super) fn soon(_: Backoff, _: u32) -> Span {
    Span::from_millis(1)
}

/// An exchange on this machine that speaks WebSocket; the test plays its part of each connection.
pub(super) struct Exchange {
    pub(super) url: String,
    connections: mpsc::Receiver<Side>,
}

impl Exchange {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let (sender, connections) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut path = String::new();
                #[expect(clippy::result_large_err, reason = "so the library wants it")]
                let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                    path = request.uri().to_string();
                    Ok(response)
                };
                let Ok(socket) = accept_hdr_async(stream, note).await else { continue };
                if sender.send(Side { socket, path }).await.is_err() {
                    return;
                }
            }
        });
        Self { url, connections }
    }

    pub(super) async fn connection(&mut self) -> Side {
        let side = tokio::time::timeout(PATIENCE, self.connections.recv()).await;
        side.expect("a connection within half a minute").expect("the listener lives")
    }
}

/// The exchange's side of a connection.
pub(super) struct Side {
    pub(super) socket: WebSocketStream<TcpStream>,
    /// What was asked for: path and query.
    pub(super) path: String,
}

impl Side {
    pub(super) async fn say(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.expect("the feed listens");
    }

    /// The next message that is not a pong or the like.
    pub(super) async fn heard(&mut self) -> serde_json::Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message");
            if let Message::Text(text) = message.expect("open").expect("a message") {
                return serde_json::from_str(text.as_str()).expect("JSON");
            }
        }
    }

    /// Waits until the feed has left.
    pub(super) async fn left(mut self) {
        let gone = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(PATIENCE, gone).await.expect("the feed has left");
    }

    /// Breaks off in the middle of a frame of 200 bytes.
    pub(super) async fn break_off(self) {
        let mut stream = self.socket.into_inner();
        stream.write_all(&[0x81, 126, 0, 200, b'{', b'"']).await.expect("open");
    }
}
