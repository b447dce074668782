//! Parsers on recorded and broken answers, and the history against stand-ins that count how often they were asked.

use bellwether_core::{config::Config, price::Price, tick::Session};
use reqwest::Url;

use super::{
    sources::{binance, coinbase, coingecko, kraken, yahoo},
    *,
};
use crate::{
    provider::{
        jittered,
        stand_in::{StandIn, damaged, gzip_of_zeros, http_answer, json_answer},
    },
    store::Fetched,
};

const COINBASE: &str = include_str!("../../../tests/data/captures/coinbase/exchange_candles_BTC-EUR_86400.json");
const KRAKEN: &str = include_str!("../../../tests/data/captures/kraken/ohlc-2026-09-25.json");
const APPLE: &str = include_str!("../../../tests/data/captures/yahoo/AAPL-2020-08-31-to-2020-11-07.json");
const ADANI: &str = include_str!("../../../tests/data/captures/yahoo/ADANIENT.NS-15m-20230627.json");
const PENCE: &str = include_str!("../../../tests/data/captures/yahoo/OCDO.L-2020-01-01-to-2020-01-03.json");
/// The example of the official documentation.
const BINANCE: &str = r#"[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,"2434.19055334",308,"1756.87402397","28.46694368","0"]]"#;
const OHLC: &str = "[[1779199200000,76769.0,76889.0,76744.0,76818.0],[1779201000000,76712.0,76712.0,76321.0,76422.0]]";
const CHART: &str = r#"{"prices":[[1779027899041,77953.82550382407],[1779028199661,78052.87543398788]],"market_caps":[],"total_volumes":[]}"#;
/// A Wednesday afternoon in New York.
const NOW: Timestamp = Timestamp::from_seconds(1_795_030_200);

fn show(bar: &Candle) -> String {
    format!("{} {} {} {} {}", bar.from, bar.open, bar.high, bar.low, bar.close)
}

#[test]
fn every_recorded_answer_is_read() {
    let bars = coinbase::parse(COINBASE, DAY).expect("bars");
    assert_eq!(
        (bars.len(), show(&bars[0])),
        (7, "2021-01-07T00:00:00.000Z 29818.73 32900 29516.98 32120.19".to_owned())
    );
    let told = |bar: &Candle| bar.volume.map(|volume| volume.to_string());
    assert_eq!(told(&bars[0]).as_deref(), Some("5957.46980324"));
    let bars = kraken::parse(KRAKEN, HOUR).expect("bars");
    assert_eq!(told(&bars[0]).as_deref(), Some("159.04484404"));
    assert_eq!(
        (bars.len(), show(&bars[0])),
        (4, "2026-09-25T15:00:00.000Z 84001.9 84075.9 83351.5 83777.5".to_owned())
    );
    let bars = binance::parse(BINANCE, DAY).expect("bars");
    assert_eq!(show(&bars[0]), "2017-07-03T00:00:00.000Z 0.0163479 0.8 0.015758 0.015771");
    let bars = coingecko::bars_of_four_hours(OHLC).expect("bars");
    assert_eq!(show(&bars[0]), "2026-05-19T10:00:00.000Z 76769 76889 76744 76818", "its time is the end");
    let bars = coingecko::points(CHART).expect("points");
    assert_eq!(bars.len(), 1);
    assert_eq!(
        (bars[0].open.to_string(), bars[0].close.to_string()),
        ("77953.82550382407".into(), "78052.87543398788".into())
    );
}

