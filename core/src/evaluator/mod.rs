//! When exactly an alert fires (`docs/alerts.md`, part B).
//!
//! ```text
//! tick, batch, candle, backfill --> admission --> index: whom can it concern? --> step: one alert --> firings
//! change, split ------------------> commands ----------------------------------------^
//!                                       everything that changed since the last time --> cut --> disk
//! ```
//!
//! A pure function of its inputs: no timers, no clock. The same inputs in the same order give the same firings live, in a
//! backtest, and with a restart between any two of them. What does not concern an alert does not touch it.

mod admission;
mod bars;
mod commands;
mod cut;
mod exact;
mod index;
mod levels;
mod numbers;
#[cfg(test)]
mod oracle;
mod plain;
mod quick;
#[cfg(test)]
mod race;
mod reason;
mod slot;
mod state;
mod step;
mod style;
mod terms;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use self::reason::Untold;
pub use self::{
    admission::{Admission, Rejection},
    cut::{AlertMemory, Cut, InstrumentMemory},
    state::AlertStatus,
    window::Observation,
};
use self::{
    admission::{Market, Point, Verdict},
    index::{Plan, Reached},
    numbers::Numbers,
    quick::QuickMap,
    slot::Slot,
    state::{Leg, is_joint},
    step::{End, Occasion, Readings, Scene, Seen},
    style::Styles,
};
use std::collections::{BTreeSet, VecDeque};

use crate::{
    alert::{Alert, AlertId, AlertState},
    firing::{Firing, TermLevels},
    instrument::{FeedId, Instrument, Symbol},
    tick::{Candle, Tick},
    time::Timestamp,
};

/// All alerts and what is known of their instruments.
#[derive(Debug, Default)]
pub struct Evaluator {
    markets: Vec<Market>,
    market_of: QuickMap<Symbol, u32>,
    /// Places of deleted alerts are empty until taken again.
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    slot_of: Numbers,
    styles: Styles,
    /// Versions of deleted alerts: a change that was overtaken by the deletion must not bring them back.
    buried: QuickMap<AlertId, u32>,
    /// What was known of the alerts that were deleted last, should one of them be brought back.
    parted: VecDeque<AlertMemory>,
    /// The largest receive time seen.
    rx: Timestamp,
    /// Who fired in the running input, and where that firing stands in the input's list. Not kept where the input is one observation.
    fired: QuickMap<u32, usize>,
    dirty_slots: Vec<u32>,
    dirty_markets: Vec<u32>,
    /// Whom the running observation concerns; kept for its memory.
    visits: Vec<(u32, Reached)>,
    /// What the terms of the running evaluation come to; kept for its memory, too.
    readings: Readings,
}

/// How many alerts are evaluated at a stretch.
const BATCH: usize = 32;

/// How an observation came in.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    /// The observation is all there is in this input.
    alone: bool,
    /// Found in candles fetched after a gap.
    late: bool,
    /// The candle it is a point of.
    candle: Option<CandlePoint>,
}

#[derive(Clone, Copy, Debug)]
struct CandlePoint {
    from: Timestamp,
    to: Timestamp,
    first: bool,
    closing: bool,
}

impl CandlePoint {
    /// Whether the point exists for this alert: one on a single instrument, active since before the candle, or before its close.
    fn counts_for(&self, slot: &Slot) -> bool {
        let activated = slot.activated();
        !is_joint(&slot.legs()) && activated < self.to && (self.closing || activated <= self.from)
    }
}

impl Evaluator {
    /// An evaluator without alerts.
    pub fn new(instruments: impl IntoIterator<Item = Instrument>) -> Self {
        let mut evaluator = Self::default();
        for instrument in instruments {
            evaluator.set_instrument(instrument);
        }
        evaluator
    }

    /// Adds an instrument, or changes what is known of it, such as the age from which its prices are stale.
    #[expect(clippy::needless_pass_by_value, reason = "the evaluator may come to keep it")]
    pub fn set_instrument(&mut self, instrument: Instrument) {
        let market = self.market(instrument.symbol);
        self.markets[market as usize].configure(&instrument);
    }

