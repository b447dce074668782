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
mod commands;
mod cut;
mod exact;
mod index;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod race;
mod reason;
mod state;
mod step;
mod terms;
#[cfg(test)]
mod tests;
mod window;

use std::collections::HashMap;

pub use self::{
    admission::{Admission, Rejection},
    cut::{AlertMemory, Cut, InstrumentMemory},
    state::AlertStatus,
    window::Observation,
};
use self::{
    admission::{Market, Point, Verdict},
    index::Plan,
    state::{Leg, Slot, counts, side},
    step::{Scene, Seen},
};
use crate::{
    alert::{Alert, AlertId, AlertState},
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    tick::{Candle, Tick},
    time::Timestamp,
};

/// All alerts and what is known of their instruments.
#[derive(Debug, Default)]
pub struct Evaluator {
    markets: Vec<Market>,
    market_of: HashMap<Symbol, u32>,
    /// Places of deleted alerts are empty until taken again.
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    slot_of: HashMap<AlertId, u32>,
    /// Versions of deleted alerts: a change that was overtaken by the deletion must not bring them back.
    buried: HashMap<AlertId, u32>,
    /// The largest receive time seen.
    rx: Timestamp,
    /// The number of the running input.
    input: u64,
    dirty_slots: Vec<u32>,
    dirty_markets: Vec<u32>,
    /// Whom the running observation concerns; kept for its memory.
    visits: Vec<(AlertId, u32)>,
}

