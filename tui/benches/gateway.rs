//! The gateway's figures of `docs/performance.md`, on the real program in its release build, beside plain servers in the same run:
//!
//! ```sh
//! BELLWETHER_BENCH_NODE=FOLDER BELLWETHER_BENCH_PYTHON=PYTHON cargo bench -p bellwether --bench gateway
//! ```
//!
//! FOLDER has `node_modules/ws` in it, PYTHON knows `websockets`; without one that server is left out. It prints one line a figure.
//! Nothing is asserted: a busy machine is slow.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people who measure; it may end with a panic"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, by the wall clock"
)]

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bellwether_core::{
    catalog::Catalog,
    protocol::{DAEMON_FILE, DaemonFile},
    time::{Span, Timestamp},
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bellwether");
/// How many instruments have prices, each once a second.
const INSTRUMENTS: usize = 60;
/// How long is counted.
const COUNTED: Duration = Duration::from_secs(5);

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn main() {
    // `cargo test --benches` runs benches too; this one is only for `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        idle().await;
        rest().await;
        for clients in [1, 100, 1_000] {
            for server in [Server::bellwether().await, Server::node(), Server::python()].into_iter().flatten() {
                fan_out(&server, clients, false).await;
            }
        }
        for stuck in [false, true] {
            fan_out(&Server::bellwether().await.unwrap(), 100, stuck).await;
        }
    });
}

