//! The recorded market: what Coinbase, Yahoo and `CoinGecko` really sent, served at their own paths with today's times, sets off
//! alerts. What is broken in it spoils nothing beside it.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Uri;
use serde_json::{Value, json};

use crate::harness::{Exchange, Lab, Receiver, Settings, Site, data, eventually, site::Page};

fn recording(path: &str) -> Value {
    serde_json::from_str(&data(&format!("captures/{path}"))).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The value of a parameter of an address, decoded.
fn parameter(uri: &Uri, name: &str) -> String {
    let query = uri.query().unwrap_or_default();
    let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.unwrap_or_default().replace("%2C", ",").replace("%3D", "=").replace("%5E", "^")
}

/// Yahoo's recorded `chart` answers, by symbol. What is inside is also what `spark` holds for one symbol.
fn charts() -> BTreeMap<String, Value> {
    ["AAPL.json", "TSLA-1d-5-bars-20240913.json", "GC=F-2020-01-01-to-2020-01-03.json"]
        .into_iter()
        .map(|file| {
            let result = recording(&format!("yahoo/{file}"))["chart"]["result"][0].clone();
            (result["meta"]["symbol"].as_str().expect("a symbol").to_owned(), result)
        })
        .collect()
}

/// The recording as if it were of now, in the middle of a session.
fn of_now(chart: &Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let mut chart = chart.clone();
    chart["meta"]["regularMarketTime"] = json!(now - 1);
    for (part, from, to) in [("pre", -7_200, -3_600), ("regular", -3_600, 3_600), ("post", 3_600, 7_200)] {
        chart["meta"]["currentTradingPeriod"][part] =
            json!({ "timezone": "EST", "start": now + from, "end": now + to, "gmtoffset": -18_000 });
    }
    chart
}

/// `v7/finance/spark`: for each symbol its recording; in place of one that there is none of, something broken.
fn spark(uri: &Uri, charts: &BTreeMap<String, Value>) -> Page {
    let broken = [
        |_: &str| json!({}),
        |symbol: &str| json!({"symbol": symbol, "response": []}),
        |symbol: &str| json!({"symbol": symbol, "response": [{"meta": {"symbol": symbol, "regularMarketPrice": null}}]}),
        |symbol: &str| json!({"symbol": symbol, "response": [{"meta": {"regularMarketPrice": "NaN", "regularMarketTime": 1}}]}),
        |symbol: &str| json!({"symbol": symbol, "response": [{"meta": {"regularMarketPrice": 0, "regularMarketTime": "x"}}]}),
    ];
    let symbols = parameter(uri, "symbols");
    let result: Vec<Value> = symbols
        .split(',')
        .enumerate()
        .map(|(place, symbol)| match charts.get(symbol) {
            Some(chart) => json!({ "symbol": symbol, "response": [of_now(chart)] }),
            None => broken[place % broken.len()](symbol),
        })
        .collect();
    Page::json(json!({ "spark": { "result": result, "error": null } }).to_string())
}

/// `coins/markets`: the recorded list of that day, with broken rows between.
fn markets(list: &Value) -> Page {
    let now = format!("{:.3}", jiff::Timestamp::now());
    let mut rows =
        vec![json!(null), json!({"id": 5}), json!({"id": "tron", "current_price": null, "last_updated": now})];
    for coin in list.as_array().expect("a list") {
        let mut coin = coin.clone();
        coin["last_updated"] = json!(now);
        rows.push(coin);
        rows.push(json!({"id": "tron", "current_price": -1, "last_updated": now}));
    }
    Page::json(Value::from(rows).to_string())
}

/// The stand-ins that serve the recordings.
pub(crate) struct Recorded {
    exchange: Exchange,
    yahoo: Site,
    coingecko: Site,
    /// The price that each instrument was recorded at, digit for digit.
    pub(crate) prices: BTreeMap<&'static str, String>,
}

impl Recorded {
    pub(crate) async fn start() -> Self {
        let charts = Arc::new(charts());
        let list = recording("coingecko/coins_markets-20220417.json");
        let coins = list.as_array().expect("a list");
        let usdc = coins.iter().find(|coin| coin["id"] == "usd-coin").expect("recorded");
        let prices = [
            ("BTC", "84737.58".to_owned()),
            ("AAPL", charts["AAPL"]["meta"]["regularMarketPrice"].to_string()),
            ("TSLA", charts["TSLA"]["meta"]["regularMarketPrice"].to_string()),
            ("USDC", usdc["current_price"].to_string()),
        ];
        Self {
            prices: prices.into(),
            exchange: Exchange::start().await,
            yahoo: Site::start(move |uri| (uri.path() == "/v7/finance/spark").then(|| spark(uri, &charts))).await,
            coingecko: Site::start(move |uri| (uri.path() == "/api/v3/coins/markets").then(|| markets(&list))).await,
        }
    }

    /// Feeds from here.
    pub(crate) fn feeds(&self, settings: Settings) -> Settings {
        settings.coinbase(&self.exchange).yahoo(&self.yahoo).coingecko(&self.coingecko)
    }

    /// Sends the exchange's recorded frames, as of now.
    pub(crate) async fn play(&self) {
        self.exchange.subscribed("BTC-USD").await;
        for line in data("captures/coinbase/frames-20261003.jsonl").lines() {
            let recorded: Value = serde_json::from_str(line).expect("a line");
            let mut frame: Value = serde_json::from_str(recorded["frame"].as_str().expect("a frame")).expect("JSON");
            if frame["time"].is_string() {
                frame["time"] = json!(self.exchange.now());
            }
            self.exchange.frame(&frame.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_market_sets_off_alerts() {
    let (market, receiver) = (Recorded::start().await, Receiver::start().await);
    let settings =
        market.feeds(Settings::quiet()).webhook("default", &receiver).unlimited("default", "0s").by_default("webhook");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let api = daemon.api();
    for symbol in market.prices.keys() {
        api.alert(&format!("{symbol} > 0.1 once")).await;
    }
    market.play().await;
    let told = receiver.wait(market.prices.len()).await;
    let told: BTreeMap<&str, String> = told
        .iter()
        .map(|r| {
            let text = |field: &str| r.body["data"][field].as_str().expect("a text");
            (text("symbol"), text("price").to_owned())
        })
        .collect();
    assert_eq!(told, market.prices, "each at its recorded price, digit for digit");

    // What was broken is no price, and what Coinbase refused is named while the rest lives.
    api.get("/prices/TRX").await.problem(404);
    let prices = api.get("/prices").await.done();
    let all = prices.as_array().or_else(|| prices["items"].as_array()).expect("prices");
    assert!(all.iter().all(|p| p["price"] != "0" && !p["price"].as_str().unwrap_or("-").starts_with('-')), "{prices}");
    let named = eventually("the refused product", async || {
        let health = api.get("/health/ready").await.json();
        let feed = health["feeds"].as_array()?.iter().find(|f| f["feed"] == "coinbase")?.clone();
        feed["trouble"].as_str().is_some_and(|t| t.contains("ETH-USD")).then_some(feed)
    });
    assert_eq!(named.await["state"], "live");
    assert!(market.yahoo.asked()[0].contains("symbols="), "{:?}", market.yahoo.asked());
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}
