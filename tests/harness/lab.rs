//! A folder of its own for one test, and the real program run in it: nothing of the user's home, session or environment is seen.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Daemon, PATIENCE, Settings};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bellwether");

/// The folder.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: TempDir,
}

/// What a command said.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Its exit status; nothing where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Output {
    /// Standard output, of a command that must have succeeded.
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.out
    }

    /// Standard output as JSON, of a command that must have succeeded.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.done()).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// Standard error of a command that must have been refused: one clear sentence, nothing on standard output.
    pub(crate) fn refused(&self) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:#?}");
        assert!(!self.err.trim().is_empty(), "refused without a word");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        &self.err
    }
}

impl Lab {
    /// An empty one, with a home folder and nothing in it.
    pub(crate) fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for folder in ["home", "home/.config", "run"] {
            fs::create_dir(lab.path(folder)).expect("a folder");
        }
        fs::set_permissions(lab.path("run"), fs::Permissions::from_mode(0o700)).expect("chmod");
        lab
    }

    /// One whose configuration is written already.
    pub(crate) fn with(settings: &Settings) -> Self {
        let lab = Self::new();
        lab.configure(&settings.to_string());
        lab
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the daemon keeps its data, and `daemon.json`.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    /// Writes the configuration, readable by its owner alone.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.config(), text).expect("the configuration is written");
        fs::set_permissions(self.config(), fs::Permissions::from_mode(0o600)).expect("chmod");
    }

    /// The program with these arguments, in an environment that holds nothing of ours.
    pub(crate) fn bare(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.program(Path::new(PROGRAM), arguments)
    }

    /// Any program in that environment.
    pub(crate) fn program(&self, program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for name in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("home/.config"))
            .env("XDG_DATA_HOME", self.path("home/.local/share"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            // A bus that nobody listens on: tests must not ring on the developer's desktop.
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.path("no-bus").display()))
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        command
    }

    /// The program with these arguments, this lab's data folder, and its configuration where there is one.
    pub(crate) fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.bare(arguments);
        command.arg("--data-dir").arg(self.data());
        if self.config().exists() {
            command.arg("--config").arg(self.config());
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) async fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        finish(self.command(arguments)).await
    }

    /// Starts a daemon here and waits until it is ready.
    pub(crate) async fn daemon(&self) -> Daemon {
        Daemon::start(self.command(["daemon"]), &self.data()).await
    }
}

/// Runs a command to its end, which must come.
pub(crate) async fn finish(command: Command) -> Output {
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("it never ended: {shown}"))
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    Output {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