/// A server with prices to give, ended when dropped.
struct Server {
    name: &'static str,
    child: Child,
    address: String,
    token: String,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const QUIET: &str = "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 4000\nmax_websockets = 2000\n\
    [channels.desktop]\nenabled = false\n[log]\nlevel = \"error\"\n[feeds.coinbase]\nenabled = false\n[feeds.kraken]\n\
    enabled = false\n[feeds.binance]\nenabled = false\n[feeds.coingecko]\nenabled = false\n[feeds.yahoo]\nenabled = false\n";

impl Server {
    /// The daemon, with that file in its folder and these further arguments.
    async fn daemon(tape: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, data) = (folder.path().join("config.toml"), folder.path().join("data"));
        fs::write(&config, QUIET).unwrap();
        let mut command = Command::new(PROGRAM);
        command.env_remove("BELLWETHER_CONFIG").env_remove("BELLWETHER_DATA_DIR").arg("daemon");
        command.arg("--data-dir").arg(&data).arg("--config").arg(&config);
        if let Some(tape) = tape {
            let file = folder.path().join("tape.csv");
            fs::write(&file, tape).unwrap();
            command.arg("--play").arg(file);
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().unwrap();
        let http = reqwest::Client::new();
        let file: DaemonFile = loop {
            if let Ok(text) = fs::read(data.join(DAEMON_FILE))
                && let Ok(file) = serde_json::from_slice::<DaemonFile>(&text)
                && let Ok(answer) = http.get(format!("{}/health/ready", file.address)).send().await
                && answer.status().is_success()
            {
                break file;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Self { name: "bellwether", child, address: file.address, token: file.token, _folder: Some(folder) }
    }

    /// The daemon that plays a tape: each of sixty instruments once a second.
    async fn bellwether() -> Option<Self> {
        let catalog = Catalog::builtin();
        let symbols: Vec<String> =
            catalog.instruments().iter().take(INSTRUMENTS).map(|one| one.symbol.to_string()).collect();
        let begin = Timestamp::from_seconds(1_790_000_000);
        let mut tape = "time,symbol,price\n".to_owned();
        for n in 0..INSTRUMENTS * 120 {
            let at = begin.plus(Span::from_millis(i64::try_from(n * 1_000 / INSTRUMENTS).unwrap()));
            writeln!(tape, "{at},{},{}.{:02}", symbols[n % INSTRUMENTS], 100, n / INSTRUMENTS % 100).unwrap();
        }
        Some(Self::daemon(Some(&tape)).await)
    }

    fn plain(name: &'static str, mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let address = format!("http://127.0.0.1:{}", port.trim());
        Self { name, child, address, token: String::new(), _folder: None }
    }

    fn node() -> Option<Self> {
        let folder = std::env::var_os("BELLWETHER_BENCH_NODE")?;
        let mut command = Command::new("node");
        command.arg(sources().join("plain.mjs")).current_dir(folder);
        Some(Self::plain("ws on Node", command))
    }

    fn python() -> Option<Self> {
        let mut command = Command::new(std::env::var_os("BELLWETHER_BENCH_PYTHON")?);
        command.arg(sources().join("plain.py"));
        Some(Self::plain("websockets on Python", command))
    }

    async fn connect(&self) -> Client {
        let url = self.address.replacen("http", "ws", 1) + "/prices/ws";
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        tokio_tungstenite::connect_async(request).await.unwrap().0
    }

    /// Resident memory in bytes.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1_024.0
    }

    /// Processor time used so far, in seconds.
    fn busy(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // utime and stime in clock ticks, 100 a second on Linux.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }
}

fn sources() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bench")
}

/// What clients have heard.
#[derive(Default)]
struct Heard {
    counting: AtomicBool,
    messages: AtomicU64,
    /// When each client heard each price of one instrument in a few.
    samples: Mutex<Vec<(String, Instant)>>,
}

/// Reads prices for ever.
async fn listen(mut client: Client, heard: Arc<Heard>) {
    while let Some(Ok(message)) = client.next().await {
        let Message::Text(text) = message else { continue };
        if !heard.counting.load(Ordering::Relaxed) || !text.contains("\"type\":\"price\"") {
            continue;
        }
        heard.messages.fetch_add(1, Ordering::Relaxed);
        let at = Instant::now();
        let part = |name: &str| text.split(name).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let (symbol, price) = (part("\"symbol\":\""), part("\"price\":\""));
        // One instrument in ten, so that keeping it does not become what is measured.
        if symbol.bytes().map(u32::from).sum::<u32>().is_multiple_of(10) {
            heard.samples.lock().unwrap().push((format!("{symbol} {price}"), at));
        }
    }
}

async fn fan_out(server: &Server, clients: usize, stuck: bool) {
    let heard = Arc::new(Heard::default());
    let mut tasks = Vec::new();
    for _ in 0..clients {
        tasks.push(tokio::spawn(listen(server.connect().await, Arc::clone(&heard))));
    }
    // Says that it wants everything, and never reads a word of it.
    let silent = if stuck { Some(server.connect().await) } else { None };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (begin, busy) = (Instant::now(), server.busy());
    heard.counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(COUNTED).await;
    heard.counting.store(false, Ordering::Relaxed);
    let (taken, busy) = (begin.elapsed().as_secs_f64(), server.busy() - busy);
    for task in tasks {
        task.abort();
    }
    drop(silent);
    let messages = heard.messages.load(Ordering::Relaxed) as f64;
    let samples = std::mem::take(&mut *heard.samples.lock().unwrap());
    let mut first: HashMap<&str, Instant> = HashMap::new();
    for (key, at) in &samples {
        first.entry(key).and_modify(|known| *known = (*known).min(*at)).or_insert(*at);
    }
    let mut behind: Vec<Duration> = samples.iter().map(|(key, at)| at.duration_since(first[key.as_str()])).collect();
    behind.sort_unstable();
    let p99 = behind.get(behind.len() * 99 / 100).copied().unwrap_or_default();
    let p50 = behind.get(behind.len() / 2).copied().unwrap_or_default();
    println!(
        "{}: {clients} clients{}: {:.0} messages/s, {:.1} us of processor time a message, behind the first client p50 {:.1} ms, \
         p99 {:.1} ms",
        server.name,
        if stuck { " and one that never reads" } else { "" },
        messages / taken,
        busy * 1e6 / messages.max(1.0),
        p50.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3
    );
}

/// What a client costs that has nothing to hear.
async fn idle() {
    let server = Server::daemon(None).await;
    // The first ones fill what is kept once for all.
    let mut clients = Vec::new();
    for count in [100, 1_000] {
        let before = (server.resident(), clients.len());
        while clients.len() < count {
            let mut client = server.connect().await;
            // Hello and snapshot.
            for _ in 0..2 {
                client.next().await.unwrap().unwrap();
            }
            client.send(Message::text(r#"{"type":"subscribe","topics":["firings"]}"#)).await.unwrap();
            client.next().await.unwrap().unwrap();
            clients.push(client);
        }
        let each = (server.resident() - before.0) / (clients.len() - before.1) as f64 / 1_000.0;
        println!("idle clients {} to {count}: {each:.1} kB of resident memory each", before.1);
    }
}

/// Reads and durable creations a second, eight clients at once.
async fn rest() {
    let server = Server::daemon(None).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let each = |what: &'static str, calls: usize| {
        let (http, url, token) = (http.clone(), format!("{}/alerts", server.address), server.token.clone());
        async move {
            let begin = Instant::now();
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let (http, url, token) = (http.clone(), url.clone(), token.clone());
                    tokio::spawn(async move {
                        for n in 0..calls / 8 {
                            let request = if what == "creations" {
                                let body = format!("{{\"expr\":\"BTC > {}\"}}", 1_000 + worker * 1_000 + n);
                                http.post(&url).header("content-type", "application/json").body(body)
                            } else {
                                http.get(format!("{url}/a1"))
                            };
                            let answer = request.bearer_auth(&token).send().await.unwrap();
                            assert!(answer.status().is_success(), "{answer:?}");
                            answer.bytes().await.unwrap();
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.unwrap();
            }
            println!("REST, 8 clients: {:.0} {what}/s", calls as f64 / begin.elapsed().as_secs_f64());
        }
    };
    each("creations", 800).await;
    each("reads", 8_000).await;
}