    /// Shows it one price. Firings are added to `out`, in the order of their alerts.
    pub fn on_tick(&mut self, tick: &Tick, out: &mut Vec<Firing>) -> Admission {
        self.begin(tick.received_time);
        let (admission, seen) = self.admit(tick);
        if let Some(seen) = seen
            && !self.markets[seen.market as usize].is_quiet(&seen)
        {
            self.show(&[seen], Manner { alone: true, ..Manner::default() }, out);
        }
        admission
    }

    /// Shows it prices that came in one response: all are known before the first alert is judged, and an alert on several
    /// instruments is judged once.
    pub fn on_batch(&mut self, ticks: &[Tick], out: &mut Vec<Firing>) -> Vec<Admission> {
        self.begin(ticks.iter().map(|t| t.received_time).max().unwrap_or(self.rx));
        let mut admissions = Vec::with_capacity(ticks.len());
        let mut seen: Vec<Seen> = Vec::with_capacity(ticks.len());
        for tick in ticks {
            // A second price of one instrument is a response of its own: each has to be seen.
            let market = self.market_of.get(&tick.symbol);
            if seen.iter().any(|s| Some(&s.market) == market) {
                self.show(&seen, Manner::default(), out);
                seen.clear();
            }
            let (admission, accepted) = self.admit(tick);
            admissions.push(admission);
            seen.extend(accepted);
        }
        self.show(&seen, Manner::default(), out);
        admissions
    }

    /// Shows it one closed candle of a source that delivers candles; false where the candle did not count.
    pub fn on_candle(
        &mut self,
        symbol: Symbol,
        candle: &Candle,
        source: FeedId,
        received: Timestamp,
        out: &mut Vec<Firing>,
    ) -> bool {
        self.begin(received);
        self.candle(symbol, candle, source, false, out)
    }

    /// Shows it the closed candles that were fetched after a gap, oldest first. One firing an alert at most, marked as late.
    pub fn on_backfill(
        &mut self,
        symbol: Symbol,
        candles: &[Candle],
        source: FeedId,
        received: Timestamp,
        out: &mut Vec<Firing>,
    ) {
        self.begin(received);
        for candle in candles {
            self.candle(symbol, candle, source, true, out);
        }
    }

    /// Fills the missing past of the bars that alerts' indicators need, from candles of any length that divides theirs, in any
    /// order. What was observed is never overwritten, and nothing fires: alerts see the new values at their next observation.
    pub fn on_history(&mut self, symbol: Symbol, candles: &[Candle], received: Timestamp) {
        self.begin(received);
        let Some(&market) = self.market_of.get(&symbol) else { return };
        self.markets[market as usize].fill(candles, self.rx);
        self.mark_market(market);
        let changed = self.markets[market as usize].gauges.as_mut().map(|gauges| gauges.take_changed());
        for number in changed.unwrap_or_default() {
            let Some(slot) = &self.slots[number as usize] else { continue };
            let (old, time) = (slot.plan(), self.time_of(slot));
            // Where it stands next, nobody knows any more how far it was looked at.
            if let Some((slot, time)) = self.slots[number as usize].as_mut().zip(time) {
                slot.see(time);
            }
            // Its memory is as it was but for that; what is shown of it is not.
            self.mark(number);
            self.replan(number, old);
        }
    }

    /// Everything that changed since the last time this was asked.
    pub fn take_cut(&mut self) -> Cut {
        let mut cut = Cut::default();
        for slot in self.dirty_slots.drain(..) {
            // A deleted alert may have left its number here.
            if let Some(slot) = &mut self.slots[slot as usize]
                && slot.mark(false)
            {
                cut.alerts.push(slot.written(&self.markets));
            }
        }
        for market in self.dirty_markets.drain(..) {
            let market = &mut self.markets[market as usize];
            if std::mem::take(&mut market.dirty) {
                cut.instruments.push(market.memory());
            }
        }
        cut
    }

