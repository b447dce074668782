//! The parser on recorded frames, the rules of a connection, and the feed against an exchange on this machine.

use bellwether_core::{
    event::FeedState,
    instrument::FeedId,
    price::Price,
    tick::Tick,
    time::{Span, Timestamp},
};
use futures_util::SinkExt;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{self, Message};

use super::*;
use crate::ingest::{
    codes::BEHIND,
    supervise::{Feed, Remedy},
    test_support::{Desk, Exchange, Recorded, Side, StandIn, damaged, http_answer, instruments, recordings, soon},
};

const FRAMES: &str = include_str!("../../../../tests/data/captures/coinbase/frames.jsonl");
const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);

fn ticker(product: &str, price: &str) -> String {
    json!({ "type": "ticker", "product_id": product, "price": price, "open_24h": "80000" }).to_string()
}

fn heartbeat(product: &str, last_trade: u64) -> String {
    json!({ "type": "heartbeat", "sequence": 1, "last_trade_id": last_trade, "product_id": product }).to_string()
}

/// A fresh connection's knowledge of instruments whose prices are stale after a minute.
fn products(symbols: &[&str]) -> Products {
    let mut instruments = instruments(symbols);
    for instrument in &mut instruments {
        instrument.stale_after = Span::from_seconds(60);
    }
    Products::new(&instruments)
}

fn take(products: &mut Products, text: &str, now: Timestamp) -> Result<Option<Tick>, &'static str> {
    products.take(parse(text).expect("well-formed"), now)
}

#[test]
fn every_recorded_frame_means_what_it_should() {
    let mut count = 0;
    for line in recordings::<Recorded>(FRAMES) {
        let mut products = products(&["BTC", "ETH", "SHIB"]);
        let meant = match parse(&line.frame) {
            Err(Malformed) => "malformed",
            Ok(Frame::Heartbeat { .. }) => "heartbeat",
            Ok(Frame::Refused { .. }) => "refused",
            Ok(Frame::Subscriptions { .. }) => "subscriptions",
            Ok(Frame::Other) => "other",
            Ok(frame) => match products.take(frame, NOW) {
                Ok(Some(tick)) => {
                    assert!(tick.price.is_positive(), "{}", line.name);
                    "tick"
                }
                Ok(None) => "nothing",
                Err(_) => "rejected",
            },
        };
        assert_eq!(meant, line.expect, "{}", line.name);
        // Cut anywhere, a frame is noise and no more.
        for end in (0..line.frame.len()).filter(|&end| line.frame.is_char_boundary(end)) {
            assert!(!matches!(parse(&line.frame[..end]), Ok(Frame::Ticker { .. })), "{} cut at {end}", line.name);
        }
        for text in damaged(&line.frame) {
            if let Ok(frame) = parse(&text)
                && let Ok(Some(tick)) = products.take(frame, NOW)
            {
                assert!(tick.price.is_positive(), "{text}");
            }
        }
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn a_ticker_brings_its_own_time_and_its_day() {
    let mut products = products(&["BTC"]);
    let text = r#"{"type":"ticker","product_id":"BTC-USD","price":"84251.07","open_24h":"84430.5","volume_24h":"1836.96781750",
        "low_24h":"84100","high_24h":"85021.57","time":"2026-11-20T10:58:31.127510Z"}"#;
    let tick = take(&mut products, text, NOW).expect("believed").expect("a price");
    assert_eq!(tick.price.to_string(), "84251.07");
    assert_eq!(tick.exchange_time, "2026-11-20T10:58:31.127510Z".parse().ok());
    assert_eq!(tick.received_time, NOW);
    let show = |price: Option<Price>| price.map(|p| p.to_string()).unwrap_or_default();
    assert_eq!(
        [tick.day.reference, tick.day.high, tick.day.low, tick.day.volume].map(show),
        ["84430.5", "85021.57", "84100", "1836.9678175"]
    );
}

#[test]
fn a_quiet_instrument_is_repeated_while_its_heartbeat_goes_on() {
    let mut products = products(&["BTC", "ETH"]);
    let silence = Span::from_seconds(10);
    let at = |seconds| NOW.plus(Span::from_seconds(seconds));
    take(&mut products, &ticker("BTC-USD", "84000"), NOW).expect("believed");
    for code in ["BTC-USD", "ETH-USD"] {
        take(&mut products, &heartbeat(code, 7), at(59)).expect("known");
    }
    assert_eq!(products.repeat_quiet(at(59), silence).len(), 1, "ETH has not delivered on this connection");
    take(&mut products, &heartbeat("BTC-USD", 7), at(89)).expect("known");
    assert_eq!(products.repeat_quiet(at(88), silence), [], "29 seconds after the last one is too early");
    let again = products.repeat_quiet(at(119 - 25), silence);
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].price.to_string(), again[0].exchange_time), ("84000".to_owned(), Some(at(89))));
    assert_eq!(again[0].received_time, at(94));
    assert_eq!(products.repeat_quiet(at(300), silence), [], "its heartbeat has stopped");
}

