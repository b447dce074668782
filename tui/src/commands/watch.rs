//! `watch`: live prices and firings until interrupted. What comes over the WebSocket is printed line by line.

use bellwether_core::{
    board::Board,
    event::{Event, FeedState},
    instrument::Symbol,
    protocol::ServerFrame,
};
use tokio::sync::mpsc;

use super::{
    dashboard::reconnect,
    events::fate,
    prices::{named, signed_pct},
};
use crate::{
    cli::Global,
    client::stream::{self, StreamCommand, StreamMessage},
    error::UserError,
    folders::Folders,
    launch, out,
};

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// Prices, firings, deliveries.
    Everything,
    /// Firings and changes of state, as sentences.
    Sentences,
    /// Firings and deliveries.
    Firings,
}

/// Prints until Ctrl-C.
pub(super) async fn run(global: &Global, symbols: &[String], plain: bool) -> anyhow::Result<()> {
    let wanted = named(global, symbols).await?;
    follow(global, &wanted, if plain { Show::Sentences } else { Show::Everything }).await
}

/// Prints firings and deliveries until Ctrl-C.
pub(super) async fn follow_firings(global: &Global) -> anyhow::Result<()> {
    follow(global, &[], Show::Firings).await
}

async fn follow(global: &Global, wanted: &[Symbol], show: Show) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    let Ok(file) = launch::daemon(global).await else {
        // Says what to do about it.
        return launch::client(global).await.map(drop).map_err(Into::into);
    };
    let (out, mut messages) = mpsc::channel(64);
    let (commands, taken) = mpsc::channel(4);
    tokio::spawn(stream::run(file.address, file.token, reconnect(global, &folders), out, taken));
    let mut board = Board::default();
    let mut lost = false;
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match message {
            None => return Err(UserError::new("the connection to the daemon ended").into()),
            Some(StreamMessage::Connected { .. }) => {
                if show == Show::Sentences {
                    out::line("Connected to the daemon.")?;
                } else if lost {
                    out::note("the daemon is back");
                }
                lost = false;
            }
            Some(StreamMessage::Lost { reason, .. }) => {
                if !lost {
                    out::note(&format!("the daemon is lost ({reason}); trying again"));
                }
                lost = true;
            }
            Some(StreamMessage::Frame(frame)) => match *frame {
                ServerFrame::Snapshot { seq, prices, alerts, firings, deliveries, feeds } => {
                    if show == Show::Everything && board.seq() == 0 {
                        for ticker in prices.iter().filter(|t| wanted.is_empty() || wanted.contains(&t.symbol)) {
                            print(global, show, seq, Event::Price(ticker.clone()))?;
                        }
                    }
                    board = Board::from_snapshot(bellwether_core::board::Snapshot {
                        seq,
                        prices,
                        alerts: alerts.into_iter().map(Into::into).collect(),
                        firings,
                        deliveries,
                        feeds,
                    });
                }
                frame => {
                    let Some((seq, event)) = frame.into_event() else { continue };
                    if board.apply(seq, event.clone()).is_err() {
                        let _ = commands.send(StreamCommand::Snapshot).await;
                        continue;
                    }
                    let hidden = match &event {
                        Event::Price(ticker) => !wanted.is_empty() && !wanted.contains(&ticker.symbol),
                        Event::Fired(firing) => !wanted.is_empty() && !wanted.contains(&firing.symbol),
                        Event::AlertPut(_) | Event::AlertDeleted { .. } | Event::Delivery(_) | Event::Feed(_) => false,
                    };
                    if !hidden {
                        print(global, show, seq, event)?;
                    }
                }
            },
        }
    }
}

fn print(global: &Global, show: Show, seq: u64, event: Event) -> anyhow::Result<()> {
    let shown = matches!(
        (&event, show),
        (Event::Fired(_) | Event::Delivery(_), _)
            | (Event::Price(_), Show::Everything)
            | (Event::Feed(_) | Event::AlertDeleted { .. }, Show::Sentences | Show::Everything)
            | (Event::AlertPut(_), Show::Sentences)
    );
    if !shown {
        return Ok(());
    }
    if global.json {
        return out::json(&ServerFrame::from_event(seq, event));
    }
    match words(&event, show) {
        Some(text) => out::line(&text),
        None => Ok(()),
    }
}

fn words(event: &Event, show: Show) -> Option<String> {
    Some(match event {
        Event::Price(ticker) => {
            let change = ticker.change_24h_pct.map_or_else(|| "—".to_owned(), signed_pct);
            let price = ticker.price.grouped(ticker.price.natural_places());
            format!("{:<10} {price:>14}  {change:>9}  {}", ticker.symbol, ticker.source)
        }
        Event::Fired(firing) => {
            let note = firing.note().map(|n| format!(" — {n}")).unwrap_or_default();
            format!("{}  FIRED {}: {}{note}", firing.time, firing.id.alert, firing.reason())
        }
        Event::Delivery(delivery) => {
            let settled = delivery.state.is_final() || show == Show::Everything && delivery.attempts > 0;
            if !settled {
                return None;
            }
            format!("{}: {}", delivery.firing, fate(delivery))
        }
        Event::AlertPut(row) => format!("Alert {} is {}: {}", row.alert.id, row.state, row.alert.rule),
        Event::AlertDeleted { id, .. } => format!("Alert {id} was deleted."),
        Event::Feed(status) => {
            let trouble = status.trouble.as_ref().map(|t| format!(": {t}")).unwrap_or_default();
            let state = if status.state == FeedState::Live {
                "delivers".to_owned()
            } else {
                format!("is {}", status.state.as_str())
            };
            format!("Feed {} {state}{trouble}", status.feed)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_core::{event::FeedStatus, instrument::FeedId, time::Timestamp};

    #[test]
    fn trouble_with_a_feed_is_a_sentence() {
        let status = FeedStatus {
            feed: FeedId::Yahoo,
            state: FeedState::BackingOff,
            instruments: 3,
            since: Timestamp::from_seconds(1),
            next_attempt: None,
            trouble: Some("it answered with 429".to_owned()),
        };
        assert_eq!(
            words(&Event::Feed(status), Show::Sentences),
            Some("Feed yahoo is backing off: it answered with 429".to_owned())
        );
    }
}
