//! Alerts over the bars that the daemon has stored.

use bellwether_core::{
    backtest::{BacktestAnswer, BacktestFiring, Coverage, CoverageSource, NewBacktest},
    text::sanitize,
};

use super::{Wanted, counted, tell};
use crate::{
    cli::Global,
    client::ApiError,
    commands::alerts::refused,
    launch,
    out::{self},
};

/// Asks the daemon, and prints each firing.
pub(super) async fn run(global: &Global, days: Option<u32>, wanted: &[Wanted]) -> anyhow::Result<()> {
    let client = launch::client(global).await?;
    let exprs = Some(wanted.iter().map(|w| w.line.clone()).collect());
    let answer = client.backtest(&NewBacktest { expr: None, exprs, days }).await.map_err(|e| explained(e, wanted))?;
    let BacktestAnswer { summary, alerts, firings, omitted } = answer;
    for firing in &firings {
        if global.json {
            out::json(firing)?;
        } else {
            out::line(&sentence(firing, wanted.len() > 1))?;
        }
    }
    if omitted > 0 {
        out::note(&format!("note: the first {} are shown, {omitted} later ones are only counted", firings.len()));
    }
    tell(&alerts, &summary);
    match (summary.from, summary.to) {
        (Some(from), Some(to)) => {
            let length = summary.bar.map_or_else(|| "1m".to_owned(), |bar| bar.to_string());
            out::note(&format!("{} of up to {length}, from {from} to {to}", counted(summary.bars, "bar")));
        }
        _ => out::note("note: there is no history of these instruments yet; the daemon records it while it runs"),
    }
    for known in &summary.coverage {
        out::note(&coverage(known));
    }
    Ok(())
}

/// `2026-11-20T10:00:00.000Z  [0]  BTC rose above 60,000.00: …`
fn sentence(firing: &BacktestFiring, several: bool) -> String {
    let number = if several { format!("  [{}]", firing.alert) } else { String::new() };
    format!("{}{number}  {}", firing.time, firing.reason)
}

/// `BTC: 98 % of the time is known (recorded 1440 of 1m, coinbase 8640 of 5m); …`
fn coverage(known: &Coverage) -> String {
    let source = |s: &CoverageSource| format!("{} {} of {}", sanitize(&s.source), s.bars, s.bar);
    let sources: Vec<String> = known.sources.iter().map(source).collect();
    let sources = if sources.is_empty() { String::new() } else { format!(" ({})", sources.join(", ")) };
    let missing = known.missing.as_ref().map(|why| format!("; {}", sanitize(why))).unwrap_or_default();
    format!("{}: {} % of the trading time is known{sources}{missing}", known.symbol, known.percent)
}

/// A refusal of one of the lines is shown with the place marked.
fn explained(error: ApiError, wanted: &[Wanted]) -> anyhow::Error {
    let position = error.problem().and_then(|problem| {
        let field = problem.field.as_deref()?;
        field.strip_prefix("exprs[")?.strip_suffix(']')?.parse::<usize>().ok()
    });
    match position.and_then(|position| wanted.get(position)) {
        Some(line) => refused(error, &line.line),
        None => error.into(),
    }
}
