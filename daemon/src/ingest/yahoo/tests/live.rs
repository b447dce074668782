//! The feed against a stand-in of each way.

use std::sync::{Arc, Mutex};

use bellwether_core::event::FeedState;
use futures_util::SinkExt;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as Text,
        handshake::server::{ErrorResponse, Request as Asking, Response},
    },
};

use super::*;
use crate::ingest::{
    desk::{Wanted, What},
    supervise::Feed,
    test_support::{Desk, RecordedError, StandIn, http_answer, json_answer, recordings, unlisted},
};

const ERRORS: &str = include_str!("../../../../../tests/data/captures/yahoo/errors.jsonl");
const PATIENCE: Duration = Duration::from_secs(30);

fn soon(_: Backoff, _: u32) -> Span {
    Span::from_millis(1)
}

fn quick() -> Pace {
    Pace {
        reconnect: Duration::from_millis(5),
        grace: Span::from_millis(60),
        silence: Duration::from_mins(1),
        pulse: Duration::from_millis(10),
        splits: Span::from_seconds(600),
        wait: soon,
    }
}

fn start_with(
    desk: &Desk,
    base: &str,
    ws_url: Option<&str>,
    interval: Span,
    instruments: Vec<Instrument>,
    pace: Pace,
) -> JoinHandle<anyhow::Result<()>> {
    let config = config::Yahoo {
        base_url: base.to_owned(),
        stream: ws_url.is_some(),
        ws_url: ws_url.unwrap_or_default().to_owned(),
        user_agents: vec!["Mozilla/5.0 (one)".to_owned(), "Mozilla/5.0 (two)".to_owned()],
        ..config::Yahoo::default()
    };
    let setup = provider::Setup {
        feed: FeedId::Yahoo,
        base: base.to_owned(),
        key: None,
        user_agents: config.user_agents.clone(),
        // The tests are quicker than any provider would like.
        budget: (1_000, Span::from_millis(1)),
    };
    let provider = Provider::new(setup, &[], None, desk.context.clock.clone(), soon);
    let feed = Yahoo::with_pace(&config, interval, instruments, provider, pace);
    desk.run(Feed::Yahoo(Box::new(feed)), FeedId::Yahoo, soon)
}

fn start(desk: &Desk, base: &str, interval: Span, instruments: Vec<Instrument>) -> JoinHandle<anyhow::Result<()>> {
    start_with(desk, base, None, interval, instruments, quick())
}

/// A price of now, in an open market, as the poll brings it.
fn spark(symbol: &str, price: &str, time: Timestamp) -> Vec<u8> {
    let seconds = time.as_seconds();
    let periods = format!(r#"{{"regular":{{"start":{},"end":{}}}}}"#, seconds - 3_600, seconds + 3_600);
    json_answer(&format!(
        r#"{{"spark":{{"result":[{{"symbol":"{symbol}","response":[{{"meta":{{"currency":"USD","regularMarketPrice":{price},
        "regularMarketTime":{seconds},"hasPrePostMarketData":true,"currentTradingPeriod":{periods}}}}}]}}],"error":null}}}}"#
    ))
}

/// The streamer, played by the test.
struct Streamer {
    url: String,
    connections: mpsc::Receiver<Side>,
}

/// Its side of a connection.
struct Side {
    socket: WebSocketStream<TcpStream>,
    /// What was asked for, with some headers.
    head: String,
}

impl Streamer {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}/?version=2", listener.local_addr().expect("an address"));
        let (sender, connections) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut head = String::new();
                #[expect(clippy::result_large_err, reason = "so the library wants it")]
                let note = |asking: &Asking, response: Response| -> Result<Response, ErrorResponse> {
                    let header = |name| asking.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
                    head = format!("{} {} {}", asking.uri(), header("origin"), header("user-agent"));
                    Ok(response)
                };
                let Ok(socket) = accept_hdr_async(stream, note).await else { continue };
                if sender.send(Side { socket, head }).await.is_err() {
                    return;
                }
            }
        });
        Self { url, connections }
    }

    async fn connection(&mut self) -> Side {
        let side = tokio::time::timeout(PATIENCE, self.connections.recv()).await;
        side.expect("a connection within half a minute").expect("the listener lives")
    }
}

