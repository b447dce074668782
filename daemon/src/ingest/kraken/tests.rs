//! The parser on recorded frames, the rules of a connection, and the feed against an exchange on this machine.

use bellwether_core::{event::FeedState, price::Price, time::Span};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::ingest::{
    desk::What,
    supervise::{Feed, Remedy},
    test_support::{Desk, Exchange, Recorded, Side, damaged, instruments, recordings, soon},
    wire::Malformed,
};

const FRAMES: &str = include_str!("../../../../tests/data/captures/kraken/frames.jsonl");
const RECORDED: &str = include_str!("../../../../tests/data/captures/kraken/frames-2026.jsonl");
const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);
const LONG: Span = Span::from_seconds(30);

fn market(symbols: &[&str]) -> Market {
    let mut instruments = instruments(symbols);
    for instrument in &mut instruments {
        instrument.stale_after = Span::from_seconds(60);
    }
    Market::new(&instruments)
}

fn ticker(symbol: &str, price: &str, time: Timestamp) -> String {
    format!(
        r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","last":{price},"change":-1.5,"timestamp":"{time}"}}]}}"#
    )
}

fn status(system: &str) -> String {
    json!({ "channel": "status", "type": "update", "data": [{ "system": system, "api_version": "v2" }] }).to_string()
}

fn acknowledgement(symbol: &str) -> String {
    let result = json!({ "channel": "ticker", "snapshot": true, "symbol": symbol });
    json!({ "method": "subscribe", "result": result, "success": true }).to_string()
}

const HEARTBEAT: &str = r#"{"channel":"heartbeat"}"#;

fn told(market: &mut Market, text: &str, now: Timestamp) -> Told {
    market.take(parse(text).expect("well-formed"), now).expect("no trouble")
}

#[test]
fn every_recorded_frame_means_what_it_should() {
    let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    for line in recordings::<Recorded>(FRAMES) {
        let mut market = market(&["BTC", "ETH", "SHIB"]);
        let meant = match parse(&line.frame) {
            Err(Malformed) => "malformed".to_owned(),
            Ok(Frame::Heartbeat) => "heartbeat".to_owned(),
            Ok(Frame::Refused { .. }) => "refused".to_owned(),
            Ok(Frame::Subscribed { .. }) => "subscribed".to_owned(),
            Ok(Frame::Pong { time }) => {
                assert!(time.is_some(), "{}", line.name);
                "pong".to_owned()
            }
            Ok(Frame::Status { system }) => format!("status {}", system.unwrap_or_default()).trim().to_owned(),
            Ok(Frame::Other) => "other".to_owned(),
            Ok(frame) => {
                let told = market.take(frame, NOW).expect("no trouble");
                assert!(told.ticks.iter().all(|tick| tick.price.is_positive()), "{}", line.name);
                let ticks = (!told.ticks.is_empty()).then(|| count(told.ticks.len(), "tick", "ticks"));
                let rejected = (!told.rejected.is_empty()).then(|| format!("{} rejected", told.rejected.len()));
                let all: Vec<String> = ticks.into_iter().chain(rejected).collect();
                if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
            }
        };
        assert_eq!(meant, line.expect, "{}", line.name);
        // Cut anywhere, a frame is noise and no more.
        for end in (0..line.frame.len()).filter(|&end| line.frame.is_char_boundary(end)) {
            assert_eq!(parse(&line.frame[..end]), Err(Malformed), "{} cut at {end}", line.name);
        }
        for text in damaged(&line.frame) {
            if let Ok(told) = parse(&text).map(|frame| market.take(frame, NOW)) {
                assert!(told.is_ok_and(|t| t.ticks.iter().all(|tick| tick.price.is_positive())) || !text.is_empty());
            }
        }
    }
}

