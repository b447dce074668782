//! `export` and `import`: the caller's alerts as a file, and back. All of a file is made, or nothing.

mod csv;
mod json;

use std::{fs::File, io::Read as _, path::Path};

use bellwether_core::{
    alert::AlertState,
    protocol::AlertView,
    text::{cut, sanitize},
    time::Timestamp,
    transfer::{CarriedAlert, CarriedAlerts, ImportAnswer, MAX_IMPORT_BYTES, Placed},
};
use serde::{Deserialize, Serialize};

use super::alerts::marked;
use crate::{
    cli::{FileFormat, Global},
    client::ApiError,
    error::UserError,
    launch, out,
};

/// The most characters of a file's text that an error repeats.
const QUOTED: usize = 60;

/// An alert in a file. All but `expr` may be absent; what the last ones say is for people and is not taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    expr: String,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    snoozed_until: Option<Timestamp>,
    #[serde(default)]
    state: Option<AlertState>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    fired: Option<u32>,
    #[serde(default)]
    created: Option<Timestamp>,
}

impl From<&AlertView> for Entry {
    fn from(alert: &AlertView) -> Self {
        Self {
            expr: alert.expr.clone(),
            paused: alert.paused,
            snoozed_until: alert.snoozed_until,
            state: Some(alert.state),
            id: Some(alert.id.to_string()),
            fired: Some(alert.fired),
            created: Some(alert.created),
        }
    }
}

impl Entry {
    /// Whether it had done what it was for: it must not begin anew because it was moved.
    fn is_done(&self) -> bool {
        self.state == Some(AlertState::Done)
    }

    fn carried(&self) -> CarriedAlert {
        CarriedAlert {
            expr: self.expr.clone(),
            paused: self.paused || self.is_done(),
            snoozed_until: self.snoozed_until,
        }
    }
}

/// An alert and the line of the file where it begins, from 1.
type Placement = (usize, Entry);

/// Why a file is not taken: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    /// The line, from 1; absent where it is the file as a whole.
    line: Option<usize>,
    what: String,
}

impl Fault {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self { line: Some(line), what: what.into() }
    }

    fn whole(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }
}

/// Writes all alerts of the caller to standard output.
pub(super) async fn export(global: &Global, format: FileFormat) -> anyhow::Result<()> {
    let alerts = launch::client(global).await?.alerts().await?;
    let entries: Vec<Entry> = alerts.iter().map(Entry::from).collect();
    out::raw(&match format {
        FileFormat::Csv if !global.json => csv::write(&entries),
        FileFormat::Csv | FileFormat::Json => json::write(&entries, Timestamp::from(jiff::Timestamp::now()))?,
    })
}

/// Makes the alerts of a file.
pub(super) async fn import(global: &Global, file: &Path) -> anyhow::Result<()> {
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let placements = content(file).and_then(|text| read(&text)).map_err(|fault| refused(&shown, &fault))?;
    let alerts = placements.iter().map(|(_, entry)| entry.carried()).collect();
    let answer = launch::client(global).await?.import_alerts(&CarriedAlerts { alerts }).await;
    let answer = answer.map_err(|error| explained(error, &shown, &placements))?;
    if global.json {
        return out::json(&answer);
    }
    report(&answer, &placements)
}

fn report(answer: &ImportAnswer, placements: &[Placement]) -> anyhow::Result<()> {
    let entry = |placed: &Placed| placements.get(placed.index).map(|(_, entry)| entry);
    for placed in &answer.made {
        let Some(entry) = entry(placed) else { continue };
        let aside = if entry.is_done() { " (was done: set aside)" } else { "" };
        out::line(&format!("{} made: {}{aside}", placed.id, entry.expr))?;
    }
    for placed in &answer.existing {
        let Some(entry) = entry(placed) else { continue };
        out::line(&format!("{} stands already: {}", placed.id, entry.expr))?;
    }
    out::note(&format!("{} made, {} stood already", answer.made.len(), answer.existing.len()));
    if answer.made.iter().filter_map(entry).any(Entry::is_done) {
        out::note("note: what was done is set aside; `bellwether resume ID` starts it afresh");
    }
    for warning in &answer.warnings {
        out::note(&format!("note: {warning}"));
    }
    Ok(())
}

/// The file's text, if it can be one.
fn content(file: &Path) -> Result<String, Fault> {
    let most = MAX_IMPORT_BYTES as u64;
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Fault::whole(error.to_string()))?;
    if bytes.len() > MAX_IMPORT_BYTES {
        return Err(Fault::whole(format!("it is larger than {} MiB", MAX_IMPORT_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&error.as_bytes()[..valid]).matches('\n').count() + 1;
        Fault::at(line, "this is no text in UTF-8")
    })
}

/// Reads either form; a JSON document begins with a brace.
fn read(text: &str) -> Result<Vec<Placement>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        None => Err(Fault::whole("it is empty")),
        Some('{' | '[') => json::read(text),
        Some(_) => csv::read(text),
    }
}

/// A piece of the file, fit to be shown.
fn quoted(text: &str) -> String {
    format!("`{}`", cut(&sanitize(text), QUOTED))
}

fn refused(file: &str, fault: &Fault) -> anyhow::Error {
    let place = fault.line.map(|line| format!(", line {line}")).unwrap_or_default();
    UserError::with_hint(
        format!("{}{place}: {}; nothing was imported", sanitize(file), fault.what),
        "a file for import is what `bellwether export` writes, as JSON or as CSV",
    )
    .into()
}

