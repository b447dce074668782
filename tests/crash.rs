//! The daemon killed again and again in the middle of a storm of alerts: nothing is lost, and what comes twice can be told by
//! its key (docs/reliability.md, P1 and P3).
//!
//! Each instrument goes up and down through its alerts' levels. The next step of an instrument is taken only when the firings of
//! the step before are on record, and after a kill the exchange tells the new daemon where the market stands: so what must fire
//! does not depend on when the kills come, and core's evaluator, shown the steps alone, says exactly what it is. Half of the
//! instruments' webhooks tell each firing by itself, the others collect: there each firing has been sent itself, or is part of a
//! digest that was.
//!
//! `BELLWETHER_KILLS` and `BELLWETHER_SEED` repeat a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::Arc,
    time::Duration,
};

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, UserId},
    catalog::Catalog,
    condition::ChannelName,
    evaluator::Evaluator,
    firing::FiringId,
    instrument::FeedId,
    parse::{ParseContext, parse},
    tick::Tick,
    time::{Span, Timestamp},
};
use serde_json::Value;
use tokio::{sync::watch, time::sleep};

use crate::harness::{Daemon, Dice, Exchange, Lab, Receiver, Settings, Stream, daemon::Starting, eventually};

/// The instruments, each with a webhook of its own.
const INSTRUMENTS: [&str; 4] = ["BTC", "ETH", "SOL", "DOGE"];
/// Those whose webhooks collect what fires.
const COLLECTING: [&str; 2] = ["SOL", "DOGE"];
/// The alerts of an instrument; every step fires two of them.
const ALERTS: [&str; 3] = ["> 100 each", "< 90 each", "crosses 95 each"];
/// Steps of one instrument in one life of the daemon.
const STEPS: u32 = 9;
/// Firings of one instrument that may be under way, so that what is left at the end goes out at once too.
const UNDER_WAY: usize = 8;
/// How long the receiver thinks, so that kills come between a send and its answer.
const THINKS: Duration = Duration::from_millis(3);

/// What fired: the alert, the number, the price.
type Fired = (AlertId, u32, String);

/// What is on record: for each alert the highest number.
type Record = BTreeMap<AlertId, u32>;

/// What core says must fire for the steps of one instrument.
struct Oracle {
    evaluator: Evaluator,
    symbol: &'static str,
    now: Timestamp,
    fired: Vec<Fired>,
}

impl Oracle {
    fn new(symbol: &'static str, alerts: &[(AlertId, String)]) -> Self {
        let catalog = Catalog::builtin();
        let mut oracle = Self {
            evaluator: Evaluator::new(catalog.instruments().iter().cloned()),
            symbol,
            now: Timestamp::from_seconds(1_800_000_000),
            fired: Vec::new(),
        };
        let channels = [ChannelName::new(&channel_of(symbol))];
        let (now, zone) = (oracle.now, jiff::tz::TimeZone::UTC);
        for (id, line) in alerts {
            let context = ParseContext { catalog: &catalog, now, timezone: &zone, channels: &channels };
            let alert = Alert {
                id: *id,
                owner: UserId::OWNER,
                version: 1,
                rule: parse(line, &context).expect("an alert"),
                paused: false,
                snoozed_until: None,
                created: now,
                updated: now,
            };
            assert!(oracle.evaluator.apply(AlertChange::Put(alert), now, &mut Vec::new()));
        }
        oracle
    }

    /// What one step must fire.
    fn step(&mut self, price: &str) -> Vec<Fired> {
        self.now = self.now.plus(Span::from_seconds(1));
        let symbol = self.symbol.parse().expect("a symbol");
        let mut tick = Tick::new(symbol, price.parse().expect("a price"), FeedId::Coinbase, self.now);
        tick.exchange_time = Some(self.now);
        let mut out = Vec::new();
        self.evaluator.on_tick(&tick, &mut out);
        let fired: Vec<Fired> = out.iter().map(|f| (f.id.alert, f.id.number, price.to_owned())).collect();
        assert!(!fired.is_empty(), "{} at {price}: a step that fires nothing proves nothing", self.symbol);
        self.fired.extend(fired.iter().cloned());
        fired
    }
}

fn channel_of(symbol: &str) -> String {
    format!("webhook:{}", symbol.to_ascii_lowercase())
}

/// Above all levels, below all levels, above, ...; no two prices of a run are equal.
fn price_at(step: u32) -> String {
    let base = if step % 2 == 1 { 110 } else { 80 };
    format!("{base}.{step:05}1")
}

