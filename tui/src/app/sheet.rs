//! An alert as a form: the same line, field by field. What the form cannot hold stays a line.

use bellwether_core::{
    condition::{Comparison, Condition, Crossing, MAX_LINE, Operand, Repeat, Rule},
    parse::ParseContext,
};

use super::{Action, Line};

/// The conditions that a form offers, as the language writes them.
const CONDITIONS: [&str; 11] =
    [">", "<", ">=", "<=", "crosses up", "crosses down", "crosses", "in", "outside", "enters", "exits"];
const REPEATS: [&str; 3] = ["once", "each", "every"];

/// The fields, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Instrument,
    Condition,
    Level,
    Repeat,
    Cooldown,
    Channels,
    Note,
}

impl Field {
    pub(crate) const ALL: [Self; 7] =
        [Self::Instrument, Self::Condition, Self::Level, Self::Repeat, Self::Cooldown, Self::Channels, Self::Note];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Instrument => "Instrument",
            Self::Condition => "Condition",
            Self::Level => "Level",
            Self::Repeat => "How often",
            Self::Cooldown => "At least",
            Self::Channels => "Over",
            Self::Note => "Note",
        }
    }

    /// What is meant, beside an empty field.
    pub(crate) const fn ghost(self) -> &'static str {
        match self {
            Self::Instrument => "BTC",
            Self::Level => "61k, or 58k..61k for a range",
            Self::Cooldown => "1h apart (optional)",
            Self::Channels => "the default channels, or desktop,email",
            Self::Note => "what to tell yourself then (optional)",
            Self::Condition | Self::Repeat => "",
        }
    }
}

/// The form: what stands in each field, and which one is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    pub(crate) at: usize,
    condition: usize,
    repeat: usize,
    instrument: Line,
    level: Line,
    cooldown: Line,
    channels: Line,
    note: Line,
    /// Options that the form has no field for, as they stand in the line.
    rest: String,
}

impl Sheet {
    /// The form of an alert, if it fits one.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let [term] = &rule.terms[..] else { return None };
        let Operand::Price(_) = term.operand else { return None };
        let (word, level) = match &term.condition {
            Condition::Compare { cmp, level } => {
                let word = match cmp {
                    Comparison::Above => ">",
                    Comparison::Below => "<",
                    Comparison::AtLeast => ">=",
                    Comparison::AtMost => "<=",
                };
                (word, level.to_string())
            }
            Condition::Crosses { direction, level } => {
                let word = match direction {
                    Crossing::Up => "crosses up",
                    Crossing::Down => "crosses down",
                    Crossing::Either => "crosses",
                };
                (word, level.to_string())
            }
            Condition::In(r) => ("in", format!("{}..{}", r.lower, r.upper)),
            Condition::Outside(r) => ("outside", format!("{}..{}", r.lower, r.upper)),
            Condition::Enters(r) => ("enters", format!("{}..{}", r.lower, r.upper)),
            Condition::Exits(r) => ("exits", format!("{}..{}", r.lower, r.upper)),
            Condition::PercentFrom { .. }
            | Condition::PercentVs { .. }
            | Condition::Move { .. }
            | Condition::MoveIn { .. } => return None,
        };
        let (repeat, cooldown) = match rule.repeat {
            Repeat::Once => (0, String::new()),
            Repeat::Each { cooldown } if cooldown.is_zero() => (1, String::new()),
            Repeat::Each { cooldown } => (1, cooldown.to_string()),
            Repeat::Every(span) => (2, span.to_string()),
        };
        let via: Vec<&str> = rule.via.iter().map(bellwether_core::condition::ChannelName::as_str).collect();
        Some(Self {
            at: 2,
            condition: CONDITIONS.iter().position(|c| *c == word)?,
            repeat,
            instrument: Line::new(term.operand.to_string()),
            level: Line::new(level),
            cooldown: Line::new(cooldown),
            channels: Line::new(via.join(",")),
            note: Line::new(rule.note.clone().unwrap_or_default()),
            rest: rest_of(rule),
        })
    }

    /// An empty form for an instrument.
    pub(super) fn empty(instrument: &str) -> Self {
        Self {
            at: usize::from(!instrument.is_empty()),
            condition: 0,
            repeat: 0,
            instrument: Line::new(instrument),
            level: Line::default(),
            cooldown: Line::default(),
            channels: Line::default(),
            note: Line::default(),
            rest: String::new(),
        }
    }

    pub(crate) fn field(&self) -> Field {
        Field::ALL[self.at.min(Field::ALL.len() - 1)]
    }

    /// What is written in a field; none where one of several is chosen.
    pub(crate) const fn text(&self, field: Field) -> Option<&Line> {
        match field {
            Field::Instrument => Some(&self.instrument),
            Field::Level => Some(&self.level),
            Field::Cooldown => Some(&self.cooldown),
            Field::Channels => Some(&self.channels),
            Field::Note => Some(&self.note),
            Field::Condition | Field::Repeat => None,
        }
    }

    /// What is chosen in a field.
    pub(crate) fn choice(&self, field: Field) -> &'static str {
        match field {
            Field::Condition => CONDITIONS[self.condition],
            Field::Repeat => REPEATS[self.repeat],
            _ => "",
        }
    }

    pub(super) const fn line_mut(&mut self) -> Option<&mut Line> {
        match Field::ALL[self.at] {
            Field::Instrument => Some(&mut self.instrument),
            Field::Level => Some(&mut self.level),
            Field::Cooldown => Some(&mut self.cooldown),
            Field::Channels => Some(&mut self.channels),
            Field::Note => Some(&mut self.note),
            Field::Condition | Field::Repeat => None,
        }
    }

    /// Moves between fields, and chooses in those that have choices. Says whether it was for the form.
    pub(super) fn act(&mut self, action: Action) -> bool {
        let count = Field::ALL.len();
        let step = |at: usize, of: usize, on: bool| if on { (at + 1) % of } else { (at + of - 1) % of };
        match action {
            Action::Up => self.at = step(self.at, count, false),
            Action::Down => self.at = step(self.at, count, true),
            Action::Left | Action::Right => match Field::ALL[self.at] {
                Field::Condition => self.condition = step(self.condition, CONDITIONS.len(), action == Action::Right),
                Field::Repeat => self.repeat = step(self.repeat, REPEATS.len(), action == Action::Right),
                _ => return false,
            },
            _ => return false,
        }
        true
    }

    /// Text that was typed into the present field. Where one of several is chosen, its first letter chooses.
    pub(super) fn insert(&mut self, text: &str) {
        if let Some(line) = self.line_mut() {
            line.insert(text, MAX_LINE);
            return;
        }
        let starts = |words: &[&str], from: usize| {
            let count = words.len();
            (1..=count).map(|n| (from + n) % count).find(|at| words[*at].starts_with(text))
        };
        match Field::ALL[self.at] {
            Field::Condition => self.condition = starts(&CONDITIONS, self.condition).unwrap_or(self.condition),
            Field::Repeat => self.repeat = starts(&REPEATS, self.repeat).unwrap_or(self.repeat),
            _ => {}
        }
    }

    /// The line that the form says.
    pub(super) fn line(&self) -> String {
        let mut words = vec![
            self.instrument.text().trim().to_owned(),
            CONDITIONS[self.condition].to_owned(),
            self.level.text().trim().to_owned(),
        ];
        let cooldown = self.cooldown.text().trim();
        words.push(match (REPEATS[self.repeat], cooldown) {
            ("every", cooldown) => format!("every {cooldown}"),
            (repeat, "") => repeat.to_owned(),
            (_, cooldown) => format!("each cooldown {cooldown}"),
        });
        if !self.rest.is_empty() {
            words.push(self.rest.clone());
        }
        if !self.channels.text().trim().is_empty() {
            let names: Vec<&str> = self.channels.text().split([',', ' ']).filter(|name| !name.is_empty()).collect();
            words.push(format!("via {}", names.join(",")));
        }
        if !self.note.text().trim().is_empty() {
            // The language has no way to write a quote inside quotes.
            words.push(format!("note \"{}\"", self.note.text().trim().replace('"', "'")));
        }
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }
}

