//! Closed bars of one instrument, and what indicators make of them (`docs/alerts.md`, B18).
//!
//! Kept only while an alert asks. Nothing is done for an observation but to see whether it lies behind the end of a running
//! bar: the close of that bar is then the observation before it, which is known anyway.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt::Write as _,
    sync::OnceLock,
};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    cut::micros,
    exact::key,
    index::{Reached, Watchlist},
    state::{counts, side},
    window::{Observation, Track, divided},
};
use crate::{
    calendar::TradingDays,
    condition::SessionScope,
    indicator::{Indicator, LONGEST_BAR},
    price::Price,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};

/// The smallest step of time.
const INSTANT: Span = Span::from_micros(1);
/// Before any observation.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// The number of an indicator among those of its instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaugeId(u32);

/// All that alerts' indicators need of one instrument.
#[derive(Debug)]
pub(super) struct Gauges {
    days: TradingDays,
    series: Vec<Series>,
    /// Places of indicators that nobody uses any more are empty until taken again.
    all: Vec<Option<Gauge>>,
    known: HashMap<(SessionScope, Indicator), GaugeId>,
    /// The last volumes of the day that came with a price: of the regular session, and of all.
    volumes: [Option<Volume>; 2],
    /// The alerts that wait for a volume, in the same two scopes.
    watch: [Watchlist; 2],
    /// No bar ends before this.
    due: Timestamp,
    /// Alerts whose indicators have another value than when they were last looked at.
    changed: Vec<u32>,
}

/// One indicator.
#[derive(Debug)]
struct Gauge {
    scope: SessionScope,
    indicator: Indicator,
    value: Option<Price>,
    /// The places of the alerts that name it.
    users: BTreeSet<u32>,
}

/// The bars of one length and one scope of sessions.
#[derive(Debug)]
struct Series {
    scope: SessionScope,
    length: Span,
    /// Oldest first; at most `room`.
    closes: VecDeque<Close>,
    room: usize,
    /// The running bar; before the first observation it has ended.
    start: Timestamp,
    end: Timestamp,
    /// It has an observation that is in no closed bar.
    open: bool,
    gauges: Vec<GaugeId>,
    written: OnceLock<Box<str>>,
}

/// A closed bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Close {
    start: Timestamp,
    price: Decimal,
}

/// The volume of the day, and when it was that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Volume {
    #[serde(with = "micros")]
    ts: Timestamp,
    amount: Price,
}

/// What has to outlive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BarMemory {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    series: Vec<SeriesMemory>,
    #[serde(default)]
    volumes: [Option<Volume>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeriesMemory {
    scope: SessionScope,
    bar: Span,
    /// Prices, oldest first; before the first one and where bars are missing `@` and the start in seconds.
    closes: Box<str>,
}

/// The observations of both scopes, as they are before or after a change.
#[derive(Clone, Copy)]
pub(super) struct Tracks<'a> {
    pub(super) regular: &'a Track,
    /// The same where only the regular session was seen.
    pub(super) extended: &'a Track,
}

impl<'a> Tracks<'a> {
    const fn of(self, scope: SessionScope) -> &'a Track {
        match scope {
            SessionScope::Regular => self.regular,
            SessionScope::Extended => self.extended,
        }
    }
}

/// When an observation counts: the last point of a candle just before the candle's end, with which it belongs.
fn counted_at(ts: Timestamp, candle: Option<Timestamp>) -> Timestamp {
    if candle == Some(ts) { ts.minus(INSTANT) } else { ts }
}

/// The bar of this length in which `at` lies: from, inclusive, to, exclusive.
fn bar_around(days: &TradingDays, length: Span, at: Timestamp) -> (Timestamp, Timestamp) {
    if length == LONGEST_BAR {
        return days.around(at);
    }
    let start = Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(length.as_micros().max(1)));
    (start, start.plus(length))
}

impl Gauges {
    pub(super) fn new(days: TradingDays) -> Self {
        Self {
            days,
            series: Vec::new(),
            all: Vec::new(),
            known: HashMap::new(),
            volumes: [None; 2],
            watch: <[Watchlist; 2]>::default(),
            due: NEVER,
            changed: Vec::new(),
        }
    }