/// One instrument's storm: steps, until `lives` says 0. Gives all that must have fired.
async fn storm(
    exchange: Arc<Exchange>,
    receiver: Arc<Receiver>,
    mut oracle: Oracle,
    mut record: watch::Receiver<Record>,
    mut lives: watch::Receiver<u32>,
) -> Vec<Fired> {
    let (product, name) = (format!("{}-USD", oracle.symbol), oracle.symbol.to_ascii_lowercase());
    let (mut life, mut steps) = (0, 0);
    for step in 0.. {
        loop {
            let now = *lives.borrow_and_update();
            if now == 0 {
                return oracle.fired;
            }
            if now != life {
                (life, steps) = (now, 0);
            }
            if steps == STEPS {
                lives.changed().await.expect("the lives go on");
            } else if oracle.fired.len() > receiver.firings(&name) + UNDER_WAY {
                sleep(Duration::from_millis(2)).await;
            } else {
                break;
            }
        }
        steps += 1;
        let price = price_at(step);
        let expected = oracle.step(&price);
        exchange.trade(&product, &price);
        record
            .wait_for(|known| expected.iter().all(|(alert, number, _)| known.get(alert).is_some_and(|n| n >= number)))
            .await
            .expect("the record goes on");
    }
    oracle.fired
}

/// Writes down what a daemon's session says is on record, until the session ends.
async fn witness(mut stream: Stream, record: Arc<watch::Sender<Record>>) {
    let recent = stream.snapshot["firings"].as_array().expect("firings").clone();
    for firing in &recent {
        note(firing, &record);
    }
    while let Some(frame) = stream.next().await {
        if frame["type"] == "firing" {
            note(&frame["firing"], &record);
        }
    }
}

fn note(firing: &Value, record: &watch::Sender<Record>) {
    let id: FiringId = firing["id"].as_str().expect("an id").parse().expect("a firing's id");
    record.send_modify(|known| {
        let highest = known.entry(id.alert).or_default();
        *highest = id.number.max(*highest);
    });
}

/// One life: until the daemon is killed at a moment of the dice's choice, sometimes before it is ready.
async fn live_and_die(lab: &Lab, dice: &mut Dice, record: &Arc<watch::Sender<Record>>) {
    let starting = Starting::spawn(lab.command(["daemon"]), &lab.data());
    if dice.below(5) == 0 {
        sleep(Duration::from_millis(dice.below(120))).await;
        starting.kill().await;
        return;
    }
    let daemon = starting.ready().await;
    let watching = crate::harness::Task::spawn(witness(daemon.stream().await, Arc::clone(record)));
    sleep(Duration::from_micros(dice.below(120_000))).await;
    daemon.kill().await;
    drop(watching);
}

/// The last life: goes on until all is told, and stops in good order.
async fn last_life(lab: &Lab, record: &Arc<watch::Sender<Record>>) -> (Daemon, crate::harness::Task) {
    let daemon = lab.daemon().await;
    let watching = crate::harness::Task::spawn(witness(daemon.stream().await, Arc::clone(record)));
    (daemon, watching)
}

