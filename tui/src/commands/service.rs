//! `service install`, `uninstall` and `status`: the daemon as a systemd user service. On macOS `service_mac.rs` does it.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf, absolute},
    process::{Command, Output},
};

use serde_json::json;

use super::{daemon, service_mac};
use crate::{
    cli::{Global, ServiceInstall},
    config_file,
    doctor::Finding,
    error::UserError,
    folders::Folders,
    launch, out,
    unit::{MARK, NAME, Unit},
};

/// Exit statuses of systemd itself (`systemd.exec(5)`): it could not confine the process as the unit wants.
const CONFINING: [u32; 6] = [217, 218, 226, 228, 241, 243];
/// What `status` asks.
const PROPERTIES: &str =
    "LoadState,UnitFileState,ActiveState,SubState,Result,ExecMainStatus,MainPID,NRestarts,StatusText,FragmentPath";

/// Where things of the unit lie.
struct Places {
    unit: PathBuf,
    credentials: PathBuf,
}

impl Places {
    fn find() -> Result<Self, UserError> {
        let base = directories::BaseDirs::new().ok_or_else(|| {
            UserError::with_hint("this user has no home folder, so there is no place for a unit", "set HOME")
        })?;
        let config = base.config_dir();
        Ok(Self {
            unit: config.join("systemd/user").join(NAME),
            credentials: config.join("bellwether").join("credentials"),
        })
    }
}

/// Writes, enables and starts the unit, and waits until the daemon is ready.
pub(super) async fn install(global: &Global, args: ServiceInstall) -> anyhow::Result<()> {
    if global.demo || global.url.is_some() {
        return Err(UserError::new("the demo and a daemon elsewhere are no services of this machine").into());
    }
    if cfg!(target_os = "macos") {
        return service_mac::install(global, args).await;
    }
    let places = Places::find()?;
    a_manager()?;
    let folders = Folders::find(global)?;
    // What the daemon could not use would only fail where nobody looks.
    let loaded = config_file::load(&folders.config, global.config.is_some())?;
    daemon::check(&loaded)?;
    if fs::read_to_string(&places.unit).is_ok_and(|text| !text.starts_with(MARK)) && !args.force {
        return Err(UserError::with_hint(
            format!("{} was not written by this program", places.unit.display()),
            "move it away, or overwrite it with --force",
        )
        .into());
    }
    if let Ok(running) = launch::find(&folders.runtime).await
        && properties()?.get("MainPID").is_none_or(|pid| *pid != running.pid.to_string())
    {
        return Err(UserError::with_hint(
            format!("a daemon runs already (pid {}) that no service has started", running.pid),
            format!("stop it, nothing is lost by that: kill {}", running.pid),
        )
        .into());
    }
    let unit = unit(global, args, &folders, &places)?;
    write(&places.unit, &unit.text(), 0o644)?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", NAME])?;
    if systemctl(&["restart", NAME]).is_err() {
        return Err(not_started(&properties()?).into());
    }
    let lingering = is_lingering();
    if !unit.credentials.is_empty() {
        let names: Vec<&str> = unit.credentials.iter().map(|(name, _)| name.as_str()).collect();
        out::note(&format!(
            "{} of this shell are kept in {} (mode 0600) and handed to the service",
            names.join(", "),
            places.credentials.display()
        ));
    }
    if !lingering {
        out::note("It runs while you are logged in. From boot on, and after you log out: loginctl enable-linger");
    }
    if global.json {
        return out::json(&json!({"unit": places.unit, "lingering": lingering}));
    }
    out::line(&format!("installed {}: {}", places.unit.display(), text_of(&properties()?, "StatusText")))
}

