//! The real daemon, as a process: started, watched until it is ready, asked, stopped, killed.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use bellwether_core::protocol::{DAEMON_FILE, DaemonFile};
use tokio::{io::AsyncReadExt as _, process::Child, time::timeout};

use super::{Api, PATIENCE, Stream, Task, eventually, lock};

/// A daemon that may not be ready yet.
#[derive(Debug)]
pub(crate) struct Starting {
    child: Child,
    log: Arc<Mutex<String>>,
    _reader: Task,
    folder: PathBuf,
}

impl Starting {
    /// Starts the command. Its `daemon.json` appears in `folder`.
    pub(crate) fn spawn(command: Command, folder: &Path) -> Self {
        let mut command = tokio::process::Command::from(command);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the daemon is started");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().expect("piped");
        let kept = Arc::clone(&log);
        let reader = Task::spawn(async move {
            let mut buffer = vec![0; 8_192];
            while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
                lock(&kept).push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, log, _reader: reader, folder: folder.to_owned() }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Waits until it answers as ready.
    pub(crate) async fn ready(mut self) -> Daemon {
        let path = self.folder.join(DAEMON_FILE);
        let pid = self.pid();
        let http = super::api::client();
        let file = eventually("the daemon gets ready", async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon ended with {status}:\n{}", lock(&self.log));
            }
            let text = tokio::fs::read_to_string(&path).await.ok()?;
            let file: DaemonFile = serde_json::from_str(&text).ok()?;
            if file.pid != pid {
                return None;
            }
            let answer = http.get(format!("{}/health/ready", file.address)).send().await.ok()?;
            answer.status().is_success().then_some(file)
        })
        .await;
        Daemon { process: self, file }
    }

    /// Kills it: SIGKILL, at once.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is killed");
    }

    /// Waits for the end that it finds by itself.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it can be waited for");
        let log = eventually("its last words", async || {
            let log = lock(&self.log).clone();
            (!log.is_empty()).then_some(log)
        });
        (status, log.await)
    }
}

/// A daemon that has been ready.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Starting,
    file: DaemonFile,
}

impl Daemon {
    /// Starts the command and waits until it is ready.
    pub(crate) async fn start(command: Command, folder: &Path) -> Self {
        Starting::spawn(command, folder).ready().await
    }

    /// Where it listens, such as `http://127.0.0.1:40123`.
    pub(crate) fn address(&self) -> &str {
        &self.file.address
    }

    /// The same without the scheme.
    pub(crate) fn authority(&self) -> &str {
        self.file.address.strip_prefix("http://").expect("http")
    }

    /// The owner's token.
    pub(crate) fn token(&self) -> &str {
        &self.file.token
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.file.pid
    }

    /// The API with the owner's token.
    pub(crate) fn api(&self) -> Api {
        Api::new(&self.file.address, Some(&self.file.token))
    }

    /// The API without any token.
    pub(crate) fn stranger(&self) -> Api {
        Api::new(&self.file.address, None)
    }

    /// The owner's WebSocket, past hello and snapshot.
    pub(crate) async fn stream(&self) -> Stream {
        Stream::open(self.authority(), &self.file.token).await
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        lock(&self.process.log).clone()
    }

    /// Sends a signal such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.file.pid.to_string()];
        let status = tokio::process::Command::new("kill").args(arguments).status().await.expect("kill(1)");
        assert!(status.success(), "kill -{name}");
    }

    /// Asks it to read its configuration again, and waits until it has: it writes a new `daemon.json`, with another time of its start.
    pub(crate) async fn reload(&mut self) {
        self.signal("HUP").await;
        self.followed().await;
    }

    /// Waits until it has read its configuration again by itself.
    pub(crate) async fn followed(&mut self) {
        let path = self.process.folder.join(DAEMON_FILE);
        let file: DaemonFile = eventually("the daemon comes back under its new configuration", async || {
            let text = tokio::fs::read_to_string(&path).await.ok()?;
            serde_json::from_str(&text).ok().filter(|file: &DaemonFile| file.started != self.file.started)
        })
        .await;
        self.file = file;
    }

    /// Waits for the end that it finds by itself, or was told to find.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, String) {
        let status =
            timeout(PATIENCE, self.process.child.wait()).await.expect("it ends").expect("it can be waited for");
        // What it said last may still be on its way.
        let said = eventually("its last words", async || {
            let log = self.log();
            log.contains("error: ").then_some(log)
        });
        (status, said.await)
    }

    /// Kills it: SIGKILL, at once.
    pub(crate) async fn kill(self) {
        self.process.kill().await;
    }

    /// Asks it to stop, and waits: it must end with 0. Gives what it wrote to standard error.
    pub(crate) async fn stop(self) -> String {
        self.signal("TERM").await;
        let Self { process: Starting { mut child, log, .. }, .. } = self;
        let status = timeout(PATIENCE, child.wait()).await.expect("it stops").expect("it can be waited for");
        let log = lock(&log).clone();
        assert!(status.success(), "it ended with {status}:\n{log}");
        log
    }
}
