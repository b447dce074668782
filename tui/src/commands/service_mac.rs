//! `service install`, `uninstall` and `status` where launchd is the manager: a launch agent of this user. It is compiled everywhere, so that it
//! stays in order, and run on macOS alone, where nobody has tried it yet.

use std::{
    env, fs,
    path::{Path, PathBuf, absolute},
    process::Command,
};

use serde_json::json;

use super::{
    daemon,
    service::{said, write},
};
use crate::{
    cli::{Global, ServiceInstall},
    config_file,
    error::UserError,
    folders::Folders,
    launch,
    launch_agent::{Agent, LABEL, MARK},
    out,
};

/// Writes the agent, has launchd take it, and waits until the daemon answers.
pub(super) async fn install(global: &Global, args: ServiceInstall) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    let loaded = config_file::load(&folders.config, global.config.is_some())?;
    daemon::check(&loaded)?;
    let file = file()?;
    if fs::read_to_string(&file).is_ok_and(|text| !text.contains(MARK)) && !args.force {
        return Err(UserError::with_hint(
            format!("{} was not written by this program", file.display()),
            "move it away, or overwrite it with --force",
        )
        .into());
    }
    let program = env::current_exe()
        .map_err(|e| UserError::new(format!("cannot find this program to make a service of it: {e}")))?;
    let mut arguments = Vec::new();
    for (flag, value) in [("--config", &global.config), ("--data-dir", &global.data_dir)] {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), absolute(value)?.to_string_lossy().into_owned()]);
        }
    }
    let set: Vec<String> = config_file::variables(&folders.config, global.config.is_some())?
        .into_iter()
        .filter(|name| env::var_os(name).is_some())
        .collect();
    if !set.is_empty() {
        out::note(&format!(
            "launchd does not hand over {}: write each as {{ file = \"...\" }} into the configuration",
            set.join(", ")
        ));
    }
    let data = absolute(&folders.data)?;
    fs::create_dir_all(&data).map_err(|e| UserError::new(format!("cannot make {}: {e}", data.display())))?;
    write(&file, &Agent { program, arguments, log: data.join(launch::LOG) }.text(), 0o644)?;
    // One of before is taken out first; that there is none is no failure.
    drop(launchctl(&["bootout", &target()]));
    launchctl(&["bootstrap", &domain(), &file.to_string_lossy()])?;
    let daemon = launch::wait(&folders).await?;
    if global.json {
        return out::json(&json!({"unit": file}));
    }
    out::line(&format!("installed {}: answers at {}", file.display(), daemon.address))
}

/// Stops the agent and removes its file.
pub(super) fn uninstall(global: &Global) -> anyhow::Result<()> {
    let file = file()?;
    if !fs::read_to_string(&file).is_ok_and(|text| text.contains(MARK)) {
        return Err(UserError::with_hint(
            format!("there is no service: {} is not there, or is not ours", file.display()),
            "`bellwether service install` makes one",
        )
        .into());
    }
    drop(launchctl(&["bootout", &target()]));
    fs::remove_file(&file)?;
    if global.json {
        return out::json(&json!({"removed": file}));
    }
    out::line(&format!("removed {}; alerts, data and configuration stay", file.display()))
}

/// Whether launchd runs it.
pub(super) fn status(global: &Global) -> anyhow::Result<()> {
    let (active, says) = match launchctl(&["print", &target()]) {
        Ok(text) => (text.contains("state = running"), text),
        Err(error) => (false, error.to_string()),
    };
    if global.json {
        out::json(&json!({"installed": file()?.exists(), "active": active}))?;
    } else if active {
        let line = |key: &str| says.lines().map(str::trim).find(|line| line.starts_with(key)).unwrap_or_default();
        out::line(&format!("active, {}", line("pid")))?;
    }
    if active {
        return Ok(());
    }
    Err(UserError::with_hint(
        "the service does not run",
        "`bellwether service install` makes one; what it said is in daemon.log beside the database",
    )
    .into())
}

fn file() -> Result<PathBuf, UserError> {
    let base = directories::BaseDirs::new().ok_or_else(|| {
        UserError::with_hint("this user has no home folder, so there is no place for an agent", "set HOME")
    })?;
    Ok(base.home_dir().join(Path::new("Library/LaunchAgents")).join(format!("{LABEL}.plist")))
}

fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

fn target() -> String {
    format!("{}/{LABEL}", domain())
}

fn launchctl(arguments: &[&str]) -> Result<String, UserError> {
    let output = Command::new("launchctl")
        .args(arguments)
        .output()
        .map_err(|e| UserError::new(format!("cannot run launchctl: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(UserError::new(format!("launchctl {}: {}", arguments.join(" "), said(&output))))
}