/// How an observation came in.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
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
        let activated = slot.memory.activated;
        !slot.is_joint() && activated < self.to && (self.closing || activated <= self.from)
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
        if let Some(seen) = seen {
            self.show(&[seen], Manner::default(), out);
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

    /// Everything that changed since the last time this was asked.
    pub fn take_cut(&mut self) -> Cut {
        let mut cut = Cut::default();
        for slot in self.dirty_slots.drain(..) {
            // A deleted alert may have left its number here.
            if let Some(slot) = self.slots[slot as usize].as_mut().filter(|s| s.dirty) {
                slot.dirty = false;
                cut.alerts.push(slot.written());
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
        let judged = slot.memory.time.is_some() && !state::has_edge(&slot.alert.rule);
        Some(AlertStatus {
            state,
            last_fired: slot.memory.last_fired,
            count: slot.memory.count,
            cooling_until: slot.cooling_until(time).filter(|_| state == AlertState::Cooling),
            snoozed_until: slot.memory.snoozed.filter(|until| now < *until),
            satisfied: judged.then_some(slot.memory.episode.is_some()),
        })
    }

    /// The last believed price of an instrument, of any session.
    pub fn last(&self, symbol: Symbol) -> Option<Observation> {
        let market = *self.market_of.get(&symbol)?;
        self.markets[market as usize].last().copied()
    }

    /// An alert as the evaluator knows it.
    pub fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.slot(id).map(|slot| &slot.alert)
    }

    /// All alerts, in no particular order.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.slots.iter().flatten().map(|slot| &slot.alert)
    }

    fn slot(&self, id: AlertId) -> Option<&Slot> {
        self.slots[*self.slot_of.get(&id)? as usize].as_ref()
    }

    /// The alert's own time, as if it had been looked at at every observation that exists for it.
    fn time_of(&self, slot: &Slot) -> Option<Timestamp> {
        let own = slot.memory.time?;
        let (Plan::Watch { .. }, [Leg::One(market)]) = (slot.plan, &slot.legs[..]) else { return Some(own) };
        let track = self.markets[*market as usize].track(slot.alert.rule.session);
        let passed = track.last.map(|last| last.ts).filter(|ts| {
            let overslept = track.candle.is_some_and(|to| to <= slot.memory.activated);
            !overslept && slot.alert.rule.until.is_none_or(|until| *ts < until)
        });
        Some(passed.map_or(own, |ts| own.max(ts)))
    }

    /// Starts an input. The receive time never goes back.
    fn begin(&mut self, received: Timestamp) {
        self.rx = self.rx.max(received);
        self.input += 1;
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
            self.show(&[Seen { market, ts, session: candle.session }], Manner { late, candle: Some(point) }, out);
        }
        !points.is_empty()
    }

    /// Shows accepted observations to everybody whom they can concern.
    fn show(&mut self, observed: &[Seen], manner: Manner, out: &mut Vec<Firing>) {
        let mut visits = std::mem::take(&mut self.visits);
        visits.clear();
        for seen in observed {
            let market = &self.markets[seen.market as usize];
            for scope in [crate::condition::SessionScope::Regular, crate::condition::SessionScope::Extended] {
                let Some(last) = market.track(scope).last.filter(|_| counts(scope, seen.session)) else { continue };
                let key = exact::key(last.price.decimal());
                market.watch[side(scope)].concerned(key, seen.ts, |slot| {
                    if let Some(found) = &self.slots[slot as usize] {
                        visits.push((found.alert.id, slot));
                    }
                });
            }
        }
        if !visits.is_empty() {
            visits.sort_unstable();
            visits.dedup();
            for &(_, slot) in &visits {
                self.visit(slot, observed, manner, out);
            }
        }
        self.visits = visits;
    }

    /// Evaluates one alert, reports what it did, and puts it where the index will find it next time.
    fn visit(&mut self, number: u32, observed: &[Seen], manner: Manner, out: &mut Vec<Firing>) {
        let Some(slot) = &mut self.slots[number as usize] else { return };
        let within_candle = manner.candle.is_some_and(|c| !c.first);
        if manner.candle.is_none_or(|c| c.counts_for(slot)) {
            let scene = Scene { markets: &self.markets, rx: self.rx, input: self.input, within_candle };
            if let Some(outcome) = step::evaluate(slot, &scene, observed) {
                match slot.fired_in {
                    Some((input, place)) if input == self.input => {
                        if let Some(first) = out.get_mut(place) {
                            first.more += outcome.fired;
                        }
                    }
                    _ => {
                        slot.fired_in = Some((self.input, out.len()));
                        out.push(reason::firing(slot, &scene, &outcome, manner.late));
                    }
                }
            }
            self.mark(number);
        }
        self.replan(number);
    }

    /// Notes that an alert's memory has changed.
    fn mark(&mut self, number: u32) {
        if let Some(slot) = &mut self.slots[number as usize]
            && !std::mem::replace(&mut slot.dirty, true)
        {
            self.dirty_slots.push(number);
        }
    }

    /// Puts an alert where the index will find it.
    fn replan(&mut self, number: u32) {
        let Some(slot) = &self.slots[number as usize] else { return };
        let plan = self.plan(slot);
        if plan != slot.plan {
            self.register(number, plan);
        }
    }

    fn plan(&self, slot: &Slot) -> Plan {
        if slot.alert.paused || slot.memory.done || slot.over {
            return Plan::Idle;
        }
        let price = match slot.legs.first() {
            Some(Leg::One(market)) => self.markets[*market as usize].track(slot.alert.rule.session).last,
            _ => None,
        };
        index::plan(&slot.alert.rule, &slot.memory, price.map(|o| exact::Value::price(o.price.decimal())), self.rx)
    }

    fn register(&mut self, number: u32, plan: Plan) {
        let Some(slot) = &mut self.slots[number as usize] else { return };
        let old = std::mem::replace(&mut slot.plan, plan);
        let scope = side(slot.alert.rule.session);
        let mut change = |market: u32| {
            let watch = &mut self.markets[market as usize].watch[scope];
            watch.remove(number, old);
            watch.add(number, plan);
        };
        if let [Leg::One(only)] = slot.legs[..] {
            change(only);
        } else {
            slot.markets().into_iter().for_each(change);
        }
    }
}

/// A position as the four bytes that the index keeps. Four thousand million alerts do not fit into memory before they fail to here.
fn place(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
