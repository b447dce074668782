//! `add`, `list`, `edit`, `pause`, `resume`, `snooze`, `ack`, `rm`.

use bellwether_core::{
    alert::AlertId,
    condition::MAX_LINE,
    protocol::{AlertAnswer, AlertPatch, AlertView},
    time::{Span, Timestamp},
};

use crate::{
    cli::Global,
    client::ApiError,
    error::UserError,
    launch,
    out::{self, Align, Table},
};

/// Makes an alert; prints its id and how it was understood.
pub(super) async fn add(global: &Global, words: &[String]) -> anyhow::Result<()> {
    let line = line_of(words)?;
    let client = launch::client(global).await?;
    let made = client.create_alert(&line).await.map_err(|e| refused(e, &line))?;
    answer(global, "made", &made)
}

/// The line of these words. One that is far too long is not sent to be refused.
fn line_of(words: &[String]) -> Result<String, UserError> {
    let line = words.join(" ");
    if line.len() > MAX_LINE {
        let said = format!("an alert line has at most {MAX_LINE} bytes, and this one {}", line.len());
        return Err(UserError::with_hint(
            said,
            "write a shorter one, such as BTC > 60k; a note has room for 500 characters",
        ));
    }
    Ok(line)
}

/// Changes an alert.
pub(super) async fn edit(global: &Global, id: &str, words: &[String]) -> anyhow::Result<()> {
    let id = alert_id(id)?;
    let line = line_of(words)?;
    let client = launch::client(global).await?;
    let patch = AlertPatch { expr: Some(line.clone()), ..AlertPatch::default() };
    let changed = client.patch_alert(id, &patch).await.map_err(|e| missing(refused(e, &line), id))?;
    answer(global, "changed", &changed)
}

fn answer(global: &Global, done: &str, answer: &AlertAnswer) -> anyhow::Result<()> {
    if global.json {
        return out::json(answer);
    }
    out::line(&format!("{} {done}: {}", answer.alert.id, answer.alert.expr))?;
    out::line(&answer.words)?;
    for warning in &answer.warnings {
        out::note(&format!("note: {warning}"));
    }
    Ok(())
}

/// Lists the alerts.
pub(super) async fn list(global: &Global) -> anyhow::Result<()> {
    let alerts = launch::client(global).await?.alerts().await?;
    if global.json {
        return out::json(&alerts);
    }
    if alerts.is_empty() {
        out::note("there is no alert yet; make one with: bellwether add \"BTC > 60k\"");
        return Ok(());
    }
    let mut table =
        Table::new(&[("ID", Align::Right), ("STATE", Align::Left), ("FIRED", Align::Right), ("ALERT", Align::Left)]);
    for alert in &alerts {
        table.row(row(alert));
    }
    table.print()
}

fn row(alert: &AlertView) -> [String; 4] {
    [alert.id.to_string(), alert.state.to_string(), alert.fired.to_string(), alert.expr.clone()]
}

/// Pauses or resumes each of these.
pub(super) async fn pause(global: &Global, ids: &[String], paused: bool) -> anyhow::Result<()> {
    let patch = AlertPatch { paused: Some(paused), ..AlertPatch::default() };
    patch_each(global, ids, &patch, if paused { "paused" } else { "resumed" }).await
}

/// Marks the firing of each of these as seen.
pub(super) async fn acknowledge(global: &Global, ids: &[String]) -> anyhow::Result<()> {
    let patch = AlertPatch { acknowledged: Some(true), ..AlertPatch::default() };
    patch_each(global, ids, &patch, "acknowledged").await
}

/// Keeps an alert silent for a while.
pub(super) async fn snooze(global: &Global, id: &str, duration: &str) -> anyhow::Result<()> {
    let span: Span = duration.parse().map_err(|e| UserError::new(format!("`{duration}`: {e}")))?;
    let until = Timestamp::from(jiff::Timestamp::now()).plus(span);
    let patch = AlertPatch { snoozed_until: Some(until), ..AlertPatch::default() };
    patch_each(global, &[id.to_owned()], &patch, &format!("snoozed for {span}")).await
}

