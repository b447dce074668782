use bellwether_core::{
    alert::UserId,
    catalog::Catalog,
    config::Config,
    instrument::Instrument,
    parse::{ParseContext, parse},
};
use serde_json::json;

use super::testing::{NOW, OWNER_TOKEN, Rig};
use crate::clock::Clock;
use crate::provider::stand_in::{StandIn, http_answer, json_answer};

const AAPL: &str = r#"{"chart":{"result":[{"meta":{"currency":"USD","symbol":"RDDT","instrumentType":"EQUITY",
    "exchangeTimezoneName":"America/New_York","regularMarketPrice":210.5,"longName":"Reddit, Inc."}}],"error":null}}"#;

async fn rig(stand_in: &StandIn) -> Rig {
    let mut config = Config::default();
    config.feeds.yahoo.base_url.clone_from(&stand_in.base);
    config.feeds.coingecko.base_url.clone_from(&stand_in.base);
    config.feeds.binance.enabled = false;
    Rig::with(config, Clock::by_hand(NOW)).await
}

fn body(symbol: &str, feed: &str, code: &str) -> String {
    json!({"symbol": symbol, "feed": feed, "code": code}).to_string()
}

#[tokio::test]
async fn an_added_instrument_is_kept_with_what_the_provider_says_of_it() {
    let stand_in = StandIn::serving(vec![json_answer(AAPL)]).await;
    let rig = rig(&stand_in).await;
    let renewed = rig.gateway.renew.notified();
    let (status, answer) = rig.call("POST", "/instruments", OWNER_TOKEN, &body("rddt", "yahoo", "rddt")).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["price"], "210.5");
    assert_eq!(answer["instrument"]["name"], "Reddit, Inc.");
    assert_eq!(answer["instrument"]["session"], "us_equity");
    let stored = rig.gateway.store.added_instruments().await.expect("read");
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].symbol.as_str(), stored[0].providers[0].code.as_str()), ("RDDT", "RDDT"));
    renewed.await;
    let (status, answer) = rig.call("POST", "/instruments", OWNER_TOKEN, &body("RDDT", "yahoo", "RDDT")).await;
    assert_eq!(status, 409, "{answer}");
}

#[tokio::test]
async fn what_is_taken_unknown_or_not_the_owners_is_refused_with_the_reason() {
    let unknown = r#"{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}"#;
    let stand_in =
        StandIn::serving(vec![http_answer("404 Not Found", "Content-Type: application/json\r\n", unknown.as_bytes())])
            .await;
    let rig = rig(&stand_in).await;
    for (symbol, feed, code, status, says) in [
        ("BTC", "yahoo", "RDDT", 409, "BTC is Bitcoin (crypto, in USD, coinbase:BTC-USD"),
        ("XBT", "yahoo", "RDDT", 409, "BTC is Bitcoin"),
        ("COIN2", "coingecko", "bitcoin", 409, "BTC is Bitcoin"),
        ("A\"B", "yahoo", "RDDT", 422, "cannot be a symbol"),
        ("NEW", "binance", "NEWUSDT", 422, "The feed binance is not on here"),
        ("NEW", "tape", "NEW", 422, "The feed tape is not on here"),
        ("NEW", "yahoo", "NE W?x=1", 422, "own code"),
        ("NEW", "yahoo", "NOTHING", 422, "No data found, symbol may be delisted"),
    ] {
        let (got, answer) = rig.call("POST", "/instruments", OWNER_TOKEN, &body(symbol, feed, code)).await;
        assert_eq!(got, status, "{symbol} {feed}:{code}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|d| d.contains(says)), "{symbol} {feed}:{code}: {answer}");
    }
    assert_eq!(stand_in.requests().len(), 1, "only the last one was worth a question");
    let anne = rig.account("anne@example.org").await;
    assert_eq!(rig.call("POST", "/instruments", &anne, &body("NEW", "yahoo", "NEW")).await.0, 403);
    assert_eq!(rig.call("DELETE", "/instruments/BTC", &anne, "").await.0, 403);
    assert_eq!(rig.gateway.store.added_instruments().await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_instrument_is_not_removed_while_an_alert_looks_at_it_or_when_it_is_built_in() {
    let stand_in = StandIn::serving(vec![json_answer("{}")]).await;
    let rig = rig(&stand_in).await;
    let wif = Instrument::unlisted("WIF".parse().expect("a symbol"));
    rig.gateway.store.add_instrument(wif.clone(), NOW).await.expect("added");
    let catalog = Catalog::new([wif]);
    let context = ParseContext { catalog: &catalog, now: NOW, timezone: &jiff::tz::TimeZone::UTC, channels: &[] };
    let rule = parse("WIF > 3", &context).expect("an alert");
    let (alert, _) = rig.gateway.store.insert_alert(UserId::OWNER, rule, NOW, None).await.expect("made");
    let (status, answer) = rig.call("DELETE", "/instruments/WIF", OWNER_TOKEN, "").await;
    assert_eq!(status, 409);
    assert!(answer["detail"].as_str().is_some_and(|d| d.contains("Alerts look at WIF: a1")), "{answer}");
    rig.gateway.store.delete_alert(UserId::OWNER, alert.id, None, NOW).await.expect("deleted");
    assert_eq!(rig.call("DELETE", "/instruments/wif", OWNER_TOKEN, "").await.0, 204);
    assert_eq!(rig.call("DELETE", "/instruments/BTC", OWNER_TOKEN, "").await.0, 409);
    assert_eq!(rig.call("DELETE", "/instruments/NOBODY", OWNER_TOKEN, "").await.0, 404);
    assert_eq!(rig.gateway.store.added_instruments().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_search_says_what_it_wants() {
    let stand_in = StandIn::serving(vec![json_answer(r#"{"coins":[],"quotes":[]}"#)]).await;
    let rig = rig(&stand_in).await;
    for path in ["/instruments/search", "/instruments/search?q=", "/instruments/search?q=%1b"] {
        assert_eq!(rig.call("GET", path, OWNER_TOKEN, "").await.0, 422, "{path}");
    }
    let (status, answer) = rig.call("GET", "/instruments/search?q=wif", OWNER_TOKEN, "").await;
    assert_eq!((status, answer), (200, json!({"items": [], "troubles": []})));
}
