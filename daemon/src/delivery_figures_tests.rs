//! How fast firings are recorded and delivered, each beside the least that could do it, on the same disk in the same run:
//!
//! ```sh
//! BELLWETHER_MEASURE=1 cargo test --release -p bellwether-daemon --lib delivery_figures -- --nocapture --test-threads=1
//! ```
//!
//! Without the variable nothing is measured and nothing asserted: the figures stand in docs/performance.md.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use bellwether_core::{
    alert::UserId,
    catalog::Catalog,
    config::Config,
    evaluator::{Cut, Evaluator},
    event::Event,
    firing::Firing,
    instrument::FeedId,
    parse::{ParseContext, parse},
    tick::Tick,
    time::Timestamp,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    clock::Clock,
    evaluate::Evaluate,
    links::{BATCHES, Batch, Batches, CHANGES, EVENTS, Observation, TICKS},
    metrics::Metrics,
    notify,
    record::TRADES,
    store::{Bare, Store},
};

/// Firings one after the other.
const ROUNDS: u32 = 2_000;
/// Firings as fast as they go.
const FIRINGS: u32 = 60_000;
/// Deliveries to the webhook.
const POSTS: u32 = 10_000;
/// Deliveries to the mail server.
const MAILS: u32 = 5_000;

/// Everything from the evaluator to the channels that a configuration describes.
struct Line {
    store: Store,
    ticks: mpsc::Sender<Observation>,
    batches: Batches,
    events: mpsc::Receiver<Event>,
    _changes: mpsc::Sender<crate::links::Change>,
    tasks: Vec<JoinHandle<()>>,
    folder: TempDir,
}

fn wanted() -> bool {
    std::env::var_os("BELLWETHER_MEASURE").is_some()
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("told");
}

impl Line {
    /// With these channels and alerts of the owner's, numbered from 1.
    async fn start(channels: &str, alerts: &[&str]) -> Self {
        let text = format!("[channels.desktop]\nenabled = false\n{channels}");
        let config = Config::from_toml(&text).expect("a configuration");
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("data")).expect("a store");
        let (clock, metrics, catalog) = (Clock::system(), Metrics::new(), Catalog::builtin());
        let names = config.channel_names();
        let utc = jiff::tz::TimeZone::UTC;
        for line in alerts {
            let context = ParseContext { catalog: &catalog, now: clock.now(), timezone: &utc, channels: &names };
            let rule = parse(line, &context).expect("an alert");
            store.insert_alert(UserId::OWNER, rule, clock.now(), None).await.expect("made");
        }
        let (ticks, observed) = mpsc::channel(TICKS);
        let (changes, asked) = mpsc::channel(CHANGES);
        let (batches, recorded) = mpsc::channel(BATCHES);
        let (told, events) = mpsc::channel::<Event>(EVENTS);
        let (trades, _nobody) = mpsc::channel(TRADES);
        let set = notify::ChannelSet::new(&config, clock.clone(), &notify::Hands::default()).expect("channels");
        let delivery = notify::Deps {
            pulse: crate::pulse::Pulse::default(),
            store: store.clone(),
            channels: Arc::new(set),
            events: told.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            context: notify::Context { catalog: Arc::new(catalog.clone()), timezone: None, simulated: false },
            health: notify::StoreHealth::default(),
            policy: notify::Policy::default(),
            pulse: crate::pulse::Pulse::default(),
        };
        let standing = store.alerts().await.expect("alerts");
        let evaluate = Evaluate {
            beat: crate::pulse::Beat::default(),
            evaluator: Evaluator::restore(catalog.instruments().iter().cloned(), standing, Cut::default()),
            instruments: catalog.instruments().iter().map(|i| (i.symbol, i.clone())).collect(),
            batches: batches.clone(),
            events: told,
            trades,
            needs: mpsc::channel(1).0,
            days: crate::history::Days::default(),
            recorder: None,
            watched: tokio::sync::watch::channel(Arc::default()).0,
            notices: Arc::new(|_| {}),
            clock,
            metrics,
            beat: crate::pulse::Pulse::default().part("evaluate"),
        };
        let tasks = vec![
            tokio::spawn(notify::run(recorded, delivery)),
            tokio::spawn(async move { evaluate.run(observed, asked).await.expect("it judges") }),
        ];
        Self { store, ticks, batches, events, _changes: changes, tasks, folder }
    }

    async fn price(&self, text: &str) {
        let at = Timestamp::from(jiff::Timestamp::now());
        let tick = Tick::new("BTC".parse().expect("a symbol"), text.parse().expect("a price"), FeedId::Coinbase, at);
        self.ticks.send(Observation::Tick(tick)).await.expect("it lives");
    }

    /// Waits until so many of the events are as wanted.
    async fn count(&mut self, mut left: usize, wanted: impl Fn(&Event) -> bool) {
        while left > 0 {
            let event = tokio::time::timeout(Duration::from_mins(1), self.events.recv()).await;
            left -= usize::from(wanted(&event.expect("an event in time").expect("an event")));
        }
    }

    async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.store.close().await;
    }
}