#[test]
fn the_repeated_time_is_the_exchanges_own() {
    let mut products = products(&["BTC"]);
    take(&mut products, &ticker("BTC-USD", "84000"), NOW).expect("believed");
    // Our clock is 20 s ahead of the exchange's.
    let now = NOW.plus(Span::from_seconds(40));
    let time = NOW.plus(Span::from_seconds(20));
    let beat = json!({ "type": "heartbeat", "product_id": "BTC-USD", "time": time.to_string() }).to_string();
    take(&mut products, &beat, now).expect("known");
    let ticks = products.repeat_quiet(now, Span::from_seconds(10));
    assert_eq!(ticks[0].exchange_time, Some(time.minus(BEHIND)), "or the next trade would count as out of order");
}

#[test]
fn a_price_that_stands_still_while_it_trades_is_not_repeated() {
    let mut products = products(&["BTC"]);
    let at = |seconds| NOW.plus(Span::from_seconds(seconds));
    take(&mut products, &ticker("BTC-USD", "84000"), NOW).expect("believed");
    take(&mut products, &heartbeat("BTC-USD", 7), at(1)).expect("known");
    take(&mut products, &heartbeat("BTC-USD", 9), at(2)).expect("known");
    take(&mut products, &heartbeat("BTC-USD", 12), at(40)).expect("known");
    assert_eq!(products.repeat_quiet(at(40), Span::from_seconds(10)), []);
    assert_eq!(products.check_frozen(at(62)), Ok(()));
    let trouble = products.check_frozen(at(63)).expect_err("frozen for longer than a price may age");
    assert_eq!((trouble.text.as_str(), trouble.remedy), ("BTC-USD trades, but its price stands still", Remedy::Retry));
    take(&mut products, &ticker("BTC-USD", "84001"), at(64)).expect("believed");
    assert_eq!(products.check_frozen(at(200)), Ok(()));
}

#[test]
fn a_refusal_that_names_no_product_is_the_connections_own() {
    let mut products = products(&["BTC", "ETH"]);
    let trouble = products.refuse("Failed to subscribe", "rate limit exceeded").expect_err("nothing to drop");
    assert_eq!((trouble.text.as_str(), trouble.remedy), ("Failed to subscribe: rate limit exceeded", Remedy::Wait));
    assert_eq!(products.refuse("Failed", "ETH-USD is delisted"), Ok(vec!["BTC-USD".to_owned()]));
    assert_eq!(products.refuse("Failed", "ETH-USD is delisted"), Ok(Vec::new()), "said twice");
    assert!(products.refuse("Failed", "BTC-USD is not a valid product").is_err(), "nothing is left");
}

#[test]
fn what_is_never_acknowledged_is_named() {
    let mut products = products(&["BTC", "ETH"]);
    assert!(products.check_acknowledged().is_err());
    let text =
        r#"{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD"]},{"name":"heartbeat"}]}"#;
    take(&mut products, text, NOW).expect("an acknowledgement");
    products.check_acknowledged().expect("one of them is");
    assert_eq!(products.trouble().as_deref(), Some("ETH-USD: never acknowledged"));
    take(&mut products, &ticker("ETH-USD", "2700"), NOW).expect("believed");
    assert_eq!(products.trouble(), None, "data is as good as an acknowledgement");
}

/// The products of the next subscription.
async fn subscription(side: &mut Side) -> Vec<String> {
    let message = side.heard().await;
    assert_eq!((&message["type"], &message["channels"]), (&json!("subscribe"), &json!(["ticker", "heartbeat"])));
    serde_json::from_value(message["product_ids"].clone()).expect("a list")
}

fn start(desk: &Desk, url: &str, silence: Span, symbols: &[&str]) -> JoinHandle<anyhow::Result<()>> {
    let config = config::Coinbase { ws_url: url.to_owned(), silence, ..config::Coinbase::default() };
    let mut instruments = instruments(symbols);
    for instrument in &mut instruments {
        instrument.stale_after = Span::from_millis(400);
    }
    desk.run(Feed::Coinbase(Coinbase::new(&config, instruments)), FeedId::Coinbase, soon)
}

const LONG: Span = Span::from_seconds(30);

