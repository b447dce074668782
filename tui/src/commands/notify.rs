//! `notify test` and `notify list`.

use bellwether_core::condition::ChannelName;

use crate::{
    cli::Global,
    error::UserError,
    launch,
    out::{self, Align, Table},
};

/// Sends one test message and says what the other side answered.
pub(super) async fn test(global: &Global, channel: &str) -> anyhow::Result<()> {
    let client = launch::client(global).await?;
    let tested = client.test_channel(&ChannelName::new(channel)).await.map_err(|e| match e.problem() {
        Some(problem) if problem.status == 404 => anyhow::Error::from(UserError::with_hint(
            format!("there is no channel `{}`", bellwether_core::text::sanitize(channel)),
            "`bellwether notify list` shows them; new ones are set up in the configuration",
        )),
        _ => e.into(),
    })?;
    if global.json {
        out::json(&tested)?;
    }
    if !global.json {
        let mut table = Table::new(&[("STEP", Align::Left), ("RESULT", Align::Left), ("SAID", Align::Left)]);
        for step in &tested.steps {
            table.row([step.step.clone(), if step.ok { "ok" } else { "failed" }.to_owned(), step.said.clone()]);
        }
        table.print()?;
    }
    if tested.accepted {
        if !global.json {
            out::line(&format!("{}: accepted: {}", tested.channel, tested.answer))?;
        }
        return Ok(());
    }
    Err(UserError::new(format!("{}: {}", tested.channel, tested.answer)).into())
}

/// Lists the channels and whether they work.
pub(super) async fn list(global: &Global) -> anyhow::Result<()> {
    let channels = launch::client(global).await?.channels().await?;
    if global.json {
        return out::json(&channels);
    }
    let mut table = Table::new(&[("CHANNEL", Align::Left), ("READY", Align::Left), ("STATUS", Align::Left)]);
    for channel in &channels {
        let name = if channel.default { format!("{} (default)", channel.name) } else { channel.name.to_string() };
        table.row([name, if channel.ready { "yes" } else { "no" }.to_owned(), channel.status.clone()]);
    }
    table.print()
}