/// The middle and the ninety-ninth of a hundred.
fn shown(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn a_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn firing(number: u32) -> Firing {
    let at = Timestamp::from(jiff::Timestamp::now());
    let mut firing = crate::notify::a_firing(1, number, &[]);
    (firing.time, firing.received) = (at, at);
    firing
}

/// A tick that fires, judged, and its record committed and told, beside a commit of one row; by turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_to_its_committed_firing_beside_a_bare_commit() {
    if !wanted() {
        return;
    }
    let mut line = Line::start("", &["BTC crosses 60000 each"]).await;
    let bare = Bare::new(&line.folder.path().join("bare.db"));
    let row = serde_json::to_string(&firing(1)).expect("JSON");
    line.price("59990").await;
    line.count(1, |event| matches!(event, Event::Price(_))).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let price = if round % 2 == 0 { "60010" } else { "59990" };
        let begun = Instant::now();
        line.price(price).await;
        line.count(1, |event| matches!(event, Event::Fired(_))).await;
        ours.push(begun.elapsed());
        // Let the rest of the news pass, so that it is not counted to the commit beside it.
        tokio::time::sleep(Duration::from_millis(2)).await;
        while line.events.try_recv().is_ok() {}
        let begun = Instant::now();
        bare.commit(&row);
        theirs.push(begun.elapsed());
    }
    let ((p50, p99), (bare50, bare99)) = (shown(ours), shown(theirs));
    say(&format!(
        "tick to committed firing: p50 {p50:?}, p99 {p99:?}; a bare commit: p50 {bare50:?}, p99 {bare99:?}; ratios {:.2} and {:.2}",
        p50.as_secs_f64() / bare50.as_secs_f64(),
        p99.as_secs_f64() / bare99.as_secs_f64()
    ));
    line.stop().await;
}

/// As many firings as there are, each in a batch of its own, through the role that records them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firings_committed_in_groups() {
    if !wanted() {
        return;
    }
    let mut line = Line::start("", &["BTC crosses 60000 each"]).await;
    let batches = line.batches.clone();
    let all: Vec<Batch> =
        (1..=FIRINGS).map(|number| Batch { firings: vec![firing(number)], ..Batch::default() }).collect();
    let begun = Instant::now();
    let sender = tokio::spawn(async move {
        for batch in all {
            batches.send(batch).await.expect("it lives");
        }
    });
    line.count(FIRINGS as usize, |event| matches!(event, Event::Fired(_))).await;
    say(&format!("firings committed in groups: {:.0} a second", a_second(FIRINGS as usize, begun.elapsed())));
    sender.await.expect("sent");
    line.stop().await;
}

/// Answers every request with 204 on connections that stay, and counts them.
async fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("set");
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut chunk = [0; 16_384];
                loop {
                    while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                        let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
                        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                        let whole = end + 4 + length.map_or(0, |text| text.trim().parse::<usize>().expect("a length"));
                        if seen.len() < whole {
                            break;
                        }
                        seen.drain(..whole);
                        if socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                            return;
                        }
                    }
                    match socket.read(&mut chunk).await {
                        Ok(length @ 1..) => seen.extend_from_slice(&chunk[..length]),
                        _ => return,
                    }
                }
            });
        }
    });
    format!("http://{address}/hook")
}

