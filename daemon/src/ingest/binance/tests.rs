//! The parser on recorded frames, the rules of a connection, and the feed against an exchange on this machine.

use bellwether_core::{event::FeedState, price::Price, time::Span};
use tokio::task::JoinHandle;

use super::*;
use crate::ingest::{
    supervise::{Feed, Remedy},
    test_support::{Desk, Exchange, Recorded, StandIn, damaged, http_answer, instruments, recordings, soon, unlisted},
};
use crate::{
    clock::Clock,
    provider::{Providers, jittered},
};

const FRAMES: &str = include_str!("../../../../tests/data/captures/binance/frames.jsonl");
const RECORDED: &str = include_str!("../../../../tests/data/captures/binance/frames-2025.jsonl");
const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_500);
const LONG: Span = Span::from_seconds(30);
/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:9";

fn ticker(symbol: &str, price: &str, time: Timestamp) -> String {
    let data = json!({ "e": "24hrMiniTicker", "E": time.as_millis(), "s": symbol, "c": price, "o": "80000.00" });
    json!({ "stream": format!("{}@miniTicker", symbol.to_lowercase()), "data": data }).to_string()
}

const SHUTDOWN: &str = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#;

#[test]
fn every_recorded_frame_means_what_it_should() {
    for line in recordings::<Recorded>(FRAMES) {
        let mut market = Market::new(&instruments(&["BTC", "ETH"]));
        let meant = match parse(&line.frame) {
            Err(Malformed) => "malformed",
            Ok(Frame::Subscribed) => "subscribed",
            Ok(Frame::Shutdown) => "shutdown",
            Ok(Frame::Refused { .. }) => "refused",
            Ok(Frame::Other) => "other",
            Ok(frame) => match market.take(frame, NOW) {
                Ok(Some(tick)) => {
                    assert_eq!(tick.price.to_string(), "61000.2", "{}", line.name);
                    "tick"
                }
                Ok(None) => "nothing",
                Err(_) => "rejected",
            },
        };
        assert_eq!(meant, line.expect, "{}", line.name);
        // Cut anywhere, a frame is noise and no more.
        for end in (0..line.frame.len()).filter(|&end| line.frame.is_char_boundary(end)) {
            assert_eq!(parse(&line.frame[..end]), Err(Malformed), "{} cut at {end}", line.name);
        }
        for text in damaged(&line.frame) {
            if let Ok(frame) = parse(&text)
                && let Ok(Some(tick)) = market.take(frame, NOW)
            {
                assert!(tick.price.is_positive(), "{text}");
            }
        }
    }
}

#[test]
fn frames_as_they_came_are_understood() {
    for line in recordings::<Recorded>(RECORDED) {
        let frame = parse(&line.frame).unwrap_or_else(|_| panic!("{}", line.name));
        match (line.name.as_str(), frame) {
            ("miniTicker-combined", frame @ Frame::MiniTicker { .. }) => {
                let mut market = Market::new(&instruments(&["BTC"]));
                let tick = market.take(frame, NOW).expect("believed").expect("a price");
                let show = |price: Option<Price>| price.map(|p| p.to_string()).unwrap_or_default();
                assert_eq!(tick.price.to_string(), "102492.27");
                assert_eq!(tick.exchange_time, Some(Timestamp::from_millis(1_749_183_266_025)));
                assert_eq!(
                    [tick.day.reference, tick.day.high, tick.day.low, tick.day.volume].map(show),
                    ["105121.06", "105909.71", "100372.26", "24032.63625"]
                );
            }
            ("miniTicker-combined-2" | "miniTicker-raw", Frame::MiniTicker { quote, .. }) => {
                assert!(quote.price.is_some() && quote.time.is_some());
            }
            ("subscribe-ok", frame) => assert_eq!(frame, Frame::Subscribed),
            ("serverShutdown-combined", frame) => assert_eq!(frame, Frame::Shutdown),
            ("error-unknown-method", Frame::Refused { code: 2, message }) => {
                assert!(message.starts_with("Invalid request"));
            }
            (name, frame) => panic!("{name} is taken for {frame:?}"),
        }
    }
}

#[test]
fn only_codes_of_binance_are_asked_for_and_no_more_than_it_allows() {
    let mut all: Vec<Instrument> =
        (0..1_030).map(|n| unlisted(FeedId::Binance, &format!("A{n:04}USDT"), "USDT")).collect();
    all.extend(instruments(&["AAPL", "BTC"]));
    all.push(unlisted(FeedId::Binance, "btc/usdt@trade", "USDT"));
    let market = Market::new(&all);
    let streams = market.streams();
    assert_eq!((streams.len(), streams[0].as_str()), (1_024, "a0000usdt@miniTicker"));
    assert!(market.codes.trouble().is_some_and(|t| t.contains("1,024 streams")));
}

