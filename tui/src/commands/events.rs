//! `events`: what fired, and what became of every delivery.

use bellwether_core::{
    delivery::{Delivery, DeliveryState},
    protocol::EventView,
};

use super::watch;
use crate::{
    cli::Global,
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

/// `email sent`, `sms retry (2): 503 Service Unavailable`.
pub(super) fn fate(delivery: &Delivery) -> String {
    let mut text = format!("{} {}", delivery.channel, delivery.state);
    if delivery.attempts > 1 {
        text = format!("{text} ({} attempts)", delivery.attempts);
    }
    if let Some(answer) = &delivery.answer
        && delivery.state != DeliveryState::Sent
    {
        text = format!("{text}: {answer}");
    }
    text
}
