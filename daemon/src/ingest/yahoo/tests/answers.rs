//! The parsers on recorded and broken answers.

use bellwether_core::tick::Session;

use super::{
    meta::{Close, Found},
    poll::parse,
    *,
};
use crate::{
    ingest::test_support::{damaged, unlisted},
    provider::undisguised,
};

const ASKED: [&str; 9] = ["AAPL", "USDINR", "CORN", "BRK.B", "FTSE", "MSFT", "NVDA", "TSLA", "IBM"];

#[test]
fn in_a_batch_full_of_trouble_the_good_ones_live() {
    let rows = parse(SPARK, &instruments(&ASKED), NOW).expect("a spark answer");
    let seen: Vec<_> =
        rows.found.iter().map(|(_, f)| &f.tick).map(|t| (t.symbol.as_str(), t.price.to_string())).collect();
    let expected = [("AAPL", "231.17"), ("USDINR", "84.3875"), ("CORN", "438.25")];
    assert_eq!(seen, expected.map(|(symbol, price)| (symbol, price.to_owned())));
    assert_eq!(
        rows.rejected,
        ["price", "currency", "time", "malformed", "price", "unknown_symbol", "malformed", "malformed"]
    );
    let apple = &rows.found[0].1.tick;
    assert_eq!(apple.exchange_time, Some(Timestamp::from_seconds(1_795_200_300)), "never the time of the answer");
    assert_eq!(show(apple.day.reference), "229.6", "the previous close, not the close before the chart");
    assert_eq!(show(rows.found[1].1.tick.day.reference), "84.41", "which has to do where there is no other");
    assert_eq!(rows.found[1].1.tick.day.volume, None, "0 for currencies means unknown");
}

#[test]
fn the_price_is_that_of_the_market_and_not_of_a_candle() {
    for (code, currency, chart, price, seconds) in [
        (
            "TSLA",
            "USD",
            include_str!("../../../../../tests/data/captures/yahoo/TSLA-1d-5-bars-20240913.json"),
            "230.29",
            1_726_257_600,
        ),
        (
            "BTC-USD",
            "USD",
            include_str!("../../../../../tests/data/captures/yahoo/BTC-USD-1d-20261003.json"),
            "84613.16",
            1_791_015_434,
        ),
        ("AAPL", "USD", include_str!("../../../../../tests/data/captures/yahoo/AAPL.json"), "220.003", 1_742_824_293),
        (
            "GC=F",
            "USD",
            include_str!("../../../../../tests/data/captures/yahoo/GC=F-2020-01-01-to-2020-01-03.json"),
            "2952.5",
            1_740_051_311,
        ),
        (
            "EURUSD=X",
            "USD",
            include_str!("../../../../../tests/data/captures/yahoo/EURUSD=X-2020-01-01-to-2020-01-03.json"),
            "1.0436",
            1_740_052_002,
        ),
        (
            "OCDO.L",
            "GBp",
            include_str!("../../../../../tests/data/captures/yahoo/OCDO.L-2020-01-01-to-2020-01-03.json"),
            "305.3",
            1_740_051_143,
        ),
    ] {
        let asked = [unlisted(FeedId::Yahoo, code, currency)];
        let rows = parse(&as_spark(code, chart), &asked, NOW).expect("a spark answer");
        let (_, Found { tick, .. }) = rows.found.first().unwrap_or_else(|| panic!("{code}: {:?}", rows.rejected));
        assert_eq!(tick.price.to_string().parse(), price.parse::<Price>(), "{code}");
        assert_eq!(tick.exchange_time, Some(Timestamp::from_seconds(seconds)), "{code}");
        assert_eq!(tick.day.reference, None, "{code}: the close before this chart lies years back");
    }
}

#[test]
fn pence_are_not_pounds() {
    let chart = include_str!("../../../../../tests/data/captures/yahoo/OCDO.L-2020-01-01-to-2020-01-03.json");
    let asked = [unlisted(FeedId::Yahoo, "OCDO.L", "GBP")];
    let rows = parse(&as_spark("OCDO.L", chart), &asked, NOW).expect("a spark answer");
    assert_eq!((rows.found.len(), rows.rejected), (0, vec!["currency"]));
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
        assert_eq!(show(undisguised(raw, hint)), expected, "{raw}");
    }
    for raw in ["\"NaN\"", "\"Infinity\"", "null", "{}", "[]", "true", "1e400", "\"\""] {
        assert_eq!(undisguised(raw, Some(2)), None, "{raw}");
    }
}