#[tokio::test]
async fn it_subscribes_and_delivers() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let task = start(&desk, &exchange.url, LONG, &["BTC", "ETH"]);
    let mut side = exchange.connection().await;
    assert_eq!(subscription(&mut side).await, ["BTC-USD", "ETH-USD"]);
    side.say("{not json".to_owned()).await;
    side.say(ticker("BTC-USD", "NaN")).await;
    side.say(ticker("XYZ-USD", "5")).await;
    side.say(ticker("BTC-USD", "84251.07")).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84251.07");
    desk.status(FeedState::Live).await;
    for reason in ["malformed", "price", "unknown_symbol"] {
        assert_eq!(desk.rejected(FeedId::Coinbase, reason), 1, "{reason}");
    }
    desk.stop();
    task.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_quiet_instrument_does_not_turn_stale() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, LONG, &["BTC"]);
    let mut side = exchange.connection().await;
    side.say(ticker("BTC-USD", "84000")).await;
    side.say(heartbeat("BTC-USD", 7)).await;
    let first = desk.ticks().await.remove(0);
    let again = desk.ticks().await.remove(0);
    assert_eq!(again.price, first.price);
    assert!(again.exchange_time > first.exchange_time);
}

#[tokio::test]
async fn a_refused_product_is_named_and_the_others_live() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, LONG, &["BTC", "ETH", "SOL"]);
    let mut side = exchange.connection().await;
    assert_eq!(subscription(&mut side).await, ["BTC-USD", "ETH-USD", "SOL-USD"]);
    let refusal =
        json!({ "type": "error", "message": "Failed to subscribe", "reason": "ETH-USD is not a valid product" });
    side.say(refusal.to_string()).await;
    assert_eq!(subscription(&mut side).await, ["BTC-USD", "SOL-USD"]);
    side.say(ticker("SOL-USD", "142.85")).await;
    assert_eq!(desk.ticks().await[0].symbol.as_str(), "SOL");
    let status = desk.status(FeedState::Live).await;
    assert_eq!(status.trouble.as_deref(), Some("ETH-USD: ETH-USD is not a valid product"));
}

#[tokio::test]
async fn a_silent_connection_is_opened_anew_and_all_is_subscribed_again() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, Span::from_millis(100), &["BTC", "ETH"]);
    let mut first = exchange.connection().await;
    assert_eq!(subscription(&mut first).await.len(), 2);
    first.say(ticker("BTC-USD", "84000")).await;
    desk.ticks().await;
    // Half open: the socket lives, pings even come, and nothing is said.
    first.socket.send(Message::Ping(bytes::Bytes::new())).await.expect("open");
    let status = desk.status(FeedState::BackingOff).await;
    assert_eq!(status.trouble.as_deref(), Some("silent for 100ms"));
    let mut second = exchange.connection().await;
    assert_eq!(subscription(&mut second).await, ["BTC-USD", "ETH-USD"]);
    second.say(ticker("ETH-USD", "2700")).await;
    assert_eq!(desk.ticks().await[0].symbol.as_str(), "ETH");
    let text = desk.context.metrics.render();
    assert!(text.contains("ingestor_reconnects_total{provider=\"coinbase\"} 1"), "{text}");
}

#[tokio::test]
async fn every_way_to_be_cut_off_ends_in_a_new_connection() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    start(&desk, &exchange.url, LONG, &["BTC"]);
    // A close with a reason.
    let mut side = exchange.connection().await;
    let frame = tungstenite::protocol::CloseFrame {
        code: tungstenite::protocol::frame::coding::CloseCode::Restart,
        reason: "bye\u{1b}".into(),
    };
    side.socket.close(Some(frame)).await.expect("open");
    let trouble = desk.status(FeedState::BackingOff).await.trouble.expect("a reason");
    assert_eq!(trouble, "closed by the exchange with code 1012 bye\u{fffd}");
    // A cut in the middle of a frame.
    let side = exchange.connection().await;
    side.break_off().await;
    assert!(desk.status(FeedState::BackingOff).await.trouble.is_some());
    // A frame of two megabytes.
    let mut side = exchange.connection().await;
    // The feed may hang up before it is all sent.
    side.socket.send(Message::text(" ".repeat(2 << 20))).await.ok();
    let trouble = desk.status(FeedState::BackingOff).await.trouble.expect("a reason");
    assert!(trouble.contains("too long") || trouble.contains("too big"), "{trouble}");
    let mut side = exchange.connection().await;
    side.say(ticker("BTC-USD", "84000")).await;
    assert_eq!(desk.ticks().await.len(), 1);
}

#[tokio::test]
async fn a_ban_at_the_door_is_waited_out() {
    let mut desk = Desk::new();
    let answer = http_answer("429 Too Many Requests", "Retry-After: 3600\r\n", b"slow down");
    let stand_in = StandIn::serving(vec![answer]).await;
    start(&desk, &stand_in.base.replace("http", "ws"), LONG, &["BTC"]);
    let status = desk.status(FeedState::Refused).await;
    assert_eq!(status.trouble.as_deref(), Some("HTTP 429 instead of a WebSocket"));
    let wait = status.next_attempt.expect("a time").since(status.since);
    assert!(wait >= Span::from_seconds(3_600), "{wait}");
    assert_eq!(stand_in.requests().len(), 1);
}