/// Puts the daemon's refusal at the place in the file that it is about.
fn explained(error: ApiError, file: &str, placements: &[Placement]) -> anyhow::Error {
    let found = error.problem().and_then(|problem| {
        let mut path = problem.field.as_deref()?.split('.');
        let (Some("alerts"), Some(index), Some(field)) = (path.next(), path.next(), path.next()) else { return None };
        let (line, entry) = placements.get(index.parse::<usize>().ok()?)?;
        let place = match problem.at {
            Some((start, end)) => format!("\n{}", marked(&entry.expr, start, end)),
            None => String::new(),
        };
        let said = format!("{}, line {line}, {field}: {}; nothing was imported{place}", sanitize(file), problem.detail);
        Some(match &problem.suggestion {
            Some(suggestion) if !problem.detail.contains("did you mean") => {
                UserError::with_hint(said, format!("did you mean `{suggestion}`?"))
            }
            _ => UserError::new(said),
        })
    });
    found.map_or_else(|| error.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entries() -> Vec<Entry> {
        let evil = "BTC > 60000 each note \"=cmd|' /C calc'!A0, \u{2028}\u{fffd} ünï\"".to_owned();
        let at = Some(Timestamp::from_seconds(1_795_000_000));
        let entry = |expr: &str| Entry { expr: expr.to_owned(), ..Entry::default() };
        vec![
            Entry { expr: evil, paused: true, id: Some("a1".to_owned()), ..Entry::default() },
            Entry { snoozed_until: at, created: at, fired: Some(3), ..entry("ETH < 5 once") },
            Entry { state: Some(AlertState::Done), ..entry("=1+1") },
            entry("@sum(a1)"),
            entry("+5"),
            entry("-5"),
            entry("\tx"),
            entry("\rx"),
            entry("'=x"),
            entry("'x"),
            entry("a\r\nb \"c\", d;e"),
        ]
    }

    fn taken(text: &str) -> Vec<Entry> {
        read(text).unwrap_or_else(|fault| panic!("{fault:?}\n{text}")).into_iter().map(|(_, entry)| entry).collect()
    }

    #[test]
    fn both_forms_read_as_they_were_written() {
        let entries = entries();
        let now = Timestamp::from_seconds(1_795_000_000);
        let text = json::write(&entries, now).expect("JSON");
        assert_eq!(taken(&text), entries);
        assert_eq!(taken(&csv::write(&entries)), entries);
        assert_eq!(taken(&format!("\u{feff}{}", csv::write(&entries))), entries, "as spreadsheets save it");
        for nothing in [json::write(&[], now).expect("JSON"), csv::write(&[])] {
            assert_eq!(taken(&nothing), [], "{nothing}");
        }
    }

    #[test]
    fn a_file_that_broke_off_anywhere_is_not_taken() {
        let entries = &entries()[..2];
        let json = json::write(entries, Timestamp::from_seconds(0)).expect("JSON");
        for end in (0..json.trim_end().len()).filter(|end| json.is_char_boundary(*end)) {
            assert!(read(&json[..end]).is_err(), "{}", &json[..end]);
        }
        let csv = csv::write(entries);
        // Without its last lines a table is a shorter table: nothing tells.
        let whole = |end: usize| csv[..end].ends_with("\r\n") && csv[..end].matches("\r\n").count() >= 1;
        for end in (0..csv.len()).filter(|end| csv.is_char_boundary(*end) && !whole(*end)) {
            assert!(read(&csv[..end]).is_err(), "{}", &csv[..end]);
        }
    }

    #[test]
    fn a_foreign_file_is_named_with_its_line() {
        for (text, line, word) in [
            ("", None, "empty"),
            (" \n ", None, "empty"),
            ("[]", None, "no export"),
            ("{}", None, "no export"),
            ("{\"alerts\":[]}", None, "no export"),
            ("{\"bellwether_alerts\":2,\"alerts\":[]}", None, "newer"),
            ("{\n\"bellwether_alerts\":1,\n\"alerts\":[\n{\"expr\":7}\n]}", Some(4), "integer"),
            ("{\n\"bellwether_alerts\":1,\n\"alerts\":[\n{\"expr\":\"BTC > 1\",\"exp\":7}\n]}", Some(4), "`exp`"),
            ("{\n\"bellwether_alerts\":1,\n\"alerts\":[\n{\"paused\":true}\n]}", Some(4), "expr"),
            ("{\n\"bellwether_alerts\":1,\n\"alerts\":[\n{\"expr\":}\n]}", Some(4), "expected"),
            ("root:x:0:0:root:/root:/bin/bash\n", Some(1), "expr"),
            ("date,expr,close\n", Some(1), "`date`"),
            ("expr,expr\n", Some(1), "twice"),
            ("expr,paused\nBTC > 1,perhaps\n", Some(2), "paused"),
            ("expr,paused\nBTC > 1\n", Some(2), "cells"),
            ("expr\n\"BTC > 1\"x\n", Some(2), "quote"),
            ("expr\n\"BTC > 1\n\n", Some(2), "quote"),
            ("expr,snoozed_until\nBTC > 1,tomorrow\n", Some(2), "snoozed_until"),
            ("expr\n\n\nBTC > 1\nx", Some(5), "breaks off"),
        ] {
            let fault = read(text).expect_err(text);
            assert_eq!(fault.line, line, "{text}: {fault:?}");
            assert!(fault.what.contains(word), "{text}: {fault:?}");
        }
    }

    #[test]
    fn a_table_of_ones_own_needs_no_more_than_the_alerts() {
        let entries = taken("expr\nBTC > 60k\n\n\"ETH > 5k note \"\"x\"\"\"\n");
        let lines: Vec<&str> = entries.iter().map(|entry| entry.expr.as_str()).collect();
        assert_eq!(lines, ["BTC > 60k", "ETH > 5k note \"x\""]);
    }
}