    /// The indicator under its number; from now on it is followed.
    pub(super) fn follow(&mut self, scope: SessionScope, indicator: Indicator, tracks: Tracks<'_>) -> GaugeId {
        if let Some(&id) = self.known.get(&(scope, indicator)) {
            return id;
        }
        let gauge = Gauge { scope, indicator, value: None, users: BTreeSet::new() };
        let place = if let Some(place) = self.all.iter().position(Option::is_none) {
            self.all[place] = Some(gauge);
            place
        } else {
            self.all.push(Some(gauge));
            self.all.len() - 1
        };
        let id = GaugeId(u32::try_from(place).unwrap_or(u32::MAX));
        self.known.insert((scope, indicator), id);
        if let Some(bars) = indicator.bars() {
            let place = self.series_of(scope, bars.length).unwrap_or_else(|| {
                self.series.push(Series::new(scope, bars.length));
                let place = self.series.len() - 1;
                self.series[place].take_up(&self.days, tracks.of(scope));
                place
            });
            let series = &mut self.series[place];
            series.gauges.push(id);
            series.room = series.room.max(indicator.window());
            if let Some(gauge) = &mut self.all[id.0 as usize] {
                gauge.value = series.value(&indicator);
            }
            self.settle();
        }
        id
    }

    fn series_of(&self, scope: SessionScope, length: Span) -> Option<usize> {
        self.series.iter().position(|s| s.scope == scope && s.length == length)
    }

    fn settle(&mut self) {
        self.due = self.series.iter().map(|s| s.end).min().unwrap_or(Timestamp::from_micros(i64::MAX));
    }

    /// Notes that the alert at this place names the indicator.
    pub(super) fn enlist(&mut self, id: GaugeId, user: u32) {
        if let Some(gauge) = self.all.get_mut(id.0 as usize).and_then(Option::as_mut) {
            gauge.users.insert(user);
        }
    }

    /// Notes that it does so no longer.
    pub(super) fn discharge(&mut self, id: GaugeId, user: u32) {
        if let Some(gauge) = self.all.get_mut(id.0 as usize).and_then(Option::as_mut) {
            gauge.users.remove(&user);
        }
    }

    /// Forgets what no alert needs; says whether anything is left.
    pub(super) fn sweep(&mut self) -> bool {
        for (place, slot) in self.all.iter_mut().enumerate() {
            let Some(gauge) = slot.as_ref().filter(|gauge| gauge.users.is_empty()) else { continue };
            self.known.remove(&(gauge.scope, gauge.indicator));
            *slot = None;
            let id = GaugeId(u32::try_from(place).unwrap_or(u32::MAX));
            self.series.iter_mut().for_each(|s| s.gauges.retain(|g| *g != id));
        }
        self.series.retain(|s| !s.gauges.is_empty());
        for series in &mut self.series {
            let window = |id: &GaugeId| self.all.get(id.0 as usize)?.as_ref().map(|g| g.indicator.window());
            series.room = series.gauges.iter().filter_map(window).max().unwrap_or(0);
            series.trim();
        }
        for scope in [SessionScope::Regular, SessionScope::Extended] {
            if !self.known.contains_key(&(scope, Indicator::Volume)) {
                self.volumes[side(scope)] = None;
            }
        }
        self.settle();
        !self.known.is_empty()
    }

    /// Which indicator this is.
    pub(super) fn indicator(&self, id: GaugeId) -> Option<Indicator> {
        self.all.get(id.0 as usize)?.as_ref().map(|gauge| gauge.indicator)
    }

    /// What an indicator is worth, and since when that was said where it can grow old.
    pub(super) fn value(&self, id: GaugeId) -> Option<(Price, Option<Timestamp>)> {
        let gauge = self.all.get(id.0 as usize)?.as_ref()?;
        if gauge.indicator == Indicator::Volume {
            return self.volumes[side(gauge.scope)].map(|volume| (volume.amount, Some(volume.ts)));
        }
        gauge.value.map(|value| (value, None))
    }

    /// Whether an observation of this time may end a bar.
    pub(super) const fn is_due(&self, ts: Timestamp) -> bool {
        ts.as_micros() >= self.due.as_micros()
    }

    /// Closes the bars that end with this observation, before it is recorded. `candle` is the end of the candle that it is a point of.
    pub(super) fn turn(&mut self, observation: &Observation, candle: Option<Timestamp>, before: Tracks<'_>) {
        let at = counted_at(observation.ts, candle);
        for place in 0..self.series.len() {
            let series = &mut self.series[place];
            if !counts(series.scope, observation.session) {
                continue;
            }
            let last = before.of(series.scope).last.map(|last| last.price.decimal());
            if series.advance(&self.days, at, observation, last) {
                self.refresh(place);
            }
        }
        self.settle();
    }

    /// Computes the indicators of a series again.
    fn refresh(&mut self, place: usize) {
        let series = &mut self.series[place];
        series.written = OnceLock::new();
        for id in &series.gauges {
            let Some(gauge) = self.all.get_mut(id.0 as usize).and_then(Option::as_mut) else { continue };
            let value = series.value(&gauge.indicator);
            if value != gauge.value {
                gauge.value = value;
                self.changed.extend(&gauge.users);
            }
        }
    }

