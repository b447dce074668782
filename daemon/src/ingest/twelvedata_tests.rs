//! The parser on good and broken answers, and the feed against a stand-in.

use bellwether_core::{
    catalog::Catalog,
    config::{self, Config, Secret},
    event::FeedState,
    retry::Backoff,
};

use super::*;
use crate::{
    ingest::{
        assign,
        supervise::{Feed, Remedy},
        test_support::{Desk, StandIn, damaged, http_answer, json_answer},
    },
    provider::Providers,
};

/// The documented form of an answer to several symbols.
const MAP: &str = r#"{"EUR/USD":{"price":"1.08502"},"USD/JPY":{"price":"154.77100"}}"#;
const OUT_OF_CREDITS: &str = r#"{"code":429,"message":"You have run out of API credits for the current minute. 9 API credits were used, with the current limit being 8.","status":"error"}"#;
const WRONG: &str =
    r#"{"code":401,"message":"**apikey** parameter is incorrect or not specified. canary0key","status":"error"}"#;
/// A Friday on which the market is open.
const NOW: Timestamp = Timestamp::from_seconds(1_795_190_400);

fn config(base: &str) -> Config {
    let mut config = Config::default();
    config.feeds.twelvedata =
        config::Twelvedata { api_key: Some(Secret::Value("canary0key".to_owned())), base_url: base.to_owned() };
    config
}

/// Pairs as the feed gets them; open all the time, whenever this runs.
fn pairs(symbols: &[&str]) -> Vec<Instrument> {
    let assigned = assign(&config("http://127.0.0.1:1"), &Catalog::builtin());
    let mut pairs = assigned.of(FeedId::Twelvedata);
    pairs.retain(|i| symbols.contains(&i.symbol.as_str()));
    for pair in &mut pairs {
        pair.session = "24x7".to_owned();
    }
    pairs
}

fn start(desk: &Desk, base: &str, symbols: &[&str]) {
    fn soon(_: Backoff, _: u32) -> Span {
        Span::from_millis(1)
    }
    let provider = Providers::new(&config(base), &[], None, &desk.context.clock, soon).twelvedata;
    let feed = Twelvedata::new(pairs(symbols), provider);
    desk.run(Feed::Twelvedata(feed), FeedId::Twelvedata, soon);
}

#[test]
fn with_a_key_currencies_have_a_reserve_as_far_as_its_credits_go() {
    let assigned = assign(&config("http://127.0.0.1:1"), &Catalog::builtin());
    let of = |symbol: &str| -> Vec<FeedId> {
        assigned.candidates[&symbol.parse().expect("a symbol")].iter().map(|c| c.feed).collect()
    };
    assert_eq!(of("EURUSD"), [FeedId::Yahoo, FeedId::Twelvedata]);
    assert_eq!(of("AAPL"), [FeedId::Yahoo]);
    assert_eq!(assigned.feeds[&FeedId::Twelvedata].len(), MOST);
    let yen = assigned.instruments.iter().find(|i| i.symbol.as_str() == "USDJPY").expect("listed");
    assert_eq!(yen.code_at(FeedId::Twelvedata), Some("USD/JPY"));
    for pairs in 1..=MOST {
        let credits =
            Span::from_seconds(86_400).as_micros() / interval(pairs).as_micros() * i64::try_from(pairs).expect("few");
        assert!(credits <= 800, "{pairs} pairs take {credits} credits a day");
        assert!(interval(pairs) >= Span::from_seconds(60), "{pairs}");
    }
    assert!(assigned.candidates[&yen.symbol][1].setup.stale_after > interval(MOST).times(3));
    assert!(!assign(&Config::default(), &Catalog::builtin()).feeds.contains_key(&FeedId::Twelvedata));
}