/// The unit for these flags; the folders and files that it names are there afterwards.
fn unit(global: &Global, args: ServiceInstall, folders: &Folders, places: &Places) -> anyhow::Result<Unit> {
    let failed = |path: &Path, e: &io::Error| {
        UserError::with_hint(format!("cannot make {}: {e}", path.display()), "free it, or set HOME and XDG_CONFIG_HOME")
    };
    let program = env::current_exe()
        .map_err(|e| UserError::new(format!("cannot find this program to make a service of it: {e}")))?;
    let data = absolute(&folders.data)?;
    if !data.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(|e| failed(&data, &e))?;
    }
    let mut arguments = Vec::new();
    for (flag, value) in [("--config", &global.config), ("--data-dir", &global.data_dir)] {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), absolute(value)?.to_string_lossy().into_owned()]);
        }
    }
    let mut credentials = Vec::new();
    for name in config_file::variables(&folders.config, global.config.is_some())? {
        let file = places.credentials.join(&name);
        if let Some(value) = env::var(&name).ok().filter(|value| !value.is_empty()) {
            write(&file, &format!("{value}\n"), 0o600)?;
        }
        if file.exists() {
            credentials.push((name, file));
        }
    }
    Ok(Unit { program, arguments, writes: vec![data], credentials, hardened: !args.plain })
}

/// Stops and disables the unit, and removes what `install` has written. The data and the configuration stay.
pub(super) fn uninstall(global: &Global) -> anyhow::Result<()> {
    if cfg!(target_os = "macos") {
        return service_mac::uninstall(global);
    }
    let places = Places::find()?;
    let text = fs::read_to_string(&places.unit).map_err(|_| {
        UserError::with_hint(
            format!("there is no service: {} is not there", places.unit.display()),
            "`bellwether service install` makes one",
        )
    })?;
    if !text.starts_with(MARK) {
        return Err(UserError::with_hint(
            format!("{} was not written by this program", places.unit.display()),
            "remove it yourself: systemctl --user disable --now bellwether",
        )
        .into());
    }
    a_manager()?;
    systemctl(&["disable", "--now", NAME])?;
    fs::remove_file(&places.unit)?;
    for line in text.lines().filter_map(|line| line.strip_prefix("LoadCredential=")) {
        if let Some((name, _)) = line.split_once(':').filter(|(name, _)| !name.contains('/')) {
            drop(fs::remove_file(places.credentials.join(name)));
        }
    }
    drop(fs::remove_dir(&places.credentials));
    systemctl(&["daemon-reload"])?;
    // A unit that has failed before would be remembered.
    drop(systemctl(&["reset-failed", NAME]));
    if global.json {
        return out::json(&json!({"removed": places.unit}));
    }
    out::line(&format!("removed {}; alerts, data and configuration stay", places.unit.display()))
}

/// How the service is doing; a failure where it does not run.
pub(super) fn status(global: &Global) -> anyhow::Result<()> {
    if cfg!(target_os = "macos") {
        return service_mac::status(global);
    }
    a_manager()?;
    let known = properties()?;
    let active = text_of(&known, "ActiveState") == "active";
    if global.json {
        out::json(&json!({
            "installed": text_of(&known, "LoadState") == "loaded",
            "enabled": text_of(&known, "UnitFileState") == "enabled",
            "active": active,
            "state": text_of(&known, "SubState"),
            "result": text_of(&known, "Result"),
            "pid": text_of(&known, "MainPID").parse::<u32>().ok().filter(|pid| *pid > 0),
            "restarts": text_of(&known, "NRestarts").parse::<u32>().ok(),
            "says": text_of(&known, "StatusText"),
            "unit": text_of(&known, "FragmentPath"),
            "lingering": is_lingering(),
        }))?;
    } else if text_of(&known, "LoadState") == "loaded" {
        out::line(&format!(
            "{} ({}), {}, pid {}, {} restarts, lingering {}",
            text_of(&known, "ActiveState"),
            text_of(&known, "SubState"),
            text_of(&known, "UnitFileState"),
            text_of(&known, "MainPID"),
            text_of(&known, "NRestarts"),
            if is_lingering() { "on" } else { "off" },
        ))?;
        out::line(&format!("it says: {}", text_of(&known, "StatusText")))?;
    }
    if active {
        return Ok(());
    }
    if text_of(&known, "LoadState") == "loaded" {
        return Err(not_started(&known).into());
    }
    Err(UserError::with_hint("there is no service", "`bellwether service install` makes one").into())
}

