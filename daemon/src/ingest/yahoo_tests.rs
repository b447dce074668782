//! The parser on recorded and broken answers, and the feed against a stand-in.

use bellwether_core::{
    config::{self, Config},
    event::FeedState,
    retry::Backoff,
};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    ingest::{
        supervise::Feed,
        test_support::{Desk, StandIn, damaged, http_answer, instruments, json_answer, unlisted},
    },
    provider::Providers,
};

const SPARK: &str = include_str!("../../../tests/data/captures/yahoo/spark.json");
const ERRORS: &str = include_str!("../../../tests/data/captures/yahoo/errors.jsonl");
const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);
const ASKED: [&str; 9] = ["AAPL", "USDINR", "CORN", "BRK.B", "FTSE", "MSFT", "NVDA", "TSLA", "IBM"];

/// A recorded chart as the part of a spark answer that it is.
fn as_spark(code: &str, chart: &str) -> String {
    #[derive(Deserialize)]
    struct Recorded<'a> {
        #[serde(borrow)]
        chart: Spark<'a>,
    }
    let recorded: Recorded<'_> = serde_json::from_str(chart).expect("a recorded chart");
    let response = recorded.chart.result[0].get();
    format!(r#"{{"spark":{{"result":[{{"symbol":"{code}","response":[{response}]}}],"error":null}}}}"#)
}

fn show(price: Option<Price>) -> String {
    price.map(|p| p.to_string()).unwrap_or_default()
}

#[test]
fn in_a_batch_full_of_trouble_the_good_ones_live() {
    let rows = parse(SPARK, &instruments(&ASKED), NOW).expect("a spark answer");
    let seen: Vec<_> = rows.ticks.iter().map(|t| (t.symbol.as_str(), t.price.to_string())).collect();
    let expected = [("AAPL", "231.17"), ("USDINR", "84.3875"), ("CORN", "438.25")];
    assert_eq!(seen, expected.map(|(symbol, price)| (symbol, price.to_owned())));
    assert_eq!(
        rows.rejected,
        ["price", "currency", "time", "malformed", "price", "unknown_symbol", "malformed", "malformed"]
    );
    let apple = &rows.ticks[0];
    assert_eq!(apple.exchange_time, Some(Timestamp::from_seconds(1_795_200_300)), "never the time of the answer");
    assert_eq!(show(apple.day.reference), "229.6", "the previous close, not the close before the chart");
    assert_eq!(show(rows.ticks[1].day.reference), "84.41", "which has to do where there is no other");
    assert_eq!(rows.ticks[1].day.volume, None, "0 for currencies means unknown");
}

#[test]
fn the_price_is_that_of_the_market_and_not_of_a_candle() {
    for (code, currency, chart, price, seconds) in [
        (
            "TSLA",
            "USD",
            include_str!("../../../tests/data/captures/yahoo/TSLA-1d-5-bars-20240913.json"),
            "230.29",
            1_726_257_600,
        ),
        (
            "BTC-USD",
            "USD",
            include_str!("../../../tests/data/captures/yahoo/BTC-USD-1d-20261003.json"),
            "84613.16",
            1_791_015_434,
        ),
        ("AAPL", "USD", include_str!("../../../tests/data/captures/yahoo/AAPL.json"), "220.003", 1_742_824_293),
        (
            "GC=F",
            "USD",
            include_str!("../../../tests/data/captures/yahoo/GC=F-2020-01-01-to-2020-01-03.json"),
            "2952.5",
            1_740_051_311,
        ),
        (
            "EURUSD=X",
            "USD",
            include_str!("../../../tests/data/captures/yahoo/EURUSD=X-2020-01-01-to-2020-01-03.json"),
            "1.0436",
            1_740_052_002,
        ),
        (
            "OCDO.L",
            "GBp",
            include_str!("../../../tests/data/captures/yahoo/OCDO.L-2020-01-01-to-2020-01-03.json"),
            "305.3",
            1_740_051_143,
        ),
    ] {
        let asked = [unlisted(FeedId::Yahoo, code, currency)];
        let rows = parse(&as_spark(code, chart), &asked, NOW).expect("a spark answer");
        let tick = rows.ticks.first().unwrap_or_else(|| panic!("{code}: {:?}", rows.rejected));
        assert_eq!(tick.price.to_string().parse(), price.parse::<Price>(), "{code}");
        assert_eq!(tick.exchange_time, Some(Timestamp::from_seconds(seconds)), "{code}");
        assert_eq!(tick.day.reference, None, "{code}: the close before this chart lies years back");
    }
}

