//! The parser on recorded and broken answers, and the feed against a stand-in.

use std::sync::Arc;

use bellwether_core::{
    config::{CoingeckoPlan, Config, Secret},
    event::FeedState,
    retry::Backoff,
    time::Span,
};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    ingest::{
        desk::Wanted,
        supervise::Feed,
        test_support::{Desk, RecordedError, StandIn, damaged, http_answer, instruments, json_answer, recordings},
    },
    provider::Providers,
};

const MARKETS: &str = include_str!("../../../tests/data/captures/coingecko/coins_markets.json");
const ERRORS: &str = include_str!("../../../tests/data/captures/coingecko/errors.jsonl");
const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);

fn rows(body: &str) -> Rows {
    parse(body, &instruments(&["BTC", "SHIB", "TRX"]), NOW).expect("a list")
}

#[test]
fn the_documented_answer_is_read_with_its_own_time() {
    let rows = rows(MARKETS);
    assert_eq!(rows.rejected, [""; 0]);
    let tick = &rows.ticks[0];
    assert_eq!((tick.symbol.as_str(), tick.price.to_string().as_str()), ("BTC", "77671"));
    assert_eq!(tick.exchange_time, "2026-05-18T12:49:21.599Z".parse().ok());
    let show = |price: Option<Price>| price.map(|p| p.to_string()).unwrap_or_default();
    assert_eq!(
        [tick.day.reference, tick.day.high, tick.day.low, tick.day.volume].map(show),
        ["78418.3360347281705", "78419", "76696", "427895.0228"]
    );
}

#[test]
fn one_bad_coin_spoils_no_other() {
    let rows = rows(
        r#"[{"id":"bitcoin","current_price":null,"last_updated":null}, {"id":"shiba-inu","current_price":1.182e-05,"price_change_24h":null},
            {"id":"tron","current_price":"NaN"}, {"id":"dogecoin","current_price":1}, {"id":5}, null, 7, {}, {"id":"tron","current_price":0},
            {"id":"tron","current_price":-1}, {"id":"tron","current_price":1e400}, {"id":"tron","current_price":{}},
            {"id":"tron","current_price":0.28,"last_updated":"yesterday"}, {"id":"tron","current_price":0.2874,"last_updated":"2026-11-20T10:00:00Z"},
            {"id":"TRON","current_price":9}, {"id":"tron","current_price":0.3}]"#,
    );
    let seen: Vec<_> = rows.ticks.iter().map(|t| (t.symbol.as_str(), t.price.to_string())).collect();
    assert_eq!(seen, [("SHIB", "0.00001182".to_owned()), ("TRX", "0.2874".to_owned())]);
    assert_eq!(rows.ticks[0].exchange_time, None, "no time is better than an invented one");
    let count = |reason| rows.rejected.iter().filter(|r| **r == reason).count();
    assert_eq!(
        ["price", "unknown_symbol", "malformed", "time", "twice"].map(count),
        [6, 2, 4, 1, 1],
        "{:?}",
        rows.rejected
    );
}

#[test]
fn no_part_of_an_answer_is_a_price_of_its_own() {
    let coins = instruments(&["BTC"]);
    for end in (0..MARKETS.len()).filter(|&end| MARKETS.is_char_boundary(end)) {
        assert_eq!(parse(MARKETS[..end].trim_end(), &coins, NOW).filter(|r| !r.ticks.is_empty()), None, "cut at {end}");
    }
}

#[test]
fn a_damaged_answer_is_never_fatal_and_never_a_price_of_nothing() {
    let coins = instruments(&["BTC"]);
    for text in damaged(MARKETS) {
        let rows = parse(&text, &coins, NOW).unwrap_or_default();
        assert!(rows.ticks.iter().all(|tick| tick.price.is_positive()), "{text}");
    }
}

fn start(desk: &Desk, base: &str, symbols: &[&str]) -> JoinHandle<anyhow::Result<()>> {
    fn soon(_: Backoff, _: u32) -> Span {
        Span::from_millis(1)
    }
    let mut config = Config::default();
    config.feeds.coingecko = config::Coingecko {
        base_url: base.to_owned(),
        api_key: Some(Secret::Value("CG-canary".to_owned())),
        plan: CoingeckoPlan::Demo,
        interval: Span::from_millis(20),
        ..config::Coingecko::default()
    };
    let provider = Providers::new(&config, &[], None, &desk.context.clock, soon).coingecko;
    let feed = Coingecko::new(&config.feeds.coingecko, instruments(symbols), provider);
    desk.run(Feed::Coingecko(feed), FeedId::Coingecko, soon)
}