    /// Whether anything changed since the last cut.
    pub fn is_dirty(&self) -> bool {
        !self.dirty_slots.is_empty() || !self.dirty_markets.is_empty()
    }

    /// What the alert is doing, as people are shown it (B14).
    pub fn state(&self, id: AlertId, now: Timestamp) -> Option<AlertState> {
        let slot = self.slot(id)?;
        Some(slot.state(now, self.time_of(slot)))
    }

    /// The state with what belongs to it.
    pub fn status(&self, id: AlertId, now: Timestamp) -> Option<AlertStatus> {
        let slot = self.slot(id)?;
        let time = self.time_of(slot);
        let state = slot.state(now, time);
        let life = slot.life();
        let judged = life.time.is_some() && !slot.has_edge();
        Some(AlertStatus {
            state,
            last_fired: life.last_fired,
            count: life.count,
            cooling_until: slot.cooling_until(time).filter(|_| state == AlertState::Cooling),
            snoozed_until: life.snoozed.filter(|until| now < *until),
            satisfied: judged.then_some(life.episode.is_some()),
            indicators: self.indicators(slot, now),
        })
    }

    /// What the indicators of an alert are worth, one entry a term; empty where it names none.
    fn indicators(&self, slot: &Slot, now: Timestamp) -> Vec<TermLevels> {
        let legs = slot.legs();
        if !legs.iter().any(|leg| matches!(leg, Leg::Gauged { .. })) {
            return Vec::new();
        }
        let of = |leg: &Leg| match *leg {
            Leg::One(_) | Leg::Two(..) => TermLevels::default(),
            Leg::Gauged { market, value, level } => {
                let market = &self.markets[market as usize];
                TermLevels {
                    value: value.and_then(|id| market.gauge(id, now)),
                    level: level.and_then(|id| market.gauge(id, now)),
                }
            }
        };
        legs.iter().map(of).collect()
    }

    /// The last believed price of an instrument, of any session.
    pub fn last(&self, symbol: Symbol) -> Option<Observation> {
        let market = *self.market_of.get(&symbol)?;
        self.markets[market as usize].last().copied()
    }

    /// An alert as the evaluator knows it.
    pub fn alert(&self, id: AlertId) -> Option<Alert> {
        self.slot(id).map(|slot| slot.open(&self.markets).alert)
    }

    /// All alerts, in no particular order.
    pub fn alerts(&self) -> impl Iterator<Item = Alert> {
        self.slots.iter().flatten().map(|slot| slot.open(&self.markets).alert)
    }

    /// The instruments that alerts stand on.
    pub fn watched(&self) -> BTreeSet<Symbol> {
        let mut markets: Vec<u32> = self.slots.iter().flatten().flat_map(Slot::markets).collect();
        markets.sort_unstable();
        markets.dedup();
        markets.into_iter().map(|market| self.markets[market as usize].symbol).collect()
    }

    /// How many alerts there are.
    pub const fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn number(&self, id: AlertId) -> Option<u32> {
        self.slot_of.find(id, |place| self.slots[place as usize].as_ref().map(|slot| slot.id))
    }

    fn slot(&self, id: AlertId) -> Option<&Slot> {
        self.slots[self.number(id)? as usize].as_ref()
    }

    /// The alert's own time, as if it had been looked at at every observation that exists for it.
    fn time_of(&self, slot: &Slot) -> Option<Timestamp> {
        let own = slot.life().time?;
        let (Plan::Watch { .. }, [Leg::One(market) | Leg::Gauged { market, .. }]) = (slot.plan(), &*slot.legs()) else {
            return Some(own);
        };
        let track = self.markets[*market as usize].track(slot.scope());
        let passed = track.last_since(slot.activated());
        let passed = passed.filter(|ts| slot.options().until.is_none_or(|until| *ts < until));
        Some(passed.map_or(own, |ts| own.max(ts)))
    }

    /// Starts an input. The receive time never goes back.
    fn begin(&mut self, received: Timestamp) {
        self.rx = self.rx.max(received);
        if !self.fired.is_empty() {
            self.fired.clear();
        }
    }

