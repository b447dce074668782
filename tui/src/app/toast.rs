//! Short messages that go away by themselves, or with the next key.

use bellwether_core::time::{Span, Timestamp};

/// How many are kept.
const MOST: usize = 4;

/// What kind of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Done.
    Info,
    /// An alert fired.
    Fired,
    /// Something failed.
    Trouble,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toast {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(crate) until: Timestamp,
}

/// The messages on the screen, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Toasts {
    items: Vec<Toast>,
}

impl Toasts {
    /// Shows a message: 5 seconds, firings and trouble 10. The same text again only stays longer.
    pub(crate) fn push(&mut self, tone: Tone, text: impl Into<String>, now: Timestamp) {
        let text = text.into();
        let seconds = if tone == Tone::Info { 5 } else { 10 };
        self.items.retain(|t| t.text != text);
        self.items.push(Toast { text, tone, until: now.plus(Span::from_seconds(seconds)) });
        if self.items.len() > MOST {
            self.items.remove(0);
        }
    }

    /// Drops those whose time is over. Says whether there were any.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.items.len();
        self.items.retain(|t| t.until > now);
        before != self.items.len()
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Toast> {
        self.items.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the next one goes.
    pub(crate) fn next_change(&self) -> Option<Timestamp> {
        self.items.iter().map(|t| t.until).min()
    }
}