#[test]
fn both_forms_of_an_answer_are_read_and_errors_are_told_apart() {
    let both = pairs(&["EURUSD", "USDJPY"]);
    let seen = |body: &str, pairs: &[Instrument]| {
        parse(body, pairs, NOW).map(|rows| {
            rows.ticks
                .iter()
                .map(|t| format!("{} {}", t.symbol, t.price))
                .chain(rows.rejected.iter().map(|r| (*r).to_owned()))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(seen(MAP, &both), Ok(vec!["EURUSD 1.08502".to_owned(), "USDJPY 154.771".to_owned()]));
    assert_eq!(seen(r#"{"price":"1.08502"}"#, &both[..1]), Ok(vec!["EURUSD 1.08502".to_owned()]));
    assert_eq!(seen(r#"{"price":"NaN"}"#, &both[..1]), Ok(vec!["price".to_owned()]));
    assert_eq!(seen(OUT_OF_CREDITS, &both), Err(Some(429)));
    assert_eq!(seen(WRONG, &both[..1]), Err(Some(401)));
    let broken = r#"{"AUD/USD":{"price":"0.65"},"EUR/USD":{"code":404,"message":"not found","status":"error"},"GBP/USD":5,
        "USD/JPY":{"price":"154.77100"},"XXX":{"price":null}}"#;
    assert_eq!(
        seen(broken, &both),
        Ok(["USDJPY 154.771", "unknown_symbol", "refused", "malformed", "unknown_symbol"].map(str::to_owned).into())
    );
    for zero in ["0", "-1", "null", "\"\"", "{}", "1e400"] {
        assert_eq!(
            seen(&format!(r#"{{"USD/JPY":{{"price":{zero}}}}}"#), &both),
            Ok(vec!["price".to_owned()]),
            "{zero}"
        );
    }
    for noise in ["", "null", "[]", "<html>", "{}", r#"{"price":"1.08502"}"#] {
        assert_eq!(seen(noise, &both), Err(None), "{noise}");
    }
    for end in 0..MAP.len() {
        assert_eq!(seen(&MAP[..end], &both), Err(None), "cut at {end}");
    }
    for text in damaged(MAP) {
        let rows = parse(&text, &both, NOW).unwrap_or_default();
        assert!(rows.ticks.iter().all(|tick| tick.price.is_positive()), "{text}");
    }
}

#[tokio::test]
async fn all_pairs_are_asked_for_in_one_call_with_the_key() {
    let mut desk = Desk::new();
    let stand_in = StandIn::serving(vec![json_answer(MAP)]).await;
    start(&desk, &stand_in.base, &["EURUSD", "USDJPY", "GBPUSD"]);
    let ticks = desk.ticks().await;
    assert_eq!((ticks.len(), ticks[0].source), (2, FeedId::Twelvedata));
    assert_eq!(desk.status(FeedState::Live).await.trouble.as_deref(), Some("no price of GBPUSD"));
    desk.stop();
    let request = &stand_in.requests()[0];
    let path = "GET /api/price?symbol=EUR%2FUSD%2CGBP%2FUSD%2CUSD%2FJPY&apikey=canary0key ";
    assert!(request.starts_with(path), "{request}");
}

#[tokio::test]
async fn refusals_under_any_status_are_told_without_the_key() {
    for (status, body, said, least) in [
        ("200 OK", WRONG, "set feeds.twelvedata.api_key", WRONG_KEY),
        ("401 Unauthorized", WRONG, "set feeds.twelvedata.api_key", WRONG_KEY),
        ("200 OK", OUT_OF_CREDITS, "run out of API credits", interval(1)),
    ] {
        let stand_in =
            StandIn::serving(vec![http_answer(status, "Content-Type: application/json\r\n", body.as_bytes())]).await;
        let mut desk = Desk::new();
        start(&desk, &stand_in.base, &["EURUSD"]);
        let told = desk.status(FeedState::Refused).await;
        let trouble = told.trouble.expect("a reason");
        assert!(
            trouble.contains(said) && !trouble.contains("canary0key") && !trouble.contains("127.0.0.1"),
            "{trouble}"
        );
        assert!(told.next_attempt.expect("a time").since(told.since) >= least, "{status}: {trouble}");
        desk.stop();
    }
    let remedy = Trouble::from(crate::provider::Trouble::refused("no", Some(401))).remedy;
    assert_eq!(remedy, Remedy::Wait);
}