impl Side {
    async fn say(&mut self, text: impl Into<String>) {
        self.socket.send(Text::text(text.into())).await.expect("the feed listens");
    }

    async fn price(&mut self, id: &str, value: f32, time: Timestamp) {
        self.say(text_of(&frame(id, value, time), true)).await;
    }

    /// What is subscribed to.
    async fn subscription(&mut self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Subscribe {
            subscribe: Vec<String>,
        }
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a subscription");
        let text = message.expect("open").expect("a message").into_text().expect("text");
        serde_json::from_str::<Subscribe>(text.as_str()).expect("a subscription").subscribe
    }

    async fn left(mut self) {
        let gone = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(PATIENCE, gone).await.expect("the feed has left");
    }
}

/// A web server whose answer can be changed.
struct Site {
    base: String,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn saying(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(Mutex::new(Vec::new())));
        let (saying, noting) = (Arc::clone(&answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                noting.lock().expect("no panic").push(String::from_utf8_lossy(&head).into_owned());
                let answer = saying.lock().expect("no panic").clone();
                stream.write_all(&answer).await.ok();
                stream.shutdown().await.ok();
            }
        });
        Self { base, answer, asked }
    }

    fn say(&self, answer: Vec<u8>) {
        *self.answer.lock().expect("no panic") = answer;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn now(desk: &Desk) -> Timestamp {
    desk.context.clock.now()
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never came"));
}

const HURRY: Span = Span::from_millis(20);
const SELDOM: Span = Span::from_seconds(600);

fn refusal(headers: &str) -> Vec<u8> {
    http_answer("429 Too Many Requests", &format!("Content-Type: text/html\r\n{headers}"), b"Too Many Requests\r\n")
}

#[tokio::test]
async fn twenty_at_a_time_are_asked_for() {
    let mut desk = Desk::new();
    let stand_in = StandIn::serving(vec![json_answer(SPARK)]).await;
    let mut asked = instruments(&["AAPL", "M&M", "SPX"]);
    asked.extend((0..30).map(|i| unlisted(FeedId::Yahoo, &format!("S{i}"), "USD")));
    let task = start(&desk, &stand_in.base, HURRY, asked);
    assert_eq!(desk.ticks().await.len(), 1);
    let status = desk.status(FeedState::Live).await;
    assert!(status.trouble.expect("silent ones").starts_with("no price of M&M, "));
    eventually("the second part", || stand_in.requests().len() >= 2).await;
    desk.stop();
    task.await.expect("no panic").expect("no error");
    let requests = stand_in.requests();
    assert!(
        requests[0].starts_with("GET /api/v7/finance/spark?symbols=AAPL%2CM%26M.NS%2C%5EGSPC%2CS0%2C"),
        "{}",
        requests[0]
    );
    // Without a stream the ends of the minutes are asked for: the unlisted ones trade around the clock.
    assert!(requests[0].contains("%2CS16&range=1d&interval=1m&includePrePost=true&_="), "{}", requests[0]);
    assert!(requests[1].contains("symbols=S17%2C") && requests[1].contains("%2CS29&"), "{}", requests[1]);
    assert!(requests[0].contains("user-agent: Mozilla/5.0 (one)\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("cache-control: no-cache"), "{}", requests[0]);
}

#[tokio::test]
async fn every_error_is_told_apart() {
    for line in recordings::<RecordedError>(ERRORS) {
        let headers = format!("Content-Type: {}\r\n", line.content_type);
        let answer = http_answer(&format!("{} Whatever", line.http_status), &headers, line.body.as_bytes());
        let stand_in = StandIn::serving(vec![answer]).await;
        let mut desk = Desk::new();
        start(&desk, &stand_in.base, HURRY, instruments(&["AAPL"]));
        let expected = if line.expect == "wait" { FeedState::Refused } else { FeedState::BackingOff };
        let trouble = desk.status(expected).await.trouble;
        assert!(trouble.is_some_and(|t| !t.contains("127.0.0.1")), "{}", line.name);
        desk.stop();
    }
}

#[tokio::test]
async fn after_a_refusal_the_next_user_agent_is_tried() {
    let mut desk = Desk::new();
    let stand_in = StandIn::serving(vec![refusal(""), json_answer(SPARK)]).await;
    start(&desk, &stand_in.base, HURRY, instruments(&["AAPL"]));
    desk.status(FeedState::Refused).await;
    desk.status(FeedState::Live).await;
    let requests = stand_in.requests();
    assert!(requests[0].contains("(one)") && requests[1].contains("(two)"), "{requests:?}");
}

#[tokio::test]
async fn both_ways_are_one_feed() {
    let (mut desk, mut streamer) = (Desk::new(), Streamer::open().await);
    let begun = now(&desk);
    let polls = Site::saying(spark("AAPL", "231", begun.minus(Span::from_seconds(30)))).await;
    let task = start_with(&desk, &polls.base, Some(&streamer.url), HURRY, instruments(&["AAPL", "BTC"]), quick());
    let mut side = streamer.connection().await;
    assert_eq!(side.head, "/?version=2 https://finance.yahoo.com Mozilla/5.0 (one)");
    assert_eq!(side.subscription().await, ["AAPL", "BTC-USD"]);
    assert_eq!(desk.ticks().await[0].price.to_string(), "231");
    // What it says first is of before; garbage and strangers are counted; both shapes are read.
    side.price("AAPL", 230.5, begun.minus(Span::from_seconds(3_000))).await;
    side.say("{not json").await;
    side.say("AAAA").await;
    side.say(text_of(&frame("XYZ", 5.0, begun), true)).await;
    side.say(r#"{"type":"status"}"#).await;
    let later = begun.plus(Span::from_seconds(2));
    side.say(text_of(&frame("AAPL", 231.5, later), false)).await;
    let tick = desk.ticks().await.remove(0);
    assert_eq!(
        (tick.price.to_string(), tick.exchange_time),
        ("231.5".to_owned(), Some(Timestamp::from_millis(later.as_millis())))
    );
    assert_eq!(desk.rejected(FeedId::Yahoo, "malformed"), 2);
    assert_eq!(desk.rejected(FeedId::Yahoo, "unknown_symbol"), 1);
    desk.status(FeedState::Live).await;
    // The polls went on saying 231 all the time.
    eventually("more polls", || polls.asked().len() >= 4).await;
    side.price("BTC-USD", 84_000.5, later).await;
    let tick = desk.ticks().await.remove(0);
    assert_eq!((tick.symbol.as_str(), tick.price.to_string()), ("BTC", "84000.5".to_owned()));
    desk.stop();
    task.await.expect("no panic").expect("no error");
    side.left().await;
}

#[tokio::test]
async fn more_than_a_hundred_symbols_take_several_connections() {
    let (desk, mut streamer) = (Desk::new(), Streamer::open().await);
    let polls = Site::saying(json_answer(SPARK)).await;
    let asked = (0..230).map(|i| unlisted(FeedId::Yahoo, &format!("S{i}"), "USD")).collect();
    start_with(&desk, &polls.base, Some(&streamer.url), SELDOM, asked, quick());
    let mut seen = BTreeSet::new();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let codes = streamer.connection().await.subscription().await;
        sizes.push(codes.len());
        seen.extend(codes);
    }
    sizes.sort_unstable();
    assert_eq!((sizes, seen.len()), (vec![30, 100, 100], 230));
}

#[tokio::test]
async fn only_what_is_wanted_is_asked_for_and_carried() {
    let (mut desk, mut streamer) = (Desk::new(), Streamer::open().await);
    let want = |symbols: &[&str]| {
        let symbols = symbols.iter().map(|symbol| symbol.parse().expect("a symbol")).collect();
        Wanted(Arc::new([(FeedId::Yahoo, symbols)].into()))
    };
    desk.wanted.send_replace(want(&[]));
    let begun = now(&desk);
    let polls = Site::saying(spark("AAPL", "231", begun)).await;
    let asked = instruments(&["AAPL", "BTC", "MSFT"]);
    let task = start_with(&desk, &polls.base, Some(&streamer.url), HURRY, asked, quick());
    desk.wanted.send_replace(want(&["AAPL"]));
    let mut side = streamer.connection().await;
    assert_eq!(side.subscription().await, ["AAPL"]);
    assert_eq!(desk.ticks().await.len(), 1);
    assert!(polls.asked().iter().all(|head| head.contains("symbols=AAPL&")), "{:?}", polls.asked());
    // A better feed has lost a coin; then it has it back.
    desk.wanted.send_replace(want(&["AAPL", "BTC"]));
    assert_eq!(side.subscription().await, ["BTC-USD"], "on the same connection");
    side.price("BTC-USD", 84_000.5, begun.plus(Span::from_seconds(5))).await;
    assert_eq!(desk.ticks().await[0].symbol.as_str(), "BTC");
    eventually("a poll of both", || polls.asked().iter().any(|head| head.contains("symbols=AAPL%2CBTC-USD&"))).await;
    desk.wanted.send_replace(want(&["AAPL"]));
    let message = tokio::time::timeout(PATIENCE, side.socket.next()).await.expect("a message").expect("open");
    assert_eq!(message.expect("a message").into_text().expect("text").as_str(), r#"{"unsubscribe":["BTC-USD"]}"#);
    desk.stop();
    task.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_stream_that_is_silent_while_the_poll_moves_is_opened_anew() {
    let (mut desk, mut streamer) = (Desk::new(), Streamer::open().await);
    let begun = now(&desk);
    let polls = Site::saying(spark("AAPL", "231", begun.minus(Span::from_seconds(60)))).await;
    start_with(&desk, &polls.base, Some(&streamer.url), HURRY, instruments(&["AAPL"]), quick());
    let mut side = streamer.connection().await;
    side.subscription().await;
    assert_eq!(desk.ticks().await.len(), 1);
    side.price("AAPL", 231.25, begun.plus(Span::from_seconds(1))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "231.25");
    // From here on it is silent, and the socket stays open.
    polls.say(spark("AAPL", "232", begun.plus(Span::from_seconds(10))));
    assert_eq!(desk.ticks().await[0].price.to_string(), "232", "the poll carries on meanwhile");
    let mut second = streamer.connection().await;
    side.left().await;
    assert_eq!(second.subscription().await, ["AAPL"], "everything again");
    second.price("AAPL", 232.25, begun.plus(Span::from_seconds(20))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "232.25");
}

#[tokio::test]
async fn a_socket_that_is_closed_at_once_is_opened_again_and_costs_no_prices() {
    let (mut desk, mut streamer) = (Desk::new(), Streamer::open().await);
    let begun = now(&desk);
    let polls = Site::saying(spark("AAPL", "231", begun)).await;
    start_with(&desk, &polls.base, Some(&streamer.url), HURRY, instruments(&["AAPL"]), quick());
    // It did not understand the subscription: closed without a reason; then cut in the middle of a frame.
    let mut side = streamer.connection().await;
    side.subscription().await;
    side.socket.close(None).await.expect("open");
    let mut stream = streamer.connection().await.socket.into_inner();
    stream.write_all(&[0x81, 126, 0, 200, b'{', b'"']).await.expect("open");
    drop(stream);
    let mut side = streamer.connection().await;
    assert_eq!(side.subscription().await, ["AAPL"]);
    assert_eq!(desk.ticks().await[0].price.to_string(), "231");
    side.price("AAPL", 231.5, begun.plus(Span::from_seconds(30))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "231.5");
}

#[tokio::test]
async fn while_polls_are_refused_the_stream_goes_on_and_the_wait_is_kept() {
    let (mut desk, mut streamer) = (Desk::new(), Streamer::open().await);
    let begun = now(&desk);
    let polls = Site::saying(refusal("Retry-After: 3600\r\n")).await;
    start_with(&desk, &polls.base, Some(&streamer.url), HURRY, instruments(&["AAPL"]), quick());
    let mut side = streamer.connection().await;
    side.subscription().await;
    eventually("the refusal", || polls.asked().len() == 1).await;
    side.price("AAPL", 231.5, begun.plus(Span::from_seconds(5))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "231.5");
    let trouble = desk.status(FeedState::Live).await.trouble.expect("what is wrong");
    assert!(trouble.starts_with("not polled: HTTP 429, too many requests"), "{trouble}");
    for number in 0_u8..20 {
        side.price("AAPL", 232.0 + f32::from(number), begun.plus(Span::from_seconds(6 + i64::from(number)))).await;
        desk.ticks().await;
    }
    // The stream goes too: now the feed has failed, and comes back by the stream alone.
    side.socket.close(None).await.expect("open");
    let trouble = desk.status(FeedState::BackingOff).await.trouble.expect("why");
    assert!(trouble.contains("HTTP 429") && trouble.contains("streamer: closed"), "{trouble}");
    let mut side = streamer.connection().await;
    side.subscription().await;
    side.price("AAPL", 240.0, begun.plus(Span::from_seconds(40))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "240");
    assert_eq!(polls.asked().len(), 1, "an hour was asked for");
}

#[tokio::test]
async fn where_both_ways_refuse_the_feed_is_refused() {
    let consent = http_answer(
        "307 Temporary Redirect",
        "Location: https://guce.yahoo.com/consent?x=1\r\nContent-Type: text/html\r\n",
        b"<html>consent",
    );
    let html = http_answer("200 OK", "Content-Type: text/html\r\n", b"<!DOCTYPE html><title>Yahoo is part of");
    let empty = http_answer("200 OK", "Content-Type: application/json\r\n", b"");
    for (answer, door, state, said) in [
        (refusal(""), "403 Forbidden", FeedState::Refused, "HTTP 429"),
        (refusal(""), "503 Service Unavailable", FeedState::BackingOff, "HTTP 503 instead of a WebSocket"),
        (consent, "403 Forbidden", FeedState::BackingOff, "guce.yahoo.com"),
        (html, "404 Not Found", FeedState::BackingOff, "captive portal?"),
        (empty, "404 Not Found", FeedState::BackingOff, "the answer is empty"),
    ] {
        let mut desk = Desk::new();
        let polls = Site::saying(answer).await;
        let stand_in = StandIn::serving(vec![http_answer(door, "", b"<html>")]).await;
        let url = stand_in.base.replace("http", "ws");
        start_with(&desk, &polls.base, Some(&url), HURRY, instruments(&["AAPL"]), quick());
        let trouble = desk.status(state).await.trouble.expect("why");
        assert!(trouble.contains(said), "{said} is not in {trouble}");
        desk.stop();
    }
}

#[tokio::test]
async fn splits_are_asked_for_once_the_prices_are_in() {
    let mut desk = Desk::new();
    let polls = Site::saying(spark("AAPL", "231", now(&desk))).await;
    let pace = Pace { splits: Span::from_millis(10), ..quick() };
    let task = start_with(&desk, &polls.base, None, SELDOM, instruments(&["AAPL", "GOLD"]), pace);
    assert_eq!(desk.ticks().await.len(), 1);
    let chart = include_str!("../../../../../tests/data/captures/yahoo/AAPL-2020-08-31-to-2020-11-07.json");
    let yesterday = now(&desk).as_seconds() - 86_400;
    polls.say(json_answer(&chart.replace("\"date\":1598880600", &format!("\"date\":{yesterday}"))));
    eventually("the question", || polls.asked().len() >= 2).await;
    let asked = polls.asked();
    assert!(
        asked[1].starts_with("GET /v8/finance/chart/AAPL?range=5d&interval=1d&events=div%2Csplits&_="),
        "{asked:?}"
    );
    let split = desk.other(|what| if let What::Split(split) = what { Some(*split) } else { None }).await;
    assert_eq!((split.symbol.as_str(), split.ratio, split.at), ("AAPL", 4.into(), Timestamp::from_seconds(yesterday)));
    desk.stop();
    task.await.expect("no panic").expect("no error");
}
