//! The worked examples of `docs/alerts.md`, one tape each: every one as it stands, and again with a restart between any two
//! of its events. `ALERT_CASES` names further files of the same form, separated by `:`.

use std::fmt::Write as _;

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, AlertState, UserId},
    catalog::Catalog,
    condition::{ChannelName, Rule},
    evaluator::{Cut, Evaluator},
    firing::{Direction, Firing},
    instrument::{FeedId, Instrument, Symbol},
    parse::{ParseContext, parse},
    price::Price,
    tick::{Candle, Session, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;
use serde_json::Value;

const OWN: &str = include_str!("../../tests/data/alert-cases.json");
const INDICATORS: &str = include_str!("indicator_cases.json");
const GUIDE: &str = include_str!("../../tests/data/guide-cases.json");
const ALERT: AlertId = AlertId(1);

#[test]
fn every_worked_example_fires_as_written() {
    let failures = run_all(OWN, "alert-cases.json");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_worked_example_of_indicators_fires_as_written() {
    let failures = run_all(INDICATORS, "indicator_cases.json");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_tape_of_the_guide_fires_as_drawn() {
    let failures = run_all(GUIDE, "guide-cases.json");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test binary may be told by its environment what else to run")]
fn further_tapes_fire_as_written() {
    let Ok(files) = std::env::var("ALERT_CASES") else { return };
    let mut failures = String::new();
    for file in files.split(':').filter(|f| !f.is_empty()) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"));
        failures += &run_all(&text, file);
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Runs every case of a file; gives a description of all that failed.
fn run_all(text: &str, file: &str) -> String {
    let file_value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{file}: {e}"));
    let cases = file_value["cases"].as_array().unwrap_or_else(|| panic!("{file}: no cases"));
    assert!(!cases.is_empty(), "{file}: no cases");
    let mut failures = String::new();
    for case in cases {
        let name = format!("{} ({})", case["id"].as_str().unwrap_or("?"), case["title"].as_str().unwrap_or(""));
        let events = case["events"].as_array().map_or(0, Vec::len);
        for restart in std::iter::once(None).chain((0..=events).map(Some)) {
            if let Err(why) = run(case, &file_value["header"], restart) {
                let when = restart.map_or_else(String::new, |i| format!(" with a restart before event {i}"));
                let _written = writeln!(failures, "\n{file}: {name}{when}\n{why}");
                break;
            }
        }
    }
    failures
}

fn run(case: &Value, header: &Value, restart: Option<usize>) -> Result<(), String> {
    let mut world = World::new(case, header)?;
    let events = case["events"].as_array().ok_or("no events")?;
    let mut fired: Vec<(usize, Firing)> = Vec::new();
    let created_by_event = events.iter().any(|e| e["cmd"] == "create");
    for (i, event) in events.iter().enumerate() {
        if i == 0 && !created_by_event {
            world.create(event)?;
        }
        if restart == Some(i) {
            world.restart()?;
        }
        let mut out = Vec::new();
        world.event(event, &mut out)?;
        fired.extend(out.into_iter().map(|f| (i, f)));
    }
    if restart == Some(events.len()) {
        world.restart()?;
    }
    let expected = case["expect"].as_array().ok_or("no expect")?;
    if fired.len() != expected.len() || !fired.iter().zip(expected).all(|((i, f), e)| matches(*i, f, e)) {
        let actual: Vec<String> = fired.iter().map(|(i, f)| show(*i, f)).collect();
        let expected: Vec<String> = expected.iter().map(Value::to_string).collect();
        return Err(format!(
            "  expected {}\n  actual   {}",
            expected.join("\n           "),
            actual.join("\n           ")
        ));
    }
    if let Some(expected) = case["expect_state"].as_str() {
        let state = world.evaluator.state(ALERT, world.now).map(AlertState::as_str);
        if state != Some(expected) {
            return Err(format!("  expected state {expected}, actual {state:?}"));
        }
    }
    Ok(())
}

fn matches(i: usize, firing: &Firing, expected: &Value) -> bool {
    let direction = firing.direction.map_or(Value::Null, |d| word(d).into());
    expected["i"].as_u64() == Some(i as u64)
        && expected.get("price").is_none_or(|p| p.as_str().and_then(|p| p.parse().ok()) == firing.price)
        && expected.get("dir").is_none_or(|d| *d == direction)
        && expected["late"].as_bool().unwrap_or(false) == firing.late
        && expected["more"].as_u64().unwrap_or(0) == u64::from(firing.more)
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

fn show(i: usize, firing: &Firing) -> String {
    let Firing { price, direction, late, more, .. } = firing;
    let price = price.map_or_else(|| "none".to_owned(), |p| p.to_string());
    format!("i {i}, price {price}, dir {:?}, late {late}, more {more}: {}", direction.map(word), firing.reason())
}

/// Everything around the evaluator: catalogue, stored alerts, stored memory.
struct World {
    evaluator: Evaluator,
    catalog: Catalog,
    alert: Option<Alert>,
    text: String,
    stored: Cut,
    base: Timestamp,
    now: Timestamp,
    timezone: jiff::tz::TimeZone,
}

impl World {
    fn new(case: &Value, header: &Value) -> Result<Self, String> {
        let mut catalog = Catalog::default();
        for (currency, symbols) in header["registry"].as_object().ok_or("no registry")? {
            for symbol in symbols.as_array().into_iter().flatten() {
                let mut instrument = Instrument::unlisted(symbol_of(symbol)?);
                instrument.currency.clone_from(currency);
                catalog.add(instrument);
            }
        }
        for (name, settings) in case["instruments"].as_object().into_iter().flatten() {
            let symbol = symbol_of(&name.as_str().into())?;
            let mut instrument = catalog.get(symbol).cloned().unwrap_or_else(|| Instrument::unlisted(symbol));
            configure(&mut instrument, settings)?;
            catalog.add(instrument);
        }
        let base = case["base"].as_str().unwrap_or("2026-01-01T00:00:00Z").parse().map_err(|e| format!("base: {e}"))?;
        let timezone = jiff::tz::TimeZone::get(case["tz"].as_str().unwrap_or("UTC")).map_err(|e| e.to_string())?;
        Ok(Self {
            evaluator: Evaluator::new(catalog.instruments().iter().cloned()),
            catalog,
            alert: None,
            text: case["alert"].as_str().ok_or("no alert")?.to_owned(),
            stored: Cut::default(),
            base,
            now: base,
            timezone,
        })
    }

    /// The alert as it stands, under its next version.
    fn next(&self) -> Result<Alert, String> {
        let alert = self.alert.clone().ok_or("no alert yet")?;
        Ok(Alert { version: alert.version + 1, updated: self.now, ..alert })
    }

    fn rule(&self, text: &str) -> Result<Rule, String> {
        let channels: Vec<ChannelName> = ["desktop", "email", "sms", "webhook"].map(ChannelName::new).into();
        let context =
            ParseContext { catalog: &self.catalog, now: self.now, timezone: &self.timezone, channels: &channels };
        parse(text, &context).map_err(|e| format!("{text}: {e}"))
    }

    fn create(&mut self, event: &Value) -> Result<(), String> {
        let mut out = Vec::new();
        self.now = self.now.max(self.time(&event["t"])?);
        self.put_new(&mut out)?;
        if out.is_empty() { Ok(()) } else { Err("  fired before the first event".to_owned()) }
    }

    fn put_new(&mut self, out: &mut Vec<Firing>) -> Result<(), String> {
        let rule = self.rule(&self.text)?;
        let alert = Alert {
            id: ALERT,
            owner: UserId::OWNER,
            version: 1,
            rule,
            paused: false,
            snoozed_until: None,
            created: self.now,
            updated: self.now,
        };
        self.apply(AlertChange::Put(alert.clone()), alert, out)
    }

    fn apply(&mut self, change: AlertChange, alert: Alert, out: &mut Vec<Firing>) -> Result<(), String> {
        self.alert = Some(alert);
        if self.evaluator.apply(change, self.now, out) { Ok(()) } else { Err("a new version was refused".to_owned()) }
    }

    /// Writes down what changed as the daemon would, and builds the evaluator again from what is written.
    fn restart(&mut self) -> Result<(), String> {
        let text = serde_json::to_string(&self.evaluator.take_cut()).map_err(|e| e.to_string())?;
        self.stored.merge(serde_json::from_str(&text).map_err(|e| e.to_string())?);
        let instruments = self.catalog.instruments().to_vec();
        self.evaluator = Evaluator::restore(instruments, self.alert.iter().cloned().collect(), self.stored.clone());
        Ok(())
    }

    fn event(&mut self, event: &Value, out: &mut Vec<Firing>) -> Result<(), String> {
        self.now = self.time(&event["t"])?;
        if let Some(symbol) = event.get("tick") {
            if let Some(tick) = self.tick(symbol, event)? {
                self.evaluator.on_tick(&tick, out);
            }
        } else if let Some(list) = event.get("ticks") {
            let read = list.as_array().into_iter().flatten().map(|t| self.tick(&t["sym"], t));
            let ticks: Vec<Option<Tick>> = read.collect::<Result<_, _>>()?;
            self.evaluator.on_batch(&ticks.into_iter().flatten().collect::<Vec<_>>(), out);
        } else if let Some(symbol) = event.get("candle") {
            if let Some(candle) = self.candle(event)? {
                self.evaluator.on_candle(symbol_of(symbol)?, &candle, FeedId::Tape, self.now, out);
            }
        } else if let Some(symbol) = event.get("backfill") {
            let read = event["candles"].as_array().into_iter().flatten().map(|c| self.candle(c));
            let candles: Vec<Option<Candle>> = read.collect::<Result<_, _>>()?;
            let candles: Vec<Candle> = candles.into_iter().flatten().collect();
            self.evaluator.on_backfill(symbol_of(symbol)?, &candles, FeedId::Tape, self.now, out);
        } else if let Some(symbol) = event.get("history") {
            let read = event["candles"].as_array().into_iter().flatten().map(|c| self.candle(c));
            let candles: Vec<Option<Candle>> = read.collect::<Result<_, _>>()?;
            let candles: Vec<Candle> = candles.into_iter().flatten().collect();
            self.evaluator.on_history(symbol_of(symbol)?, &candles, self.now);
        } else if let Some(symbol) = event.get("split") {
            let ratio = event["ratio"].as_str().map_or_else(|| event["ratio"].to_string(), str::to_owned);
            let ratio: Decimal = ratio.parse().map_err(|e| format!("ratio: {e}"))?;
            for alert in self.evaluator.on_split(symbol_of(symbol)?, ratio, self.now) {
                self.alert = Some(alert);
            }
        } else {
            self.command(event, out)?;
        }
        Ok(())
    }

    fn command(&mut self, event: &Value, out: &mut Vec<Firing>) -> Result<(), String> {
        match event["cmd"].as_str().ok_or("an event of no known kind")? {
            "create" => self.put_new(out),
            "pause" => {
                let alert = Alert { paused: true, ..self.next()? };
                self.apply(AlertChange::Pause(alert.clone()), alert, out)
            }
            "resume" => {
                let alert = Alert { paused: false, ..self.next()? };
                self.apply(AlertChange::Resume(alert.clone()), alert, out)
            }
            "snooze" => {
                let until = self.time(&event["until"])?;
                let alert = Alert { snoozed_until: Some(until), ..self.next()? };
                self.apply(AlertChange::Snooze(alert.clone()), alert, out)
            }
            "ack" => {
                let alert = self.next()?;
                self.apply(AlertChange::Acknowledge(alert.clone()), alert, out)
            }
            "edit" => {
                // An invalid text is refused and changes nothing.
                let Ok(rule) = self.rule(event["alert"].as_str().ok_or("edit without a text")?) else { return Ok(()) };
                let alert = Alert { rule, ..self.next()? };
                self.apply(AlertChange::Put(alert.clone()), alert, out)
            }
            "restart" => self.restart(),
            other => Err(format!("unknown command {other}")),
        }
    }

    /// Nothing where the price is no number: a feed delivers no tick then.
    fn tick(&self, symbol: &Value, event: &Value) -> Result<Option<Tick>, String> {
        let Some(price) = price_of(&event["p"]) else { return Ok(None) };
        let mut tick = Tick::new(symbol_of(symbol)?, price, FeedId::Tape, self.now);
        tick.exchange_time = event.get("ts").filter(|ts| !ts.is_null()).map(|ts| self.time(ts)).transpose()?;
        tick.session = session_of(event)?;
        tick.day.volume = event.get("volume").and_then(price_of);
        Ok(Some(tick))
    }

    fn candle(&self, event: &Value) -> Result<Option<Candle>, String> {
        let prices = [&event["o"], &event["h"], &event["l"], &event["c"]].map(price_of);
        let [Some(open), Some(high), Some(low), Some(close)] = prices else { return Ok(None) };
        let (from, to) = (self.time(&event["from"])?, self.time(&event["to"])?);
        Ok(Some(Candle { from, to, open, high, low, close, session: session_of(event)?, volume: None }))
    }

    fn time(&self, seconds: &Value) -> Result<Timestamp, String> {
        let seconds: Decimal = seconds.to_string().parse().map_err(|e| format!("time {seconds}: {e}"))?;
        let micros = i64::try_from((seconds * Decimal::from(1_000_000)).trunc()).map_err(|e| e.to_string())?;
        Ok(Timestamp::from_micros(self.base.as_micros() + micros))
    }
}

fn symbol_of(name: &Value) -> Result<Symbol, String> {
    name.as_str().ok_or("no symbol")?.parse().map_err(|e| format!("{name}: {e}"))
}

fn price_of(text: &Value) -> Option<Price> {
    Price::from_feed(&text.as_str().map_or_else(|| text.to_string(), str::to_owned)).ok()
}

fn session_of(event: &Value) -> Result<Session, String> {
    event.get("session").map_or(Ok(Session::Regular), |s| serde_json::from_value(s.clone()).map_err(|e| e.to_string()))
}

fn configure(instrument: &mut Instrument, settings: &Value) -> Result<(), String> {
    for (key, value) in settings.as_object().ok_or("instrument settings are no object")? {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let decimal = || text.parse::<Decimal>().map_err(|e| format!("{key}: {e}"));
        let span = || {
            let millis = i64::try_from((decimal()? * Decimal::ONE_THOUSAND).trunc()).map_err(|e| e.to_string())?;
            Ok::<_, String>(Span::from_millis(millis))
        };
        match key.as_str() {
            "quote" => instrument.currency = text,
            "stale_after" => instrument.stale_after = span()?,
            "outlier_window" => instrument.outlier_window = span()?,
            "outlier_pct" if value.is_null() => instrument.outlier_pct = None,
            "outlier_pct" => instrument.outlier_pct = Some(decimal()?),
            "session" => instrument.session = text,
            "timezone" => instrument.timezone = text,
            "delay" => instrument.delay = span()?,
            "allow_nonpositive" => instrument.allow_nonpositive = value == &Value::Bool(true),
            other => return Err(format!("unknown instrument setting {other}")),
        }
    }
    Ok(())
}