#[test]
fn pence_are_not_pounds() {
    let chart = include_str!("../../../tests/data/captures/yahoo/OCDO.L-2020-01-01-to-2020-01-03.json");
    let asked = [unlisted(FeedId::Yahoo, "OCDO.L", "GBP")];
    let rows = parse(&as_spark("OCDO.L", chart), &asked, NOW).expect("a spark answer");
    assert_eq!((rows.ticks.len(), rows.rejected), (0, vec!["currency"]));
}

#[test]
fn floats_in_disguise_are_undone_and_honest_digits_are_kept() {
    for (raw, hint, expected) in [
        ("2284.449951171875", Some(2), "2284.45"),
        ("84.38749694824219", Some(4), "84.3875"),
        ("172.3300018310547", None, "172.33"),
        ("1.0825930833816528", Some(4), "1.082593"),
        ("114243.234375", Some(2), "114243.23"),
        ("0.000012339999987", None, "0.00001234"),
        ("114243.23", Some(2), "114243.23"),
        ("10.33", None, "10.33"),
        ("1e3", None, "1000"),
        ("-37.630001068115234", Some(2), "-37.63"),
    ] {
        assert_eq!(show(price(raw, hint)), expected, "{raw}");
    }
    for raw in ["\"NaN\"", "\"Infinity\"", "null", "{}", "[]", "true", "1e400", "\"\""] {
        assert_eq!(price(raw, Some(2)), None, "{raw}");
    }
}

#[test]
fn the_other_shape_of_the_answer_is_read_too() {
    let body = r#"{"AAPL":{"symbol":"AAPL","timestamp":[1795185000,1795185300,1795185600],"close":[229.91,230.25,null],
        "previousClose":229.6,"chartPreviousClose":229.6},"MSFT":{"symbol":"MSFT","timestamp":[],"close":[]},
        "IBM":{"regularMarketPrice":248.6,"regularMarketTime":1795185301,"close":null},"NVDA":null}"#;
    let rows = parse(body, &instruments(&ASKED), NOW).expect("a spark answer");
    let seen: Vec<_> = rows.ticks.iter().map(|t| (t.symbol.as_str(), t.price.to_string(), t.exchange_time)).collect();
    let at = |seconds| Some(Timestamp::from_seconds(seconds));
    let expected = [("AAPL", "230.25".to_owned(), at(1_795_185_300)), ("IBM", "248.6".to_owned(), at(1_795_185_301))];
    assert_eq!(seen, expected);
    assert_eq!(rows.rejected, ["price", "malformed"]);
    for body in [
        "[]",
        "{}",
        "{\"chart\":{\"result\":[]}}",
        "{\"finance\":{\"result\":null}}",
        "\"Too Many Requests\"",
        "{\"spark\":{\"result\":null}}",
    ] {
        assert_eq!(parse(body, &instruments(&ASKED), NOW), None, "{body}");
    }
}

