//! What can go wrong with a request, in words without secrets and addresses.

use bellwether_core::time::{Span, Timestamp};

/// The most characters of a foreign text that are shown.
const SHOWN: usize = 200;

/// What somebody who asked does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The network, the connection or the answer is broken: worth another try.
    Failed,
    /// The provider does not give this: trying the same again would only annoy.
    Refused,
    /// The provider wants to be left alone by everybody until a time.
    Held,
    /// The budget is used up by what is more urgent; nothing was asked.
    Busy,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Trouble {
    /// What happened.
    pub(crate) text: String,
    /// What to do.
    pub(crate) kind: Kind,
    /// The HTTP status, where there was an answer.
    pub(crate) status: Option<u16>,
    /// The least wait from now, where one is known.
    pub(crate) after: Option<Span>,
}

impl Trouble {
    /// Worth another try.
    pub(crate) fn failed(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), kind: Kind::Failed, status: None, after: None }
    }

    /// Not given.
    pub(crate) fn refused(text: impl AsRef<str>, status: Option<u16>) -> Self {
        Self { text: clean(text.as_ref()), kind: Kind::Refused, status, after: None }
    }

    /// To be left alone until then.
    pub(super) fn held(reason: &str, status: u16, until: Timestamp, now: Timestamp) -> Self {
        let text = format!("{reason}; not asked again before {until}");
        Self { text, kind: Kind::Held, status: Some(status), after: Some(until.since(now)) }
    }

    /// No turn within the patience.
    pub(super) fn busy(wait: Span) -> Self {
        let text = "more urgent requests use up what the provider allows".to_owned();
        Self { text, kind: Kind::Busy, status: None, after: Some(wait) }
    }
}

/// A foreign text as it may be shown: without control characters, and not too long.
pub(crate) fn clean(text: &str) -> String {
    let mut out: String =
        text.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(SHOWN).collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// An error with its causes, each said once: `error sending request: connection refused`.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    if text.contains("Expired") || text.contains("NotValidYet") || text.contains("not valid yet") {
        text.push_str(" (is this machine's clock right?)");
    }
    clean(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_are_cleaned_and_cut() {
        assert_eq!(clean(" a\u{1b}[31mb\n"), "a\u{fffd}[31mb");
        assert_eq!(clean(&"x".repeat(500)).chars().count(), SHOWN + 1);
    }
}
