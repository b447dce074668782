//! Which ticks and candles are believed (`docs/alerts.md`, B3 and B4), and the state of one instrument that decides it.

use rust_decimal::Decimal;

use super::{
    bars::{GaugeId, Gauges, Tracks},
    cut::InstrumentMemory,
    exact,
    index::{Near, Reached, Watchlist},
    slot::Slot,
    state::{Leg, counts, side},
    step::Seen,
    window::{Observation, Reach, Track, divided},
};
use crate::{
    calendar::TradingDays,
    condition::{Condition, Operand, SessionScope},
    indicator::Indicator,
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::{Candle, Session, Tick},
    time::{Span, Timestamp},
};

/// A source time further ahead of the receive time than this is a wrong clock.
const AHEAD: Span = Span::from_seconds(60);

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// Believed and evaluated.
    Accepted,
    /// So far from the last price that a second one has to agree.
    Held,
    /// Not believed; nothing changed.
    Rejected(Rejection),
}

impl Admission {
    /// The word for a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Held => "held",
            Self::Rejected(rejection) => rejection.as_str(),
        }
    }
}

/// Why a tick was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// At or below zero, where the instrument cannot trade.
    NotPositive,
    /// Older than what is already known.
    OutOfOrder,
    /// The same price at the same time again.
    Duplicate,
    /// Too old to say anything about the present.
    Stale,
    /// Nobody knows this instrument.
    UnknownInstrument,
}

impl Rejection {
    /// The word for a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPositive => "not_positive",
            Self::OutOfOrder => "out_of_order",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::UnknownInstrument => "unknown_instrument",
        }
    }
}

/// One instrument as the evaluator sees it. What every tick reads comes first and lies together: with thousands of instruments,
/// fetching it is most of what a tick costs.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Market {
    /// False while only an alert has named it.
    listed: bool,
    allow_nonpositive: bool,
    pub(super) dirty: bool,
    pub(super) stale_after: Span,
    seq: u64,
    reach: Reach,
    /// All sessions; absent as long as only the regular one was seen, which is then the same.
    pub(super) extended: Option<Box<Track>>,
    /// What is nearest in `watch`, where every tick looks.
    near: [Near; 2],
    outlier_pct: Option<Decimal>,
    held: Option<(Timestamp, Price)>,
    pub(super) regular: Track,
    /// Closed bars and what is computed from them; absent while no alert asks.
    pub(super) gauges: Option<Box<Gauges>>,
    /// Alerts that see the regular session, and those that see all.
    watch: [Watchlist; 2],
    outlier_window: Span,
    pub(super) delay: Span,
    days: TradingDays,
    pub(super) symbol: Symbol,
    /// The symbol as the alert language writes it.
    pub(super) name: Box<str>,
}

/// What [`Market::admit`] says of a tick.
pub(super) enum Verdict {
    /// Recorded, at this time.
    Recorded(Timestamp),
    /// Recorded as the first and too old to be evaluated: it only arms.
    FirstButStale(Timestamp),
    Held,
    Rejected(Rejection),
}

/// One point of a candle: its time, its price, and whether it is the last.
pub(super) type Point = (Timestamp, Price, bool);

impl Market {
    pub(super) fn new(symbol: Symbol) -> Self {
        let unlisted = Instrument::unlisted(symbol);
        let mut market = Self {
            symbol,
            name: Operand::Price(symbol).to_string().into(),
            listed: false,
            allow_nonpositive: false,
            outlier_pct: None,
            outlier_window: Span::ZERO,
            stale_after: Span::ZERO,
            delay: Span::ZERO,
            regular: Track::default(),
            extended: None,
            gauges: None,
            days: TradingDays::of(&unlisted.session, &unlisted.timezone),
            held: None,
            seq: 0,
            reach: Reach::default(),
            near: [Near::default(); 2],
            watch: [Watchlist::default(), Watchlist::default()],
            dirty: false,
        };
        market.configure(&unlisted);
        market.listed = false;
        market
    }