    /// The place of an instrument; one that nobody has set yet takes no prices.
    fn market(&mut self, symbol: Symbol) -> u32 {
        *self.market_of.entry(symbol).or_insert_with(|| {
            self.markets.push(Market::new(symbol));
            place(self.markets.len() - 1)
        })
    }

    fn admit(&mut self, tick: &Tick) -> (Admission, Option<Seen>) {
        let Some(&market) = self.market_of.get(&tick.symbol) else {
            return (Admission::Rejected(Rejection::UnknownInstrument), None);
        };
        match self.markets[market as usize].admit(tick, self.rx) {
            Verdict::Recorded(ts) => {
                self.mark_market(market);
                (Admission::Accepted, Some(Seen { market, ts, session: tick.session }))
            }
            Verdict::FirstButStale(ts) => {
                self.mark_market(market);
                self.arm_by_first(Seen { market, ts, session: tick.session });
                (Admission::Accepted, None)
            }
            Verdict::Held => {
                self.mark_market(market);
                (Admission::Held, None)
            }
            Verdict::Rejected(rejection) => (Admission::Rejected(rejection), None),
        }
    }

    /// Notes that an instrument's memory has changed.
    fn mark_market(&mut self, market: u32) {
        if !std::mem::replace(&mut self.markets[market as usize].dirty, true) {
            self.dirty_markets.push(market);
        }
    }

    fn candle(&mut self, symbol: Symbol, candle: &Candle, source: FeedId, late: bool, out: &mut Vec<Firing>) -> bool {
        let Some(&market) = self.market_of.get(&symbol) else { return false };
        let rx = self.rx;
        let points: Vec<Point> = self.markets[market as usize].points(candle, rx);
        for (i, &(ts, price, closing)) in points.iter().enumerate() {
            let observation = Observation { ts, price, session: candle.session, source, received: rx };
            self.markets[market as usize].record(observation, Some(candle.to));
            self.mark_market(market);
            let point = CandlePoint { from: candle.from, to: candle.to, first: i == 0, closing };
            self.show(
                &[Seen { market, ts, session: candle.session }],
                Manner { late, candle: Some(point), ..Manner::default() },
                out,
            );
        }
        !points.is_empty()
    }

    /// Shows accepted observations to everybody whom they can concern.
    fn show(&mut self, observed: &[Seen], manner: Manner, out: &mut Vec<Firing>) {
        let mut visits = std::mem::take(&mut self.visits);
        visits.clear();
        for seen in observed {
            let market = &mut self.markets[seen.market as usize];
            if let Some(gauges) = &mut market.gauges {
                gauges.concerned(seen.ts, seen.session, |number, reached| visits.push((number, reached)));
                for number in gauges.take_changed() {
                    let awake = self.slots[number as usize].as_ref().is_some_and(|slot| slot.plan() != Plan::Idle);
                    if awake {
                        visits.push((number, Reached::Nothing));
                    }
                }
            }
            market.concerned(seen, |number, reached| visits.push((number, reached)));
        }
        if !visits.is_empty() {
            self.in_order(&mut visits);
            // Whoever looks at every price seldom fires; a level that was reached nearly always does.
            out.reserve(visits.iter().filter(|visit| visit.1 != Reached::Nothing).count());
            for some in visits.chunks(BATCH) {
                // All at once, so that the memory of the next ones is on its way while the first is evaluated.
                for &(number, reached) in some {
                    if let Some(slot) = &mut self.slots[number as usize] {
                        slot.left(reached);
                    }
                }
                for &(number, _) in some {
                    self.visit(number, observed, manner, out);
                }
            }
        }
        self.visits = visits;
    }