#[test]
fn frames_as_they_came_are_understood() {
    let mut market = market(&["BTC", "ETH"]);
    for line in recordings::<Recorded>(RECORDED) {
        let frame = parse(&line.frame).unwrap_or_else(|_| panic!("{}", line.name));
        match (line.name.as_str(), frame) {
            ("status", Frame::Status { system }) => assert_eq!(system.as_deref(), Some("online")),
            ("subscribe-ack", Frame::Subscribed { symbol, time }) => {
                assert_eq!((symbol.as_ref(), time), ("BTC/USD", "2026-10-03T20:58:30.560271Z".parse().ok()));
            }
            ("ticker-snapshot", Frame::Ticker { rows }) => {
                let [Row { symbol, quote }] = rows.as_slice() else { panic!("one row") };
                assert_eq!((symbol.as_ref(), quote.price), ("ALGO/USD", "0.1311".parse().ok()));
            }
            ("ticker-update", frame @ Frame::Ticker { .. }) => {
                let tick = market.take(frame, NOW).expect("no trouble").ticks.remove(0);
                let show = |price: Option<Price>| price.map(|p| p.to_string()).unwrap_or_default();
                assert_eq!(tick.price.to_string(), "83744.3");
                assert_eq!(tick.exchange_time, "2026-09-25T17:48:26.844359Z".parse().ok());
                assert_eq!(
                    [tick.day.reference, tick.day.high, tick.day.low, tick.day.volume].map(show),
                    ["84173.6", "85247.4", "83163.6", "3156.8478211"]
                );
            }
            ("trade-update" | "ohlc-update", frame) => assert_eq!(frame, Frame::Other),
            ("heartbeat", frame) => assert_eq!(frame, Frame::Heartbeat),
            ("subscribe-refused-unknown-pair", Frame::Refused { symbol, error }) => {
                assert_eq!(symbol.as_deref(), Some("XBT/USD"));
                assert_eq!(error, "Currency pair not supported XBT/USD");
            }
            (name, frame) => panic!("{name} is taken for {frame:?}"),
        }
    }
}

#[test]
fn nothing_is_news_while_kraken_rests_and_the_last_price_stands_when_it_is_back() {
    let mut market = market(&["BTC"]);
    let at = |seconds| NOW.plus(Span::from_seconds(seconds));
    let silence = Duration::from_secs(10);
    assert!(told(&mut market, &status("maintenance"), NOW).changed);
    let resting = told(&mut market, &ticker("BTC/USD", "84000.1", NOW), NOW);
    assert_eq!((resting.ticks, resting.rejected), (Vec::new(), vec!["not_trading"]));
    told(&mut market, HEARTBEAT, at(40));
    assert_eq!(market.repeat_quiet(at(40), silence), [], "it may be anything by now");
    told(&mut market, &status("online"), at(41));
    told(&mut market, HEARTBEAT, at(42));
    assert_eq!(market.repeat_quiet(at(42), silence)[0].price.to_string(), "84000.1");
    for other in ["cancel_only", "post_only", "surprise"] {
        told(&mut market, &status(other), at(43));
        assert_eq!(told(&mut market, &ticker("BTC/USD", "84001", at(43)), at(43)).ticks, [], "{other}");
    }
}

#[test]
fn a_refusal_drops_its_symbol_and_no_other() {
    let mut market = market(&["BTC", "ETH"]);
    let refusal = |symbol: Option<&str>, error: &str| {
        let mut refusal = json!({ "error": error, "method": "subscribe", "success": false });
        if let Some(symbol) = symbol {
            refusal["symbol"] = json!(symbol);
        }
        refusal.to_string()
    };
    told(&mut market, &refusal(Some("BTC/USD"), "Already subscribed"), NOW);
    assert_eq!(market.codes.trouble(), None);
    told(&mut market, &refusal(None, "Currency pair not supported ETH/USD"), NOW);
    assert_eq!(market.codes.trouble().as_deref(), Some("ETH/USD: Currency pair not supported ETH/USD"));
    told(&mut market, &refusal(Some("ETH/USD"), "Currency pair not supported ETH/USD"), NOW);
    let mut fails = |text: &str| market.take(parse(text).expect("well-formed"), NOW).expect_err("the connection's own");
    let trouble = fails(&refusal(None, "Exceeded msg rate"));
    assert_eq!((trouble.text.as_str(), trouble.remedy), ("Exceeded msg rate", Remedy::Wait));
    assert!(fails(&refusal(Some("BTC/USD"), "delisted")).text.starts_with("every symbol was refused"));
}

