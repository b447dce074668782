//! The parser on recorded and broken frames, and the feed against a Finnhub on this machine.

use bellwether_core::{catalog::Catalog, config::Config, event::FeedState};

use super::*;
use crate::ingest::{
    assign,
    desk::What,
    supervise::Feed,
    test_support::{Desk, Exchange, StandIn, damaged, http_answer, soon},
};

/// As it came on 29 December 2022, after the closing.
const RECORDED: &str = r#"{"data":[{"c":["1","8","24","12"],"p":122.1,"s":"TSLA","t":1672348887195,"v":1},{"c":["1","8","24","12"],"p":122.09,"s":"TSLA","t":1672348887196,"v":4},{"c":["1","24","12"],"p":129.58,"s":"AAPL","t":1672348887666,"v":1},{"c":["1","24","12"],"p":129.575,"s":"AAPL","t":1672348887785,"v":1}],"type":"trade"}"#;
const KEY: &str = "canary0key";

/// With a key configured, and Finnhub at that address.
fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.feeds.finnhub = config::Finnhub { api_key: Some(Secret::Value(KEY.to_owned())), ws_url: url.to_owned() };
    config
}

/// Instruments as the feed gets them.
fn instruments(symbols: &[&str]) -> Vec<Instrument> {
    let assigned = assign(&config("ws://127.0.0.1:1"), &Catalog::builtin());
    assigned.of(FeedId::Finnhub).into_iter().filter(|i| symbols.contains(&i.symbol.as_str())).collect()
}