    /// Notes the volume that came with a price.
    pub(super) fn note_volume(&mut self, ts: Timestamp, session: Session, amount: Price) {
        for scope in [SessionScope::Regular, SessionScope::Extended] {
            let Some(id) = self.known.get(&(scope, Indicator::Volume)).filter(|_| counts(scope, session)) else {
                continue;
            };
            let before = self.volumes[side(scope)].replace(Volume { ts, amount });
            // Nobody can wait for a level beside a value that is not known.
            if before.is_none()
                && let Some(Some(gauge)) = self.all.get(id.0 as usize)
            {
                self.changed.extend(&gauge.users);
            }
        }
    }

    /// Where alerts wait for a volume.
    pub(super) const fn watch(&mut self, scope: SessionScope) -> &mut Watchlist {
        &mut self.watch[side(scope)]
    }

    /// The last volume, of any age.
    pub(super) fn last_volume(&self, scope: SessionScope) -> Option<Price> {
        self.volumes[side(scope)].map(|volume| volume.amount)
    }

    /// Whether an observation at `ts` concerns nobody by what it said of the volume or did to an indicator.
    pub(super) fn is_quiet(&self, ts: Timestamp, session: Session) -> bool {
        let quiet = |scope: SessionScope| {
            let volume = self.last_volume(scope).map_or(0, |amount| key(amount.decimal()));
            !counts(scope, session) || self.watch[side(scope)].near().is_quiet(volume, ts)
        };
        self.changed.is_empty() && quiet(SessionScope::Regular) && quiet(SessionScope::Extended)
    }

    /// Names everybody whom an observation at `ts` can concern for what it said of the volume, or for the time that has passed.
    pub(super) fn concerned(&mut self, ts: Timestamp, session: Session, mut name: impl FnMut(u32, Reached)) {
        for scope in [SessionScope::Regular, SessionScope::Extended] {
            let volume = self.last_volume(scope).map_or(0, |amount| key(amount.decimal()));
            let watch = &mut self.watch[side(scope)];
            if counts(scope, session) && !watch.near().is_quiet(volume, ts) {
                watch.concerned(volume, ts, &mut name);
            }
        }
    }

    /// The alerts whose indicators changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// Fills in bars of the past that were not observed.
    pub(super) fn fill(&mut self, candles: &[Candle], now: Timestamp, tracks: Tracks<'_>) {
        for place in 0..self.series.len() {
            let series = &mut self.series[place];
            let running = tracks.of(series.scope).last.map(|_| series.start);
            if series.fill(&self.days, candles, running.map_or(now, |start| start.min(now))) {
                self.refresh(place);
            }
        }
    }

    /// Divides every close by `ratio`.
    pub(super) fn split(&mut self, ratio: Decimal) {
        for place in 0..self.series.len() {
            for close in &mut self.series[place].closes {
                close.price = divided(Price::new(close.price), ratio).decimal();
            }
            self.refresh(place);
        }
        // Whoever they are, a split looks at all alerts of the instrument.
        self.changed.clear();
    }

    /// Takes up another calendar.
    pub(super) fn set_days(&mut self, days: &TradingDays, tracks: Tracks<'_>) {
        if self.days != *days {
            self.days = days.clone();
            for series in &mut self.series {
                series.take_up(&self.days, tracks.of(series.scope));
            }
            self.settle();
        }
    }

    pub(super) fn memory(&self) -> BarMemory {
        BarMemory { series: self.series.iter().map(Series::memory).collect(), volumes: self.volumes }
    }

    /// The series of a memory, of which alerts have yet to say whether they need them.
    pub(super) fn remember(days: TradingDays, memory: BarMemory, tracks: Tracks<'_>) -> Self {
        let mut gauges = Self::new(days);
        gauges.volumes = memory.volumes;
        for SeriesMemory { scope, bar, closes } in memory.series {
            let mut series = Series::new(scope, bar);
            series.closes = read_closes(&closes, bar);
            series.room = series.closes.len();
            series.take_up(&gauges.days, tracks.of(scope));
            gauges.series.push(series);
        }
        gauges.settle();
        gauges
    }
}

impl Series {
    const fn new(scope: SessionScope, length: Span) -> Self {
        Self {
            scope,
            length,
            closes: VecDeque::new(),
            room: 0,
            start: NEVER,
            end: NEVER,
            open: false,
            gauges: Vec::new(),
            written: OnceLock::new(),
        }
    }

    /// Finds the running bar again by the last observation.
    fn take_up(&mut self, days: &TradingDays, track: &Track) {
        let Some(last) = &track.last else { return };
        (self.start, self.end) = bar_around(days, self.length, counted_at(last.ts, track.candle));
        self.open = self.closes.back().is_none_or(|close| close.start < self.start);
        if self.open && last.ts >= self.end {
            self.close(last.price.decimal());
        }
    }

