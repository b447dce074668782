//! Alerts as a JSON document, one a line.

use bellwether_core::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Entry, Fault, Placement, quoted};

/// The version of the document that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Document<'a> {
    bellwether_alerts: Option<u32>,
    #[serde(borrow)]
    alerts: Option<Vec<&'a RawValue>>,
}

/// The document with these alerts.
pub(super) fn write(entries: &[Entry], now: Timestamp) -> serde_json::Result<String> {
    let exported = serde_json::to_string(&now)?;
    let mut text = format!("{{\n\"bellwether_alerts\": {VERSION},\n\"exported\": {exported},\n\"alerts\": [");
    for (index, entry) in entries.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(entry)?);
    }
    text.push_str("\n]}\n");
    Ok(text)
}

/// The alerts of a document.
pub(super) fn read(text: &str) -> Result<Vec<Placement>, Fault> {
    let foreign = || Fault::whole("this is no export of bellwether: it does not begin with `bellwether_alerts`");
    let document: Document<'_> = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) if error.is_data() && !text.contains("\"bellwether_alerts\"") => return Err(foreign()),
        Err(error) => return Err(Fault::at(error.line().max(1), plain(&error))),
    };
    match (document.bellwether_alerts, document.alerts) {
        (Some(version), _) if version > VERSION => {
            Err(Fault::whole("it was written by a newer bellwether, which this one does not understand"))
        }
        (Some(_), Some(alerts)) => alerts.into_iter().map(|raw| entry(text, raw)).collect(),
        _ => Err(foreign()),
    }
}

fn entry(text: &str, raw: &RawValue) -> Result<Placement, Fault> {
    // The raw value is a piece of the text, so that its place is the difference of their addresses.
    let start = raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.get(..start).unwrap_or_default();
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    match serde_json::from_str(raw.get()) {
        Ok(entry) => Ok((line, entry)),
        Err(error) => Err(Fault::at(line + error.line().saturating_sub(1), culprit(raw.get(), &error))),
    }
}

/// What is wrong with an alert, with the name of the field where it is the value of one.
fn culprit(raw: &str, error: &serde_json::Error) -> String {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw).unwrap_or_default();
    let wrong = fields.iter().find_map(|(name, value)| {
        let alone = serde_json::json!({ "expr": "", name.as_str(): value });
        serde_json::from_value::<Entry>(alone).err().map(|error| (name, error))
    });
    match wrong {
        Some((name, error)) if !error.to_string().starts_with("unknown field") => {
            format!("the field {}: {}", quoted(name), plain(&error))
        }
        _ => plain(error),
    }
}

/// The reason without the place, which is said in front of it.
fn plain(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let what = words.split(" at line ").next().unwrap_or_default();
    bellwether_core::text::sanitize(what)
}
