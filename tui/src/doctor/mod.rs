//! What `bellwether doctor` looks at: each finding says what is so, and where something is wrong, what to do about it.
//!
//! The machine and its files are looked at from here, the channels and the database through the daemon's crate (by `commands/`, which
//! alone may name it), everything else by asking the daemon that runs. Nothing is changed, and nothing is sent.

pub mod machine;
pub mod network;
pub mod running;

use serde::Serialize;

/// How a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Worth knowing; everything works.
    Note,
    /// Something does not work, or will not.
    Wrong,
}

impl Verdict {
    /// The word at the beginning of a line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Wrong => "WRONG",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `database` or `feed coinbase`.
    pub about: String,
    /// How it is.
    pub verdict: Verdict,
    /// What is so.
    pub said: String,
    /// What to do; only where there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn fine(about: impl Into<String>, said: impl Into<String>) -> Self {
        Self { about: about.into(), verdict: Verdict::Fine, said: said.into(), todo: None }
    }

    /// Worth knowing.
    pub fn note(about: impl Into<String>, said: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { about: about.into(), verdict: Verdict::Note, said: said.into(), todo: Some(todo.into()) }
    }

    /// Wrong.
    pub fn wrong(about: impl Into<String>, said: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, ..Self::note(about, said, todo) }
    }

    /// Wrong, as an error says it: its hint is what to do, or else `todo`.
    pub fn of(about: impl Into<String>, error: &dyn std::fmt::Display, todo: &str) -> Self {
        let text = error.to_string();
        let (said, hint) = text.split_once("\n\nhint: ").unwrap_or((&text, todo));
        Self::wrong(about, said, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_fine_says_what_to_do() {
        let finding = Finding::of("configuration", &"x:1:2: unknown key\n\nhint: read the example", "nothing");
        assert_eq!((finding.said.as_str(), finding.todo.as_deref()), ("x:1:2: unknown key", Some("read the example")));
        let finding = Finding::of("database", &"it is damaged", "restore a backup");
        assert_eq!(finding.todo.as_deref(), Some("restore a backup"));
        let json = serde_json::to_value(Finding::fine("clock", "right")).expect("JSON");
        assert_eq!(json, serde_json::json!({"about": "clock", "verdict": "fine", "said": "right"}));
    }
}