    pub(super) fn configure(&mut self, instrument: &Instrument) {
        self.listed = true;
        self.allow_nonpositive = instrument.allow_nonpositive;
        self.outlier_pct = instrument.outlier_pct;
        self.outlier_window = instrument.outlier_window;
        self.stale_after = instrument.stale_after;
        self.delay = instrument.delay;
        self.days = TradingDays::of(&instrument.session, &instrument.timezone);
        let tracks = Tracks { regular: &self.regular, extended: self.extended.as_deref().unwrap_or(&self.regular) };
        if let Some(gauges) = &mut self.gauges {
            gauges.set_days(&self.days, tracks);
        }
    }

    /// The number of an indicator, which is followed from now on.
    pub(super) fn follow(&mut self, scope: SessionScope, indicator: Indicator) -> GaugeId {
        let tracks = Tracks { regular: &self.regular, extended: self.extended.as_deref().unwrap_or(&self.regular) };
        let gauges = self.gauges.get_or_insert_with(|| Box::new(Gauges::new(self.days.clone())));
        gauges.follow(scope, indicator, tracks)
    }

    /// Lets `work` change the list in which an alert stands that waits for something of this instrument: beside its price, or
    /// beside its volume.
    pub(super) fn rewatch_for(&mut self, scope: SessionScope, slot: &Slot, work: impl FnOnce(&mut Watchlist)) {
        if let Some(gauges) = &mut self.gauges
            && let [Leg::Gauged { value: Some(id), .. }] = *slot.legs()
            && gauges.indicator(id) == Some(Indicator::Volume)
        {
            return work(gauges.watch(scope));
        }
        self.rewatch(scope, work);
    }

    /// Forgets the bars that no alert needs.
    pub(super) fn sweep(&mut self) {
        if self.gauges.as_mut().is_some_and(|gauges| !gauges.sweep()) {
            self.gauges = None;
        }
    }

    /// Which indicator this is.
    pub(super) fn indicator(&self, id: GaugeId) -> Option<Indicator> {
        self.gauges.as_ref()?.indicator(id)
    }

    /// What an indicator is worth at `now`; nothing where that is unknown, or was said too long ago.
    pub(super) fn gauge(&self, id: GaugeId, now: Timestamp) -> Option<Price> {
        let (value, said) = self.gauges.as_ref()?.value(id)?;
        said.is_none_or(|ts| self.is_fresh(ts, now)).then_some(value)
    }

    /// Fills in closed bars of the past (B18).
    pub(super) fn fill(&mut self, candles: &[Candle], now: Timestamp) {
        let believed = |candle: &&Candle| self.admissible(candle.low);
        let candles: Vec<Candle> = candles.iter().filter(believed).cloned().collect();
        let tracks = Tracks { regular: &self.regular, extended: self.extended.as_deref().unwrap_or(&self.regular) };
        if let Some(gauges) = &mut self.gauges {
            gauges.fill(&candles, now, tracks);
        }
    }

    pub(super) fn track(&self, scope: SessionScope) -> &Track {
        match (scope, &self.extended) {
            (SessionScope::Extended, Some(track)) => track,
            _ => &self.regular,
        }
    }

    /// Whether what was just seen concerns no alert: for nearly all ticks the end of the work.
    #[inline]
    pub(super) fn is_quiet(&self, seen: &Seen) -> bool {
        let quiet =
            |scope| !counts(scope, seen.session) || self.near[side(scope)].is_quiet(self.track(scope).key, seen.ts);
        let rests = self.gauges.as_ref().is_none_or(|gauges| gauges.is_quiet(seen.ts, seen.session));
        quiet(SessionScope::Regular) && quiet(SessionScope::Extended) && rests
    }

    /// The alerts that see this scope of sessions.
    pub(super) const fn watch(&self, scope: SessionScope) -> &Watchlist {
        &self.watch[side(scope)]
    }

