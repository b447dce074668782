//! The streamer's frames, as captured and broken.

use serde::Deserialize;

use super::{
    pricing::{Frame, Malformed, parse, read, shortest},
    *,
};
use crate::ingest::test_support::{damaged, unlisted};

const FRAMES: &str = include_str!("../../../../../tests/data/captures/yahoo/streamer-frames.jsonl");

#[derive(Deserialize)]
struct Line {
    name: String,
    frame: String,
    expect: Expected,
}

#[derive(Deserialize)]
struct Expected {
    id: String,
    price: f64,
    time: i64,
    currency: String,
    exchange: String,
    quote_type: i32,
    market_hours: i32,
    change_percent: f64,
    day_volume: i64,
    day_high: f64,
    day_low: f64,
    change: f64,
    open_price: f64,
    last_size: i64,
    price_hint: i64,
    vol_24hr: i64,
    vol_all_currencies: i64,
    from_currency: String,
    circulating_supply: f64,
    market_cap: f64,
}

fn lines() -> impl Iterator<Item = Line> {
    FRAMES.lines().map(|line| serde_json::from_str(line).expect("a line of the recording"))
}

fn data_of(text: &str) -> PricingData {
    match parse(text) {
        Ok(Frame::Pricing(data)) => *data,
        other => panic!("{other:?}"),
    }
}

#[test]
#[expect(clippy::float_cmp, reason = "the same bits are meant")]
fn every_recorded_frame_says_what_it_was_recorded_to_say() {
    let mut prices = Vec::new();
    for Line { name, frame, expect } in lines() {
        let data = data_of(&frame);
        assert_eq!(
            [&data.id, &data.currency, &data.exchange, &data.from_currency],
            [&expect.id, &expect.currency, &expect.exchange, &expect.from_currency]
        );
        assert_eq!(
            [data.price, data.change_percent, data.day_high, data.day_low, data.change, data.open_price].map(f64::from),
            [expect.price, expect.change_percent, expect.day_high, expect.day_low, expect.change, expect.open_price],
            "{name}"
        );
        assert_eq!([data.circulating_supply, data.market_cap], [expect.circulating_supply, expect.market_cap]);
        assert_eq!(
            [data.time, data.day_volume, data.last_size, data.price_hint, data.vol_24hr, data.vol_all_currencies],
            [
                expect.time,
                expect.day_volume,
                expect.last_size,
                expect.price_hint,
                expect.vol_24hr,
                expect.vol_all_currencies
            ],
            "{name}"
        );
        assert_eq!([data.quote_type, data.market_hours], [expect.quote_type, expect.market_hours], "{name}");
        let quote = read(&data, &unlisted(FeedId::Yahoo, "BTC-USD", "USD")).expect("a price");
        assert!(quote.regular && quote.time == Timestamp::from_millis(expect.time));
        prices.push((quote.price.to_string(), show(quote.day.reference)));
        // Both shapes mean the same.
        let wrapped: serde_json::Value = serde_json::from_str(&frame).expect("wrapped");
        assert_eq!(data_of(wrapped["message"].as_str().expect("base64")), data, "{name}");
    }
    let expected = [("94745.08", "93313.19"), ("110429.42", "112636.8")];
    assert_eq!(prices, expected.map(|(price, before)| (price.to_owned(), before.to_owned())));
}

#[test]
fn a_float_is_the_shortest_decimal_that_gives_it_again() {
    for (float, expected) in [
        (24.535_f32, "24.535"),
        (0.1, "0.1"),
        (231.17, "231.17"),
        (114_243.23, "114243.23"),
        (1.0436, "1.0436"),
        (0.000_012_34, "0.00001234"),
        (841_260.0, "841260"),
        (-37.63, "-37.63"),
        (16_777_216.0, "16777216"),
    ] {
        assert_eq!(show(shortest(float)), expected);
        assert_eq!(expected.parse::<f32>().map(f32::to_bits), Ok(float.to_bits()), "{expected}");
    }
    for float in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        assert_eq!(shortest(float), None, "{float}");
    }
}