/// Deliveries of the first channel of `line`, from the batch that fires them to the last one's receipt.
async fn delivered(mut line: Line, count: u32) -> f64 {
    let firings = (1..=count).map(firing).collect();
    let begun = Instant::now();
    line.batches.send(Batch { firings, ..Batch::default() }).await.expect("it lives");
    let sent = |event: &Event| matches!(event, Event::Delivery(d) if d.state == bellwether_core::delivery::DeliveryState::Sent);
    line.count(count as usize, sent).await;
    let rate = a_second(count as usize, begun.elapsed());
    line.stop().await;
    rate
}

const UNLIMITED: &str = "{ burst = 4000000, refill = \"1s\", daily = 0, group = \"0s\" }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_to_a_webhook_beside_a_bare_client() {
    if !wanted() {
        return;
    }
    let url = receiver().await;
    let channels = format!(
        "[user]\ndefault_channels = ['webhook']\n[channels.webhook.default]\nurl = '{url}'\nsecret = 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\nlimits = {UNLIMITED}\n"
    );
    let ours = delivered(Line::start(&channels, &[]).await, POSTS).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let body = serde_json::to_string(&firing(1)).expect("JSON");
    let begun = Instant::now();
    for _ in 0..POSTS {
        let answer = client.post(&url).body(body.clone()).send().await.expect("answered");
        assert!(answer.status().is_success());
    }
    let bare = a_second(POSTS as usize, begun.elapsed());
    say(&format!(
        "deliveries to a webhook: {ours:.0} a second; a bare client, one after the other: {bare:.0}; ratio {:.2}",
        ours / bare
    ));
}

/// A mail server that takes everything.
async fn mail_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("set");
            tokio::spawn(async move {
                let mut socket = BufReader::new(socket);
                let (mut line, mut in_data) = (Vec::new(), false);
                let mut reply: &[u8] = b"220 fake\r\n";
                while socket.get_mut().write_all(reply).await.is_ok() {
                    line.clear();
                    if socket.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    reply = match line.as_slice() {
                        b".\r\n" if in_data => {
                            in_data = false;
                            b"250 ok\r\n"
                        }
                        _ if in_data => b"",
                        [b'D', b'A', b'T', b'A', ..] => {
                            in_data = true;
                            b"354 go on\r\n"
                        }
                        _ => b"250 ok\r\n",
                    };
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_to_a_mail_server_beside_a_bare_client() {
    if !wanted() {
        return;
    }
    let port = mail_server().await;
    for chart in [false, true] {
        let channels = format!(
            "[user]\ndefault_channels = ['email']\n[channels.email]\nhost = '127.0.0.1'\nport = {port}\ntls = 'none'\nfrom = 'me@example.org'\nchart = {chart}\nlimits = {UNLIMITED}\n"
        );
        let ours = delivered(Line::start(&channels, &[]).await, MAILS).await;
        say(&format!("deliveries to a mail server, chart = {chart}: {ours:.0} a second"));
    }
    let mut socket = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.expect("connected"));
    socket.get_ref().set_nodelay(true).expect("set");
    let body = format!(
        "Subject: x\r\n\r\n{}\r\n.\r\n",
        "a line of sixty letters that stands for the words of a mail\r\n".repeat(40)
    );
    let steps = ["MAIL FROM:<me@example.org>\r\n", "RCPT TO:<me@example.org>\r\n", "DATA\r\n", &body];
    let mut answer = String::new();
    socket.read_line(&mut answer).await.expect("greeted");
    let begun = Instant::now();
    for _ in 0..MAILS {
        for step in steps {
            socket.get_mut().write_all(step.as_bytes()).await.expect("sent");
            answer.clear();
            socket.read_line(&mut answer).await.expect("answered");
        }
    }
    say(&format!("a bare client of the same mail server: {:.0} a second", a_second(MAILS as usize, begun.elapsed())));
}
