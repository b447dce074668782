//! What the catalogue lacks is looked for at the providers, added by one command, watched, and removed again.

use serde_json::{Value, json};

use crate::harness::{Api, Exchange, Lab, Settings, Site, eventually, site::Page};

/// A `CoinGecko` that knows two coins of one name.
fn coingecko(uri: &axum::http::Uri) -> Option<Page> {
    let now = format!("{:.3}", jiff::Timestamp::now());
    let coin =
        json!({"id": "dogwifcoin", "symbol": "wif", "name": "dogwifhat", "current_price": 2.5, "last_updated": now});
    match uri.path() {
        "/api/v3/search" => {
            let coins = json!([
                {"id": "dogwifcoin", "name": "dogwifhat", "symbol": "WIF", "market_cap_rank": 120},
                {"id": "other-wif", "name": "Another hat", "symbol": "WIF", "market_cap_rank": null},
            ]);
            Some(Page::json(json!({ "coins": coins }).to_string()))
        }
        "/api/v3/coins/markets" => {
            let asked = uri.query().is_some_and(|query| query.contains("dogwifcoin"));
            Some(Page::json(Value::from(if asked { vec![coin] } else { Vec::new() }).to_string()))
        }
        _ => None,
    }
}

/// The API of the daemon that answers now.
async fn api(lab: &Lab) -> Api {
    eventually("the daemon is there with what was changed", async || {
        let text = tokio::fs::read_to_string(lab.data().join("daemon.json")).await.ok()?;
        let file: Value = serde_json::from_str(&text).ok()?;
        let api = Api::new(file["address"].as_str()?, file["token"].as_str());
        (api.try_get("/health/ready").await? == 200).then_some(api)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coin_is_found_added_watched_and_removed() {
    let (exchange, coins) = (Exchange::start().await, Site::start(coingecko).await);
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).coingecko(&coins));
    let daemon = lab.daemon().await;
    exchange.subscribed("BTC-USD").await;
    exchange.trade("BTC-USD", "60000");
    daemon.api().price("BTC", "60000").await;
    let btc = daemon.api().alert("BTC > 70000 once").await;

    let said = lab.run(["instruments", "wif"]).await;
    let shown = said.done();
    assert!(
        shown.contains("coingecko:dogwifcoin") && shown.contains("coingecko:other-wif"),
        "nothing is picked: {shown}"
    );
    assert!(said.err.contains("instruments --add WIF --feed coingecko:dogwifcoin"), "{said:?}");
    let said = lab.run(["instruments", "--add", "BTC", "--feed", "coingecko:dogwifcoin"]).await;
    assert!(said.refused().contains("BTC is Bitcoin"), "{said:?}");
    let said = lab.run(["instruments", "--add", "NOPE", "--feed", "coingecko:nothing"]).await;
    assert!(said.refused().contains("knows nothing that is called nothing"), "{said:?}");

    let said = lab.run(["instruments", "--add", "WIF", "--feed", "coingecko:dogwifcoin"]).await;
    assert!(said.done().contains("WIF is dogwifhat (crypto, in USD, hours 24x7, now 2.50"), "{said:?}");
    let now = api(&lab).await;
    now.price("WIF", "2.5").await;
    assert_eq!(now.get(&format!("/alerts/{btc}")).await.done()["expr"], "BTC > 70000 once", "nothing was lost");
    assert_eq!(now.get("/prices/BTC").await.done()["price"], "60000");
    let wif = now.alert("WIF > 3 once").await;
    assert!(lab.run(["prices", "wif"]).await.done().contains("dogwifhat"));
    let said = lab.run(["instruments", "--remove", "WIF"]).await;
    assert!(said.refused().contains(&format!("Alerts look at WIF: {wif}")), "{said:?}");
    assert_eq!(now.delete(&format!("/alerts/{wif}")).await.status, 204);

    lab.run(["instruments", "--remove", "WIF"]).await.done();
    eventually("WIF is gone", async || {
        let now = api(&lab).await;
        (now.try_get("/prices/WIF").await? == 404).then_some(())
    })
    .await;
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}