fn told(trades: &mut Trades, frame: &str, now: Timestamp) -> Told {
    trades.take(parse(frame).expect("a frame"), now).expect("no trouble")
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn trade(symbol: &str, price: &str, time: Timestamp) -> String {
    format!(r#"{{"data":[{{"p":{price},"s":"{symbol}","t":{},"v":1}}],"type":"trade"}}"#, time.as_millis())
}

#[test]
fn with_a_key_us_stocks_and_funds_come_from_finnhub_and_yahoo_is_the_reserve() {
    let catalog = Catalog::builtin();
    let assigned = assign(&config("ws://127.0.0.1:1"), &catalog);
    let of = |symbol: &str| -> Vec<FeedId> {
        assigned.candidates[&symbol.parse().expect("a symbol")].iter().map(|c| c.feed).collect()
    };
    for symbol in ["AAPL", "BRK.B", "SPY"] {
        assert_eq!(of(symbol), [FeedId::Finnhub, FeedId::Yahoo], "{symbol}");
    }
    for symbol in ["GOLD", "EURUSD", "RELIANCE", "BTC"] {
        assert!(!of(symbol).contains(&FeedId::Finnhub), "{symbol}");
    }
    let berkshire = assigned.instruments.iter().find(|i| i.symbol.as_str() == "BRK.B").expect("listed");
    assert_eq!(berkshire.code_at(FeedId::Finnhub), Some("BRK.B"));
    assert_eq!((berkshire.stale_after, berkshire.delay), (STALE_AFTER, Span::ZERO));
    assert!(assigned.feeds[&FeedId::Finnhub].len() <= MOST);
    assert!(
        !assign(&Config::default(), &catalog).feeds.contains_key(&FeedId::Finnhub),
        "without a key it is not there"
    );
}

#[test]
fn recorded_trades_are_read_with_their_own_times() {
    let mut trades = Trades::new(&instruments(&["TSLA", "AAPL"]));
    let told = told(&mut trades, RECORDED, at("2022-12-29T21:21:28Z"));
    assert_eq!(told.rejected, [""; 0]);
    let seen: Vec<_> = told.ticks.iter().map(|t| (t.symbol.as_str(), t.price.to_string(), t.session)).collect();
    let post = |symbol, price: &str| (symbol, price.to_owned(), Session::Post);
    assert_eq!(seen, [post("TSLA", "122.1"), post("TSLA", "122.09"), post("AAPL", "129.58"), post("AAPL", "129.575")]);
    assert_eq!(told.ticks[0].exchange_time, Some(Timestamp::from_millis(1_672_348_887_195)));
}

#[test]
fn one_bad_trade_spoils_no_other_and_no_damage_is_a_price() {
    let now = at("2026-11-20T16:00:00Z");
    let t = now.as_millis();
    let frame = format!(
        r#"{{"type":"trade","data":[{{"p":null,"s":"AAPL","t":{t}}}, {{"p":"NaN","s":"AAPL","t":{t}}}, {{"p":0,"s":"AAPL","t":{t}}},
            {{"p":-5,"s":"AAPL","t":{t}}}, {{"p":1,"s":"XYZ","t":{t}}}, {{"p":1,"s":5,"t":{t}}}, 7, null, {{}},
            {{"p":9,"s":"AAPL"}}, {{"p":9,"s":"AAPL","t":"soon"}}, {{"p":9,"s":"AAPL","t":{night}}}, {{"p":1.5e2,"s":"AAPL","t":{t}}}]}}"#,
        night = at("2026-11-20T07:00:00Z").as_millis(),
    );
    let mut trades = Trades::new(&instruments(&["AAPL"]));
    let told = told(&mut trades, &frame, now);
    assert_eq!(told.ticks.iter().map(|t| t.price.to_string()).collect::<Vec<_>>(), ["150"]);
    assert_eq!(told.ticks[0].session, Session::Regular);
    let count = |reason| told.rejected.iter().filter(|r| **r == reason).count();
    assert_eq!(["price", "unknown_symbol", "malformed", "time", "closed"].map(count), [4, 1, 4, 2, 1]);
    for end in 0..RECORDED.len() {
        assert_eq!(parse(&RECORDED[..end]), Err(Malformed), "cut at {end}");
    }
    for text in damaged(RECORDED) {
        if let Ok(Ok(told)) = parse(&text).map(|frame| trades.take(frame, now)) {
            assert!(told.ticks.iter().all(|tick| tick.price.is_positive()), "{text}");
        }
    }
    for noise in
        ["", "null", "[]", "<html>", "{}", r#"{"type":5}"#, r#"{"type":"trade"}"#, r#"{"type":"trade","data":{}}"#]
    {
        assert_eq!(parse(noise), Err(Malformed), "{noise}");
    }
    assert_eq!(parse(r#"{"type":"ping"}"#), Ok(Frame::Ping));
    assert_eq!(parse(r#"{"type":"news","data":[]}"#), Ok(Frame::Other));
}

#[test]
fn errors_drop_what_they_name_and_a_wrong_key_is_refused_for_good() {
    let mut trades = Trades::new(&instruments(&["AAPL", "BRK.B"]));
    let now = at("2026-11-20T16:00:00Z");
    let error = |message: &str| json!({ "msg": message, "type": "error" }).to_string();
    told(&mut trades, &error("Subscribing to too many symbols"), now);
    assert_eq!(trades.trouble().as_deref(), Some("Subscribing to too many symbols"));
    told(&mut trades, &error("Invalid symbol BRK.B"), now);
    assert_eq!(trades.codes.lost()[0].0.as_str(), "BRK.B");
    assert_eq!(trades.codes.all(), ["AAPL"]);
    let mut fails =
        |message: &str| trades.take(parse(&error(message)).expect("a frame"), now).expect_err("the connection's own");
    let trouble = fails("Invalid API key");
    assert!(trouble.text.contains("set feeds.finnhub.api_key"), "{}", trouble.text);
    assert_eq!((trouble.remedy, trouble.after), (Remedy::Wait, Some(WRONG_KEY)));
    assert!(fails("Invalid symbol AAPL").text.starts_with("every symbol was refused"));
}

#[tokio::test]
async fn trades_arrive_and_the_key_is_in_the_address_alone() {
    let (mut desk, mut exchange) = (Desk::new(), Exchange::open().await);
    let feed = Finnhub::new(&config(&exchange.url).feeds.finnhub, instruments(&["AAPL", "BRK.B", "SPY"]));
    let task = desk.run(Feed::Finnhub(feed), FeedId::Finnhub, soon);
    let mut side = exchange.connection().await;
    assert_eq!(side.path, format!("/?token={KEY}"));
    for symbol in ["AAPL", "BRK.B", "SPY"] {
        assert_eq!(side.heard().await, json!({ "type": "subscribe", "symbol": symbol }));
    }
    side.say(r#"{"type":"ping"}"#).await;
    assert_eq!(desk.status(FeedState::Live).await.trouble, None);
    side.say(format!(r#"{{"msg":"Invalid symbol SPY for {KEY}","type":"error"}}"#)).await;
    let lost = desk.other(|what| if let What::Lost(symbol, _) = what { Some(*symbol) } else { None }).await;
    assert_eq!(lost.as_str(), "SPY");
    let trouble = desk.status(FeedState::Live).await.trouble.expect("a reason");
    assert!(trouble.contains("SPY") && !trouble.contains(KEY), "{trouble}");
    side.say("{not json").await;
    // Of the last time that New York was open, whenever this runs.
    side.say(trade("BRK.B", "487.2500", at("2026-11-20T16:00:00Z"))).await;
    let tick = desk.ticks().await.remove(0);
    assert_eq!(
        (tick.symbol.as_str(), tick.price.to_string(), tick.source),
        ("BRK.B", "487.25".to_owned(), FeedId::Finnhub)
    );
    assert_eq!(desk.rejected(FeedId::Finnhub, "malformed"), 1);
    side.break_off().await;
    let trouble = desk.status(FeedState::BackingOff).await.trouble.expect("a reason");
    assert!(!trouble.contains(KEY) && !trouble.contains("127.0.0.1"), "{trouble}");
    let mut side = exchange.connection().await;
    assert_eq!(side.heard().await["symbol"], "AAPL", "all but what is refused again");
    desk.stop();
    task.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_wrong_or_empty_key_is_told_by_the_name_of_its_setting() {
    let stand_in = StandIn::serving(vec![http_answer("401 Unauthorized", "", KEY.as_bytes())]).await;
    let url = stand_in.base.replace("http", "ws");
    let mut empty = config(&url);
    empty.feeds.finnhub.api_key = Some(Secret::Value(" ".to_owned()));
    for config in [config(&url), empty] {
        let mut desk = Desk::new();
        let feed = Finnhub::new(&config.feeds.finnhub, instruments(&["AAPL"]));
        desk.run(Feed::Finnhub(feed), FeedId::Finnhub, soon);
        let status = desk.status(FeedState::Refused).await;
        let trouble = status.trouble.expect("a reason");
        assert!(trouble.contains("set feeds.finnhub.api_key") && !trouble.contains(KEY), "{trouble}");
        assert!(status.next_attempt.expect("a time").since(status.since) >= WRONG_KEY, "for good");
        desk.stop();
    }
    assert_eq!(stand_in.requests().len(), 1, "an empty key is not even tried");
}
