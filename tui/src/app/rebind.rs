//! Keys of the user's own: `[dashboard.keys]` read into chords that stand in the place of the table's.

use std::collections::BTreeMap;

use bellwether_core::{
    config::{Senseless, dashboard::Keys},
    suggest,
};
use crossterm::event::KeyCode;

use super::{
    Action,
    keymap::{Binding, Chord, Context, KEYMAP},
};

/// The actions that have other keys than the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebound {
    chords: BTreeMap<String, Vec<Chord>>,
}

/// How the configuration names an action: `new_alert`; screens by their own names.
pub(crate) fn name(action: Action) -> String {
    let text = format!("{action:?}");
    let inner = text.strip_prefix("Screen(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(&text);
    let mut name = String::new();
    for c in inner.chars() {
        match c {
            c if c.is_ascii_uppercase() => {
                if name.chars().last().is_some_and(char::is_alphanumeric) {
                    name.push('_');
                }
                name.push(c.to_ascii_lowercase());
            }
            c if c.is_ascii_alphanumeric() => name.push(c),
            _ => name.push(' '),
        }
    }
    name.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The bindings of screens, whose keys are the user's to change.
fn bindings() -> impl Iterator<Item = &'static Binding> {
    KEYMAP.iter().filter(|b| b.context.is_screen())
}

impl Rebound {
    /// Reads the section. What is wrong with it is said with its key.
    pub(crate) fn read(keys: &BTreeMap<String, Keys>) -> Result<Self, Senseless> {
        let mut chords = BTreeMap::new();
        for (action, wanted) in keys {
            let wrong = |message: String| Senseless { key: format!("dashboard.keys.{action}"), message };
            let known: Vec<String> = bindings().map(|b| name(b.action)).collect();
            if !known.contains(action) {
                let near = suggest::nearest(action, known.iter().map(String::as_str));
                let meant = near.map_or_else(
                    || "`bellwether config keys` lists the actions".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(wrong(format!("there is no such action; {meant}")));
            }
            let read = wanted.all().iter().map(|key| chord(key).ok_or(key)).collect::<Result<Vec<_>, _>>();
            let read = read.map_err(|key| {
                wrong(format!(
                    "`{key}` is no key; expected one such as \"n\", \"Ctrl-N\", \"F5\", \"Space\" or \"PgUp\""
                ))
            })?;
            chords.insert(action.clone(), read);
        }
        let rebound = Self { chords };
        rebound.unambiguous()?;
        Ok(rebound)
    }

    /// No chord may mean two things in one place, and the way out stays open.
    fn unambiguous(&self) -> Result<(), Senseless> {
        for (one, changed) in bindings().filter_map(|b| Some((b, self.chords.get(&name(b.action))?))) {
            for other in bindings().filter(|b| b.action != one.action) {
                let together = one.context == other.context
                    || one.context == Context::Everywhere
                    || other.context == Context::Everywhere;
                let shared = changed.iter().find(|c| together && self.chords(other).contains(c));
                if let Some(chord) = shared {
                    return Err(Senseless {
                        key: format!("dashboard.keys.{}", name(one.action)),
                        message: format!(
                            "{} means `{}` already; give that another key",
                            chord.label(),
                            name(other.action)
                        ),
                    });
                }
            }
        }
        let leaves = bindings().filter(|b| matches!(b.action, Action::Quit | Action::Back));
        match leaves.into_iter().find(|b| self.chords(b).is_empty()) {
            Some(binding) => Err(Senseless {
                key: format!("dashboard.keys.{}", name(binding.action)),
                message: "needs a key: there would be no way out".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The keys of a binding.
    pub(crate) fn chords<'a>(&'a self, binding: &'a Binding) -> &'a [Chord] {
        if self.chords.is_empty() || !binding.context.is_screen() {
            return binding.chords;
        }
        self.chords.get(&name(binding.action)).map_or(binding.chords, Vec::as_slice)
    }

    /// What a chord does in these contexts, the first one first.
    pub(crate) fn action(&self, contexts: &[Context], chord: Chord) -> Option<&'static Binding> {
        let bound =
            |context: &Context| KEYMAP.iter().find(|b| b.context == *context && self.chords(b).contains(&chord));
        contexts.iter().find_map(bound)
    }

    /// The keys of a binding as people write them.
    pub(crate) fn label(&self, binding: &Binding) -> String {
        self.chords(binding).iter().map(|c| c.label()).collect::<Vec<_>>().join(" ")
    }
}

/// Every action that can have other keys: its name, its keys, where it means something, and what it does.
pub(crate) fn table() -> Vec<(String, String, &'static str, &'static str)> {
    let line = |b: &'static Binding| (name(b.action), Rebound::default().label(b), b.context.name(), b.help);
    bindings().map(line).collect()
}

/// Reads a key as [`Chord::label`] writes it.
fn chord(text: &str) -> Option<Chord> {
    let (control, key) = match text.strip_prefix("Ctrl-") {
        Some(key) => (true, key),
        None => (false, text),
    };
    let (shift, key) = match key {
        "Shift-↑" | "Shift-Up" => (true, "Up"),
        "Shift-↓" | "Shift-Down" => (true, "Down"),
        key => (false, key),
    };
    let mut characters = key.chars();
    let code = match (characters.next()?, characters.next()) {
        (c, None) if c.is_control() => return None,
        ('↑', None) => KeyCode::Up,
        ('↓', None) => KeyCode::Down,
        ('←', None) => KeyCode::Left,
        ('→', None) => KeyCode::Right,
        (c, None) => KeyCode::Char(if control { c.to_ascii_lowercase() } else { c }),
        _ => match key {
            "Space" => KeyCode::Char(' '),
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Tab" => KeyCode::Tab,
            "Shift-Tab" => KeyCode::BackTab,
            "Up" => KeyCode::Up,
            "Down" => KeyCode::Down,
            "Left" => KeyCode::Left,
            "Right" => KeyCode::Right,
            "Home" => KeyCode::Home,
            "End" => KeyCode::End,
            "PgUp" => KeyCode::PageUp,
            "PgDn" => KeyCode::PageDown,
            "Del" => KeyCode::Delete,
            "Backspace" => KeyCode::Backspace,
            _ => KeyCode::F(key.strip_prefix('F')?.parse().ok().filter(|n| (1..=24).contains(n))?),
        },
    };
    Some(Chord { code, control, shift })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &[&str])]) -> Result<Rebound, String> {
        let many = |keys: &[&str]| Keys::Many(keys.iter().map(|&k| k.to_owned()).collect());
        let keys = pairs.iter().map(|(action, keys)| ((*action).to_owned(), many(keys))).collect();
        Rebound::read(&keys).map_err(|e| e.to_string())
    }

    #[test]
    fn every_key_that_is_printed_can_be_written() {
        for binding in KEYMAP {
            for known in binding.chords {
                assert_eq!(chord(&known.label()), Some(*known), "{}", known.label());
            }
        }
    }

    #[test]
    fn an_action_answers_to_its_new_keys_and_to_them_alone() {
        let keys = read(&[("new_alert", &["N", "Ctrl-N"]), ("watch", &["F2"])]).expect("sensible");
        let action = |key: &str| {
            let chord = chord(key).expect(key);
            keys.action(&[Context::Watch, Context::Everywhere], chord).map(|b| b.action)
        };
        assert_eq!(
            (action("N"), action("Ctrl-N"), action("a")),
            (Some(Action::NewAlert), Some(Action::NewAlert), None)
        );
        assert_eq!((action("F2"), action("1")), (Some(Action::Screen(super::super::Screen::Watch)), None));
        let entry = keys.action(&[Context::Entry], chord("Enter").expect("Enter"));
        assert_eq!(entry.map(|b| b.action), Some(Action::Accept), "overlays keep theirs");
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let said = |pairs: &[(&str, &[&str])]| read(pairs).expect_err("a mistake");
        assert!(said(&[("new_alrt", &["n"])]).contains("did you mean `new_alert`?"));
        assert!(said(&[("new_alert", &["Hyper-n"])]).contains("`Hyper-n` is no key"));
        let twice = said(&[("new_alert", &["q"])]);
        assert_eq!(twice, "`dashboard.keys.new_alert`: q means `quit` already; give that another key");
        assert!(said(&[("quit", &[])]).contains("no way out"));
        assert!(read(&[("quit", &["Q"]), ("new_alert", &["q"])]).is_ok(), "a key that was freed");
    }
}
