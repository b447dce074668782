//! What the benchmarks share: the real program as a daemon, an exchange that speaks as Coinbase does, a client of the WebSocket.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bellwether_core::protocol::{DAEMON_FILE, DaemonFile, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bellwether");

/// A daemon of the release build in a folder of its own, ended when dropped.
pub(crate) struct Daemon {
    child: Child,
    folder: Option<tempfile::TempDir>,
}

impl Daemon {
    pub(crate) fn spawn(config: &str) -> Self {
        Self::spawn_in(tempfile::tempdir().unwrap(), config)
    }

    /// In the folder of one before.
    pub(crate) fn spawn_in(folder: tempfile::TempDir, config: &str) -> Self {
        let file = folder.path().join("config.toml");
        fs::write(&file, config).unwrap();
        let child = program(&folder.path().join("data"), &file)
            .arg("daemon")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder: Some(folder) }
    }

    /// Ends it, by this signal, and gives its folder.
    pub(crate) fn ended(mut self, signal: &str) -> tempfile::TempDir {
        let sent = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
        self.folder.take().unwrap()
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("config.toml")
    }

    /// Waits until it answers that it is ready.
    pub(crate) async fn ready(&self) -> DaemonFile {
        let http = reqwest::Client::new();
        loop {
            if let Some(file) = fs::read(self.data().join(DAEMON_FILE))
                .ok()
                .and_then(|text| serde_json::from_slice::<DaemonFile>(&text).ok())
                && let Ok(answer) = http.get(format!("{}/health/ready", file.address)).send().await
                && answer.status().is_success()
            {
                return file;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        resident(self.child.id())
    }

    /// Processor time used so far, in seconds.
    pub(crate) fn busy(&self) -> f64 {
        busy(self.child.id())
    }
}

/// A process's resident memory in MiB.
pub(crate) fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The processor time that a process has used so far, in seconds.
pub(crate) fn busy(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime in clock ticks, 100 a second on Linux.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn program(data: &Path, config: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_remove("BELLWETHER_CONFIG").env_remove("BELLWETHER_DATA_DIR");
    command.arg("--data-dir").arg(data).arg("--config").arg(config);
    command
}

pub(crate) const SIMULATED: &str =
    "[feeds.simulated]\nenabled = true\nrate = 50\n[channels.desktop]\nenabled = false\n[log]\nlevel = \"error\"\n";

/// An exchange that speaks as Coinbase does and sends what it is given.
pub(crate) async fn exchange(listener: TcpListener, mut frames: mpsc::Receiver<String>) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            break;
        }
    }
    let products = r#"{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD","ETH-USD"],"account_ids":null}]}"#;
    socket.send(Message::text(products)).await.unwrap();
    while let Some(frame) = frames.recv().await {
        if socket.send(Message::text(frame)).await.is_err() {
            return;
        }
    }
}

pub(crate) fn ticker(product: &str, cents: u64) -> String {
    let now = jiff::Timestamp::now();
    format!(
        r#"{{"type":"ticker","sequence":1,"product_id":"{product}","price":"{}.{:02}","open_24h":"60000","volume_24h":"1","low_24h":"1","high_24h":"2","side":"sell","time":"{now:.6}","trade_id":1,"last_size":"1"}}"#,
        cents / 100,
        cents % 100
    )
}

pub(crate) type Client = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

pub(crate) async fn subscribe(file: &DaemonFile) -> Client {
    let address = file.address.replacen("http", "ws", 1);
    let mut request = format!("{address}/prices/ws").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", file.token).parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

pub(crate) async fn next(client: &mut Client, wanted: impl Fn(&ServerFrame) -> bool) {
    while let Some(Ok(message)) = client.next().await {
        if let Message::Text(text) = message
            && serde_json::from_str::<ServerFrame>(&text).is_ok_and(|frame| wanted(&frame))
        {
            return;
        }
    }
    panic!("the daemon hung up");
}

pub(crate) fn report(what: &str, taken: &mut [Duration], to_reach: &str) {
    taken.sort();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1_000.0;
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms over {} (to reach: {to_reach})",
        at(0.5),
        at(0.99),
        at(1.0),
        taken.len()
    );
}
