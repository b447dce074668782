//! One evaluation of one alert (`docs/alerts.md`, B6 and B9 to B12): terms are read, combined, held for their `for`, and
//! made into firings as often as the alert wants.

use std::borrow::Cow;

use super::{
    admission::Market,
    bars::GaugeId,
    exact::Value,
    slot::Subject,
    state::{Episode, Leg, Life, TermMemory, counts, has_edge, has_move, is_joint, pause_between},
    style::Options,
    terms::{self, Edge, Event, Zone},
};
use crate::{
    condition::{Condition, Family, Join, MAX_TERMS, Repeat, SessionScope},
    firing::Direction,
    price::Price,
    tick::Session,
    time::{Span, Timestamp},
};

/// An accepted observation that is being shown to alerts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) market: u32,
    pub(super) ts: Timestamp,
    pub(super) session: Session,
}

/// The world in which alerts are evaluated.
pub(super) struct Scene<'a> {
    pub(super) markets: &'a [Market],
    /// The receive time of the input.
    pub(super) rx: Timestamp,
    /// A later point of a candle whose earlier points were shown before.
    pub(super) within_candle: bool,
}

impl Scene<'_> {
    /// The value of an operand at `now`; nothing where it is unknown.
    #[inline]
    pub(super) fn value(&self, leg: Leg, scope: SessionScope, now: Timestamp) -> Option<Value> {
        let price = |market: u32| {
            let market = &self.markets[market as usize];
            let last = market.track(scope).last.as_ref()?;
            market.is_fresh(last.ts, now).then_some(last.price.decimal())
        };
        match leg {
            Leg::One(one) => price(one).map(Value::price),
            Leg::Two(over, under) => Value::ratio(price(over)?, price(under)?),
            Leg::Gauged { market, value: None, .. } => price(market).map(Value::price),
            Leg::Gauged { market, value: Some(id), .. } => {
                price(market)?;
                self.gauge(market, id, now)
            }
        }
    }

    fn gauge(&self, market: u32, id: GaugeId, now: Timestamp) -> Option<Value> {
        self.markets[market as usize].gauge(id, now).map(|value| Value::price(value.decimal()))
    }

    /// What a term is compared with now: nothing where an indicator has no value yet.
    pub(super) fn level(&self, leg: Leg, now: Timestamp) -> Option<Price> {
        let Leg::Gauged { market, level: Some(id), .. } = leg else { return None };
        self.markets[market as usize].gauge(id, now)
    }

    /// The condition with the level that it has now; nothing where that is unknown.
    pub(super) fn settled<'c>(&self, term: &'c Condition, leg: Leg, now: Timestamp) -> Option<Cow<'c, Condition>> {
        match leg {
            Leg::Gauged { level: Some(_), .. } => self.level(leg, now).map(|level| Cow::Owned(term.at(level))),
            _ => Some(Cow::Borrowed(term)),
        }
    }

    /// The last price of a single instrument, of any age; for a ratio both legs must be fresh.
    pub(super) fn last_value(&self, leg: Leg, scope: SessionScope, now: Timestamp) -> Option<Value> {
        match leg {
            Leg::One(one) => {
                self.markets[one as usize].track(scope).last.as_ref().map(|l| Value::price(l.price.decimal()))
            }
            Leg::Two(..) => self.value(leg, scope, now),
            Leg::Gauged { market, value: None, .. } => self.last_value(Leg::One(market), scope, now),
            Leg::Gauged { market, value: Some(id), .. } => self.gauge(market, id, now),
        }
    }
}

/// What a term came to, in one evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) value: Option<Value>,
    /// True, false, or unknown. Of an edge: whether it had an event.
    pub(super) truth: Option<bool>,
    pub(super) event: Option<Event>,
    pub(super) direction: Option<Direction>,
    /// What a percentage was measured from.
    pub(super) reference: Option<Value>,
    /// What it was compared with, where an indicator says so.
    pub(super) level: Option<Price>,
}

/// What came of an evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// How many times the alert fired.
    pub(super) fired: u32,
    pub(super) direction: Option<Direction>,
}