#[test]
fn what_is_no_price_is_none() {
    let apple = &instruments(&["AAPL"])[0];
    let good = frame("AAPL", 231.17, NOW);
    assert!(read(&good, apple).is_ok());
    for (data, reason) in [
        (PricingData { price: 0.0, ..good.clone() }, "price"),
        (PricingData { price: -1.0, ..good.clone() }, "price"),
        (PricingData { price: f32::NAN, ..good.clone() }, "price"),
        (PricingData { price: f32::INFINITY, ..good.clone() }, "price"),
        (PricingData { time: 0, ..good.clone() }, "time"),
        (PricingData { time: -5, ..good.clone() }, "time"),
        (PricingData { currency: "USX".to_owned(), ..good.clone() }, "currency"),
        (PricingData { currency: "GBp".to_owned(), ..good.clone() }, "currency"),
    ] {
        assert_eq!(read(&data, apple), Err(reason), "{data:?}");
    }
    let oil = &instruments(&["WTI"])[0];
    assert_eq!(read(&frame("CL=F", -37.63, NOW), oil).map(|q| q.price.to_string()), Ok("-37.63".to_owned()));
}

#[test]
fn a_share_says_little_and_its_close_of_yesterday_is_computed() {
    let data = PricingData { change: 1.57, change_percent: 0.68, day_volume: 5, ..frame("AAPL", 231.17, NOW) };
    let quote = read(&data, &instruments(&["AAPL"])[0]).expect("a price");
    assert_eq!([quote.day.reference, quote.day.volume, quote.day.high].map(show), ["229.6", "5", ""]);
    assert!(!quote.regular, "0 is also what was not said");
    let data = PricingData { previous_close: 229.61, ..data };
    assert_eq!(show(read(&data, &instruments(&["AAPL"])[0]).expect("a price").day.reference), "229.61");
}

#[test]
fn noise_is_malformed_and_other_types_are_no_harm() {
    for (text, expected) in [
        (r#"{"type":"status","message":"ok"}"#, Ok(Frame::Other)),
        (r#"{"type":"error"}"#, Ok(Frame::Other)),
        (r#"{"type":"pricing"}"#, Err(Malformed)),
        (r#"{"type":"pricing","message":7}"#, Err(Malformed)),
        (r#"{"type":"pricing","message":""}"#, Err(Malformed)),
        (r#"{"type":"pricing","message":"not base64!"}"#, Err(Malformed)),
        (r#"{"type":7}"#, Err(Malformed)),
        ("{}", Err(Malformed)),
        ("", Err(Malformed)),
        ("<html>Will be right back</html>", Err(Malformed)),
        ("Too Many Requests", Err(Malformed)),
        ("AAAA", Err(Malformed)),
        // A field of a length beyond its end, a string that is no text, a price of another wire type.
        ("CgdC", Err(Malformed)),
        ("CgL//w==", Err(Malformed)),
        ("CgFBEAE=", Err(Malformed)),
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
    // Numbers that nobody knows yet are skipped: field 99 as a text, field 98 as a number.
    let mut bytes = frame("AAPL", 231.17, NOW).encode_to_vec();
    bytes.extend([0x9a, 0x06, 2, b'h', b'i', 0x90, 0x06, 5]);
    let text = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(&bytes)
    };
    assert_eq!(data_of(&text), frame("AAPL", 231.17, NOW), "and the padding may be left out");
}

#[test]
fn a_cut_or_damaged_frame_is_never_fatal_and_never_another_instruments_price() {
    let coin = unlisted(FeedId::Yahoo, "BTC-USD", "USD");
    for Line { frame, .. } in lines() {
        let whole = data_of(&frame);
        let bytes = whole.encode_to_vec();
        for end in 0..bytes.len() {
            if let Ok(cut) = PricingData::decode(&bytes[..end])
                && let Ok(quote) = read(&cut, &coin)
            {
                let expected = read(&whole, &coin).expect("a price");
                assert_eq!((quote.price, quote.time), (expected.price, expected.time), "cut at {end}");
            }
        }
        for end in 0..frame.len() {
            assert!(!matches!(parse(&frame[..end]), Ok(Frame::Pricing(_))), "cut at {end}");
        }
        for text in damaged(&frame) {
            if let Ok(Frame::Pricing(data)) = parse(&text)
                && let Ok(quote) = read(&data, &coin)
            {
                assert!(quote.price.is_positive(), "{text}");
            }
        }
    }
}
