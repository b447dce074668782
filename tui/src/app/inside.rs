//! What the daemon says of itself, for the Health screen: asked for while that is looked at.

use bellwether_core::{
    protocol::Status,
    time::{Span, Timestamp},
};

/// How often it is asked for.
const EVERY: Span = Span::from_seconds(5);

/// The last answer, and when it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside {
    asked: Option<Timestamp>,
    pub(crate) status: Option<Box<Status>>,
    pub(crate) trouble: Option<String>,
}

impl Inside {
    /// Whether it is time to ask again; from then on it was asked.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.asked.is_none_or(|at| now.since(at) >= EVERY);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// Takes the answer in; an old one stays beside what is wrong now.
    pub(super) fn answered(&mut self, answer: Result<Status, String>) {
        match answer {
            Ok(status) => (self.status, self.trouble) = (Some(Box::new(status)), None),
            Err(trouble) => self.trouble = Some(trouble),
        }
    }
}