/// How the service is, for `doctor`: nothing where there is none, or no systemd.
pub(super) fn finding() -> Option<Finding> {
    a_manager().ok()?;
    let known = properties().ok()?;
    if text_of(&known, "LoadState") != "loaded" {
        return None;
    }
    Some(if text_of(&known, "ActiveState") == "active" {
        Finding::fine("service", format!("active, {} restarts", text_of(&known, "NRestarts")))
    } else {
        Finding::of("service", &not_started(&known), "systemctl --user restart bellwether")
    })
}

fn not_started(known: &BTreeMap<String, String>) -> UserError {
    let status = text_of(known, "ExecMainStatus");
    let what = format!("the service does not run: {} (status {status})", text_of(known, "Result"));
    if status.parse::<u32>().is_ok_and(|status| CONFINING.contains(&status)) {
        return UserError::with_hint(
            format!("{what}: this system cannot confine a user's service as the unit wants"),
            "install it without that: bellwether service install --plain",
        );
    }
    if text_of(known, "ActiveState") == "activating" {
        return UserError::with_hint("the service is still starting", "look again in a moment");
    }
    UserError::with_hint(what, "read what it said: journalctl --user -u bellwether -n 50")
}

/// Whether this user's services run without a login.
fn is_lingering() -> bool {
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default();
    !user.is_empty() && Path::new("/var/lib/systemd/linger").join(user).exists()
}

/// That there is a user manager which answers.
fn a_manager() -> Result<(), UserError> {
    let hint = "let whatever starts programs on this system run `bellwether daemon`; it stays in the foreground and ends on SIGTERM";
    match Command::new("systemctl").args(["--user", "show-environment"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(UserError::with_hint(
            format!("the systemd of this user does not answer: {}", said(&output)),
            format!("log in anew (not with su or sudo), or {hint}"),
        )),
        Err(_) => Err(UserError::with_hint("this system has no systemd", hint)),
    }
}

fn properties() -> Result<BTreeMap<String, String>, UserError> {
    let text = systemctl(&["show", "--property", PROPERTIES, NAME])?;
    Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

fn text_of<'a>(known: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    known.get(key).map_or("", String::as_str)
}

fn systemctl(arguments: &[&str]) -> Result<String, UserError> {
    let output = Command::new("systemctl")
        .arg("--user")
        .arg("--no-pager")
        .args(arguments)
        .output()
        .map_err(|e| UserError::new(format!("cannot run systemctl: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(UserError::new(format!("systemctl --user {}: {}", arguments.join(" "), said(&output))))
}

pub(super) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().next().unwrap_or("it said nothing").to_owned()
}

/// Writes a file whole or not at all, and makes the folders above it.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let failed = |e: io::Error| UserError::new(format!("cannot write {}: {e}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("/"));
    let private = if mode == 0o600 { 0o700 } else { 0o755 };
    fs::DirBuilder::new().recursive(true).mode(private).create(folder).map_err(failed)?;
    let draft = path.with_extension("new");
    drop(fs::remove_file(&draft));
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&draft).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_cannot_confine_it_is_told_apart_from_a_daemon_that_fails() {
        let known = |status: &str| {
            BTreeMap::from([
                ("Result".to_owned(), "exit-code".to_owned()),
                ("ExecMainStatus".to_owned(), status.to_owned()),
            ])
        };
        assert!(not_started(&known("226")).to_string().contains("--plain"));
        assert!(not_started(&known("1")).to_string().contains("journalctl"));
    }

    #[test]
    fn what_is_written_is_whole_and_as_private_as_it_should_be() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a/b/SMTP_PASSWORD");
        for text in ["one\n", "two\n"] {
            write(&file, text, 0o600).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("there"), text);
        }
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("a/b")).expect("there").mode() & 0o777, 0o700);
    }
}
