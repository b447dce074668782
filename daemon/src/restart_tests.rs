//! A kill at every position of a tape (docs/reliability.md, P4): the worked examples are played through the real evaluate and
//! notify tasks on a real database. After every event the tasks are dropped without a word, the database is taken as a dead
//! process would leave it, files copied while they are open, and the rest is played on that. Beside it core's evaluator sees
//! the same tape without any interruption: what is on record must be equal at every position, memories and firings.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, UserId},
    catalog::Catalog,
    condition::{ChannelName, Rule},
    config::Config,
    evaluator::{Cut, Evaluator},
    event::Event,
    firing::Firing,
    instrument::{FeedId, Instrument},
    parse::{ParseContext, parse},
    price::Price,
    tick::Tick,
    time::{Span, Timestamp},
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    clock::Clock,
    evaluate::Evaluate,
    links::{BATCHES, CHANGES, Change, EVENTS, Observation, TICKS},
    metrics::Metrics,
    notify,
    record::TRADES,
    store::{AlertEdit, Store},
};

const CASES: &str = include_str!("../../tests/data/alert-cases.json");
/// How long the store's thread, which lives in real time, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to the daemon, as far as feeds and clients can do it.
enum Input {
    Observed(Observation),
    Made(Rule),
    Changed(AlertEdit),
}

/// The tasks of one life, on one folder.
struct Life {
    store: Store,
    observations: mpsc::Sender<Observation>,
    changes: mpsc::Sender<Change>,
    tasks: Vec<JoinHandle<()>>,
}

impl Life {
    async fn start(data: &Path, catalog: &Catalog, clock: &Clock) -> Self {
        let store = Store::open(data).expect("the database of the life before");
        let instruments = catalog.instruments();
        let (alerts, memory) = (store.alerts().await.expect("alerts"), store.memory().await.expect("a memory"));
        let (observations, ticks) = mpsc::channel(TICKS);
        let (changes, asked) = mpsc::channel(CHANGES);
        let (batches, recorded) = mpsc::channel(BATCHES);
        let (events, mut told) = mpsc::channel::<Event>(EVENTS);
        let (trades, _nobody) = mpsc::channel(TRADES);
        let mut config = Config::default();
        config.channels.desktop.enabled = false;
        let metrics = Metrics::new();
        let delivery = notify::Deps {
            pulse: crate::pulse::Pulse::default(),
            store: store.clone(),
            channels: Arc::new(
                notify::ChannelSet::new(&config, clock.clone(), &notify::Hands::default()).expect("no channels"),
            ),
            events: events.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            context: notify::Context { catalog: Arc::new(catalog.clone()), timezone: None, simulated: false },
            health: notify::StoreHealth::default(),
            policy: notify::Policy::default(),
        };
        let evaluate = Evaluate {
            beat: crate::pulse::Beat::default(),
            evaluator: Evaluator::restore(instruments.iter().cloned(), alerts, memory),
            instruments: instruments.iter().map(|i| (i.symbol, i.clone())).collect(),
            batches,
            events,
            trades,
            needs: mpsc::channel(1).0,
            days: crate::history::Days::default(),
            recorder: None,
            watched: tokio::sync::watch::channel(Arc::default()).0,
            notices: Arc::new(|_| {}),
            clock: clock.clone(),
            metrics,
        };
        let tasks = vec![
            tokio::spawn(notify::run(recorded, delivery)),
            tokio::spawn(async move { evaluate.run(ticks, asked).await.expect("it judges") }),
            tokio::spawn(async move { while told.recv().await.is_some() {} }),
        ];
        Self { store, observations, changes, tasks }
    }

    /// Copies the database as it lies there, and ends without shutting anything down.
    fn kill(self, data: &Path, image: &Path) -> PathBuf {
        for task in &self.tasks {
            task.abort();
        }
        fs::create_dir(image).expect("a folder");
        let mode = fs::metadata(data).expect("the data folder").permissions();
        fs::set_permissions(image, mode).expect("the same mode");
        for entry in fs::read_dir(data).expect("the data folder").map(|entry| entry.expect("a file")) {
            // The index of the journal is shared memory: it dies with the machine, and is made anew.
            if !entry.file_name().to_string_lossy().ends_with("-shm") {
                fs::copy(entry.path(), image.join(entry.file_name())).expect("copied");
            }
        }
        image.to_owned()
    }
}

