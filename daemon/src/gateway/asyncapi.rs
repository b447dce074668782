//! `GET /asyncapi.json`: the WebSocket as programs read it (`AsyncAPI` 3.0, <https://www.asyncapi.com/docs/reference/specification/v3.0.0>).
//!
//! The messages are written by hand in `asyncapi.json`, because a document made from the types would not say when which comes;
//! tests hold it to the types. What messages hold is described once, in the `OpenAPI` document, and taken from there.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const MESSAGES: &str = include_str!("asyncapi.json");
const SCHEMAS: &str = "#/components/schemas/";

/// The document, with the schemas of the `OpenAPI` document that it needs.
pub(super) fn document(openapi: &Value) -> Value {
    let mut document: Value = serde_json::from_str(MESSAGES).expect("the file is JSON, as a test shows");
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    let messages = document["components"]["messages"].as_object().into_iter().flat_map(Map::keys);
    let named: Map<String, Value> =
        messages.map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }))).collect();
    document["channels"]["prices"]["messages"] = Value::Object(named);
    document["components"]["schemas"] = Value::Object(reached(&document["components"]["messages"], openapi));
    document
}

/// The schemas that are named there, and all that these name.
fn reached(from: &Value, openapi: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    let mut wanted = BTreeSet::new();
    names(from, &mut wanted);
    while let Some(name) = wanted.pop_first() {
        let schema = &openapi["components"]["schemas"][&name];
        if !found.contains_key(&name) {
            names(schema, &mut wanted);
            found.insert(name, schema.clone());
        }
    }
    found
}

fn names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(SCHEMAS));
            into.extend(name.map(str::to_owned));
            members.values().for_each(|member| names(member, into));
        }
        Value::Array(members) => members.iter().for_each(|member| names(member, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::protocol::ServerFrame;

    use super::*;
    use crate::gateway::{command, testing::Rig};

    fn described() -> Value {
        let (_, openapi) = super::super::openapi::described();
        let mut openapi = serde_json::to_value(openapi).unwrap();
        super::super::promises::complete(&mut openapi);
        document(&openapi)
    }

    /// The kinds of message that go out. A new one does not compile here until it is described.
    fn kind(frame: &ServerFrame) -> (&'static str, usize) {
        let name = match frame {
            ServerFrame::Hello { .. } => "hello",
            ServerFrame::Snapshot { .. } => "snapshot",
            ServerFrame::Price { .. } => "price",
            ServerFrame::Alert { .. } => "alert",
            ServerFrame::AlertDeleted { .. } => "alert_deleted",
            ServerFrame::Firing { .. } => "firing",
            ServerFrame::Delivery { .. } => "delivery",
            ServerFrame::Feed { .. } => "feed",
            ServerFrame::Reply { .. } => "reply",
            ServerFrame::Error { .. } => "error",
        };
        (name, 10)
    }

    const FROM_CLIENTS: [&str; 5] = ["subscribe", "ask_snapshot", "create", "update", "delete"];

    #[test]
    fn every_message_of_the_server_is_described_with_an_example_that_is_one() {
        let document = described();
        let mut kinds = BTreeSet::new();
        for (name, message) in document["components"]["messages"].as_object().unwrap() {
            if FROM_CLIENTS.contains(&name.as_str()) {
                continue;
            }
            for example in message["examples"].as_array().unwrap() {
                let frame: ServerFrame = serde_json::from_value(example["payload"].clone())
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(kind(&frame).0, name);
                let again = serde_json::to_value(&frame).unwrap();
                for (member, value) in example["payload"].as_object().unwrap() {
                    assert!(!again[member].is_null(), "{name}: nobody sends {member}: {value}");
                }
                kinds.insert(kind(&frame));
            }
        }
        assert_eq!(kinds.first().map(|(_, all)| *all), Some(kinds.len()), "{kinds:?}");
    }

    #[tokio::test]
    async fn every_message_of_a_client_is_described_with_an_example_that_is_understood() {
        let rig = Rig::new().await;
        let document = described();
        for name in FROM_CLIENTS {
            for example in document["components"]["messages"][name]["examples"].as_array().unwrap() {
                let text = example["payload"].to_string();
                assert!(command::read(text.as_bytes(), &rig.gateway).is_ok(), "{name}: {text}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = described();
        let text = document.to_string();
        for piece in text.split("\"$ref\":\"#").skip(1) {
            let place = piece.split('"').next().unwrap();
            assert!(document.pointer(place).is_some_and(|found| !found.is_null()), "{place}");
        }
        for part in ["Ticker", "AlertView", "Firing", "Delivery", "Rule", "Price"] {
            assert!(document["components"]["schemas"][part].is_object(), "{part}");
        }
        assert!(document["components"]["schemas"]["Login"].is_null(), "what no message holds");
    }
}
