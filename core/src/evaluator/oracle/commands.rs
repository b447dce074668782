//! Activation (B5), commands and splits (B13), and the displayed state (B14).

use rust_decimal::Decimal;

use super::{
    Oracle, Seen, Standing, TermFlags,
    conditions::{arm_edge, is_edge},
    exists,
    fraction::Q,
    indicators::splits_with,
    repeat::cooled,
};
use crate::{
    alert::{Alert, AlertChange, AlertId, AlertState},
    condition::{Condition, Hysteresis, Level, Operand},
    instrument::Symbol,
    price::Price,
    time::Timestamp,
};

impl Oracle {
    fn arm(&self, s: &mut Standing, only: Option<Symbol>) {
        for (term, flags) in s.alert.rule.terms.iter().zip(&mut s.terms) {
            if only.is_some() && term.operand.symbol() != only {
                continue;
            }
            let Some(p) = self.last_known(&term.operand, s.alert.rule.session) else { continue };
            let Some(condition) = self.settled(term, s.alert.rule.session, self.rx) else { continue };
            match condition {
                Condition::Move { .. } => flags.reference = Some(p),
                _ => arm_edge(&condition, flags, p, None),
            }
        }
    }

    pub(super) fn arm_first(&mut self, seen: Seen) {
        let mut alerts = std::mem::take(&mut self.alerts);
        for s in alerts.values_mut() {
            let over = s.alert.rule.until.is_some_and(|until| seen.ts >= until);
            if !s.alert.paused && !s.done && !over && exists(s.alert.rule.session, seen.session) {
                self.arm(s, Some(seen.symbol));
            }
        }
        self.alerts = alerts;
    }

    fn activate(&mut self, s: &mut Standing, judged: bool) {
        if s.alert.paused {
            return;
        }
        self.arm(s, None);
        let scope = s.alert.rule.session;
        let fresh = |symbol| {
            let o = self.last(symbol, scope)?;
            self.fresh(symbol, o.ts, self.rx).then_some(Seen { symbol, ts: o.ts, session: o.session })
        };
        let fresh: Vec<Seen> = s.alert.rule.symbols().into_iter().filter_map(fresh).collect();
        if judged {
            self.evaluate(s, &fresh);
        }
    }

    // B13

    pub(in super::super) fn change(&mut self, change: &AlertChange, rx: Timestamp) {
        self.begin(rx);
        let rx = self.rx;
        let id = change.id();
        let new = match change {
            AlertChange::Put(a)
            | AlertChange::Pause(a)
            | AlertChange::Resume(a)
            | AlertChange::Snooze(a)
            | AlertChange::Acknowledge(a)
            | AlertChange::Together { alert: a, .. } => a.clone(),
            AlertChange::Delete { .. } => {
                self.alerts.remove(&id);
                self.keep_series(id, None);
                return;
            }
        };
        self.keep_series(id, Some(&new.rule));
        let afresh = |alert: Alert, count: u32, snoozed: Option<Timestamp>| Standing {
            terms: vec![TermFlags::default(); alert.rule.terms.len()],
            alert,
            done: false,
            activated: rx,
            snoozed,
            episode: None,
            wait_up: None,
            wait_down: None,
            time: None,
            known: None,
            last_fired: None,
            count,
            reported: None,
        };
        let Some(mut s) = self.alerts.remove(&id) else {
            let mut s = afresh(new, 0, None);
            self.activate(&mut s, true);
            self.alerts.insert(id, s);
            return;
        };
        let state = state_of(&s, rx);
        match change {
            AlertChange::Pause(_) => s.alert = Alert { paused: true, ..new },
            AlertChange::Resume(_) if s.alert.paused || s.done => {
                s = afresh(Alert { paused: false, ..new }, s.count, s.snoozed);
                self.activate(&mut s, true);
            }
            AlertChange::Put(_) => {
                let differs = !s.alert.rule.evaluates_like(&new.rule);
                if differs {
                    s = afresh(new, s.count, None);
                    self.activate(&mut s, true);
                } else if state == AlertState::Expired && s.alert.rule != new.rule {
                    s = afresh(new, s.count, s.snoozed);
                    self.activate(&mut s, true);
                } else {
                    s.alert = new;
                }
            }
            AlertChange::Snooze(_) => {
                let until = new.snoozed_until;
                if s.done {
                    s = afresh(new, s.count, s.snoozed);
                    self.activate(&mut s, false);
                } else {
                    s.alert = new;
                }
                hush(&mut s, until);
            }
            AlertChange::Together { resumed, snoozed, acknowledged, .. } => {
                let (until, differs) = (new.snoozed_until, !s.alert.rule.evaluates_like(&new.rule));
                let ended = state == AlertState::Expired && s.alert.rule != new.rule;
                let again = (*resumed || !new.paused) && s.alert.paused || *resumed && s.done;
                let rearmed = *snoozed && s.done;
                let judged = differs || ended || again;
                let kept = if differs { None } else { s.snoozed };
                s = if judged || rearmed { afresh(new, s.count, kept) } else { Standing { alert: new, ..s } };
                if *snoozed {
                    hush(&mut s, until);
                }
                if let (true, Some((true, seen))) = (*acknowledged, &mut s.episode) {
                    *seen = true;
                }
                if judged || rearmed {
                    self.activate(&mut s, judged);
                }
            }
            AlertChange::Acknowledge(_) => {
                s.alert = new;
                if let Some((true, acknowledged)) = &mut s.episode {
                    *acknowledged = true;
                }
            }
            AlertChange::Resume(_) | AlertChange::Delete { .. } => s.alert = new,
        }
        self.alerts.insert(id, s);
    }

