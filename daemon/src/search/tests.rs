use bellwether_core::{config::Config, instrument::AssetClass};

use super::*;
use crate::{
    clock::Clock,
    provider::{
        jittered,
        stand_in::{StandIn, http_answer, json_answer},
    },
};

/// A search whose providers are this one server.
pub(super) fn at(stand_in: &StandIn) -> Search {
    let mut config = Config::default();
    config.feeds.coingecko.base_url.clone_from(&stand_in.base);
    config.feeds.yahoo.base_url.clone_from(&stand_in.base);
    let providers = Providers::new(&config, &[], None, &Clock::system(), jittered);
    Search::new(providers, config.enabled_feeds())
}

const COINS: &str = r#"{"coins":[
    {"id":"bitcoin","name":"Bitcoin","api_symbol":"bitcoin","symbol":"BTC","market_cap_rank":1,"thumb":"x"},
    {"id":"bitcoin-2","name":"Bitcoin 2\u001b[31m","symbol":"BTC2","market_cap_rank":null},
    {"id":"../evil","name":"x","symbol":"X"}, null, {"id":5}],"exchanges":[]}"#;
const QUOTES: &str = r#"{"explains":[],"count":3,"quotes":[
    {"exchange":"NMS","shortname":"Apple Inc.","quoteType":"EQUITY","symbol":"AAPL","index":"quotes","score":3804300,
     "typeDisp":"Equity","longname":"Apple Inc.","exchDisp":"NASDAQ","isYahooFinance":true},
    {"exchange":"OPR","shortname":"AAPL Dec 2025 120.000 call","quoteType":"OPTION","symbol":"AAPL251219C00120000"},
    {"exchange":"CCC","shortname":"Bitcoin USD","quoteType":"CRYPTOCURRENCY","symbol":"BTC-USD"},
    {"index":"78ddc07626ff4bbcae663e88514c23a0","name":"AAPlasma","permalink":"aaplasma"}],"news":[]}"#;

#[tokio::test]
async fn everything_that_is_called_so_is_shown_with_rank_and_what_is_watched_already() {
    let stand_in =
        StandIn::answering(
            |_, head| {
                if head.contains("/search?query=btc") { json_answer(COINS) } else { json_answer(QUOTES) }
            },
        )
        .await;
    let answer = at(&stand_in).everywhere("btc", &Catalog::builtin()).await;
    assert_eq!(answer.troubles, Vec::<String>::new());
    let shown: Vec<(&str, &str, Option<u32>, Option<String>)> = answer
        .items
        .iter()
        .map(|i| (i.code.as_str(), i.ticker.as_str(), i.rank, i.known.map(|s| s.to_string())))
        .collect();
    let btc = || Some("BTC".to_owned());
    assert_eq!(
        shown,
        [
            ("bitcoin", "BTC", Some(1), btc()),
            ("bitcoin-2", "BTC2", None, None),
            ("AAPL", "AAPL", None, Some("AAPL".to_owned())),
            ("BTC-USD", "BTC-USD", None, btc()),
        ]
    );
    assert!(!answer.items[1].name.contains('\u{1b}'));
    assert_eq!((answer.items[2].class, answer.items[2].exchange.as_deref()), (Some(AssetClass::Stock), Some("NASDAQ")));
    assert!(stand_in.requests().iter().any(|head| head.contains("v1/finance/search?q=btc&quotesCount=20&newsCount=0")));
}

#[tokio::test]
async fn one_that_does_not_answer_spoils_nothing_of_the_other() {
    let stand_in = StandIn::answering(|_, head| {
        if head.contains("/search?query=") {
            http_answer("429 Too Many Requests", "Retry-After: 60\r\n", b"slow down")
        } else {
            json_answer(QUOTES)
        }
    })
    .await;
    let search = at(&stand_in);
    for _ in 0..3 {
        let answer = search.everywhere("apple", &Catalog::builtin()).await;
        assert_eq!(answer.items.len(), 2);
        assert!(answer.troubles[0].starts_with("coingecko: "), "{:?}", answer.troubles);
    }
    let coins = stand_in.requests().iter().filter(|head| head.contains("/search?query=")).count();
    assert_eq!(coins, 1, "a ban holds for searches too");
}

#[tokio::test]
async fn a_feed_that_is_off_is_not_asked() {
    let stand_in = StandIn::serving(vec![json_answer(COINS)]).await;
    let search = Search { enabled: vec![FeedId::Simulated], ..at(&stand_in) };
    let answer = search.everywhere("btc", &Catalog::builtin()).await;
    assert_eq!((answer.items.len(), answer.troubles.len(), stand_in.requests().len()), (0, 2, 0));
}