async fn patch_each(global: &Global, ids: &[String], patch: &AlertPatch, done: &str) -> anyhow::Result<()> {
    let ids = ids.iter().map(|id| alert_id(id)).collect::<Result<Vec<_>, _>>()?;
    let client = launch::client(global).await?;
    for id in ids {
        let changed = client.patch_alert(id, patch).await.map_err(|e| missing(e.into(), id))?;
        if global.json {
            out::json(&changed)?;
        } else {
            out::line(&format!("{id} {done}: {}", changed.alert.expr))?;
        }
    }
    Ok(())
}

/// Deletes each of these.
pub(super) async fn remove(global: &Global, ids: &[String]) -> anyhow::Result<()> {
    let ids = ids.iter().map(|id| alert_id(id)).collect::<Result<Vec<_>, _>>()?;
    let client = launch::client(global).await?;
    for id in ids {
        client.delete_alert(id).await.map_err(|e| missing(e.into(), id))?;
        if global.json {
            out::json(&serde_json::json!({"id": id, "deleted": true}))?;
        } else {
            out::line(&format!("{id} deleted; for a day `bellwether undelete {id}` brings it back"))?;
        }
    }
    Ok(())
}

/// Brings each of these back.
pub(super) async fn undelete(global: &Global, ids: &[String]) -> anyhow::Result<()> {
    let ids = ids.iter().map(|id| alert_id(id)).collect::<Result<Vec<_>, _>>()?;
    let client = launch::client(global).await?;
    for id in ids {
        let back = client.restore_alert(id).await.map_err(|e| missing(e.into(), id))?;
        if global.json {
            out::json(&back)?;
        } else {
            out::line(&format!("{id} is back: {}", back.alert.expr))?;
        }
    }
    Ok(())
}

fn alert_id(text: &str) -> Result<AlertId, UserError> {
    text.parse().map_err(|_| {
        UserError::with_hint(
            format!("no alert `{}`: an alert id looks like a17", bellwether_core::text::sanitize(text)),
            "`bellwether list` shows them",
        )
    })
}

/// A line that was not understood is shown with the place marked.
pub(super) fn refused(error: ApiError, line: &str) -> anyhow::Error {
    let Some(problem) = error.problem() else { return error.into() };
    let (Some(code), Some((start, end))) = (&problem.code, problem.at) else { return error.into() };
    let place = marked(line, start, end);
    let said = problem.detail.contains("did you mean");
    let suggestion = problem.suggestion.as_ref().filter(|_| !said).map(|s| format!("did you mean `{s}`?"));
    let what = format!("{} ({code})\n{place}", problem.detail);
    match suggestion {
        Some(hint) => UserError::with_hint(what, hint).into(),
        None => UserError::new(what).into(),
    }
}

/// The line, and carets below the bytes from `start` to `end`.
pub(super) fn marked(line: &str, start: usize, end: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let clean = bellwether_core::text::sanitize;
    let before = clean(line.get(..start).unwrap_or(line));
    let at = clean(line.get(start..end).unwrap_or_default());
    format!("\n  {}\n  {}{}", clean(line), " ".repeat(before.width()), "^".repeat(at.width().max(1)))
}

fn missing(error: anyhow::Error, id: AlertId) -> anyhow::Error {
    match error.downcast_ref::<ApiError>().and_then(ApiError::problem) {
        Some(problem) if problem.status == 404 => {
            UserError::with_hint(format!("no alert {id}"), "`bellwether list` shows them").into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_marked_below_the_word() {
        assert_eq!(marked("BTC accross 60k", 4, 11), "\n  BTC accross 60k\n      ^^^^^^^");
        assert_eq!(marked("BTC >", 5, 5), "\n  BTC >\n       ^");
    }

    #[test]
    fn what_is_no_id_says_how_one_looks() {
        assert!(alert_id("x").is_err_and(|e| e.to_string().contains("looks like a17")));
    }
}
