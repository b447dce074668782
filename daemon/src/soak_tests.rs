//! A long time in a short one (docs/performance.md, *A year in an hour*): simulated time drives all instruments of the catalogue through the
//! real evaluator, the real bars, the real store and its retention. The computer sleeps and is started anew, feeds break off, clocks are set
//! forward and back, a day is leapt, a share is split. What must come of it is counted apart, from the prices alone.
//!
//! Thinned: of each instrument one price each half hour of its trading (the long run: each twenty minutes), instead of several a second. The path of a
//! price is a function of the time: a wave with noise on it, so that levels are passed often and in bursts.
//!
//! `cargo test` plays 16 days with a leap day and a clock change. The year:
//! `BELLWETHER_SOAK=1 cargo test -p bellwether-daemon --lib soak -- --nocapture`, and `BELLWETHER_SOAK_KEEP=FOLDER` keeps its database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::Write as _,
    path::Path,
};

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, UserId},
    calendar::{MarketHours, market_hours},
    catalog::Catalog,
    evaluator::{Admission, Evaluator},
    event::Ticker,
    firing::Firing,
    instrument::{FeedId, Instrument},
    parse::{ParseContext, parse},
    tick::Tick,
};
use rust_decimal::Decimal;

use super::*;
use crate::{
    metrics::Metrics,
    retention::{Keep, prune},
    store::{DATABASE_FILE, Record},
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// How long hours are kept (`history::KEPT`).
const HOURS_KEPT: i64 = 400 * DAY;
/// Which share is split, and into how many.
const SPLIT: (&str, u32) = ("AAPL", 4);

/// What is played.
struct Play {
    /// First second.
    from: i64,
    days: i64,
    /// Seconds between two prices of an instrument.
    step: i64,
    /// How long minutes are kept, in seconds.
    keep: i64,
    /// How long firings are kept, in seconds.
    history: i64,
}

/// What levels an instrument's alerts have, in hundredths of a hundredth: never a price, which has two decimals.
const HIGH: i64 = 1_024_004;
const LOW: i64 = 976_004;
const TOP: i64 = 1_026_004;

/// The price of an instrument at a time, in hundredths: a triangular wave of 5 % with noise, divisible by the split.
fn path(number: usize, at: i64) -> i64 {
    let number = i64::try_from(number).expect("few");
    let period = (5 + number % 9) * DAY;
    let phase = (at + number * 7_919).rem_euclid(period);
    let wave = (phase * 4 * 250 / period - 500).abs() - 250;
    let mut mixed =
        (at / 60).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number.wrapping_mul(1_442_695_040_888_963_407));
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(-4_658_895_280_553_007_687);
    let noise = (mixed >> 33).rem_euclid(61) - 30;
    (10_000 + wave + noise) / 4 * 4
}

/// Whether no price comes: the computer sleeps every third night, and each feed breaks off for four hours now and then.
fn is_silent(number: usize, at: i64) -> bool {
    let (day, second) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let broken = (day * 13 + i64::try_from(number).expect("few")) % 29 == 0 && (10 * HOUR..14 * HOUR).contains(&second);
    is_asleep(at) || broken
}

fn is_asleep(at: i64) -> bool {
    let hour = at.rem_euclid(DAY) / HOUR;
    (at - 6 * HOUR).div_euclid(DAY) % 3 == 0 && !(6..22).contains(&hour)
}

/// What must come of the prices of one instrument, counted without the engine.
#[derive(Default)]
struct Expected {
    before: Option<i64>,
    highs: u32,
    lows: u32,
    crossings: u32,
    tops: u32,
    minutes: Vec<i64>,
}

