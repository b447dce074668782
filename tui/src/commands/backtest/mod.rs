//! `backtest`: alerts over history. Over a file (`--ticks`) they are judged here, without a daemon; over the daemon's own bars
//! (`--days`) by the daemon. Both go through the same evaluator as live prices.

mod days;
mod lines;
mod ticks;

use std::{fs, path::Path};

use bellwether_core::{
    backtest::{AlertSummary, BacktestSummary},
    parse::ParseError,
    text::sanitize,
};

use super::alerts::marked;
use crate::{
    cli::{BacktestArgs, Global},
    error::UserError,
    out,
};

/// The most alerts whose summary is printed one by one.
const TOLD: usize = 50;

/// Runs alerts over history and prints each firing.
pub(super) fn run(global: &Global, args: &BacktestArgs) -> anyhow::Result<()> {
    let mut wanted: Vec<Wanted> =
        args.exprs.iter().map(|line| Wanted { line: line.clone(), place: String::new() }).collect();
    if let Some(file) = &args.alerts {
        wanted.append(&mut listed(file)?);
    }
    if wanted.is_empty() {
        return Err(UserError::with_hint("there is no alert to run", "write one a line, such as BTC > 60k each").into());
    }
    match &args.ticks {
        Some(file) => ticks::run(args, file, &wanted),
        None => super::wait(days::run(global, args.days, &wanted)),
    }
}

/// An alert line, and where it stands if it came from a file.
#[derive(Debug)]
struct Wanted {
    line: String,
    place: String,
}

/// The alerts of a file: one a line, but for blank lines and those that begin with `#`.
fn listed(file: &Path) -> Result<Vec<Wanted>, UserError> {
    let name = sanitize(&file.display().to_string());
    let text = fs::read_to_string(file).map_err(|e| {
        UserError::with_hint(format!("cannot read {name}: {e}"), "--alerts takes a text file with an alert a line")
    })?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate();
    let alerts = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let wanted = |(number, line): (usize, &str)| Wanted {
        line: line.to_owned(),
        place: format!("{name}, line {}: ", number + 1),
    };
    Ok(alerts.map(wanted).collect())
}

/// A line that was not understood is shown with the place marked.
fn misunderstood(wanted: &Wanted, error: &ParseError) -> UserError {
    let place = marked(&wanted.line, error.span.start, error.span.end);
    let what = format!("{}{} ({})\n{place}", wanted.place, error.message, error.code);
    match error.suggestion.as_ref().filter(|s| !error.message.contains(s.as_str())) {
        Some(suggestion) => UserError::with_hint(what, format!("did you mean `{suggestion}`?")),
        None => UserError::new(what),
    }
}

/// Says on standard error what became of each alert, and of all.
fn tell(alerts: &[AlertSummary], summary: &BacktestSummary) {
    for alert in alerts.iter().take(TOLD) {
        let AlertSummary { alert: number, expr, count, longest_quiet, suppressed } = alert;
        out::note(&format!("[{number}] {}: {}", sanitize(expr), outcome(*count, *suppressed, *longest_quiet)));
    }
    if alerts.len() > TOLD {
        let all = outcome(summary.count, summary.suppressed, summary.longest_quiet);
        out::note(&format!("and {} alerts more; all together: {all}", alerts.len() - TOLD));
    }
}

/// `4 firings, longest quiet 9d4h, 2 suppressed by the cooldown`
fn outcome(count: u64, suppressed: u64, quiet: bellwether_core::time::Span) -> String {
    let suppressed = if suppressed == 0 { String::new() } else { format!(", {suppressed} suppressed by the cooldown") };
    format!("{}, longest quiet {quiet}{suppressed}", counted(count, "firing"))
}

/// `1 row`, `2 rows`
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