    /// Lets `work` change which alerts see this scope of sessions.
    pub(super) fn rewatch(&mut self, scope: SessionScope, work: impl FnOnce(&mut Watchlist)) {
        let watch = &mut self.watch[side(scope)];
        work(watch);
        self.near[side(scope)] = watch.near();
    }

    /// Names everybody whom what was just seen can concern ([`Watchlist::concerned`]).
    pub(super) fn concerned(&mut self, seen: &Seen, mut name: impl FnMut(u32, Reached)) {
        for scope in [SessionScope::Regular, SessionScope::Extended] {
            let key = self.track(scope).key;
            if counts(scope, seen.session) && !self.near[side(scope)].is_quiet(key, seen.ts) {
                self.rewatch(scope, |watch| watch.concerned(key, seen.ts, &mut name));
            }
        }
    }

    /// The last observation of any session.
    pub(super) fn last(&self) -> Option<&Observation> {
        self.track(SessionScope::Extended).last.as_ref()
    }

    /// Whether an observation of this time still says something at `now`.
    pub(super) fn is_fresh(&self, ts: Timestamp, now: Timestamp) -> bool {
        now.since(ts) <= self.stale_after
    }

    /// Decides on a tick, and records it when it is believed. `rx` never decreases.
    pub(super) fn admit(&mut self, tick: &Tick, rx: Timestamp) -> Verdict {
        if !self.listed {
            return Verdict::Rejected(Rejection::UnknownInstrument);
        }
        if !self.admissible(tick.price) {
            return Verdict::Rejected(Rejection::NotPositive);
        }
        let ts = tick.exchange_time.filter(|ts| *ts <= rx.plus(AHEAD)).unwrap_or(rx);
        let last = self.last().map(|last| (last.ts, last.price));
        if let Some((last_ts, last_price)) = last {
            if ts < last_ts {
                return Verdict::Rejected(Rejection::OutOfOrder);
            }
            if ts == last_ts && tick.price == last_price {
                return Verdict::Rejected(Rejection::Duplicate);
            }
        }
        let observation =
            Observation { ts, price: tick.price, session: tick.session, source: tick.source, received: rx };
        if !self.is_fresh(ts, rx) {
            if last.is_some() {
                return Verdict::Rejected(Rejection::Stale);
            }
            self.record_tick(observation, tick);
            return Verdict::FirstButStale(ts);
        }
        if let (Some(percent), Some((last_ts, last_price))) = (self.outlier_pct, last)
            && ts.since(last_ts) <= self.outlier_window
            && differs(tick.price, last_price, percent)
        {
            let agreed = self.held.is_some_and(|(at, held)| at < ts && !differs(tick.price, held, percent));
            if !agreed {
                if self.held.is_none_or(|(at, _)| ts >= at) {
                    self.held = Some((ts, tick.price));
                }
                return Verdict::Held;
            }
        }
        self.held = None;
        self.record_tick(observation, tick);
        Verdict::Recorded(ts)
    }

    fn admissible(&self, price: Price) -> bool {
        self.allow_nonpositive || price.is_positive()
    }

    fn record_tick(&mut self, observation: Observation, tick: &Tick) {
        self.record(observation, None);
        if let (Some(gauges), Some(amount)) = (&mut self.gauges, tick.day.volume) {
            gauges.note_volume(observation.ts, observation.session, amount);
        }
    }

    /// Records an observation; `candle` is the end of the candle that it is a point of.
    pub(super) fn record(&mut self, observation: Observation, candle: Option<Timestamp>) {
        if let Some(gauges) = self.gauges.as_mut().filter(|gauges| gauges.is_due(observation.ts)) {
            let tracks = Tracks { regular: &self.regular, extended: self.extended.as_deref().unwrap_or(&self.regular) };
            gauges.turn(&observation, candle, tracks);
        }
        self.seq += 1;
        let (seq, reach) = (self.seq, self.reach);
        if observation.session == Session::Regular {
            self.regular.push(observation, candle, seq, reach);
        } else if self.extended.is_none() {
            self.extended = Some(Box::new(self.regular.clone()));
        }
        if let Some(extended) = &mut self.extended {
            extended.push(observation, candle, seq, reach);
        }
    }

