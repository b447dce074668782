//! The feed: its answers, its frames, what its two ways make of each other, and all of it against stand-ins.

mod answers;
mod frames;
mod live;
mod ways;

use bellwether_core::{instrument::Instrument, price::Price, time::Timestamp};
use prost::Message;

use super::{pricing::PricingData, *};
use crate::ingest::test_support::instruments;

const SPARK: &str = include_str!("../../../../../tests/data/captures/yahoo/spark.json");
/// Friday 20 November 2026, 18:45 in New York: after the closing.
const NOW: Timestamp = Timestamp::from_seconds(1_795_218_300);

/// A recorded chart as the part of a spark answer that it is.
fn as_spark(code: &str, chart: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Recorded<'a> {
        #[serde(borrow)]
        chart: poll::Spark<'a>,
    }
    let recorded: Recorded<'_> = serde_json::from_str(chart).expect("a recorded chart");
    let response = recorded.chart.result[0].get();
    format!(r#"{{"spark":{{"result":[{{"symbol":"{code}","response":[{response}]}}],"error":null}}}}"#)
}

fn show(price: Option<Price>) -> String {
    price.map(|p| p.to_string()).unwrap_or_default()
}

/// What the streamer would send of a price at a time.
fn frame(id: &str, price: f32, time: Timestamp) -> PricingData {
    PricingData { id: id.to_owned(), price, time: time.as_millis(), price_hint: 2, ..PricingData::default() }
}

/// The same as a text, wrapped or bare.
fn text_of(data: &PricingData, wrapped: bool) -> String {
    use base64::Engine;

    let message = base64::engine::general_purpose::STANDARD.encode(data.encode_to_vec());
    if wrapped { serde_json::json!({ "type": "pricing", "message": message }).to_string() } else { message }
}