#[test]
fn the_other_shape_of_the_answer_is_read_too() {
    let body = r#"{"AAPL":{"symbol":"AAPL","timestamp":[1795185000,1795185300,1795185600],"close":[229.91,230.25,null],
        "previousClose":229.6,"chartPreviousClose":229.6},"MSFT":{"symbol":"MSFT","timestamp":[],"close":[]},
        "IBM":{"regularMarketPrice":248.6,"regularMarketTime":1795185301,"close":null},"NVDA":null}"#;
    let rows = parse(body, &instruments(&ASKED), NOW).expect("a spark answer");
    let seen: Vec<_> = rows
        .found
        .iter()
        .map(|(_, f)| &f.tick)
        .map(|t| (t.symbol.as_str(), t.price.to_string(), t.exchange_time))
        .collect();
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
        parse(&body, &instruments(&["AAPL"]), NOW).expect("a spark answer").found[0].1.tick.session
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
        assert!(rows.found.iter().all(|(_, found)| found.tick.price.is_positive()), "{text}");
    }
}

#[test]
fn of_a_recorded_answer_with_an_unknown_symbol_the_others_are_read() {
    let body = include_str!("../../../../../tests/data/captures/yahoo/v7-TDEX.BK-PTT.BK-unknown-20261001.json");
    let asked = ["TDEX.BK", "NOPE", "PTT.BK"].map(|code| unlisted(FeedId::Yahoo, code, "THB"));
    let rows = parse(body, &asked, NOW).expect("a spark answer");
    let seen: Vec<_> = rows.found.iter().map(|(place, found)| (*place, found.tick.price.to_string())).collect();
    assert_eq!(seen, [(0, "10.33".to_owned()), (2, "40.75".to_owned())]);
    assert!(rows.found.iter().all(|(_, found)| found.closes.is_empty()), "its candles are of days");
    let open = Timestamp::from_seconds(1_790_830_000);
    assert_eq!(rows.found[0].1.hours.now(&asked[0], open), hours::Part::Regular);
}

#[test]
fn at_the_weekend_the_stated_hours_are_the_next_ones_and_the_price_is_of_friday() {
    let chart = include_str!("../../../../../tests/data/captures/yahoo/BEL.NS-weekend-meta-20260412.json");
    let asked = [unlisted(FeedId::Yahoo, "BEL.NS", "INR")];
    // Sunday 12 April 2026.
    let sunday: Timestamp = "2026-04-12T10:00:00Z".parse().expect("a time");
    let rows = parse(&as_spark("BEL.NS", chart), &asked, sunday).expect("a spark answer");
    let Found { tick, hours, closes } = &rows.found[0].1;
    assert_eq!((tick.price.to_string(), tick.session, closes.len()), ("442.3".to_owned(), Session::Regular, 0));
    assert_eq!(tick.exchange_time, "2026-04-10T10:00:00Z".parse().ok());
    assert_eq!(hours.now(&asked[0], sunday), hours::Part::Closed);
    let monday = "2026-04-13T04:00:00Z".parse().expect("a time");
    assert_eq!(hours.now(&asked[0], monday), hours::Part::Regular);
}

#[test]
fn the_bar_on_the_closing_time_is_not_the_price() {
    let chart = include_str!("../../../../../tests/data/captures/yahoo/ADANIENT.NS-15m-20230627.json");
    let asked = [unlisted(FeedId::Yahoo, "ADANIENT.NS", "INR")];
    let rows = parse(&as_spark("ADANIENT.NS", chart), &asked, NOW).expect("a spark answer");
    let Found { tick, closes, .. } = &rows.found[0].1;
    assert_eq!((tick.price.to_string(), closes.len()), ("2284.45".to_owned(), 0), "bars of 15 minutes tell no minutes");
    assert_eq!(show(tick.day.reference), "2295.6");
}

#[test]
fn the_ends_of_minutes_are_read_and_holes_in_them_are_none() {
    let spark = |arrays: &str| {
        let body = format!(
            r#"{{"spark":{{"result":[{{"symbol":"AAPL","response":[{{"meta":{{"regularMarketPrice":231.5,
            "regularMarketTime":1795200310,"dataGranularity":"1m"}},{arrays}}}]}}]}}}}"#
        );
        parse(&body, &instruments(&["AAPL"]), NOW).expect("a spark answer").found.remove(0).1.closes
    };
    let close = |from, text: &str| Close { from, price: text.parse().expect(text) };
    let times = "\"timestamp\":[1795200000,1795200060,1795200120,1795200180,1795200120,null,1795200310]";
    let closes = r#""indicators":{"quote":[{"close":[230.5,null,"NaN",231.3699951171875,5,6,231.5]}]}"#;
    assert_eq!(
        spark(&format!("{times},{closes}")),
        [close(1_795_200_000, "230.5"), close(1_795_200_180, "231.37"), close(1_795_200_310, "231.5")]
    );
    for broken in [
        "\"timestamp\":null,\"indicators\":{\"quote\":[{}]}".to_owned(),
        format!("{times},\"indicators\":{{\"quote\":[{{}}]}}"),
        format!("{times},\"indicators\":{{\"quote\":[]}}"),
        format!("{times},\"indicators\":7"),
        format!("\"timestamp\":[\"x\"],{closes}"),
        "\"x\":1".to_owned(),
    ] {
        assert_eq!(spark(&broken), [], "{broken}");
    }
}