    /// Sorts those whom an observation concerns, each once, by their alerts. First by place: alerts made one after the other lie
    /// so in memory, and mostly that is their order already.
    fn in_order(&self, visits: &mut Vec<(u32, Reached)>) {
        visits.sort_unstable_by_key(|visit| visit.0);
        visits.dedup_by(|again, first| {
            let same = again.0 == first.0;
            if same {
                first.1 = first.1.and(again.1);
            }
            same
        });
        let id = |visit: &(u32, Reached)| self.slots[visit.0 as usize].as_ref().map(|slot| slot.id);
        if !visits.is_sorted_by_key(id) {
            visits.sort_by_cached_key(id);
        }
    }

    /// Evaluates one alert, reports what it did, and puts it where the index will find it next time.
    fn visit(&mut self, number: u32, observed: &[Seen], manner: Manner, out: &mut Vec<Firing>) {
        let Some(slot) = &mut self.slots[number as usize] else { return };
        let (old, mut plan) = (slot.plan(), None);
        let within_candle = manner.candle.is_some_and(|c| !c.first);
        if manner.candle.is_none_or(|c| c.counts_for(slot)) {
            let scene = Scene { markets: &self.markets, rx: self.rx, within_candle };
            let before = if manner.alone { None } else { self.fired.get(&number).copied() };
            let occasion = Occasion { scene: &scene, observed, counted: before.is_some() };
            let readings = &mut self.readings;
            let idle = slot.paused() || slot.over();
            let (end, next) = if slot.paused() {
                (End::Quiet, Plan::Idle)
            } else {
                slot.with(|mut subject| {
                    let end = step::evaluate(&mut subject, &occasion, readings);
                    (end, if idle { Plan::Idle } else { index::next(&subject, scene.markets, scene.rx) })
                })
            };
            plan = Some(next);
            match end {
                End::Quiet => {}
                End::Over => {
                    slot.end();
                    plan = Some(Plan::Idle);
                }
                End::Fired(outcome) => {
                    if let Some(first) = before.and_then(|place| out.get_mut(place)) {
                        first.more += outcome.fired;
                    } else {
                        if !manner.alone {
                            self.fired.insert(number, out.len());
                        }
                        out.push(reason::firing(slot, &scene, outcome, &self.readings, manner.late));
                    }
                }
            }
            self.mark(number);
        }
        let plan = plan.or_else(|| Some(self.plan(self.slots[number as usize].as_ref()?)));
        if let Some(plan) = plan.filter(|plan| *plan != old) {
            self.register(number, old, plan);
        }
    }

    /// Notes that an alert's memory has changed.
    fn mark(&mut self, number: u32) {
        if let Some(slot) = &mut self.slots[number as usize]
            && !slot.mark(true)
        {
            self.dirty_slots.push(number);
        }
    }

    /// Puts an alert where the index will find it. `old` is how it stands there.
    fn replan(&mut self, number: u32, old: Plan) {
        let Some(slot) = &self.slots[number as usize] else { return };
        let plan = self.plan(slot);
        if plan != old {
            self.register(number, old, plan);
        }
    }

    fn plan(&self, slot: &Slot) -> Plan {
        if slot.paused() || slot.over() {
            return Plan::Idle;
        }
        slot.read(|terms, legs, life, memories| {
            index::plan(terms, legs, slot.options(), life, memories, &self.markets, self.rx)
        })
    }

    fn register(&mut self, number: u32, old: Plan, plan: Plan) {
        let Some(slot) = &mut self.slots[number as usize] else { return };
        slot.set_plan(plan);
        let scope = slot.scope();
        let change = |market: &mut Market| {
            market.rewatch_for(scope, slot, |watch| {
                watch.remove(number, old);
                watch.add(number, plan);
            });
        };
        if let [Leg::One(only)] = *slot.legs() {
            change(&mut self.markets[only as usize]);
        } else {
            slot.markets().into_iter().for_each(|market| change(&mut self.markets[market as usize]));
        }
    }

    /// Takes an alert out of the index.
    fn withdraw(&mut self, number: u32) {
        if let Some(slot) = &self.slots[number as usize] {
            self.register(number, slot.plan(), Plan::Idle);
        }
    }
}

/// A position as the four bytes that the index keeps. Four thousand million alerts do not fit into memory before they fail to here.
fn place(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