#[test]
fn yahoos_charts_are_read_with_their_traps() {
    let apple = yahoo::parse(APPLE, DAY).expect("a chart");
    assert_eq!(apple.splits, ["2020-08-31T13:30:00Z".parse().expect("a time")]);
    assert_eq!(apple.candles[0].from, "2020-08-31T00:00:00Z".parse().expect("a time"), "the day of the exchange");
    assert_eq!(
        show(&apple.candles[0]),
        "2020-08-31T00:00:00.000Z 127.58 131 126 129.04",
        "floats in disguise are undone"
    );
    let adani = yahoo::parse(ADANI, QUARTER).expect("a chart");
    assert_eq!(adani.candles.len(), 25, "the extra bar at the closing is none");
    assert_eq!(adani.candles[24].close.to_string(), "2283.9");
    let pence = yahoo::parse(PENCE, DAY).expect("a chart");
    assert_eq!((pence.currency.as_deref(), pence.candles[0].high.to_string()), (Some("GBp"), "1286.57".to_owned()));
    let pounds = yahoo::in_currency(pence.candles.clone(), Some("GBp"), "GBP").expect("the same money");
    assert_eq!(pounds[0].close.to_string(), "12.595");
    assert_eq!(yahoo::in_currency(pence.candles, Some("GBp"), "USD"), None);
    let empty = r#"{"chart":{"result":[{"meta":{"currency":"USD"},"indicators":{"quote":[{}],"adjclose":[{}]}}],"error":null}}"#;
    assert_eq!(yahoo::parse(empty, DAY).map(|chart| chart.candles), Some(Vec::new()), "a time without a trade");
    let nulls = r#"{"chart":{"result":[{"meta":{"priceHint":2},"timestamp":[60,120,null,240,300],"indicators":{"quote":[{
        "open":[1,null,1,"NaN",5],"high":[2,2,2,2,5],"low":[1,1,1,1,5],"close":[1.5,1,1,1,5],"volume":[7,0,null,3,9]}]}}]}}"#;
    let chart = yahoo::parse(nulls, MINUTE).expect("a chart");
    assert_eq!(chart.candles.iter().map(|bar| bar.from.as_seconds()).collect::<Vec<_>>(), [60, 300]);
}

#[test]
fn a_damaged_answer_is_never_fatal_and_one_bad_row_spoils_no_other() {
    for text in
        damaged(KRAKEN.trim_end()).chain(damaged(BINANCE)).chain(damaged(CHART)).chain(damaged(PENCE.trim_end()))
    {
        drop((kraken::parse(&text, HOUR), binance::parse(&text, DAY), coinbase::parse(&text, DAY)));
        drop((coingecko::points(&text), coingecko::bars_of_four_hours(&text), yahoo::parse(&text, DAY)));
    }
    let rows = r#"[[60,1,2,1,2,3],[120,null,2,1,2,3],"x",[180],[240,"1","2","1.5","2",0],{},[1e400,1,2,1,2]]"#;
    let starts: Vec<i64> = coinbase::parse(rows, MINUTE).expect("rows").iter().map(|b| b.from.as_seconds()).collect();
    assert_eq!(starts, [60, 240]);
    for nothing in
        ["", "null", "{}", "<html>", r#"{"error":["EQuery:Unknown asset pair"]}"#, r#"{"message":"NotFound"}"#]
    {
        assert_eq!(kraken::parse(nothing, HOUR), None, "{nothing}");
        assert_eq!(coinbase::parse(nothing, HOUR), None, "{nothing}");
        assert_eq!(yahoo::parse(nothing, HOUR), None, "{nothing}");
    }
}

/// A history that asks one stand-in, whoever it asks.
struct Rig {
    history: History,
    stand_in: StandIn,
    store: Store,
    clock: Clock,
    config: Config,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn new(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        let stand_in = StandIn::answering(answer).await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.feeds.coinbase.base_url = stand_in.base.clone();
        config.feeds.yahoo.base_url = stand_in.base.clone();
        config.feeds.coingecko.enabled = false;
        let store = Store::open(folder.path()).expect("a store");
        let clock = Clock::by_hand(NOW);
        let history = Self::open(&config, &store, &clock).await;
        Self { history, stand_in, store, clock, config, folder }
    }

    async fn open(config: &Config, store: &Store, clock: &Clock) -> History {
        let known = store.bans().await.expect("read");
        let providers = Providers::new(config, &known, Some(store), clock, jittered);
        let catalog = Arc::new(Catalog::builtin());
        History::new(store.clone(), Some(providers), config.enabled_feeds(), catalog, clock.clone())
    }

    /// Everything anew but for the folder.
    async fn restarted(mut self) -> Self {
        self.store.close().await;
        self.store = Store::open(self.folder.path()).expect("a store");
        self.history = Self::open(&self.config, &self.store, &self.clock).await;
        self
    }

    async fn bars(&self, symbol: &str, interval: Span, limit: u32) -> Vec<Candle> {
        let bars =
            self.history.newest(symbol.parse().expect("a symbol"), interval, limit, self.clock.now(), Priority::Person);
        bars.await.expect("the store is read")
    }

    /// Bars of a minute, with or without what was traded in them.
    async fn record(&self, symbol: &str, from: Timestamp, minutes: i64, volume: Option<Price>) {
        let minute = |n: i64| Candle { volume, ..bar(from.plus(MINUTE.times(n)), MINUTE, "7") };
        let rows = (0..minutes).map(|n| (symbol.parse().expect("a symbol"), minute(n)));
        self.store.record_prices(rows.collect(), Vec::new()).await.expect("written");
    }

    fn asked(&self) -> usize {
        self.stand_in.requests().len()
    }
}

fn bar(from: Timestamp, length: Span, text: &str) -> Candle {
    let price = text.parse().expect("a price");
    let session = Session::Regular;
    Candle { from, to: from.plus(length), open: price, high: price, low: price, close: price, session, volume: None }
}

/// A Coinbase that knows a bar for every stretch that it is asked for.
fn exchange(head: &str) -> Vec<u8> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    if !path.contains("/products/") {
        return http_answer("404 Not Found", "Content-Type: application/json\r\n", b"{}");
    }
    let url = Url::parse(&format!("http://x{path}")).expect("an address");
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let time = |name: &str| value(name).and_then(|text| text.parse::<Timestamp>().ok()).expect("a time");
    let length: i64 = value("granularity").and_then(|text| text.parse().ok()).expect("a number");
    let starts =
        (time("start").as_seconds()..=time("end").as_seconds()).step_by(usize::try_from(length).expect("small"));
    let rows: Vec<String> = starts.map(|start| format!("[{start},1,9,5,6,1.5]")).collect();
    assert!(rows.len() <= 300, "the exchange gives no more");
    json_answer(&format!("[{}]", rows.into_iter().rev().collect::<Vec<_>>().join(",")))
}