    pub(in super::super) fn split(&mut self, symbol: Symbol, ratio: Decimal, rx: Timestamp) {
        self.begin(rx);
        let r = Q::of(ratio);
        if let Some(market) = self.markets.get_mut(&symbol) {
            market.observed.iter_mut().for_each(|o| o.p = o.p.over(r));
            market.held = market.held.map(|(ts, p)| (ts, p.over(r)));
            market.split_closes(r);
        }
        for s in self.alerts.values_mut() {
            let before = s.alert.rule.clone();
            let factor = |operand: &Operand| match *operand {
                _ if splits_with(operand, symbol) => Some(Decimal::ONE / ratio),
                Operand::Ratio(over, _) if over == symbol => Some(Decimal::ONE / ratio),
                Operand::Ratio(_, under) if under == symbol => Some(ratio),
                _ => None,
            };
            if let (Some(Hysteresis::Absolute(by)), Some(f)) =
                (&mut s.alert.rule.hysteresis, factor(&s.alert.rule.terms[0].operand))
            {
                *by = Price::new(by.decimal() * f);
            }
            for (term, flags) in s.alert.rule.terms.iter_mut().zip(&mut s.terms) {
                let Some(f) = factor(&term.operand) else { continue };
                let change = |price: &mut Price| *price = Price::new(price.decimal() * f);
                match &mut term.condition {
                    Condition::Compare { level: Level::Price(level), .. }
                    | Condition::Crosses { level: Level::Price(level), .. } => change(level),
                    Condition::PercentFrom { reference, .. } => change(reference),
                    Condition::In(r) | Condition::Outside(r) | Condition::Enters(r) | Condition::Exits(r) => {
                        change(&mut r.lower);
                        change(&mut r.upper);
                    }
                    _ => {}
                }
                flags.reference = flags.reference.map(|reference| reference.times(Q::of(f)));
            }
            if s.alert.rule != before {
                s.alert.version += 1;
            }
        }
    }

    /// The alert as it stands.
    pub(in super::super) fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id).map(|s| &s.alert)
    }

    // B14

    pub(in super::super) fn state(&self, id: AlertId, now: Timestamp) -> Option<AlertState> {
        Some(state_of(self.alerts.get(&id)?, now))
    }
}

fn state_of(s: &Standing, now: Timestamp) -> AlertState {
    let rule = &s.alert.rule;
    let runs = |start: Option<Timestamp>| {
        start.zip(s.time).zip(rule.hold).is_some_and(|((start, time), hold)| time.since(start) < hold)
    };
    let fired = if rule.terms.iter().any(|t| is_edge(&t.condition)) {
        s.last_fired.is_some() && !s.terms.iter().any(|t| t.up || t.down)
    } else {
        s.episode.is_some_and(|e| e.0)
    };
    if s.alert.paused {
        AlertState::Paused
    } else if s.done {
        AlertState::Done
    } else if rule.until.is_some_and(|until| now >= until) {
        AlertState::Expired
    } else if s.snoozed.is_some_and(|until| now < until) {
        AlertState::Snoozed
    } else if runs(s.wait_up) || runs(s.wait_down) {
        AlertState::Pending
    } else if s.time.is_some_and(|t| !cooled(s, t)) {
        AlertState::Cooling
    } else if fired {
        AlertState::Fired
    } else {
        AlertState::Armed
    }
}

/// A snooze begins: what was under way is over.
fn hush(s: &mut Standing, until: Option<Timestamp>) {
    s.snoozed = until;
    s.terms.iter_mut().for_each(|t| t.latch = false);
    (s.wait_up, s.wait_down, s.episode, s.last_fired) = (None, None, None, None);
}