    /// Goes on to an observation that counts at `at`; `last` is the price before it. Says whether the closes changed.
    fn advance(&mut self, days: &TradingDays, at: Timestamp, observation: &Observation, last: Option<Decimal>) -> bool {
        let mut changed = false;
        if at >= self.end {
            if let Some(last) = last.filter(|_| self.open) {
                self.close(last);
                changed = true;
            }
            (self.start, self.end) = bar_around(days, self.length, at);
            self.open = true;
            // What was filled in ahead of what is observed now.
            while self.closes.pop_back_if(|close| close.start >= self.start).is_some() {
                changed = true;
            }
        }
        if self.open && observation.ts >= self.end {
            self.close(observation.price.decimal());
            changed = true;
        }
        changed
    }

    fn close(&mut self, price: Decimal) {
        self.open = false;
        self.closes.push_back(Close { start: self.start, price });
        if self.room > 0 {
            self.trim();
        }
    }

    fn trim(&mut self) {
        while self.closes.len() > self.room {
            self.closes.pop_front();
            self.written = OnceLock::new();
        }
    }

    fn value(&self, indicator: &Indicator) -> Option<Price> {
        let skipped = self.closes.len().saturating_sub(indicator.window());
        let closes: Vec<Decimal> = self.closes.iter().skip(skipped).map(|close| close.price).collect();
        indicator.of_closes(&closes)
    }

    /// Fills in the closes of bars that ended by `limit` and that are not there; says whether there were any.
    fn fill(&mut self, days: &TradingDays, candles: &[Candle], limit: Timestamp) -> bool {
        let mut found: Vec<(Close, Timestamp)> = Vec::new();
        for candle in candles {
            let consistent = candle.from < candle.to && candle.low <= candle.close && candle.close <= candle.high;
            if !consistent || !counts(self.scope, candle.session) {
                continue;
            }
            let (start, end) = bar_around(days, self.length, candle.from);
            if candle.to <= end && end <= limit {
                found.push((Close { start, price: candle.close.decimal() }, candle.to));
            }
        }
        // Of several candles in one bar, the latest has its close.
        found.sort_by_key(|(close, to)| (close.start, *to));
        found.dedup_by(|later, kept| {
            let same = later.0.start == kept.0.start;
            if same {
                *kept = *later;
            }
            same
        });
        let before = self.closes.clone();
        for (close, _) in found {
            let place = self.closes.partition_point(|known| known.start < close.start);
            if self.closes.get(place).is_none_or(|known| known.start != close.start) {
                self.closes.insert(place, close);
            }
        }
        self.trim();
        self.closes != before
    }

    fn memory(&self) -> SeriesMemory {
        let closes = self.written.get_or_init(|| write_closes(&self.closes, self.length)).clone();
        SeriesMemory { scope: self.scope, bar: self.length, closes }
    }
}

fn write_closes(closes: &VecDeque<Close>, length: Span) -> Box<str> {
    let mut text = String::with_capacity(closes.len() * 10);
    let mut next = None;
    for close in closes {
        if !text.is_empty() {
            text.push(' ');
        }
        if next != Some(close.start) {
            // Writing to a string cannot fail.
            let _written = write!(text, "@{} ", close.start.as_seconds());
        }
        let _written = write!(text, "{}", close.price);
        next = Some(close.start.plus(length));
    }
    text.into()
}

/// Reads what was written; what cannot be read is left out, as history can fill it in.
fn read_closes(text: &str, length: Span) -> VecDeque<Close> {
    let mut closes: VecDeque<Close> = VecDeque::new();
    let mut next = None;
    for word in text.split_ascii_whitespace() {
        if let Some(seconds) = word.strip_prefix('@') {
            next = seconds.parse().ok().map(Timestamp::from_seconds);
            continue;
        }
        if let (Some(start), Ok(price)) = (next, word.parse()) {
            if closes.back().is_none_or(|last| last.start < start) {
                closes.push_back(Close { start, price });
            }
            next = Some(start.plus(length));
        }
    }
    closes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_are_read_as_they_were_written() {
        let close =
            |start: i64, price: &str| Close { start: Timestamp::from_seconds(start), price: price.parse().unwrap() };
        let closes = VecDeque::from([close(0, "1.50"), close(60, "2"), close(240, "-3.25"), close(300, "0.000001")]);
        let text = write_closes(&closes, Span::from_seconds(60));
        assert_eq!(&*text, "@0 1.50 2 @240 -3.25 0.000001");
        assert_eq!(read_closes(&text, Span::from_seconds(60)), closes);
        assert_eq!(read_closes("5 @x 6 @60 seven 8", Span::from_seconds(60)), VecDeque::from([close(60, "8")]));
    }
}