#[test]
fn the_part_of_the_day_is_what_the_source_says() {
    let entry = |period: &str, seconds: i64| {
        let body = format!(
            r#"{{"AAPL":{{"regularMarketPrice":1,"regularMarketTime":{seconds},"hasPrePostMarketData":true{period}}}}}"#
        );
        parse(&body, &instruments(&["AAPL"]), NOW).expect("a spark answer").ticks[0].session
    };
    // Monday 23 November 2026: 04:00, 09:30, 16:00 and 20:00 in New York.
    let period = r#","currentTradingPeriod":{"pre":{"start":1795424400,"end":1795444200},
        "regular":{"start":1795444200,"end":1795467600},"post":{"start":1795467600,"end":1795482000}}"#;
    for (seconds, expected) in [
        (1_795_424_400, Session::Pre),
        (1_795_444_200, Session::Regular),
        (1_795_467_599, Session::Regular),
        (1_795_467_602, Session::Regular),
        (1_795_475_000, Session::Post),
        // Friday's close, while the "current" period is Monday already.
        (1_795_208_400, Session::Regular),
    ] {
        assert_eq!(entry(period, seconds), expected, "{seconds}");
        assert_eq!(entry("", seconds), expected, "{seconds} by the calendar");
    }
    assert_eq!(entry(r#","currentTradingPeriod":{"regular":null}"#, 1_795_444_200), Session::Regular);
}

#[test]
fn no_part_of_an_answer_is_a_price_of_its_own() {
    let asked = instruments(&ASKED);
    let whole = SPARK.trim_end();
    for end in (0..whole.len()).filter(|&end| whole.is_char_boundary(end)) {
        assert_eq!(parse(&whole[..end], &asked, NOW), None, "cut at {end}");
    }
}

#[test]
fn a_damaged_answer_is_never_fatal_and_never_a_price_of_nothing() {
    let asked = instruments(&ASKED);
    for text in damaged(SPARK) {
        let rows = parse(&text, &asked, NOW).unwrap_or_default();
        assert!(rows.ticks.iter().all(|tick| tick.price.is_positive()), "{text}");
    }
}

fn start(desk: &Desk, base: &str, interval: Span, instruments: Vec<Instrument>) -> JoinHandle<anyhow::Result<()>> {
    fn soon(_: Backoff, _: u32) -> Span {
        Span::from_millis(1)
    }
    let mut config = Config::default();
    config.feeds.yahoo = config::Yahoo {
        base_url: base.to_owned(),
        user_agents: vec!["Mozilla/5.0 (one)".to_owned(), "Mozilla/5.0 (two)".to_owned()],
        ..config::Yahoo::default()
    };
    let provider = Providers::new(&config, &[], None, &desk.context.clock, soon).yahoo;
    desk.run(Feed::Yahoo(Yahoo::new(interval, instruments, provider)), FeedId::Yahoo, soon)
}

#[tokio::test]
async fn twenty_at_a_time_are_asked_for() {
    let mut desk = Desk::new();
    let stand_in = StandIn::serving(vec![json_answer(SPARK)]).await;
    let mut asked = instruments(&["AAPL", "M&M", "SPX"]);
    asked.extend((0..30).map(|i| unlisted(FeedId::Yahoo, &format!("S{i}"), "USD")));
    let task = start(&desk, &stand_in.base, Span::from_millis(20), asked);
    assert_eq!(desk.ticks().await.len(), 1);
    let status = desk.status(FeedState::Live).await;
    assert!(status.trouble.expect("silent ones").starts_with("no price of M&M, "));
    desk.ticks().await;
    desk.stop();
    task.await.expect("no panic").expect("no error");
    let requests = stand_in.requests();
    assert!(
        requests[0].starts_with("GET /api/v7/finance/spark?symbols=AAPL%2CM%26M.NS%2C%5EGSPC%2CS0%2C"),
        "{}",
        requests[0]
    );
    assert!(requests[0].contains("%2CS16&range=1d&interval=5m&_="), "{}", requests[0]);
    assert!(requests[1].contains("symbols=S17%2C") && requests[1].contains("%2CS29&"), "{}", requests[1]);
    assert!(requests[0].contains("user-agent: Mozilla/5.0 (one)\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("cache-control: no-cache"), "{}", requests[0]);
}

#[tokio::test]
async fn every_error_is_told_apart() {
    #[derive(Deserialize)]
    struct Line {
        name: String,
        http_status: u16,
        content_type: String,
        body: String,
        expect: String,
    }
    for line in ERRORS.lines() {
        let line: Line = serde_json::from_str(line).expect("a line of errors.jsonl");
        let headers = format!("Content-Type: {}\r\n", line.content_type);
        let answer = http_answer(&format!("{} Whatever", line.http_status), &headers, line.body.as_bytes());
        let stand_in = StandIn::serving(vec![answer]).await;
        let mut desk = Desk::new();
        start(&desk, &stand_in.base, Span::from_millis(20), instruments(&["AAPL"]));
        let expected = if line.expect == "wait" { FeedState::Refused } else { FeedState::BackingOff };
        let trouble = desk.status(expected).await.trouble;
        assert!(trouble.is_some_and(|t| !t.contains("127.0.0.1")), "{}", line.name);
        desk.stop();
    }
}

#[tokio::test]
async fn after_a_refusal_the_next_user_agent_is_tried() {
    let mut desk = Desk::new();
    let refusal = http_answer("429 Too Many Requests", "Content-Type: text/html\r\n", b"Too Many Requests\r\n");
    let stand_in = StandIn::serving(vec![refusal, json_answer(SPARK)]).await;
    start(&desk, &stand_in.base, Span::from_millis(20), instruments(&["AAPL"]));
    desk.status(FeedState::Refused).await;
    desk.status(FeedState::Live).await;
    let requests = stand_in.requests();
    assert!(requests[0].contains("(one)") && requests[1].contains("(two)"), "{requests:?}");
}