impl Expected {
    fn see(&mut self, at: i64, cents: i64) {
        let price = cents * 100;
        let passes = |level: i64, up: bool| match self.before {
            Some(before) if up => before < level && price > level,
            Some(before) => before > level && price < level,
            None => false,
        };
        let begins = |now: bool| self.before.is_none() && now;
        self.highs += u32::from(passes(HIGH, true) || begins(price > HIGH));
        self.lows += u32::from(passes(LOW, false) || begins(price < LOW));
        self.crossings += u32::from(passes(HIGH, true) || passes(HIGH, false));
        self.tops = self.tops.max(u32::from(price > TOP));
        self.minutes.push(at / 60);
        self.before = Some(price);
    }
}

struct Soak<'a> {
    catalog: &'a Catalog,
    evaluator: Evaluator,
    store: Store,
    folder: &'a Path,
    bars: Bars,
    fired: HashMap<AlertId, u32>,
    firings: Vec<Firing>,
    /// Whose firings were recorded when, in that order.
    recorded: Vec<(AlertId, i64)>,
    rewritten: Vec<Alert>,
}

impl Soak<'_> {
    async fn alerts(&mut self, now: Timestamp) -> BTreeMap<(usize, u8), AlertId> {
        let zone = jiff::tz::TimeZone::UTC;
        let context = ParseContext { catalog: self.catalog, now, timezone: &zone, channels: &[] };
        let level = |hundredths: i64| Decimal::new(hundredths, 4).normalize();
        let mut made = BTreeMap::new();
        for (number, instrument) in self.catalog.instruments().iter().enumerate() {
            let symbol = format!("\"{}\"", instrument.symbol);
            let lines = [
                format!("{symbol} > {} each", level(HIGH)),
                format!("{symbol} < {} each", level(LOW)),
                format!("{symbol} crosses {} each", level(HIGH)),
                format!("{symbol} > {} once", level(TOP)),
                format!("{symbol} ±30% in 7d each"),
            ];
            for (kind, line) in (0_u8..).zip(lines) {
                let rule = parse(&line, &context).unwrap_or_else(|error| panic!("{line}: {error:?}"));
                let (alert, _) = self.store.insert_alert(UserId::OWNER, rule, now, None).await.expect("made");
                made.insert((number, kind), alert.id);
                assert!(self.evaluator.apply(AlertChange::Put(alert), now, &mut self.firings));
            }
        }
        made
    }

    fn tick(&mut self, instrument: &Instrument, cents: i64, units: i64, at: Timestamp) {
        let price = Price::new(Decimal::new(cents / units, 2));
        let mut tick = Tick::new(instrument.symbol, price, FeedId::Simulated, at);
        tick.exchange_time = Some(at);
        let admission = self.evaluator.on_tick(&tick, &mut self.firings);
        assert!(matches!(admission, Admission::Accepted), "{tick:?}: {admission:?}");
        self.bars.add(Trade { symbol: instrument.symbol, price, time: at, counted: None });
    }

    /// Puts everything on record, as the roles do.
    async fn write(&mut self, now: Timestamp) {
        for firing in &self.firings {
            *self.fired.entry(firing.id.alert).or_default() += 1;
            self.recorded.push((firing.id.alert, now.as_seconds()));
        }
        let record = Record {
            firings: std::mem::take(&mut self.firings),
            routes: Vec::new(),
            over: Vec::new(),
            cut: self.evaluator.take_cut(),
            rewritten: std::mem::take(&mut self.rewritten),
            now,
        };
        self.store.record(record).await.expect("recorded");
        let news = self.bars.unwritten();
        self.store.record_prices(news, Vec::new()).await.expect("written");
        self.bars.written();
    }

    /// The daemon ends and starts again, from what is on record alone.
    async fn restart(&mut self) {
        self.store.close().await;
        self.store = Store::open(self.folder).expect("it opens again");
        let (alerts, memory) = (self.store.alerts().await.expect("alerts"), self.store.memory().await.expect("memory"));
        self.evaluator = Evaluator::restore(self.catalog.instruments().iter().cloned(), alerts, memory);
        self.bars = Bars::default();
    }

    /// How many bytes the evaluator's memory takes on record.
    async fn memory(&self) -> usize {
        serde_json::to_string(&self.store.memory().await.expect("a memory")).expect("JSON").len()
    }
}