/// What the terms came to in the last evaluation; as many as the alert has.
pub(super) type Readings = [Reading; MAX_TERMS];

/// What an evaluation has to know beside the alert.
pub(super) struct Occasion<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) observed: &'a [Seen],
    /// The alert has fired in this input before.
    pub(super) counted: bool,
}

/// The end of an evaluation.
pub(super) enum End {
    /// Nothing fired.
    Quiet,
    /// The alert's time is over.
    Over,
    Fired(Outcome),
}

/// Evaluates an alert after these observations.
pub(super) fn evaluate(subject: &mut Subject<'_>, occasion: &Occasion<'_>, readings: &mut Readings) -> End {
    let Subject { terms, legs, options, ref mut life, ref mut memories } = *subject;
    let Occasion { scene, observed, counted } = *occasion;
    if life.done || terms.len() > MAX_TERMS {
        return End::Quiet;
    }
    let scope = options.session;
    let eligible = |seen: &&Seen| counts(scope, seen.session) && legs.iter().any(|leg| leg.has(seen.market));
    let Some(ts) = observed.iter().filter(eligible).map(|seen| seen.ts).max() else { return End::Quiet };
    let now = life.time.map_or(ts, |time| time.max(ts));
    if options.until.is_some_and(|until| now >= until) {
        // One instrument's time never goes back; of several, another may still lie before the end.
        return if is_joint(legs) { End::Quiet } else { End::Over };
    }
    life.time = Some(now);
    let snoozed = life.snoozed.is_some_and(|until| scene.rx < until);

    let readings = &mut readings[..terms.len()];
    for (((term, leg), memory), kept) in terms.iter().zip(legs).zip(memories.iter_mut()).zip(&mut *readings) {
        let Some(term) = scene.settled(term, *leg, now) else {
            *kept = Reading::default();
            continue;
        };
        let term = &*term;
        let mut reading =
            Reading { value: scene.value(*leg, scope, now), level: scene.level(*leg, now), ..Reading::default() };
        if let Some(p) = reading.value {
            if let Some(edge) = Edge::of(term) {
                let stepped = observed.iter().any(|seen| counts(scope, seen.session) && leg.has(seen.market));
                reading.event = if stepped { edge.step(memory, &p, options.hysteresis) } else { None };
                reading.truth = Some(reading.event.is_some());
                reading.direction = reading.event.and_then(Event::direction);
            } else if !snoozed {
                read_zone(term, *leg, memory, &mut reading, &p, &At { scene, options, now });
            }
        }
        *kept = reading;
    }
    if snoozed {
        return End::Quiet;
    }
    let gap = gap_allowed(legs, scene);
    // Further firings inside one input leave the time of the reported one.
    let mut turn = Turn { terms, options, life, now, gap, counted, fired: 0, direction: None };
    if has_edge(terms) {
        turn.with_edge(readings);
    } else {
        turn.without_edge(readings);
    }
    let Turn { fired, direction, .. } = turn;
    if fired == 0 {
        return End::Quiet;
    }
    restart_moves(terms, legs, memories, scope, scene, readings);
    End::Fired(Outcome { fired, direction })
}

/// The longest time without a known evaluation that a running wait survives.
fn gap_allowed(legs: &[Leg], scene: &Scene<'_>) -> Option<Span> {
    if scene.within_candle {
        return None;
    }
    legs.iter().flat_map(|leg| leg.markets()).map(|m| scene.markets[m as usize].stale_after).max()
}

struct At<'a> {
    scene: &'a Scene<'a>,
    options: &'a Options,
    now: Timestamp,
}