/// The evaluator that nobody interrupts, and what it would have written down.
struct Shadow {
    evaluator: Evaluator,
    stored: Cut,
    fired: Vec<Firing>,
}

impl Shadow {
    fn take(&mut self, input: &Observation) {
        match input {
            Observation::Tick(tick) => drop(self.evaluator.on_tick(tick, &mut self.fired)),
            Observation::Batch(ticks) => drop(self.evaluator.on_batch(ticks, &mut self.fired)),
            other => unreachable!("no worked example brings {other:?}"),
        }
    }

    fn change(&mut self, change: AlertChange, now: Timestamp) {
        assert!(self.evaluator.apply(change, now, &mut self.fired), "a new version is taken");
    }

    /// All that must be on record: memories and firings, each in the store's order.
    fn record(&mut self) -> (Cut, Vec<Firing>) {
        // As it comes back from JSON: what is derived from it is not written.
        let written = serde_json::to_string(&self.evaluator.take_cut()).expect("a cut");
        self.stored.merge(serde_json::from_str(&written).expect("a cut"));
        self.stored.alerts.sort_by_key(|memory| memory.id);
        self.stored.instruments.sort_by_key(|memory| memory.symbol.to_string());
        (self.stored.clone(), sorted(self.fired.clone()))
    }
}

fn sorted(mut firings: Vec<Firing>) -> Vec<Firing> {
    firings.sort_by_key(|firing| (firing.id.alert, firing.id.number));
    firings
}