/// Plays it, and gives a report once everything was as expected.
async fn soak(play: &Play, folder: &Path) -> String {
    let catalog = Catalog::builtin();
    let instruments = catalog.instruments();
    let mut soak = Soak {
        catalog: &catalog,
        evaluator: Evaluator::new(instruments.iter().cloned()),
        store: Store::open(folder).expect("a store"),
        folder,
        bars: Bars::default(),
        fired: HashMap::new(),
        firings: Vec::new(),
        recorded: Vec::new(),
        rewritten: Vec::new(),
    };
    let alerts = soak.alerts(Timestamp::from_seconds(play.from)).await;
    let mut expected: Vec<Expected> = instruments.iter().map(|_| Expected::default()).collect();
    let end = play.from + play.days * DAY;
    // The step need not divide this: the first price that is later is a new unit's.
    let split = play.from + play.days * DAY / 2;
    let (mut units, mut slept, mut half, mut starts) = (1, false, 0, 0);
    let keep = Keep { bars: Span::from_seconds(play.keep), history: Span::from_seconds(play.history) };
    let metrics = Metrics::new();
    let mut at = play.from;
    while at < end {
        let now = Timestamp::from_seconds(at);
        if units == 1 && at >= split {
            units = i64::from(SPLIT.1);
            let symbol: Symbol = SPLIT.0.parse().expect("a symbol");
            let rewritten = soak.evaluator.on_split(symbol, Decimal::from(SPLIT.1), now);
            assert_eq!(rewritten.len(), 4, "all with a level");
            soak.rewritten = rewritten;
            soak.write(now).await;
            half = soak.memory().await;
        }
        if slept && !is_asleep(at) {
            soak.restart().await;
            starts += 1;
        }
        slept = is_asleep(at);
        let mut open = HashMap::new();
        for (number, instrument) in instruments.iter().enumerate() {
            let trading = open.entry((&instrument.session, &instrument.timezone)).or_insert_with(|| {
                matches!(
                    market_hours(&instrument.session, &instrument.timezone, now),
                    MarketHours::Open | MarketHours::Unknown
                )
            });
            if !*trading || is_silent(number, at) {
                continue;
            }
            let cents = path(number, at);
            let units = if instrument.symbol.as_str() == SPLIT.0 { units } else { 1 };
            soak.tick(instrument, cents, units, now);
            expected[number].see(at, cents);
        }
        if at % (4 * HOUR) == 0 {
            soak.write(now).await;
        }
        if at % DAY == 0 {
            prune(&soak.store, now, keep, &metrics).await.expect("pruned");
        }
        at += play.step;
    }
    let now = Timestamp::from_seconds(end);
    soak.write(now).await;
    prune(&soak.store, now, keep, &metrics).await.expect("pruned");

    let mut total = 0;
    for ((number, kind), id) in &alerts {
        let seen = &expected[*number];
        let wanted = [seen.highs, seen.lows, seen.crossings, seen.tops, 0][usize::from(*kind)];
        let fired = soak.fired.get(id).copied().unwrap_or_default();
        assert_eq!(fired, wanted, "{}, alert {kind}", instruments[*number].symbol);
        total += wanted as usize;
    }
    let last = instruments.iter().zip(&expected).filter_map(|(instrument, seen)| last_price(instrument, seen, end));
    soak.store.record_prices(Vec::new(), last.collect()).await.expect("written");
    let memory = soak.memory().await;
    assert!(memory < half * 3 / 2, "the evaluator's memory does not grow with time: {half} bytes, then {memory}");
    soak.store.close().await;

    let oldest = (end - play.keep).div_euclid(HOUR) * 60;
    let minutes: usize = expected.iter().map(|seen| seen.minutes.iter().filter(|m| **m >= oldest).count()).sum();
    let hours: usize = expected.iter().map(|seen| kept_hours(seen, oldest, end - HOURS_KEPT)).sum();
    let firings = kept_firings(&soak.recorded, end - play.history);
    let ticks: usize = expected.iter().map(|seen| seen.minutes.len()).sum();
    assert_eq!(crate::store::rows_on_disk(folder), [minutes, hours, firings], "what stays");
    let bytes = std::fs::metadata(folder.join(DATABASE_FILE)).expect("the database").len();
    let bound = ((minutes + hours) * 90 + total * 2_500 + (8 << 20)) as u64;
    assert!(bytes < bound, "{bytes} bytes, and at most {bound} were expected");
    let days: HashSet<i64> = expected.iter().flat_map(|seen| seen.minutes.iter().map(|m| m / 1_440)).collect();
    format!(
        "{} days with prices, {ticks} prices, {starts} starts, {total} firings; kept: {minutes} minutes, {hours} hours and {firings} firings; \
         database {:.1} MB; the evaluator's memory {} KB on record; this process {}\n",
        days.len(),
        bytes_in_mb(bytes),
        memory / 1_000,
        resident()
    )
}