/// Reads a level or a move.
fn read_zone(term: &Condition, leg: Leg, memory: &mut TermMemory, reading: &mut Reading, p: &Value, at: &At<'_>) {
    let track = |leg: Leg| match leg {
        Leg::One(one) => Some(at.scene.markets[one as usize].track(at.options.session)),
        Leg::Two(..) | Leg::Gauged { .. } => None,
    };
    let percent = |sign, percent, low: Value, high: Value| (Zone::percent(sign, percent, low, high), Some((low, high)));
    let (zone, references) = match *term {
        Condition::PercentVs { sign, percent: x, ago } => {
            let Some(then) = track(leg).and_then(|t| t.price_at(at.now.minus(ago))) else { return };
            percent(sign, x, Value::price(then), Value::price(then))
        }
        Condition::MoveIn { sign, percent: x, window } => {
            let extremes = track(leg).and_then(|t| t.extremes(at.now.minus(window), at.now, memory.since));
            let Some((low, high)) = extremes else { return };
            percent(sign, x, Value::price(low), Value::price(high))
        }
        Condition::Move { sign, percent: x, anchor } => {
            let reference = terms::follow(memory, anchor, *p);
            percent(sign, x, reference, reference)
        }
        Condition::PercentFrom { sign, percent: x, reference } => {
            let reference = Value::price(reference.decimal());
            percent(sign, x, reference, reference)
        }
        ref fixed => {
            let Some(zone) = Zone::fixed(fixed) else { return };
            (zone, None)
        }
    };
    let is_move = matches!(term, Condition::Move { .. } | Condition::MoveIn { .. });
    let truth = if is_move { zone.holds(p) } else { terms::latch(memory, &zone, p, at.options.hysteresis) };
    reading.truth = Some(truth);
    if let Some((low, high)) = references {
        let direction = zone.direction(p);
        reading.direction = Some(direction);
        reading.reference = Some(if direction == Direction::Up { low } else { high });
    }
}

/// After a firing every move begins a new measurement.
fn restart_moves(
    terms: &[Condition],
    legs: &[Leg],
    memories: &mut [TermMemory],
    scope: SessionScope,
    scene: &Scene<'_>,
    readings: &[Reading],
) {
    for (((term, leg), memory), reading) in terms.iter().zip(legs).zip(memories).zip(readings) {
        match (term, *leg) {
            (Condition::Move { .. }, leg) => {
                let last = match leg {
                    Leg::One(_) | Leg::Gauged { .. } => scene.last_value(leg, scope, scene.rx),
                    Leg::Two(..) => reading.value,
                };
                memory.reference = last.or(memory.reference);
            }
            (Condition::MoveIn { .. }, Leg::One(one)) => {
                memory.since = scene.markets[one as usize].track(scope).seq;
            }
            _ => {}
        }
    }
}

/// The part of an evaluation that follows the terms.
struct Turn<'a> {
    terms: &'a [Condition],
    options: &'a Options,
    life: &'a mut Life,
    now: Timestamp,
    gap: Option<Span>,
    counted: bool,
    fired: u32,
    direction: Option<Direction>,
}

