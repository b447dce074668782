//! `doctor`: looks at everything that can be wrong, and says what to do about it.

use std::fmt::Write as _;

use bellwether_core::{config::Config, text::sanitize};
use serde_json::json;

use super::{daemon, service};
use crate::{
    app::rebind::Rebound,
    cli::Global,
    config_file,
    doctor::{Finding, Verdict, machine, network, running},
    error::UserError,
    folders::Folders,
    launch::{self, Absent},
    out,
};

/// Looks, prints what was found, and fails where something is wrong.
pub(super) async fn run(global: &Global) -> anyhow::Result<()> {
    let found = if global.url.is_some() { elsewhere(global).await } else { here(global).await? };
    let wrong = found.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    if global.json {
        out::json(&json!({"ok": wrong == 0, "findings": found}))?;
    } else {
        print(&found)?;
    }
    match wrong {
        0 => Ok(()),
        1 => Err(UserError::new("one thing is wrong").into()),
        more => Err(UserError::new(format!("{more} things are wrong")).into()),
    }
}

fn print(found: &[Finding]) -> anyhow::Result<()> {
    let mut text = String::new();
    for finding in found {
        let (verdict, about, said) = (finding.verdict.as_str(), sanitize(&finding.about), one_line(&finding.said));
        let _ = writeln!(text, "{verdict:<5}  {about}: {said}");
        if let Some(todo) = &finding.todo {
            let _ = writeln!(text, "       -> {}", one_line(todo));
        }
    }
    out::raw(&text)
}

fn one_line(text: &str) -> String {
    sanitize(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Of a daemon on another machine only that can be asked.
async fn elsewhere(global: &Global) -> Vec<Finding> {
    match launch::daemon(global).await {
        Ok(file) => running::daemon(&file).await,
        Err(absent) => vec![absence(absent)],
    }
}

async fn here(global: &Global) -> anyhow::Result<Vec<Finding>> {
    let folders = Folders::find(global)?;
    let mut found = Vec::new();
    let config = configuration(global, &folders, &mut found);
    found.extend(machine::folder("data folder", &folders.data));
    if folders.runtime != folders.data {
        found.extend(machine::folder("runtime folder", &folders.runtime));
    }
    let data = folders.data.clone();
    let database = tokio::task::spawn_blocking(move || daemon::examine_database(&data)).await?;
    found.push(match database {
        Ok(true) => Finding::fine("database", "whole"),
        Ok(false) => Finding::fine("database", "there is none yet"),
        Err(error) => Finding::of(
            "database",
            &format!("{error:#}"),
            "bellwether restore BACKUP, with the newest backup beside it",
        ),
    });
    found.extend(service::finding());
    let alive = match launch::daemon(global).await {
        Ok(file) => {
            found.extend(running::daemon(&file).await);
            true
        }
        Err(absent) => {
            found.push(absence(absent));
            false
        }
    };
    if let Some(mut config) = config {
        if global.demo {
            config.feeds.simulated.enabled = true;
        }
        if !alive {
            found.push(machine::port(&config));
        }
        found.extend(channels(global, &folders, &config).await);
        found.extend(network::feeds(&config).await);
        found.extend(
            daemon::budgets(&config).into_iter().map(|(feed, taken, allowed)| network::budget(feed, taken, allowed)),
        );
    }
    Ok(found)
}

/// The configuration, where it can be used.
fn configuration(global: &Global, folders: &Folders, found: &mut Vec<Finding>) -> Option<Config> {
    let about = "configuration";
    let loaded = config_file::load(&folders.config, global.config.is_some()).and_then(|loaded| {
        daemon::check(&loaded)?;
        Rebound::read(&loaded.config.dashboard.keys).map_err(|wrong| loaded.placed(&wrong))?;
        Ok(loaded)
    });
    match loaded {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                let (said, todo) = warning.rsplit_once(": ").unwrap_or((warning, "change it"));
                found.push(Finding::wrong(about, said, todo));
            }
            found.push(Finding::fine(
                about,
                match &loaded.file {
                    Some(file) => format!("{}: every setting is understood", file.display()),
                    None => format!("there is no {}: the defaults are in force", folders.config.display()),
                },
            ));
            Some(loaded.config)
        }
        Err(error) => {
            found.push(Finding::of(about, &error, config_file::HINT));
            None
        }
    }
}

fn absence(absent: Absent) -> Finding {
    match absent {
        Absent::NoFile(_) => Finding::note(
            "daemon",
            "it does not run",
            "bellwether service install keeps it running; bellwether daemon runs it in the foreground",
        ),
        Absent::NoAnswer(address) => Finding::wrong(
            "daemon",
            format!("the one that was at {address} does not answer"),
            "start it again: bellwether daemon, or systemctl --user restart bellwether",
        ),
        Absent::Unusable(error) => Finding::of("daemon", &error, "start it again with this program"),
    }
}

/// Each channel as far as that goes without sending.
async fn channels(global: &Global, folders: &Folders, config: &Config) -> Vec<Finding> {
    let options = daemon::options(global, folders, config.clone());
    let looked = match daemon::examine_channels(&options.config).await {
        Ok(looked) => looked,
        Err(error) => return vec![Finding::of("channels", &format!("{error:#}"), config_file::HINT)],
    };
    let mut found = Vec::new();
    for (name, said) in looked {
        let about = format!("channel {name}");
        let test = format!("bellwether notify test {name}");
        found.push(match said {
            // What an address is good for only a message shows.
            Some(Ok(said)) if name.as_str().starts_with("webhook") => Finding::fine(about, format!("{said}; {test} sends a message")),
            Some(Ok(said)) => Finding::fine(about, said),
            // A default nobody has to want: the program is of use on a machine without a desktop too.
            Some(Err(trouble)) if name.as_str() == "desktop" => Finding::note(
                about,
                trouble,
                "start a notification daemon in this session (dunst, mako); without a desktop: channels.desktop.enabled = false",
            ),
            Some(Err(trouble)) => Finding::wrong(about, trouble, format!("correct [channels.{name}], then: {test}")),
            None => Finding::fine(about, format!("set up; only a message can tell more: {test}")),
        });
    }
    if found.is_empty() {
        found.push(Finding::wrong(
            "channels",
            "there is none: nothing that fires reaches you",
            "bellwether init, or docs/channels.md",
        ));
    }
    found
}