#[tokio::test]
async fn what_was_fetched_once_is_not_fetched_again_not_after_a_restart_either() {
    let rig = Rig::new(|_, head| exchange(head)).await;
    let bars = rig.bars("BTC", FIVE, 500).await;
    assert_eq!(rig.asked(), 2, "two pages of 300");
    assert!((495..=500).contains(&bars.len()), "{}", bars.len());
    assert!(bars.windows(2).all(|pair| pair[0].to == pair[1].from), "without a gap, oldest first");
    assert_eq!(rig.bars("BTC", FIVE, 500).await, bars);
    let rig = rig.restarted().await;
    assert_eq!(rig.bars("BTC", FIVE, 500).await, bars);
    assert_eq!(rig.asked(), 2);
    let request = &rig.stand_in.requests()[0];
    assert!(request.starts_with("GET /api/products/BTC-USD/candles?granularity=300&start=2026-11-"), "{request}");
    // An hour later only that hour is missing.
    rig.clock.advance(HOUR);
    rig.bars("BTC", FIVE, 500).await;
    assert_eq!(rig.asked(), 3);
}

#[tokio::test]
async fn many_who_want_the_same_wait_for_one_request() {
    let rig = Rig::new(|_, head| exchange(head)).await;
    let asking = (0..20).map(|_| rig.bars("BTC", MINUTE, 120));
    let answers = futures_util::future::join_all(asking).await;
    assert!(answers.iter().all(|bars| bars == &answers[0] && bars.len() > 100), "{}", answers[0].len());
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn what_was_recorded_is_not_asked_for() {
    let rig = Rig::new(|_, head| exchange(head)).await;
    let begun = floor(NOW, MINUTE).minus(HOUR.times(2));
    rig.record("BTC", begun, 120, "1".parse().ok()).await;
    let bars = rig.bars("BTC", MINUTE, 120).await;
    assert_eq!((bars.len(), rig.asked()), (120, 0));
    let bars = rig.bars("BTC", MINUTE, 240).await;
    assert_eq!((bars.len(), rig.asked()), (240, 1));
    assert_eq!((bars[0].high.to_string(), bars[239].high.to_string()), ("9".to_owned(), "7".to_owned()));
    // Longer bars of which a part was recorded are fetched, not made of that part.
    let hours = rig.bars("BTC", HOUR, 5).await;
    assert_eq!(hours[2].high.to_string(), "9");
    let four = rig.bars("BTC", HOUR.times(4), 3).await;
    assert_eq!(four.len(), 3);
    let need = HistoryNeed { symbol: "BTC".parse().expect("a symbol"), bar: HOUR, bars: 3 };
    let warm = rig.history.warm_up(need, NOW, Priority::Person).await.expect("read");
    assert!((3..=6).contains(&warm.len()), "{}", warm.len());
    assert!(warm.iter().all(|bar| bar.to <= NOW), "only closed ones");
}

#[tokio::test]
async fn who_looks_at_a_chart_sees_what_was_traded_although_the_prices_that_were_recorded_do_not_say_it() {
    let rig = Rig::new(|_, head| exchange(head)).await;
    rig.record("BTC", floor(NOW, MINUTE).minus(HOUR.times(2)), 120, None).await;
    let bars = rig.bars("BTC", FIVE, 24).await;
    let told: Vec<String> = bars.iter().filter_map(|bar| bar.volume).map(|volume| volume.to_string()).collect();
    assert_eq!((rig.asked(), told.first().map(String::as_str)), (1, Some("1.5")));
    assert!(told.len() >= bars.len() - 2, "the newest ones have not settled: {} of {}", told.len(), bars.len());
    rig.bars("BTC", FIVE, 24).await;
    assert_eq!(rig.asked(), 1, "once");
    // A quarter of which a part is not known has none.
    let quarters = rig.bars("BTC", QUARTER.times(4), 3).await;
    assert!(quarters.iter().all(|bar| bar.volume.is_none_or(|volume| volume.to_string() != "0")));
    // Of what nobody but a program wants, the prices are enough; of a currency nobody tells.
    rig.record("ETH", floor(NOW, MINUTE).minus(HOUR.times(2)), 120, None).await;
    let asked = rig.asked();
    let need = HistoryNeed { symbol: "ETH".parse().expect("a symbol"), bar: MINUTE, bars: 50 };
    rig.history.warm_up(need, NOW, Priority::Background).await.expect("read");
    assert_eq!(rig.asked(), asked);
    let inner = &rig.history.inner;
    let tells = |name: &str| inner.tells_volume(inner.catalog.resolve(name).expect("listed"));
    assert_eq!(["BTC", "AAPL", "EURUSD", "VIX"].map(tells), [true, true, false, false]);
}

#[tokio::test]
async fn a_closed_market_is_not_asked_and_a_holiday_only_once_an_hour() {
    let empty = r#"{"chart":{"result":[{"meta":{"currency":"USD"},"indicators":{"quote":[{}]}}],"error":null}}"#;
    let rig = Rig::new(move |_, _| json_answer(empty)).await;
    assert_eq!(rig.bars("AAPL", FIVE, 50).await, []);
    assert_eq!(rig.asked(), 1);
    for _ in 0..5 {
        rig.clock.advance(Span::from_seconds(600));
        rig.bars("AAPL", FIVE, 50).await;
    }
    assert_eq!(rig.asked(), 1, "it should be open, but nothing comes: a holiday");
    rig.clock.advance(Span::from_seconds(900));
    rig.bars("AAPL", FIVE, 50).await;
    assert_eq!(rig.asked(), 2);
    // At night there is nothing to ask: twice an hour apart, after the last hours of the day were asked for.
    rig.clock.advance(HOUR.times(8));
    rig.bars("AAPL", FIVE, 50).await;
    let evening = rig.asked();
    rig.clock.advance(HOUR.times(2));
    rig.bars("AAPL", FIVE, 50).await;
    assert_eq!(rig.asked(), evening);
}

#[tokio::test]
async fn while_a_provider_is_banned_the_answer_is_what_is_stored() {
    for (status, headers) in [
        ("429 Too Many Requests", "Retry-After: 900\r\n"),
        ("418 I'm a teapot", "Retry-After: 900\r\n"),
        ("403 Forbidden", "Retry-After: 900\r\nContent-Type: text/html\r\n"),
        ("451 Unavailable For Legal Reasons", ""),
    ] {
        let rig = Rig::new(
            move |number, head| {
                if number == 0 { http_answer(status, headers, b"<html>") } else { exchange(head) }
            },
        );
        let rig = rig.await;
        rig.record("BTC", floor(NOW, MINUTE).minus(HOUR), 30, None).await;
        let btc: Symbol = "BTC".parse().expect("a symbol");
        let from = NOW.minus(HOUR.times(3));
        let trouble = rig
            .history
            .fetch(btc, MINUTE, from, NOW, Priority::Person, Duration::from_secs(30))
            .await
            .expect("a reason");
        assert!(trouble.contains("coinbase: HTTP 4") && trouble.contains("not asked again before"), "{trouble}");
        // Yahoo comes next in the catalogue and is asked in Coinbase's place.
        let to_coinbase = |rig: &Rig| rig.stand_in.requests().iter().filter(|head| head.contains("/products/")).count();
        assert_eq!(to_coinbase(&rig), 1, "{status}");
        for interval in [MINUTE, FIVE, HOUR, DAY] {
            rig.bars("BTC", interval, 100).await;
        }
        assert_eq!(rig.bars("BTC", MINUTE, 100).await.len(), 30);
        let rig = rig.restarted().await;
        rig.clock.advance(Span::from_seconds(890));
        rig.bars("BTC", MINUTE, 100).await;
        assert_eq!(to_coinbase(&rig), 1, "{status}: 0 requests before the ban is over");
        rig.clock.advance(HOUR.times(6));
        assert!(rig.bars("BTC", MINUTE, 100).await.len() > 90);
    }
}

#[tokio::test]
async fn ugly_answers_leave_what_is_stored_and_are_not_asked_for_again_at_once() {
    let json = "Content-Type: application/json\r\n";
    let (past, future) = (NOW.minus(DAY.times(365)).as_seconds(), NOW.plus(DAY).as_seconds());
    let odd_times = format!("[[{past},1,2,1,2,3],[{future},1,2,1,2,3],[{},1,2,1,2,3]]", i64::MAX);
    for (name, answer) in [
        ("HTML", http_answer("200 OK", "Content-Type: text/html\r\n", b"<html>Will be right back")),
        ("empty", http_answer("200 OK", json, b"")),
        ("garbage", http_answer("200 OK", json, &vec![b'x'; 10 << 20])),
        ("bomb", http_answer("200 OK", "Content-Encoding: gzip\r\n", &gzip_of_zeros(16 << 20))),
        ("nulls", http_answer("200 OK", json, b"[[null,null,null,null,null,null],null]")),
        ("delisted", http_answer("404 Not Found", json, br#"{"message":"NotFound"}"#)),
        ("too old", http_answer("400 Bad Request", json, br#"{"message":"End is too old"}"#)),
        ("torn", b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n[[1,".to_vec()),
        ("other times", json_answer(&odd_times)),
    ] {
        let mut rig = Rig::new(move |_, _| answer.clone()).await;
        rig.config.feeds.yahoo.enabled = false;
        let rig = rig.restarted().await;
        rig.record("BTC", floor(NOW, MINUTE).minus(HOUR), 60, None).await;
        assert_eq!(rig.bars("BTC", MINUTE, 100).await.len(), 60, "{name}");
        assert_eq!(rig.bars("BTC", MINUTE, 100).await.len(), 60, "{name}");
        assert_eq!(rig.asked(), 1, "{name}");
    }
}

#[tokio::test]
async fn after_a_split_what_was_fetched_in_old_units_is_asked_for_anew() {
    let chart = |seconds: i64, split: &str| {
        format!(
            r#"{{"chart":{{"result":[{{"meta":{{"currency":"USD","exchangeTimezoneName":"America/New_York"}},"timestamp":[{seconds}],
            {split}"indicators":{{"quote":[{{"open":[4],"high":[4],"low":[4],"close":[4],"volume":[1]}}]}}}}]}}}}"#
        )
    };
    let (before, at) = (NOW.minus(DAY.times(8)).as_seconds(), NOW.plus(HOUR).as_seconds());
    let split = format!(r#""events":{{"splits":{{"{at}":{{"date":{at},"numerator":4,"denominator":1}}}}}},"#);
    let (plain, with) = (chart(before, ""), chart(NOW.plus(HOUR).as_seconds(), &split));
    let rig = Rig::new(move |number, _| json_answer(if number == 2 { &with } else { &plain })).await;
    assert_eq!(rig.bars("AAPL", DAY, 10).await.len(), 1);
    let asked = rig.asked();
    rig.clock.advance(DAY.times(2));
    rig.bars("AAPL", DAY, 10).await;
    let apple: Symbol = "AAPL".parse().expect("a symbol");
    let known = rig.store.asked(apple, DAY, NOW.minus(DAY.times(30)), NOW.plus(DAY.times(9))).await.expect("read");
    assert!(rig.asked() > asked && known.iter().all(|(from, _)| *from > NOW.minus(DAY.times(3))), "{known:?}");
}

#[tokio::test]
async fn how_much_is_known_is_told() {
    let rig = Rig::new(|_, head| exchange(head)).await;
    let btc: Symbol = "BTC".parse().expect("a symbol");
    let end = floor(NOW, HOUR);
    let covered = |from: i64| rig.history.covered(btc, FIVE, end.minus(HOUR.times(from)), end);
    assert_eq!(covered(4).await, Ok(0));
    let fetched = Fetched {
        symbol: btc,
        length: FIVE,
        source: FeedId::Coinbase,
        candles: vec![bar(end.minus(HOUR.times(2)), FIVE, "5")],
        asked: Some((end.minus(HOUR.times(2)), end.minus(HOUR))),
    };
    rig.store.put_candles(fetched, NOW).await.expect("written");
    rig.record("BTC", end.minus(HOUR), 60, None).await;
    assert_eq!(covered(4).await, Ok(50));
    assert_eq!(covered(2).await, Ok(100));
    let finest = rig.history.finest(btc, FIVE, end.minus(HOUR.times(4)), end).await.expect("read");
    assert_eq!((finest.len(), finest[0].1, finest[60].1), (61, Some(FeedId::Coinbase), None));
}

/// The room that the history of all instruments takes when everything that may be kept is kept. A measurement that writes some
/// millions of rows: `BELLWETHER_MEASURE=1 cargo test -p bellwether-daemon --lib a_year -- --nocapture`.
#[tokio::test]
async fn a_year_of_history_takes_bounded_room() {
    use std::{fmt::Write as _, io::Write as _};
    if std::env::var_os("BELLWETHER_MEASURE").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let catalog = Catalog::builtin();
    let size = || {
        let file = std::fs::metadata(folder.path().join(crate::store::DATABASE_FILE)).expect("a file").len();
        format!("{} MB", file / 1_000_000)
    };
    let mut said = String::new();
    let lengths = [(MINUTE, 30), (HOUR, 400), (MINUTE, 8), (FIVE, 62), (QUARTER, 125), (DAY, 3_660)];
    for (round, (length, days)) in lengths.into_iter().enumerate() {
        let (mut rows, mut seed) = (0, 7_u64);
        for instrument in catalog.instruments() {
            let mut hours = vec![(NOW.minus(DAY.times(days)), NOW)];
            if length < DAY {
                hours = trading(instrument, hours);
            }
            let mut bars = Vec::new();
            for (from, to) in hours {
                let mut at = from;
                while at < to {
                    let mut price = || {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        bellwether_core::price::Price::new(rust_decimal::Decimal::new(
                            8_400_000 + i64::try_from(seed >> 44).expect("small"),
                            2,
                        ))
                    };
                    let (open, high, low, close) = (price(), price(), price(), price());
                    bars.push(Candle { open, high, low, close, ..bar(at, length, "1") });
                    at = at.plus(length);
                }
            }
            rows += bars.len();
            for piece in bars.chunks(20_000) {
                if round == 0 {
                    let piece = piece.iter().map(|bar| (instrument.symbol, bar.clone())).collect();
                    store.record_prices(piece, Vec::new()).await.expect("written");
                } else {
                    let (symbol, source, asked) = (instrument.symbol, FeedId::Coinbase, None);
                    let fetched = Fetched { symbol, length, source, candles: piece.to_vec(), asked };
                    store.put_candles(fetched, NOW).await.expect("written");
                }
            }
        }
        let what = if round == 0 { "recorded" } else { "kept" };
        writeln!(said, "{what} {length} of {days} days: {rows} rows, together {}", size()).expect("memory");
    }
    store.close().await;
    let said = format!("{said}after closing {}\n", size());
    std::io::stderr().write_all(said.as_bytes()).expect("stderr");
}