/// Waits until that is on record, as long as the store's thread is given. Paused time goes on meanwhile, so that the cut comes.
async fn recorded(store: &Store, expected: &(Cut, Vec<Firing>), place: &str) {
    let started = Instant::now();
    loop {
        let memory = store.memory().await.expect("a memory");
        let fired = sorted(store.recent().await.expect("firings").0);
        if (&memory, &fired) == (&expected.0, &expected.1) {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{place}: on record\n{memory:?}\n{fired:?}\nuninterrupted\n{:?}\n{:?}",
            expected.0,
            expected.1
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// A worked example, with the world that it plays in.
struct Case<'a> {
    script: &'a Value,
    catalog: Catalog,
    base: Timestamp,
}

impl<'a> Case<'a> {
    /// Nothing where the example has inputs that reach the evaluator by other ways than a feed's ticks or a command.
    fn new(case: &'a Value, header: &Value) -> Option<Self> {
        let played = ["tick", "ticks", "cmd"];
        let events = case["events"].as_array().expect("events");
        if !events.iter().all(|event| played.iter().any(|kind| event.get(kind).is_some())) {
            return None;
        }
        let mut catalog = Catalog::default();
        for (currency, names) in header["registry"].as_object().expect("a registry") {
            for name in names.as_array().expect("names") {
                let mut instrument = Instrument::unlisted(text(name).parse().expect("a symbol"));
                instrument.currency.clone_from(currency);
                if let Some(percent) = case["instruments"][text(name)].get("outlier_pct") {
                    instrument.outlier_pct = percent.to_string().parse().ok();
                }
                catalog.add(instrument);
            }
        }
        Some(Self { script: case, catalog, base: Timestamp::from_seconds(1_767_225_600) })
    }

    fn time(&self, seconds: &Value) -> Timestamp {
        self.base.plus(Span::from_seconds(seconds.as_i64().expect("whole seconds")))
    }

    fn rule(&self, line: &Value, now: Timestamp) -> Option<Rule> {
        let (timezone, channels) = (jiff::tz::TimeZone::UTC, [ChannelName::new("desktop")]);
        parse(text(line), &ParseContext { catalog: &self.catalog, now, timezone: &timezone, channels: &channels }).ok()
    }

    fn tick(&self, symbol: &Value, event: &Value, now: Timestamp) -> Option<Tick> {
        let price = event["p"].as_str().and_then(|price| Price::from_feed(price).ok())?;
        let mut tick = Tick::new(text(symbol).parse().expect("a symbol"), price, FeedId::Tape, now);
        tick.exchange_time = event.get("ts").map(|ts| self.time(ts));
        tick.session = event.get("session").map_or(tick.session, |s| serde_json::from_value(s.clone()).expect("one"));
        Some(tick)
    }

    /// What an event is to the daemon; a restart comes after every event anyway.
    fn input(&self, event: &Value, now: Timestamp) -> Option<Input> {
        if let Some(symbol) = event.get("tick") {
            return Some(Input::Observed(Observation::Tick(self.tick(symbol, event, now)?)));
        }
        if let Some(list) = event.get("ticks").and_then(Value::as_array) {
            let ticks = list.iter().filter_map(|tick| self.tick(&tick["sym"], tick, now)).collect();
            return Some(Input::Observed(Observation::Batch(ticks)));
        }
        Some(match text(&event["cmd"]) {
            "create" => Input::Made(self.rule(&self.script["alert"], now)?),
            "edit" => Input::Changed(AlertEdit::Rule(self.rule(&event["alert"], now)?)),
            "pause" => Input::Changed(AlertEdit::Pause),
            "resume" => Input::Changed(AlertEdit::Resume),
            "snooze" => Input::Changed(AlertEdit::Snooze(self.time(&event["until"]))),
            "ack" => Input::Changed(AlertEdit::Acknowledge),
            _ => return None,
        })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Plays one input on the daemon, durable first as the gateway does it, and on the shadow.
async fn play(life: &Life, shadow: &mut Shadow, input: Input, now: Timestamp) {
    let id = AlertId(1);
    let change = match input {
        Input::Observed(observation) => {
            shadow.take(&observation);
            life.observations.send(observation).await.expect("evaluate lives");
            return;
        }
        Input::Made(rule) => {
            let (alert, _) = life.store.insert_alert(UserId::OWNER, rule, now, None).await.expect("made");
            AlertChange::Put(alert)
        }
        Input::Changed(edit) => {
            let kind: fn(Alert) -> AlertChange = match edit {
                AlertEdit::Rule(_) => AlertChange::Put,
                AlertEdit::Pause => AlertChange::Pause,
                AlertEdit::Resume => AlertChange::Resume,
                AlertEdit::Snooze(_) => AlertChange::Snooze,
                AlertEdit::Acknowledge => AlertChange::Acknowledge,
            };
            kind(life.store.edit_alert(UserId::OWNER, id, None, edit, now).await.expect("changed"))
        }
    };
    shadow.change(change.clone(), now);
    let (done, known) = oneshot::channel();
    life.changes.send(Change { change, returned: None, done }).await.expect("evaluate lives");
    known.await.expect("taken in");
}

/// Plays a case with a kill after every event. Gives the number of kills.
async fn kill_at_every_position(case: &Case<'_>, folder: &Path) -> usize {
    let name = text(&case.script["id"]);
    let events = case.script["events"].as_array().expect("events");
    let clock = Clock::by_hand(case.base);
    let mut shadow = Shadow {
        evaluator: Evaluator::new(case.catalog.instruments().iter().cloned()),
        stored: Cut::default(),
        fired: Vec::new(),
    };
    let mut data = folder.join(format!("{name}-0"));
    let mut life = Life::start(&data, &case.catalog, &clock).await;
    let mut inputs = Vec::new();
    if events.iter().all(|event| event["cmd"] != "create") {
        let at = case.time(&events[0]["t"]);
        inputs.push((at, Input::Made(case.rule(&case.script["alert"], at).expect("an alert"))));
    }
    for event in events {
        let at = case.time(&event["t"]);
        inputs.extend(case.input(event, at).map(|input| (at, input)));
    }
    let kills = inputs.len();
    for (position, (at, input)) in inputs.into_iter().enumerate() {
        clock.advance(Span::from_micros(at.as_micros() - clock.now().as_micros()));
        play(&life, &mut shadow, input, at).await;
        let place = format!("{name}, killed after input {position}");
        recorded(&life.store, &shadow.record(), &place).await;
        data = life.kill(&data, &folder.join(format!("{name}-{}", position + 1)));
        life = Life::start(&data, &case.catalog, &clock).await;
    }
    recorded(&life.store, &shadow.record(), name).await;
    let expected = case.script["expect"].as_array().expect("expect").len();
    assert_eq!(shadow.fired.len(), expected, "{name}: the tape fires what is written");
    for task in life.tasks {
        task.abort();
    }
    kills
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_every_position_of_every_tape_changes_no_firing() {
    let cases: Value = serde_json::from_str(CASES).expect("the worked examples");
    let folder = tempfile::tempdir().expect("a folder");
    let (mut played, mut kills) = (0, 0);
    for case in cases["cases"].as_array().expect("cases") {
        if let Some(case) = Case::new(case, &cases["header"]) {
            kills += kill_at_every_position(&case, folder.path()).await;
            played += 1;
        }
    }
    assert!(played >= 35 && kills > 150, "{played} tapes with {kills} kills prove little");
}
