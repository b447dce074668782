//! What an alert says beside its conditions: whose it is, its options, its note. Most alerts share theirs with many others, so
//! each combination is kept once, with its canonical text.

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::quick::Quick;
use crate::{
    alert::UserId,
    condition::{ChannelName, Hysteresis, Join, Repeat, Rule, SessionScope, Term},
    time::{Span, Timestamp},
};

/// A [`Rule`] without its terms, and the owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Options {
    pub(super) owner: UserId,
    pub(super) join: Join,
    pub(super) repeat: Repeat,
    pub(super) hold: Option<Span>,
    pub(super) hysteresis: Option<Hysteresis>,
    pub(super) session: SessionScope,
    pub(super) until: Option<Timestamp>,
    pub(super) via: Vec<ChannelName>,
    pub(super) urgent: bool,
    pub(super) note: Option<String>,
}

impl Options {
    /// Takes a rule apart.
    pub(super) fn of(owner: UserId, rule: Rule) -> (Self, Vec<Term>) {
        let Rule { terms, join, repeat, hold, hysteresis, session, until, via, urgent, note } = rule;
        (Self { owner, join, repeat, hold, hysteresis, session, until, via, urgent, note }, terms)
    }

    /// Puts it together again.
    pub(super) fn rule(&self, terms: Vec<Term>) -> Rule {
        let Self { owner: _, join, repeat, hold, hysteresis, session, until, via, urgent, note } = self.clone();
        Rule { terms, join, repeat, hold, hysteresis, session, until, via, urgent, note }
    }
}

/// Options with their texts.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) options: Options,
    /// What follows the terms in the canonical form.
    pub(super) text: Box<str>,
    /// The part of it that is evaluated.
    pub(super) evaluated: Box<str>,
    /// How many alerts have it. Firings hold it too, for as long as somebody keeps them, and do not count.
    alerts: AtomicU32,
}

impl Style {
    fn new(options: Options) -> Self {
        let whole = options.rule(Vec::new());
        let text = whole.to_string().into();
        let bare = Rule { until: None, via: Vec::new(), urgent: false, note: None, ..whole };
        Self { options, text, evaluated: bare.to_string().into(), alerts: AtomicU32::new(0) }
    }
}

/// All styles in use.
#[derive(Debug, Default)]
pub(super) struct Styles(HashSet<Known, BuildHasherDefault<Quick>>);

#[derive(Debug)]
struct Known(Arc<Style>);

impl Borrow<Options> for Known {
    fn borrow(&self) -> &Options {
        &self.0.options
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.options == other.0.options
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.options.hash(state);
    }
}

impl Styles {
    /// The style with these options.
    pub(super) fn share(&mut self, options: Options) -> Arc<Style> {
        let style = if let Some(known) = self.0.get(&options) {
            Arc::clone(&known.0)
        } else {
            let style = Arc::new(Style::new(options));
            self.0.insert(Known(Arc::clone(&style)));
            style
        };
        // Only the evaluator counts, which is in one hand.
        style.alerts.fetch_add(1, Ordering::Relaxed);
        style
    }

    /// Gives one back; the last one out closes the door.
    #[expect(clippy::needless_pass_by_value, reason = "the caller must not keep it")]
    pub(super) fn release(&mut self, style: Arc<Style>) {
        if style.alerts.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.remove(&style.options);
        }
    }
}
