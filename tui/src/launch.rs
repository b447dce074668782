//! Finds the daemon that answers, or starts one in the background.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bellwether_core::protocol::{DAEMON_FILE, DaemonFile, PROTOCOL};
use serde::Deserialize;
use tokio::process::Command;

use crate::{cli::Global, client::ApiClient, error::UserError, folders::Folders, logins, rescue};

/// How long a daemon that was started may take to answer.
const STARTING: Duration = Duration::from_secs(15);
/// How often it is looked for while it starts.
const LOOK: Duration = Duration::from_millis(20);
/// The log of a daemon in the background, in the data folder.
pub const LOG: &str = "daemon.log";
/// From which size the log of a daemon in the background is put aside, in bytes.
const LARGEST_LOG: u64 = 5 << 20;

/// Why no daemon was found.
#[derive(Debug)]
pub enum Absent {
    /// There is no `daemon.json`.
    NoFile(PathBuf),
    /// There is one, and nobody answers at its address.
    NoAnswer(String),
    /// It cannot be read, or speaks another protocol.
    Unusable(UserError),
}

/// Reads `daemon.json`.
pub fn read_daemon_file(runtime: &Path) -> Result<DaemonFile, Absent> {
    let path = runtime.join(DAEMON_FILE);
    let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Absent::NoFile(path.clone()),
        _ => Absent::Unusable(UserError::new(format!("cannot read {}: {e}", path.display()))),
    })?;
    // First whose it is: what else stands there may be another in another version.
    if let Ok(Signature { version, protocol, address }) = serde_json::from_str(&text)
        && protocol != PROTOCOL
    {
        return Err(Absent::Unusable(other_version(&address, &version, protocol)));
    }
    let file: DaemonFile = serde_json::from_str(&text).map_err(|_| {
        Absent::Unusable(UserError::with_hint(
            format!("{} is not what a bellwether daemon writes", path.display()),
            "remove it, and start the daemon again: bellwether daemon",
        ))
    })?;
    Ok(file)
}

/// What `daemon.json` says in every version.
#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    version: String,
    protocol: u32,
    #[serde(default)]
    address: String,
}

/// What is said of a daemon that speaks another protocol: whose turn it is to be brought up to date.
pub fn other_version(address: &str, version: &str, protocol: u32) -> UserError {
    let ours = env!("CARGO_PKG_VERSION");
    let what = |older: &str| {
        format!(
            "the daemon at {address} has version {version} and this program {ours}: they do not understand each other, {older}"
        )
    };
    if protocol > PROTOCOL {
        UserError::with_hint(
            what("this program is the older one"),
            "install the newer version here too, or use the program that started that daemon",
        )
    } else {
        UserError::with_hint(
            what("the daemon is the older one"),
            "start it again with this program, nothing is lost by that: `systemctl --user restart bellwether`, or stop it and run \
             `bellwether daemon`",
        )
    }
}

/// The daemon that answers.
pub async fn find(runtime: &Path) -> Result<DaemonFile, Absent> {
    let file = read_daemon_file(runtime)?;
    match ApiClient::new(&file.address, &file.token).health().await {
        Ok(_) => Ok(file),
        Err(_) => Err(Absent::NoAnswer(file.address)),
    }
}

/// The daemon that these flags speak of: the one at `--url`, or this machine's, if it answers.
pub async fn daemon(global: &Global) -> Result<DaemonFile, Absent> {
    let folders = Folders::find(global).map_err(Absent::Unusable)?;
    match &global.url {
        None => find(&folders.runtime).await,
        Some(url) => remote(url).await,
    }
}

/// The daemon at an address, entered with the login that is kept for it.
async fn remote(url: &str) -> Result<DaemonFile, Absent> {
    let address = logins::address(url).map_err(Absent::Unusable)?;
    let token = logins::token(&address).await.map_err(Absent::Unusable)?;
    let health = ApiClient::new(&address, &token).health().await.map_err(|error| {
        let hint = match error.problem() {
            Some(problem) if problem.status == 401 => {
                format!("log in again: bellwether login --url {address} --email YOU")
            }
            Some(problem) if problem.status == 421 => {
                "write that name into `server.allowed_hosts` of the daemon".to_owned()
            }
            _ => "check the address, and the certificate of that server".to_owned(),
        };
        Absent::Unusable(UserError::with_hint(error.to_string(), hint))
    })?;
    Ok(DaemonFile {
        address,
        pid: 0,
        version: health.version,
        protocol: PROTOCOL,
        simulated: health.simulated,
        started: jiff::Timestamp::now().into(),
        token,
    })
}