/// The options of a rule that the form has no field for, written as in the line.
fn rest_of(rule: &Rule) -> String {
    let plain = Rule {
        hold: None,
        hysteresis: None,
        session: bellwether_core::condition::SessionScope::Regular,
        until: None,
        urgent: false,
        via: Vec::new(),
        note: None,
        ..rule.clone()
    };
    let full = Rule { via: Vec::new(), note: None, ..rule.clone() };
    let (plain, full) = (plain.to_string(), full.to_string());
    full.strip_prefix(&plain).unwrap_or_default().trim().to_owned()
}

/// Whether the form says what the line says: only then may it take the line's place.
pub(super) fn is_faithful(sheet: &Sheet, rule: &Rule, context: &ParseContext<'_>) -> bool {
    bellwether_core::parse::parse(&sheet.line(), context).is_ok_and(|read| read == *rule)
}

#[cfg(test)]
mod tests {
    use bellwether_core::alert::AlertState;
    use crossterm::event::KeyCode;

    use super::*;
    use crate::app::{
        App, Effect, Overlay,
        fixture::{self, alert, press, types},
    };

    fn sheet(app: &App) -> &Sheet {
        match &app.overlay {
            Some(Overlay::Entry(entry)) => entry.sheet.as_ref().expect("a form"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_form_says_what_its_line_says() {
        let app = fixture::app();
        for line in [
            "BTC > 61000 once",
            "BTC crosses up 61000 each cooldown 10m until 2026-12-31 via desktop,email note \"now\"",
            "BTC < 58000 for 5m every 1h urgent",
            "AAPL exits 180..190 each session extended",
            "BTC > sma(20, 1d) each",
        ] {
            let rule = alert(1, line, AlertState::Armed).alert.rule;
            let sheet = Sheet::of(&rule).expect(line);
            assert!(is_faithful(&sheet, &rule, &app.parse_context()), "{line} became {}", sheet.line());
        }
        for line in ["BTC +5% from now once", "ETH/BTC > 0.05 once", "BTC > 1 and ETH > 1 once"] {
            assert_eq!(Sheet::of(&alert(1, line, AlertState::Armed).alert.rule), None, "{line}");
        }
    }

    #[test]
    fn an_alert_is_made_by_filling_a_form() {
        let mut app = fixture::app();
        types(&mut app, "a");
        press(&mut app, KeyCode::F(2));
        assert_eq!(sheet(&app).field(), Field::Condition);
        types(&mut app, "c");
        press(&mut app, KeyCode::Down);
        types(&mut app, "61k");
        press(&mut app, KeyCode::Down);
        press(&mut app, KeyCode::Right);
        press(&mut app, KeyCode::Tab);
        types(&mut app, "1h");
        assert_eq!(press(&mut app, KeyCode::Enter), [Effect::Create("BTC crosses up 61k each cooldown 1h".to_owned())]);
        press(&mut app, KeyCode::Esc);
        types(&mut app, "a");
        press(&mut app, KeyCode::F(2));
        press(&mut app, KeyCode::F(2));
        let Some(Overlay::Entry(entry)) = &app.overlay else { panic!("no line") };
        assert!(entry.sheet.is_none(), "and back");
    }
}