fn start(desk: &Desk, url: &str, silence: Span, symbols: &[&str]) -> JoinHandle<anyhow::Result<()>> {
    let config = config::Kraken { ws_url: url.to_owned(), silence, ..config::Kraken::default() };
    let mut instruments = instruments(symbols);
    for instrument in &mut instruments {
        instrument.stale_after = Span::from_millis(400);
    }
    desk.run(Feed::Kraken(Kraken::new(&config, instruments)), FeedId::Kraken, soon)
}

/// The symbols of the next subscription.
async fn subscription(side: &mut Side) -> Vec<String> {
    loop {
        let message = side.heard().await;
        if message["method"] == "ping" {
            continue;
        }
        let params = &message["params"];
        assert_eq!((&message["method"], &params["channel"]), (&json!("subscribe"), &json!("ticker")));
        assert_eq!((&params["event_trigger"], &params["snapshot"]), (&json!("trades"), &json!(true)));
        return serde_json::from_value(params["symbol"].clone()).expect("a list");
    }
}

#[tokio::test]
async fn a_normal_day() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let task = start(&desk, &exchange.url, LONG, &["BTC", "ETH"]);
    let mut side = exchange.connection().await;
    side.say(status("online")).await;
    assert_eq!(subscription(&mut side).await, ["BTC/USD", "ETH/USD"]);
    side.say(acknowledgement("BTC/USD")).await;
    let now = desk.context.clock.now();
    // What it does not believe it counts, and goes on.
    side.say("{not json").await;
    side.say(ticker("BTC/USD", "\"NaN\"", now)).await;
    side.say(ticker("XYZ/USD", "5", now)).await;
    side.socket.send_ping().await;
    side.say(ticker("BTC/USD", "84251.0700", now)).await;
    let tick = desk.ticks().await.remove(0);
    assert_eq!((tick.price.to_string(), tick.source), ("84251.07".to_owned(), FeedId::Kraken));
    // Again, and from before, and from last year.
    side.say(ticker("BTC/USD", "84251.07", now)).await;
    side.say(ticker("BTC/USD", "80000", now.minus(Span::from_seconds(1)))).await;
    side.say(ticker("BTC/USD", "20000", now.minus(Span::from_seconds(31_536_000)))).await;
    side.say(ticker("BTC/USD", "84252", now.plus(Span::from_millis(1)))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84252");
    assert_eq!(desk.status(FeedState::Live).await.trouble, None);
    for (reason, times) in
        [("malformed", 1), ("price", 1), ("unknown_symbol", 1), ("duplicate", 1), ("out_of_order", 2)]
    {
        assert_eq!(desk.rejected(FeedId::Kraken, reason), times, "{reason}");
    }
    desk.stop();
    task.await.expect("no panic").expect("no error");
}

/// A ping, whose answer comes by itself.
trait Ping {
    async fn send_ping(&mut self);
}

impl Ping for tokio_tungstenite::WebSocketStream<tokio::net::TcpStream> {
    async fn send_ping(&mut self) {
        use futures_util::{SinkExt, StreamExt};
        self.send(Message::Ping(bytes::Bytes::from_static(b"7"))).await.expect("open");
        let pong = tokio::time::timeout(Duration::from_secs(30), self.next()).await.expect("an answer");
        assert_eq!(pong.expect("open").expect("a message"), Message::Pong(bytes::Bytes::from_static(b"7")));
    }
}