    /// The observations that a candle stands for; none where it does not count.
    pub(super) fn points(&self, candle: &Candle, rx: Timestamp) -> Vec<Point> {
        let Candle { from, to, open, high, low, close, .. } = *candle;
        let last = self.last().map(|l| l.ts);
        let consistent = from < to && low <= open && low <= close && open <= high && close <= high;
        let counts = self.listed && to <= rx && consistent && self.admissible(low) && last.is_none_or(|l| to > l);
        if !counts {
            return Vec::new();
        }
        if last.is_some_and(|l| from < l) {
            return vec![(to, close, true)];
        }
        let third = |n: i64| from.plus(Span::from_millis(to.since(from).as_millis() / 3).times(n));
        let (second, fourth) = if close >= open { (low, high) } else { (high, low) };
        vec![(from, open, false), (third(1), second, false), (third(2), fourth, false), (to, close, true)]
    }

    /// Makes windows reach back as far as this alert looks.
    pub(super) fn reach(&mut self, condition: &Condition) {
        match *condition {
            Condition::MoveIn { window, .. } => self.reach.within = self.reach.within.max(window),
            Condition::PercentVs { ago, .. } => self.reach.ago = self.reach.ago.max(ago),
            _ => return,
        }
        self.regular.fold(self.reach);
        if let Some(extended) = &mut self.extended {
            extended.fold(self.reach);
        }
    }

    /// Divides everything recorded by `ratio`.
    pub(super) fn split(&mut self, ratio: Decimal) {
        self.regular.split(ratio, self.reach);
        if let Some(extended) = &mut self.extended {
            extended.split(ratio, self.reach);
        }
        if let Some(gauges) = &mut self.gauges {
            gauges.split(ratio);
        }
        self.held = self.held.map(|(ts, price)| (ts, divided(price, ratio)));
    }

    pub(super) fn memory(&self) -> InstrumentMemory {
        InstrumentMemory {
            symbol: self.symbol,
            regular: self.regular.written(self.reach),
            extended: self.extended.as_ref().map(|t| t.written(self.reach)),
            held: self.held.map(|(ts, price)| (ts.as_micros(), price.decimal())),
            bars: self.gauges.as_ref().map(|gauges| gauges.memory()),
        }
    }

    pub(super) fn remember(&mut self, memory: InstrumentMemory) {
        self.seq = memory.regular.seq.max(memory.extended.as_ref().map_or(0, |t| t.seq));
        self.regular = memory.regular;
        self.extended = memory.extended.map(Box::new);
        self.regular.settle();
        if let Some(extended) = &mut self.extended {
            extended.settle();
        }
        let tracks = Tracks { regular: &self.regular, extended: self.extended.as_deref().unwrap_or(&self.regular) };
        self.gauges = memory.bars.map(|bars| Box::new(Gauges::remember(self.days.clone(), bars, tracks)));
        self.held = memory.held.map(|(ts, price)| (Timestamp::from_micros(ts), Price::new(price)));
    }

    /// Who delivers it, as far as is known.
    pub(super) fn source(&self) -> FeedId {
        self.last().map_or(FeedId::Tape, |l| l.source)
    }
}

/// Whether `price` lies more than `percent` of `base` away from it.
fn differs(price: Price, base: Price, percent: Decimal) -> bool {
    let (price, base) = (price.decimal(), base.decimal());
    let (high, low) = if price >= base { (price, base) } else { (base, price) };
    let hundred = Decimal::ONE_HUNDRED;
    exact::compare(&[&[high, hundred]], &[&[base.abs(), percent], &[low, hundred]]).is_gt()
}