impl Turn<'_> {
    fn cooled(&self) -> bool {
        self.life.last_fired.is_none_or(|last| self.now >= last.plus(pause_between(self.options.repeat)))
    }

    fn fire(&mut self, direction: Option<Direction>) {
        if !self.counted {
            self.life.last_fired = Some(self.now);
            self.counted = true;
            self.direction = direction;
        } else if self.fired == 0 {
            self.direction = direction;
        }
        self.fired += 1;
        self.life.count = self.life.count.saturating_add(1);
        self.life.done |= self.options.repeat == Repeat::Once;
    }

    /// A wait that saw nothing for too long begins again.
    fn mind_the_gap(&mut self) {
        if let (Some(allowed), Some(known)) = (self.gap, self.life.known)
            && self.now.since(known) > allowed
        {
            for wait in self.life.waits.iter_mut().flatten() {
                *wait = self.now;
            }
        }
        self.life.known = Some(self.now);
    }

    /// Whether a wait that began at `start` is over.
    fn is_over(&self, start: Timestamp) -> bool {
        self.options.hold.is_none_or(|hold| self.now >= start.plus(hold))
    }

    fn without_edge(&mut self, readings: &[Reading]) {
        let Some(truth) = combine(self.options.join, readings.iter().map(|r| r.truth)) else { return };
        self.mind_the_gap();
        if !truth {
            self.life.episode = None;
            self.life.waits = [None; 2];
            return;
        }
        let episode = *self.life.episode.get_or_insert_with(Episode::default);
        if self.options.hold.is_some() {
            let start = *self.life.waits[0].get_or_insert(self.now);
            if !self.is_over(start) {
                return;
            }
        }
        let wanted = match self.options.repeat {
            Repeat::Once => true,
            Repeat::Each { .. } => !episode.fired && self.cooled(),
            Repeat::Every(_) => !episode.acknowledged && self.cooled(),
        };
        if !wanted {
            return;
        }
        self.life.episode = Some(Episode { fired: true, ..episode });
        let direction = readings.iter().find(|r| r.truth == Some(true) && r.direction.is_some());
        self.fire(direction.and_then(|r| r.direction));
        if has_move(self.terms) {
            self.life.episode = None;
            self.life.waits = [None; 2];
        }
    }

    fn with_edge(&mut self, readings: &[Reading]) {
        if self.options.join == Join::Or && readings.len() > 1 {
            if let Some(event) = readings.iter().find_map(|r| r.event) {
                self.fire_if_cooled(event);
            }
            return;
        }
        let is_edge = |term: &Condition| term.family() == Family::Edge;
        let Some((term, reading)) = self.terms.iter().zip(readings).find(|(t, _)| is_edge(t)) else { return };
        let edge = match reading.level {
            Some(level) => Edge::of(&term.at(level)),
            None => Edge::of(term),
        };
        let Some(edge) = edge else { return };
        let others = self.terms.iter().zip(readings).filter(|(t, _)| !is_edge(t));
        let (Some(p), Some(others)) = (reading.value, combine(Join::And, others.map(|(_, r)| r.truth))) else {
            return;
        };
        let Some(_) = self.options.hold else {
            if let Some(event) = reading.event.filter(|_| others) {
                self.fire_if_cooled(event);
            }
            return;
        };
        self.mind_the_gap();
        for event in [Event::Up, Event::Down] {
            if !others || edge.given_up(event, &p, self.options.hysteresis) {
                self.life.waits[event.side()] = None;
            }
        }
        if let Some(event) = reading.event.filter(|_| others) {
            self.life.waits[event.side()] = Some(self.now);
        }
        let ranged = !matches!(edge, Edge::Crosses { .. });
        let mut over: Vec<(Timestamp, Event)> = [if ranged { Event::Range } else { Event::Up }, Event::Down]
            .into_iter()
            .filter_map(|event| Some((self.life.waits[event.side()]?, event)))
            .filter(|(start, _)| self.is_over(*start))
            .collect();
        over.sort_by_key(|(start, _)| *start);
        for (_, event) in over {
            self.life.waits[event.side()] = None;
            if !self.life.done {
                self.fire_if_cooled(event);
            }
        }
    }

    fn fire_if_cooled(&mut self, event: Event) {
        if self.options.repeat == Repeat::Once || self.cooled() {
            self.fire(event.direction());
        }
    }
}

/// Three-valued `and` and `or`.
fn combine(join: Join, truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let decisive = join == Join::Or;
    let mut result = Some(!decisive);
    for truth in truths {
        match truth {
            Some(t) if t == decisive => return Some(decisive),
            None => result = None,
            Some(_) => {}
        }
    }
    result
}

/// Shows an alert's terms a price for arming only (B5): flags and references are set from it, nothing fires.
pub(super) fn arm(subject: Subject<'_>, scene: &Scene<'_>, only: impl Fn(Leg) -> bool) {
    let Subject { terms, legs, options, memories, .. } = subject;
    for ((term, leg), memory) in terms.iter().zip(legs).zip(memories) {
        if !only(*leg) {
            continue;
        }
        let Some(p) = scene.last_value(*leg, options.session, scene.rx) else { continue };
        let Some(term) = scene.settled(term, *leg, scene.rx) else { continue };
        let term = &*term;
        if let Some(edge) = Edge::of(term) {
            edge.arm(memory, &p, None);
        } else if let Condition::Move { anchor, .. } = *term {
            terms::follow(memory, anchor, p);
        }
    }
}

/// What of an operand's value can be shown: a ratio is rounded.
pub(super) fn shown(value: Option<Value>) -> Option<crate::price::Price> {
    value?.decimal().map(|d| crate::price::Price::new(d.round_dp(crate::price::MAX_SCALE)))
}