#[tokio::test]
async fn a_snapshot_keeps_the_time_of_its_trade_and_its_symbol_does_not_turn_stale() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, LONG, &["BTC"]);
    let mut side = exchange.connection().await;
    let traded = desk.context.clock.now().minus(Span::from_seconds(7_200));
    side.say(ticker("BTC/USD", "84000", traded).replace("update", "snapshot")).await;
    let first = desk.ticks().await.remove(0);
    assert_eq!(first.exchange_time.map(Timestamp::as_millis), Some(traded.as_millis()), "not news");
    side.say(HEARTBEAT).await;
    let whom = desk.other(|what| if let What::Alive(whom) = what { Some(whom.clone()) } else { None }).await;
    assert_eq!(whom, Whom::These(vec!["BTC".parse().expect("a symbol")]));
    let again = desk.ticks().await.remove(0);
    assert_eq!(again.price, first.price);
    assert!(again.exchange_time > Some(traded.plus(Span::from_seconds(7_000))), "proven live");
}

#[tokio::test]
async fn refused_and_forgotten_symbols_are_named_and_the_others_live() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, Span::from_millis(200), &["BTC", "ETH", "SOL"]);
    let mut side = exchange.connection().await;
    assert_eq!(subscription(&mut side).await, ["BTC/USD", "ETH/USD", "SOL/USD"]);
    let refusal = json!({ "error": "Currency pair not supported ETH/USD", "method": "subscribe", "success": false, "symbol": "ETH/USD" });
    side.say(refusal.to_string()).await;
    let lost = desk.other(|what| if let What::Lost(symbol, why) = what { Some((*symbol, why.clone())) } else { None });
    let (symbol, why) = lost.await;
    assert_eq!((symbol.as_str(), why.as_str()), ("ETH", "Currency pair not supported ETH/USD"));
    side.say(acknowledgement("BTC/USD")).await;
    side.say(ticker("BTC/USD", "84000", desk.context.clock.now())).await;
    let expected = "ETH/USD: Currency pair not supported ETH/USD; SOL/USD: never acknowledged";
    loop {
        side.say(HEARTBEAT).await;
        // Each heartbeat has its turn before the next.
        if let Ok(status) = tokio::time::timeout(Duration::from_millis(20), desk.status(FeedState::Live)).await
            && status.trouble.as_deref() == Some(expected)
        {
            break;
        }
    }
}

#[tokio::test]
async fn maintenance_is_a_state_of_its_own() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, LONG, &["BTC"]);
    let mut side = exchange.connection().await;
    side.say(status("maintenance")).await;
    let paused = desk.status(FeedState::Paused).await;
    assert_eq!(paused.trouble.as_deref(), Some("Kraken is not online: maintenance"));
    let now = desk.context.clock.now();
    side.say(ticker("BTC/USD", "1", now)).await;
    side.say(status("online")).await;
    side.say(ticker("BTC/USD", "84000", now.plus(Span::from_millis(1)))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84000");
    assert_eq!(desk.status(FeedState::Live).await.trouble, None);
    assert_eq!(desk.rejected(FeedId::Kraken, "not_trading"), 1);
}

#[tokio::test]
async fn one_that_only_answers_pings_is_left_and_all_is_subscribed_again() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, Span::from_millis(200), &["BTC"]);
    let mut side = exchange.connection().await;
    assert_eq!(subscription(&mut side).await, ["BTC/USD"]);
    side.say(ticker("BTC/USD", "84000", desk.context.clock.now())).await;
    assert_eq!(desk.ticks().await.len(), 1);
    assert_eq!(side.heard().await["method"], "ping", "it asks before it gives up");
    side.say(json!({ "method": "pong", "time_out": desk.context.clock.now().to_string() }).to_string()).await;
    let status = desk.status(FeedState::BackingOff).await;
    assert_eq!(status.trouble.as_deref(), Some("silent for 200ms"));
    let mut side = exchange.connection().await;
    assert_eq!(subscription(&mut side).await, ["BTC/USD"]);
    // In the middle of a frame.
    side.break_off().await;
    assert!(desk.status(FeedState::BackingOff).await.trouble.is_some());
    let mut side = exchange.connection().await;
    side.say(ticker("BTC/USD", "84001", desk.context.clock.now())).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84001");
}
