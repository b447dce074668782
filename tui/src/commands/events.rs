//! `events`: what fired, and what became of every delivery.

use bellwether_core::{
    delivery::{Delivery, DeliveryId, DeliveryState},
    protocol::EventView,
};

use super::watch;
use crate::{
    cli::Global,
    client::{ApiClient, ApiError},
    error::UserError,
    launch,
    out::{self, Align, Table},
};

/// Prints the newest firings, and with `follow` those to come.
pub(super) async fn run(global: &Global, limit: u32, follow: bool) -> anyhow::Result<()> {
    let client = launch::client(global).await?;
    let page = client.events(limit as usize, None).await?;
    if global.json && follow {
        for event in page.items.iter().rev() {
            out::json(event)?;
        }
    } else if global.json {
        return out::json(&page);
    } else if page.items.is_empty() && !follow {
        out::note("nothing has fired yet");
    } else {
        table(&page.items).print()?;
    }
    if follow { watch::follow_firings(global).await } else { Ok(()) }
}

fn table(events: &[EventView]) -> Table {
    let mut table =
        Table::new(&[("TIME", Align::Left), ("ALERT", Align::Right), ("WHAT", Align::Left), ("DELIVERY", Align::Left)]);
    for event in events {
        let fate: Vec<String> = event.deliveries.iter().map(fate).collect();
        let mut what = event.firing.reason().into_owned();
        if event.firing.late {
            what.push_str(" (late)");
        }
        if let Some(note) = event.firing.note() {
            what = format!("{what} — {note}");
        }
        table.row([
            event.firing.time.to_string(),
            event.firing.id.alert.to_string(),
            what,
            if fate.is_empty() { "no channel".to_owned() } else { fate.join(", ") },
        ]);
    }
    table
}

/// Prints the newest deliveries that came to their end without being accepted.
pub(super) async fn dead(global: &Global, limit: u32) -> anyhow::Result<()> {
    let page = launch::client(global).await?.deliveries(DeliveryState::Dead, limit as usize, None).await?;
    if global.json {
        return out::json(&page);
    }
    if page.items.is_empty() {
        out::note("no delivery is dead");
        return Ok(());
    }
    let columns = [
        ("DELIVERY", Align::Right),
        ("FIRING", Align::Left),
        ("CHANNEL", Align::Left),
        ("ENDED", Align::Left),
        ("WHY", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for delivery in &page.items {
        table.row([
            delivery.id.to_string(),
            delivery.firing.to_string(),
            delivery.channel.to_string(),
            delivery.finished.map(|at| at.to_string()).unwrap_or_default(),
            delivery.answer.clone().unwrap_or_default(),
        ]);
    }
    table.print()
}

/// Has deliveries sent again: this one, or every dead one.
pub(super) async fn resend(global: &Global, id: Option<&str>) -> anyhow::Result<()> {
    let client = launch::client(global).await?;
    let ids = match id {
        Some(text) => vec![text.parse::<DeliveryId>().map_err(|_| {
            let shown = bellwether_core::text::sanitize(text);
            UserError::with_hint(
                format!("no delivery `{shown}`: it looks like d12"),
                "`bellwether events --dead` lists them",
            )
        })?],
        None => all_dead(&client).await?,
    };
    let mut sent = 0;
    for delivery in ids {
        match client.resend(delivery).await {
            Ok(again) => {
                sent += 1;
                if global.json {
                    out::json(&again)?;
                } else {
                    out::line(&format!("{delivery} over {} is sent again", again.channel))?;
                }
            }
            // With --all, one that went again in another's digest is no dead one any more.
            Err(error) if id.is_none() && error.problem().is_some_and(|problem| problem.status == 409) => {}
            Err(error) => return Err(unknown(error, delivery)),
        }
    }
    if sent == 0 && !global.json {
        out::note("no delivery is dead");
    }
    Ok(())
}

/// The numbers of all dead deliveries, the oldest first, as they are to be sent.
async fn all_dead(client: &ApiClient) -> anyhow::Result<Vec<DeliveryId>> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.deliveries(DeliveryState::Dead, 500, cursor.as_deref()).await?;
        ids.extend(page.items.iter().map(|delivery| delivery.id));
        if page.next.is_none() {
            ids.reverse();
            return Ok(ids);
        }
        cursor = page.next;
    }
}

fn unknown(error: ApiError, id: DeliveryId) -> anyhow::Error {
    match error.problem() {
        Some(problem) if problem.status == 404 => {
            UserError::with_hint(format!("no delivery {id}"), "`bellwether events --dead` lists them").into()
        }
        _ => error.into(),
    }
}

/// `email sent`, `sms retry (2): 503 Service Unavailable`, `desktop merged into d12`, `sms queued (a later step)`.
pub(super) fn fate(delivery: &Delivery) -> String {
    let mut text = format!("{} {}", delivery.channel, delivery.state);
    if let Some(carrier) = delivery.merged_into {
        text = format!("{text} into {carrier}");
    } else if delivery.merged > 0 {
        text = format!("{text} with {} others", delivery.merged);
    }
    if let Some(waits) = delivery.waits {
        text = format!("{text} ({})", waits.in_words());
    }
    if delivery.attempts > 1 {
        text = format!("{text} ({} attempts)", delivery.attempts);
    }
    if let Some(answer) = &delivery.answer
        && !matches!(delivery.state, DeliveryState::Sent | DeliveryState::Merged)
    {
        text = format!("{text}: {answer}");
    }
    text
}
