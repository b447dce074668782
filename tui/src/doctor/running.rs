//! What the daemon that runs says of itself: whether it is ready, its feeds and bans, its channels, what could not be delivered, and
//! whether it is of this version.

use bellwether_core::{
    delivery::{Delivery, DeliveryState, Waits},
    event::{FeedState, FeedStatus},
    protocol::{DaemonFile, Health},
    time::Timestamp,
};

use super::Finding;
use crate::client::ApiClient;

/// How many of those that wait are looked at.
const MANY: usize = 200;

/// Asks the daemon.
pub async fn daemon(file: &DaemonFile) -> Vec<Finding> {
    let client = ApiClient::new(&file.address, &file.token);
    let mut found = vec![version(&file.version)];
    match client.health().await {
        Ok(health) => found.extend(health_of(&health)),
        Err(error) => found.push(Finding::of("daemon", &error, "stop it and start it again")),
    }
    if let Ok(channels) = client.channels().await {
        for channel in channels.iter().filter(|channel| !channel.ready) {
            let todo = format!("bellwether notify test {}", channel.name);
            found.push(Finding::wrong(format!("channel {}", channel.name), channel.status.clone(), todo));
        }
    }
    for state in [DeliveryState::Queued, DeliveryState::Retry] {
        if let Ok(waiting) = client.deliveries(state, MANY, None).await {
            found.extend(held_by_limits(&waiting.items));
        }
    }
    if let Ok(dead) = client.deliveries(DeliveryState::Dead, 1, None).await
        && let Some(last) = dead.items.first()
    {
        let answer = last.answer.clone().unwrap_or_default();
        found.push(Finding::note(
            "deliveries",
            format!("some were given up or refused, the last one by {}: {answer}", last.channel),
            "bellwether events --dead shows them, bellwether deliveries retry --all sends them again",
        ));
    }
    found
}

/// The channels whose limits hold something back, each once.
fn held_by_limits(waiting: &[Delivery]) -> Vec<Finding> {
    let mut channels: Vec<&str> = waiting
        .iter()
        .filter(|delivery| delivery.waits == Some(Waits::Limit))
        .map(|delivery| delivery.channel.as_str())
        .collect();
    channels.sort_unstable();
    let mut found = Vec::new();
    for same in channels.chunk_by(|a, b| a == b) {
        found.push(Finding::note(
            format!("limits of {}", same[0]),
            format!("{} or more messages wait until it may send again", same.len()),
            format!(
                "nothing, they are sent one by one; [channels.{}.limits] says how many it may send",
                same[0].replace(':', ".")
            ),
        ));
    }
    found
}

fn version(theirs: &str) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    if theirs == ours {
        return Finding::fine("version", format!("the daemon and this program are both {ours}"));
    }
    Finding::note(
        "version",
        format!("the daemon is {theirs}, this program {ours}"),
        "start the daemon again with this program: bellwether service install, or stop it and run bellwether daemon",
    )
}

fn health_of(health: &Health) -> Vec<Finding> {
    let mut found = Vec::new();
    for (part, said) in &health.checks {
        if said != "ok" {
            found.push(Finding::wrong(format!("daemon: {part}"), said.clone(), todo_of(part)));
        }
    }
    for (about, said) in &health.notes {
        found.push(Finding::wrong(format!("daemon: {about}"), said.clone(), todo_of(about)));
    }
    if found.is_empty() {
        found.push(Finding::fine("daemon", format!("ready, up for {} s", health.uptime_seconds)));
    }
    found.extend(health.feeds.iter().map(feed));
    found
}

/// What helps where a part of the daemon is not well.
fn todo_of(part: &str) -> &'static str {
    match part {
        "outbox" | "store" => "free some room on the disk of the data folder, and look whether it can be written",
        "configuration" => "correct the file; it is taken up as soon as it is right",
        "heartbeat" => "look whether `heartbeat.url` can be reached from here",
        _ => "read the log; if it stays so, stop the daemon and start it again",
    }
}

fn feed(status: &FeedStatus) -> Finding {
    let about = format!("feed {}, in the daemon", status.feed);
    let state = status.state.as_str();
    let trouble = status.trouble.clone().unwrap_or_default();
    let next = status.next_attempt.map(|at: Timestamp| format!(", tries again at {at}")).unwrap_or_default();
    let said = format!("{state} since {}{next}{}{trouble}", status.since, if trouble.is_empty() { "" } else { ": " });
    match status.state {
        FeedState::Live if trouble.is_empty() => {
            Finding::fine(about, format!("{state}, {} instruments", status.instruments))
        }
        FeedState::Off => Finding::fine(about, "nothing is wanted of it"),
        FeedState::Live | FeedState::Connecting | FeedState::Paused => {
            Finding::note(about, said, "nothing: other feeds stand in for it where they can")
        }
        FeedState::Refused | FeedState::Banned => Finding::wrong(
            about,
            said,
            "wait, the provider's time is obeyed; a key of your own or a longer interval helps (docs/feeds.md)",
        ),
        FeedState::Blocked => Finding::wrong(
            about,
            said,
            format!("this place is not served: switch it off with feeds.{}.enabled = false", status.feed),
        ),
        FeedState::BackingOff => Finding::wrong(about, said, "check the network; it tries again by itself"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use bellwether_core::instrument::FeedId;

    #[test]
    fn a_ban_and_a_full_disk_are_named_with_what_to_do() {
        let at = Timestamp::from_seconds(1_795_300_000);
        let status = |state, trouble: Option<&str>| FeedStatus {
            feed: FeedId::Coingecko,
            state,
            instruments: 3,
            since: at,
            next_attempt: Some(at),
            trouble: trouble.map(str::to_owned),
        };
        let health = Health {
            status: "not ready".to_owned(),
            version: "0".to_owned(),
            simulated: false,
            notes: [("configuration".to_owned(), "config.toml:3:1: unknown key".to_owned())].into(),
            uptime_seconds: 5,
            checks: [("store".to_owned(), "the disk is full".to_owned()), ("hub".to_owned(), "ok".to_owned())].into(),
            feeds: vec![
                status(FeedState::Banned, Some("HTTP 418")),
                status(FeedState::Live, None),
                status(FeedState::BackingOff, Some("no network")),
            ],
        };
        let found = health_of(&health);
        let verdicts: Vec<Verdict> = found.iter().map(|f| f.verdict).collect();
        assert_eq!(verdicts, [Verdict::Wrong, Verdict::Wrong, Verdict::Wrong, Verdict::Fine, Verdict::Wrong]);
        assert!(found[0].todo.as_deref().is_some_and(|todo| todo.contains("room on the disk")));
        assert!(found[1].todo.as_deref().is_some_and(|todo| todo.contains("correct the file")));
        assert!(found[2].said.contains("HTTP 418") && found[2].said.contains("tries again at"), "{found:?}");
    }

    #[test]
    fn another_version_is_told_and_no_failure() {
        assert_eq!(version(env!("CARGO_PKG_VERSION")).verdict, Verdict::Fine);
        let found = version("0.0.1");
        assert!(found.verdict == Verdict::Note && found.said.contains("0.0.1"), "{found:?}");
    }
}
