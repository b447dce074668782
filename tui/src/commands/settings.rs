//! `bellwether config example`, `check` and `keys`.

use crate::{app::rebind, cli::Global, config_file, folders::Folders, out};

/// Prints the example file.
pub(super) fn example() -> anyhow::Result<()> {
    out::raw(config_file::EXAMPLE)
}

/// Reads the configuration as the daemon would, and says what is wrong with it.
pub(super) fn check(global: &Global) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    let loaded = config_file::load(&folders.config, global.config.is_some())?;
    super::daemon::check(&loaded)?;
    rebind::Rebound::read(&loaded.config.dashboard.keys).map_err(|wrong| loaded.placed(&wrong))?;
    for warning in &loaded.warnings {
        out::note(&format!("warning: {warning}"));
    }
    match loaded.file {
        Some(file) => out::note(&format!("{}: every setting is understood", file.display())),
        None => out::note(&format!("there is no {}: the defaults are in force", folders.config.display())),
    }
    if global.json {
        out::json(&serde_json::json!({"ok": true, "warnings": loaded.warnings}))?;
    }
    Ok(())
}

/// Prints the actions that can have other keys.
pub(super) fn keys(global: &Global) -> anyhow::Result<()> {
    for (name, keys, place, help) in rebind::table() {
        if global.json {
            out::json(&serde_json::json!({"action": name, "keys": keys, "place": place, "help": help}))?;
        } else {
            out::line(&format!("{name:<16} {keys:<14} {place:<11} {help}"))?;
        }
    }
    Ok(())
}