/// How many hours the minutes before `oldest` became, of those that begin from `from` on.
fn kept_hours(seen: &Expected, oldest: i64, from: i64) -> usize {
    let old = seen.minutes.iter().filter(|minute| **minute < oldest).map(|minute| minute / 60);
    old.filter(|hour| hour * HOUR >= from).collect::<BTreeSet<_>>().len()
}

/// How many firings are kept: what was recorded from `oldest` on, and the last of each alert.
fn kept_firings(recorded: &[(AlertId, i64)], oldest: i64) -> usize {
    let last: HashMap<AlertId, i64> = recorded.iter().copied().collect();
    let long_ago = last.values().filter(|at| **at < oldest).count();
    recorded.iter().filter(|(_, at)| *at >= oldest).count() + long_ago
}

fn bytes_in_mb(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1_000).unwrap_or(u32::MAX)) / 1_000.0
}

/// What this process holds of the machine's memory, where the system says so.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

fn last_price(instrument: &Instrument, seen: &Expected, end: i64) -> Option<Ticker> {
    let price = Decimal::new(seen.before?, 4);
    let divided = if instrument.symbol.as_str() == SPLIT.0 { price / Decimal::from(SPLIT.1) } else { price };
    Some(Ticker {
        symbol: instrument.symbol,
        price: Price::new(divided),
        change_24h_pct: None,
        reference: None,
        high: None,
        low: None,
        volume: None,
        as_of: Timestamp::from_seconds(seen.minutes.last()? * 60),
        received: Timestamp::from_seconds(end),
        source: FeedId::Simulated,
        session: Session::Regular,
        stale_after: instrument.stale_after,
        delay: Span::ZERO,
    })
}

/// Midnight in UTC of a day.
fn midnight(year: i16, month: i8, day: i8) -> i64 {
    let date = jiff::civil::date(year, month, day).at(0, 0, 0, 0);
    date.to_zoned(jiff::tz::TimeZone::UTC).expect("a day").timestamp().as_second()
}

#[tokio::test]
async fn two_weeks_of_prices_fire_and_leave_what_was_counted_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let play = Play { from: midnight(2028, 2, 27), days: 16, step: HOUR / 2, keep: 7 * DAY, history: 5 * DAY };
    soak(&play, folder.path()).await;
}

#[tokio::test]
async fn a_year_of_prices_leaves_a_database_and_a_memory_of_the_expected_size() {
    if std::env::var_os("BELLWETHER_SOAK").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let play = Play { from: midnight(2027, 11, 1), days: 366, step: HOUR / 3, keep: 30 * DAY, history: 730 * DAY };
    let kept = std::env::var_os("BELLWETHER_SOAK_KEEP").map(std::path::PathBuf::from);
    let said = soak(&play, kept.as_deref().unwrap_or(folder.path())).await;
    std::io::stderr().write_all(said.as_bytes()).expect("stderr");
}
