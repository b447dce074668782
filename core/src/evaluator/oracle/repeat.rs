//! What the terms come to: combining (B10), `for` (B11), firing and repeating (B12).

use super::{
    Fired, Oracle, Standing,
    conditions::{given_up, is_edge, is_move},
    exists,
};
use crate::{
    condition::{Condition, Join, Operand, Repeat, Rule},
    firing::Direction,
    time::{Span, Timestamp},
};

impl Oracle {
    fn mind_gap(&self, s: &mut Standing, rule: &Rule, now: Timestamp) {
        let longest = rule.symbols().iter().map(|symbol| self.markets[symbol].settings.stale_after).max();
        let gap = s.known.zip(longest).is_some_and(|(known, longest)| now.since(known) > longest);
        if gap && !self.within_candle {
            s.wait_up = s.wait_up.map(|_| now);
            s.wait_down = s.wait_down.map(|_| now);
        }
        s.known = Some(now);
    }

    pub(super) fn without_edge(
        &mut self,
        s: &mut Standing,
        rule: &Rule,
        now: Timestamp,
        value: Option<bool>,
        direction: Option<Direction>,
    ) {
        let Some(value) = value else { return };
        self.mind_gap(s, rule, now);
        if !value {
            s.episode = None;
            s.wait_up = None;
            return;
        }
        let (fired, acknowledged) = s.episode.unwrap_or_default();
        s.episode = Some((fired, acknowledged));
        if let Some(hold) = rule.hold {
            let start = s.wait_up.unwrap_or(now);
            s.wait_up = Some(start);
            if now.since(start) < hold {
                return;
            }
        }
        let cooled = cooled(s, now);
        let fires = match rule.repeat {
            Repeat::Once => true,
            Repeat::Each { .. } => !fired && cooled,
            Repeat::Every(_) => cooled && !acknowledged,
        };
        if fires {
            s.episode = Some((true, acknowledged));
            if rule.terms.iter().any(|t| is_move(&t.condition)) {
                s.episode = None;
                s.wait_up = None;
            }
            self.fire(s, rule, now, direction);
        }
    }

    pub(super) fn with_edge(
        &mut self,
        s: &mut Standing,
        rule: &Rule,
        now: Timestamp,
        event: Option<(Direction, Option<Direction>)>,
        truths: &[Option<bool>],
    ) {
        if rule.join == Join::Or && truths.len() > 1 {
            if let Some((_, direction)) = event
                && cooled(s, now)
            {
                self.fire(s, rule, now, direction);
            }
            return;
        }
        let Some(edge) = rule.terms.iter().position(|t| is_edge(&t.condition)) else { return };
        let others: Vec<Option<bool>> =
            truths.iter().enumerate().filter(|(i, _)| *i != edge).map(|(_, t)| *t).collect();
        if truths[edge].is_none() {
            return;
        }
        let Some(others) = combine(Join::And, &others) else { return };
        let event = event.filter(|_| others);
        let Some(hold) = rule.hold else {
            if let Some((_, direction)) = event
                && cooled(s, now)
            {
                self.fire(s, rule, now, direction);
            }
            return;
        };
        self.mind_gap(s, rule, now);
        let term = &rule.terms[edge];
        let Some(p) = self.value(&term.operand, rule.session, now) else { return };
        let Some(condition) = self.settled(term, rule.session, now) else { return };
        let ended = |side| !others || given_up(&condition, side, p, rule.hysteresis);
        s.wait_up = s.wait_up.filter(|_| !ended(Direction::Up));
        s.wait_down = s.wait_down.filter(|_| !ended(Direction::Down));
        match event {
            Some((Direction::Up, _)) => s.wait_up = Some(now),
            Some((Direction::Down, _)) => s.wait_down = Some(now),
            None => {}
        }
        let is_over = |start: &Timestamp| now.since(*start) >= hold;
        let mut over = Vec::new();
        over.extend(s.wait_up.take_if(|start| is_over(start)).map(|start| (start, Direction::Up)));
        over.extend(s.wait_down.take_if(|start| is_over(start)).map(|start| (start, Direction::Down)));
        over.sort_by_key(|(start, _)| *start);
        for (_, side) in over {
            if !s.done && cooled(s, now) {
                let crosses = matches!(term.condition, Condition::Crosses { .. });
                self.fire(s, rule, now, crosses.then_some(side));
            }
        }
    }

    fn fire(&mut self, s: &mut Standing, rule: &Rule, now: Timestamp, direction: Option<Direction>) {
        s.count += 1;
        s.done |= rule.repeat == Repeat::Once;
        if let Some(place) = s.reported {
            self.fired[place].more += 1;
        } else {
            s.last_fired = Some(now);
            s.reported = Some(self.fired.len());
            self.fired.push(Fired {
                alert: s.alert.id,
                number: s.count,
                time: now,
                direction,
                late: self.late,
                more: 0,
            });
        }
        for (term, flags) in rule.terms.iter().zip(&mut s.terms) {
            match (&term.condition, term.operand) {
                (Condition::Move { .. }, Operand::Price(symbol)) => {
                    flags.reference = self.last(symbol, rule.session).map(|o| o.p);
                }
                (Condition::Move { .. }, operand) => {
                    flags.reference = self.value(&operand, rule.session, now).or(flags.reference);
                }
                (Condition::MoveIn { .. }, Operand::Price(symbol)) => {
                    let all = &self.markets[&symbol].observed;
                    flags.since = all.iter().rposition(|o| exists(rule.session, o.session)).unwrap_or(0);
                }
                _ => {}
            }
        }
    }
}

pub(super) fn cooled(s: &Standing, now: Timestamp) -> bool {
    let pause = match s.alert.rule.repeat {
        Repeat::Once => Span::ZERO,
        Repeat::Each { cooldown } => cooldown,
        Repeat::Every(span) => span,
    };
    s.last_fired.is_none_or(|last| now.as_micros() - last.as_micros() >= pause.as_micros())
}

pub(super) fn combine(join: Join, truths: &[Option<bool>]) -> Option<bool> {
    match join {
        Join::And if truths.contains(&Some(false)) => Some(false),
        Join::And if truths.contains(&None) => None,
        Join::And => Some(true),
        Join::Or if truths.contains(&Some(true)) => Some(true),
        Join::Or if truths.contains(&None) => None,
        Join::Or => Some(false),
    }
}