fn kills() -> u32 {
    let wanted = std::env::var("BELLWETHER_KILLS").ok().and_then(|kills| kills.parse().ok());
    wanted.unwrap_or(if std::env::var_os("CI").is_some() { 200 } else { 12 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_firing_is_lost_however_often_the_daemon_is_killed() {
    let (kills, mut dice) = (kills(), Dice::seeded("BELLWETHER_SEED"));
    let seed = dice.0;
    writeln!(std::io::stderr(), "{kills} kills, BELLWETHER_SEED={seed}").ok();
    let (exchange, receiver) = (Arc::new(Exchange::start().await), Arc::new(Receiver::start().await));
    receiver.hesitate(THINKS);
    let settings = INSTRUMENTS.iter().fold(Settings::quiet().coinbase(&exchange), |settings, symbol| {
        let name = symbol.to_ascii_lowercase();
        let group = if COLLECTING.contains(symbol) { "200ms" } else { "0s" };
        settings.webhook(&name, &receiver).unlimited(&name, group)
    });
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let mut oracles = Vec::new();
    for symbol in INSTRUMENTS {
        let mut alerts = Vec::new();
        for condition in ALERTS {
            let line = format!("{symbol} {condition} via {}", channel_of(symbol));
            alerts.push((daemon.api().alert(&line).await.parse().expect("an id"), line));
        }
        oracles.push(Oracle::new(symbol, &alerts));
    }
    daemon.kill().await;

    let (lives, life) = watch::channel(1);
    let (record, known) = watch::channel(Record::new());
    let record = Arc::new(record);
    let storms: Vec<_> = oracles
        .into_iter()
        .map(|oracle| {
            tokio::spawn(storm(Arc::clone(&exchange), Arc::clone(&receiver), oracle, known.clone(), life.clone()))
        })
        .collect();
    for kill in 0..kills {
        lives.send_replace(kill + 2);
        live_and_die(&lab, &mut dice, &record).await;
    }
    lives.send_replace(0);
    let (daemon, watching) = last_life(&lab, &record).await;
    let mut expected: BTreeSet<Fired> = BTreeSet::new();
    for storm in storms {
        expected.extend(
            tokio::time::timeout(crate::harness::PATIENCE, storm)
                .await
                .expect("the last step is recorded")
                .expect("a storm"),
        );
    }
    everything_told(&receiver, expected.len(), seed).await;
    drop(watching);
    daemon.stop().await;
    let database = sound(&lab);
    let told = told(&database, &receiver, seed);
    let missing: Vec<_> = expected.difference(&told).collect();
    let invented: Vec<_> = told.difference(&expected).collect();
    assert!(missing.is_empty() && invented.is_empty(), "seed {seed}: missing {missing:?}, invented {invented:?}");
    copies(&receiver, &database, kills, seed);
    writeln!(std::io::stderr(), "{} firings told, none lost", expected.len()).ok();
}

/// Waits until as much has arrived as must: as long as it takes, while more and more comes.
async fn everything_told(receiver: &Receiver, count: usize, seed: u64) {
    let arrived = || INSTRUMENTS.iter().map(|symbol| receiver.firings(&symbol.to_ascii_lowercase())).sum::<usize>();
    loop {
        let so_far = arrived();
        if so_far >= count {
            return;
        }
        let more = format!("more than {so_far} of {count} different firings (seed {seed})");
        eventually(&more, async || (arrived() > so_far).then_some(())).await;
    }
}

/// What arrived: each firing whose delivery was sent, or merged into one that was, under a key that the receiver has seen.
fn told(database: &rusqlite::Connection, receiver: &Receiver, seed: u64) -> BTreeSet<Fired> {
    let keys: BTreeSet<String> = receiver.received().into_iter().map(|one| one.id).collect();
    let sql = "SELECT f.alert, f.number, f.firing, d.state, c.id, c.state FROM deliveries d \
         JOIN firings f ON f.place = d.firing JOIN deliveries c ON c.id = ifnull(d.merged_into, d.id)";
    let mut statement = database.prepare(sql).expect("a statement");
    let mut rows = statement.query([]).expect("rows");
    let mut told = BTreeSet::new();
    while let Some(row) = rows.next().expect("a row") {
        let text = |column| row.get::<_, String>(column).expect("a text");
        let carrier = format!("d{}", row.get::<_, i64>(4).expect("a number"));
        assert!(["sent", "merged"].contains(&&*text(3)) && text(5) == "sent", "seed {seed}: {carrier} is {}", text(5));
        assert!(keys.contains(&carrier), "seed {seed}: {carrier} counts as sent and never came");
        let firing: Value = serde_json::from_str(&text(2)).expect("JSON");
        let price = firing["price"].as_str().expect("a price").to_owned();
        told.insert((AlertId(row.get(0).expect("a number")), row.get(1).expect("a number"), price));
    }
    told
}

/// What came more than once carries one key and says the same, there is no more of it than could be under way when a kill came, and
/// a message stands for as many firings as the outbox says.
fn copies(receiver: &Receiver, database: &rusqlite::Connection, kills: u32, seed: u64) {
    let messages = receiver.received();
    let mut by_key: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for one in &messages {
        let data = &one.body["data"];
        by_key.entry(&one.id).or_default().push((data["firing"].to_string(), data["firings"].to_string()));
    }
    for (key, words) in &by_key {
        assert!(words.iter().all(|word| word == &words[0]), "seed {seed}: {key:?} means {words:?}");
        let id: i64 = key.strip_prefix('d').and_then(|id| id.parse().ok()).expect("a key");
        let sql =
            "SELECT merged, (SELECT count(*) FROM deliveries WHERE merged_into = ?1) FROM deliveries WHERE id = ?1";
        let (merged, rows): (i64, i64) =
            database.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).expect("its row");
        assert!(merged == 0 && rows == 0 || merged + 1 == rows, "seed {seed}: {key} carries {rows} of {merged}");
    }
    let extra = messages.len() - by_key.len();
    let in_flight = INSTRUMENTS.len() * SENDS_IN_FLIGHT;
    assert!(extra <= kills as usize * in_flight, "seed {seed}: {extra} copies after {kills} kills");
    let digests = messages.iter().filter(|one| one.body["type"] == "alert.digest").count();
    writeln!(
        std::io::stderr(),
        "{} messages, {digests} of them digests, {extra} copies under their own key",
        by_key.len()
    )
    .ok();
}

/// Sends that one channel has under way at most.
const SENDS_IN_FLIGHT: usize = 1;

/// The database, which has suffered nothing.
fn sound(lab: &Lab) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(lab.data().join("bellwether.db")).expect("the database");
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(verdict, "ok");
    database
}