/// A client of the daemon that answers, or what to do when none does.
pub async fn client(global: &Global) -> Result<ApiClient, UserError> {
    let start = start_command(global);
    match daemon(global).await {
        Ok(file) => Ok(ApiClient::new(&file.address, &file.token)),
        Err(Absent::NoFile(path)) => Err(UserError::with_hint(
            format!("no daemon is running: there is no {}", path.display()),
            format!("start one with `{start}`, or open the dashboard with `bellwether`, which does"),
        )),
        Err(Absent::NoAnswer(address)) => Err(UserError::with_hint(
            format!("the daemon that was at {address} does not answer"),
            format!("start it again with `{start}`"),
        )),
        Err(Absent::Unusable(error)) => Err(error),
    }
}

/// What to type to start the daemon that these flags speak of.
fn start_command(global: &Global) -> String {
    let mut command = "bellwether daemon".to_owned();
    if global.demo {
        command.push_str(" --demo");
    }
    for (flag, value) in [("--config", &global.config), ("--data-dir", &global.data_dir)] {
        if let Some(value) = value {
            command = format!("{command} {flag} {}", value.display());
        }
    }
    command
}

/// Waits until the daemon of these folders answers, which somebody else has started.
pub async fn wait(folders: &Folders) -> Result<DaemonFile, UserError> {
    let deadline = tokio::time::Instant::now() + STARTING;
    loop {
        if let Ok(file) = find(&folders.runtime).await {
            return Ok(file);
        }
        if tokio::time::Instant::now() > deadline {
            let log = folders.data.join(LOG);
            return Err(UserError::with_hint("the daemon does not answer", format!("read {}", log.display())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Starts `bellwether daemon` in the background, away from this terminal, and waits until it answers.
pub async fn start(global: &Global, folders: &Folders) -> anyhow::Result<DaemonFile> {
    let program = std::env::current_exe()
        .map_err(|e| UserError::new(format!("cannot find this program to start its daemon: {e}")))?;
    fs::DirBuilder::new().recursive(true).create(&folders.data).map_err(|e| {
        UserError::with_hint(
            format!("cannot use the folder {}: {e}", folders.data.display()),
            "name one that can be written, with --data-dir",
        )
    })?;
    let log = folders.data.join(LOG);
    // What an earlier daemon said last is worth keeping, but not for ever.
    if fs::metadata(&log).is_ok_and(|about| about.len() > LARGEST_LOG) {
        drop(fs::rename(&log, folders.data.join("daemon.log.1")));
    }
    let before = fs::metadata(&log).map_or(0, |about| about.len());
    let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
    let output = open().map_err(|e| {
        UserError::with_hint(format!("cannot write {}: {e}", log.display()), "name another folder with --data-dir")
    })?;
    let mut command = Command::new(program);
    if let Some(config) = &global.config {
        command.arg("--config").arg(config);
    }
    if let Some(data) = &global.data_dir {
        command.arg("--data-dir").arg(data);
    }
    // Tokio waits for a child that nobody waits for: one that has died must not look alive.
    let mut child = command
        .arg("daemon")
        .env(rescue::VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        // A group of its own: Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(|e| UserError::new(format!("cannot start the daemon: {e}")))?;
    let deadline = tokio::time::Instant::now() + STARTING;
    loop {
        if let Ok(file) = find(&folders.runtime).await {
            return Ok(file);
        }
        if let Ok(Some(_)) = child.try_wait() {
            let all = fs::read(&log).unwrap_or_default();
            let new = all.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
            let said = String::from_utf8_lossy(new).into_owned();
            let said = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
            return Err(UserError::new(format!("the daemon did not start: {said}")).into());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(UserError::with_hint(
                "the daemon was started and does not answer",
                format!("read {}", log.display()),
            )
            .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(DAEMON_FILE), json).expect("written");
        match read_daemon_file(folder.path()) {
            Err(Absent::Unusable(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_newer_and_an_older_daemon_are_told_apart_in_one_sentence_each() {
        // Whatever else a later version writes, this much stands in it.
        let newer = said(r#"{"address":"http://127.0.0.1:8000","version":"9.0.0","protocol":9,"socket":"/run/x"}"#);
        assert!(newer.contains("version 9.0.0") && newer.contains("this program is the older one"), "{newer}");
        assert!(newer.contains("hint: install the newer version"), "{newer}");
        let older = said(r#"{"address":"http://127.0.0.1:8000","version":"0.0.1","protocol":0}"#);
        assert!(older.contains("the daemon is the older one") && older.contains("bellwether daemon"), "{older}");
        assert!(said("{}").contains("is not what a bellwether daemon writes"));
    }
}