fn feed(url: &str, silence: Span, symbols: &[&str]) -> Binance {
    feed_with(url, NOBODY, silence, instruments(symbols))
}

fn feed_with(url: &str, base_url: &str, silence: Span, instruments: Vec<Instrument>) -> Binance {
    let config = config::Binance {
        ws_url: url.to_owned(),
        base_url: base_url.to_owned(),
        silence,
        ..config::Binance::default()
    };
    let mut whole = config::Config::default();
    whole.feeds.binance = config.clone();
    let providers = Providers::new(&whole, &[], None, &Clock::system(), jittered);
    Binance::new(&config, instruments, providers.binance)
}

fn run(desk: &Desk, feed: Binance) -> JoinHandle<anyhow::Result<()>> {
    desk.run(Feed::Binance(feed), FeedId::Binance, soon)
}

#[tokio::test]
async fn a_normal_day() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let task = run(&desk, feed(&exchange.url, LONG, &["BTC", "ETH"]));
    let mut side = exchange.connection().await;
    assert_eq!(side.path, "/stream?streams=btcusdt@miniTicker/ethusdt@miniTicker");
    let now = desk.context.clock.now();
    side.say("{not json").await;
    side.say(ticker("BTCUSDT", "NaN", now)).await;
    side.say(ticker("XYZUSDT", "5", now)).await;
    side.say(ticker("BTCUSDT", "84251.07000000", now)).await;
    let tick = desk.ticks().await.remove(0);
    assert_eq!((tick.price.to_string(), tick.source), ("84251.07".to_owned(), FeedId::Binance));
    // Again, and from last year; then a second later the same price, which is proof of life.
    side.say(ticker("BTCUSDT", "84251.07", now)).await;
    side.say(ticker("BTCUSDT", "20000", now.minus(Span::from_seconds(31_536_000)))).await;
    side.say(ticker("BTCUSDT", "84251.07", now.plus(Span::from_seconds(1)))).await;
    let again = desk.ticks().await.remove(0);
    assert_eq!(again.price, tick.price);
    assert!(again.exchange_time > tick.exchange_time);
    assert_eq!(desk.status(FeedState::Live).await.trouble, None);
    for (reason, times) in
        [("malformed", 1), ("price", 1), ("unknown_symbol", 1), ("duplicate", 1), ("out_of_order", 1)]
    {
        assert_eq!(desk.rejected(FeedId::Binance, reason), times, "{reason}");
    }
    desk.stop();
    task.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn many_streams_are_subscribed_to_in_turns() {
    let (desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let many = (0..250).map(|n| unlisted(FeedId::Binance, &format!("A{n:03}USDT"), "USDT")).collect();
    run(&desk, feed_with(&exchange.url, NOBODY, LONG, many));
    let mut side = exchange.connection().await;
    assert_eq!(side.path.matches("@miniTicker").count(), 100);
    for (id, count, first) in [(1, 100, "a100usdt@miniTicker"), (2, 50, "a200usdt@miniTicker")] {
        let message = side.heard().await;
        assert_eq!((&message["method"], &message["id"]), (&json!("SUBSCRIBE"), &json!(id)));
        let params = message["params"].as_array().expect("a list");
        assert_eq!((params.len(), &params[0]), (count, &json!(first)));
    }
}

#[tokio::test]
async fn the_daily_cut_loses_nothing_and_repeats_nothing() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let mut feed = feed(&exchange.url, LONG, &["BTC"]);
    feed.life = Duration::from_millis(50);
    run(&desk, feed);
    let start = desk.context.clock.now();
    let at = |millis| start.plus(Span::from_millis(millis));
    let mut old = exchange.connection().await;
    old.say(ticker("BTCUSDT", "84001", at(1))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84001");
    // The next connection stands, and says nothing yet: the old one delivers.
    let mut new = exchange.connection().await;
    old.say(ticker("BTCUSDT", "84002", at(2))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84002");
    // What both say counts once, and what came before counts no more.
    new.say(ticker("BTCUSDT", "84002", at(2))).await;
    old.left().await;
    new.say(ticker("BTCUSDT", "84001", at(1))).await;
    new.say(ticker("BTCUSDT", "84003", at(3))).await;
    assert_eq!(desk.ticks().await[0].price.to_string(), "84003");
    assert_eq!(desk.rejected(FeedId::Binance, "duplicate"), 1);
    assert_eq!(desk.rejected(FeedId::Binance, "out_of_order"), 1);
    let text = desk.context.metrics.render();
    assert!(!text.contains("ingestor_reconnects_total{provider=\"binance\"}"), "no failure: {text}");
}

#[tokio::test]
async fn a_server_that_will_shut_down_is_left_before_it_does() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    run(&desk, feed(&exchange.url, LONG, &["BTC"]));
    let mut old = exchange.connection().await;
    let now = desk.context.clock.now();
    old.say(ticker("BTCUSDT", "84001", now)).await;
    old.say(SHUTDOWN).await;
    let mut new = exchange.connection().await;
    new.say(ticker("BTCUSDT", "84002", now.plus(Span::from_millis(5)))).await;
    old.left().await;
    for price in ["84001", "84002"] {
        assert_eq!(desk.ticks().await[0].price.to_string(), price);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_or_says_nothing_is_opened_anew() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    run(&desk, feed(&exchange.url, Span::from_millis(200), &["BTC"]));
    let mut side = exchange.connection().await;
    side.say(ticker("BTCUSDT", "84001", desk.context.clock.now())).await;
    desk.ticks().await;
    side.break_off().await;
    assert!(desk.status(FeedState::BackingOff).await.trouble.is_some());
    let mut side = exchange.connection().await;
    // Noise, and an answer to what nobody asked, are no prices.
    side.say("garbage").await;
    let status = desk.status(FeedState::BackingOff).await;
    assert_eq!(status.trouble.as_deref(), Some("silent for 200ms"));
    drop(side);
    let mut side = exchange.connection().await;
    side.say(r#"{"code":2,"msg":"Invalid request"}"#).await;
    let status = desk.status(FeedState::Refused).await;
    assert_eq!(status.trouble.as_deref(), Some("code 2: Invalid request"));
}

#[tokio::test]
async fn a_symbol_that_never_delivers_is_looked_up_once() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let unknown = http_answer("400 Bad Request", "", br#"{"code":-1121,"msg":"Invalid symbol."}"#);
    let halted = http_answer("200 OK", "", br#"{"symbols":[{"symbol":"SOLUSDT","status":"BREAK"}]}"#);
    let listed = StandIn::serving(vec![unknown, halted]).await;
    let three = instruments(&["BTC", "ETH", "SOL"]);
    run(&desk, feed_with(&exchange.url, &listed.base, Span::from_millis(1_500), three));
    let mut side = exchange.connection().await;
    side.say(ticker("BTCUSDT", "84001", desk.context.clock.now())).await;
    desk.status(FeedState::Live).await;
    let status = desk.status(FeedState::Live).await;
    assert_eq!(status.trouble.as_deref(), Some("ETHUSDT: never delivered; SOLUSDT: never delivered"));
    let status = desk.status(FeedState::Live).await;
    let expected = "ETHUSDT: Binance does not know it; SOLUSDT: not traded now (BREAK)";
    assert_eq!(status.trouble.as_deref(), Some(expected));
    let asked = listed.requests();
    assert!(asked[0].starts_with("GET /api/exchangeInfo?symbol=ETHUSDT "), "{}", asked[0]);
    side.break_off().await;
    let side = exchange.connection().await;
    assert_eq!(side.path, "/stream?streams=btcusdt@miniTicker/solusdt@miniTicker", "it is not asked for again");
}

#[tokio::test]
async fn bans_and_places_that_are_not_served_are_states_of_their_own() {
    for (status, headers, state, least) in [
        ("418 I'm a teapot", "Retry-After: 7200\r\n", FeedState::Banned, 7_200),
        ("403 Forbidden", "", FeedState::Banned, 0),
        ("451 Unavailable For Legal Reasons", "", FeedState::Blocked, 0),
        ("429 Too Many Requests", "Retry-After: 60\r\n", FeedState::Refused, 60),
    ] {
        let mut desk = Desk::new();
        let door = StandIn::serving(vec![http_answer(status, headers, b"{}")]).await;
        run(&desk, feed(&door.base.replace("http", "ws"), LONG, &["BTC"]));
        let said = desk.status(state).await;
        let wait = said.next_attempt.expect("a time").since(said.since);
        assert!(wait >= Span::from_seconds(least), "{status}: {wait}");
        desk.stop();
    }
}

#[tokio::test]
async fn without_any_code_of_binance_nothing_is_asked() {
    let desk = Desk::new();
    let mut link = Link::new(FeedId::Binance, 1, desk.context.clone());
    let strange = vec![unlisted(FeedId::Binance, "btc-usdt", "USDT")];
    let trouble = feed_with("ws://127.0.0.1:9", NOBODY, LONG, strange).run(&mut link).await;
    let trouble = trouble.map(|_| ()).expect_err("nothing to ask for");
    assert_eq!(trouble.remedy, Remedy::Wait);
    assert!(trouble.text.contains("no code of Binance's"), "{}", trouble.text);
}