#[tokio::test]
async fn all_coins_are_asked_for_in_one_call() {
    let mut desk = Desk::new();
    let stand_in = StandIn::serving(vec![json_answer(MARKETS)]).await;
    let task = start(&desk, &stand_in.base, &["BTC", "TRX"]);
    let ticks = desk.ticks().await;
    assert_eq!(ticks.len(), 1);
    let status = desk.status(FeedState::Live).await;
    assert_eq!(status.trouble.as_deref(), Some("no price of TRX"));
    desk.ticks().await;
    desk.stop();
    task.await.expect("no panic").expect("no error");
    let request = &stand_in.requests()[0];
    let path = "GET /api/coins/markets?vs_currency=usd&ids=bitcoin%2Ctron&per_page=250&price_change_percentage=24h&precision=full ";
    assert!(request.starts_with(path), "{request}");
    assert!(request.contains("x-cg-demo-api-key: CG-canary"), "{request}");
    assert!(request.contains("user-agent: bellwether/"), "{request}");
}

#[tokio::test]
async fn every_error_is_told_apart_and_none_shows_the_key() {
    for line in recordings::<RecordedError>(ERRORS) {
        let headers = format!("Content-Type: {}\r\nRetry-After: 119\r\n", line.content_type);
        let body = line.body.replace("API Key", "API Key CG-canary");
        let answer = http_answer(&format!("{} Whatever", line.http_status), &headers, body.as_bytes());
        let stand_in = StandIn::serving(vec![answer]).await;
        let mut desk = Desk::new();
        start(&desk, &stand_in.base, &["BTC"]);
        let expected = if line.expect == "wait" { FeedState::Refused } else { FeedState::BackingOff };
        let status = desk.status(expected).await;
        let trouble = status.trouble.expect("a reason");
        assert!(!trouble.contains("canary") && !trouble.contains("127.0.0.1"), "{}: {trouble}", line.name);
        if line.http_status >= 400 {
            let wait = status.next_attempt.expect("a time").since(status.since);
            assert!(wait >= Span::from_seconds(119), "{}: {wait}", line.name);
        }
        desk.stop();
    }
}

#[tokio::test]
async fn nothing_is_asked_before_the_time_is_over() {
    let mut desk = Desk::new();
    let refusal = http_answer("429 Too Many Requests", "Retry-After: 1\r\n", b"{}");
    let stand_in = StandIn::serving(vec![refusal, json_answer(MARKETS)]).await;
    start(&desk, &stand_in.base, &["BTC"]);
    desk.status(FeedState::Refused).await;
    let refused = Instant::now();
    assert_eq!(stand_in.requests().len(), 1);
    assert_eq!(desk.ticks().await.len(), 1);
    assert!(refused.elapsed() > Duration::from_millis(950), "{:?}", refused.elapsed());
    desk.status(FeedState::Live).await;
}

#[tokio::test]
async fn nothing_is_asked_for_that_is_not_wanted() {
    let mut desk = Desk::new();
    let want = |symbols: &[&str]| {
        let symbols = symbols.iter().map(|s| s.parse().expect("a symbol")).collect();
        Wanted(Arc::new([(FeedId::Coingecko, symbols)].into()))
    };
    desk.wanted.send_replace(want(&[]));
    let stand_in = StandIn::serving(vec![json_answer(MARKETS)]).await;
    start(&desk, &stand_in.base, &["BTC", "ETH"]);
    desk.status(FeedState::Connecting).await;
    desk.wanted.send_replace(want(&["BTC"]));
    assert_eq!(desk.ticks().await.len(), 1);
    desk.wanted.send_replace(want(&["BTC", "ETH"]));
    // An answer or more may have been under way.
    while !stand_in.requests().iter().any(|r| r.contains("ethereum")) {
        desk.ticks().await;
    }
    assert!(!stand_in.requests()[0].contains("ethereum"), "nobody wanted it yet");
}
