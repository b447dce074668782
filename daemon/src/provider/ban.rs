//! When a provider is to be left alone: which answers say so, for how long, and remembering it.
//!
//! A ban is told apart by its status: 429 too fast, 418 went on too fast, 403 a firewall, 451 not in this place, 503 with a
//! time at which it wants to be asked again.

use std::sync::{Mutex, PoisonError};

use bellwether_core::{
    instrument::FeedId,
    retry::Backoff,
    time::{Span, Timestamp},
};

use super::{Wait, client::Raw, trouble::Trouble};
use crate::store::{Ban, Store};

/// The least wait after HTTP 418 without a time: bans begin at two minutes.
const TEAPOT: Span = Span::from_seconds(120);
/// The wait after HTTP 451: the place does not change often.
const PLACE: Span = Span::from_seconds(6 * 3600);
/// No ban is longer, whatever was said and whatever this machine's clock said then.
const LONGEST: Span = Span::from_seconds(72 * 3600);
/// Refusals are counted on only this long after a ban.
const FORGOTTEN: Span = Span::from_seconds(24 * 3600);

/// What an answer means for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is for whoever asked.
    Answer,
    /// Nobody may ask for at least so long; with a backoff of its own where that is nothing.
    Ban(Span),
}

/// Judges an answer. `said` is the provider's own reason, where its body gives one: a 403 with a reason is about the request, one
/// without is a firewall's.
pub(super) fn verdict(raw: &Raw, said: Option<&str>) -> Verdict {
    match raw.status.as_u16() {
        429 => Verdict::Ban(Span::ZERO),
        418 => Verdict::Ban(TEAPOT),
        451 => Verdict::Ban(PLACE),
        403 if said.is_none() => Verdict::Ban(Span::ZERO),
        503 if raw.retry_after.is_some() => Verdict::Ban(Span::ZERO),
        _ if raw.is_hurried() => Verdict::Ban(Span::ZERO),
        _ => Verdict::Answer,
    }
}

/// The bans of one provider at one host.
#[derive(Debug)]
pub(super) struct Bans {
    feed: FeedId,
    host: String,
    state: Mutex<Option<Ban>>,
    store: Option<Store>,
    wait: Wait,
}

impl Bans {
    /// With what is known from before.
    pub(super) fn new(
        feed: FeedId,
        host: String,
        known: &[Ban],
        store: Option<Store>,
        wait: Wait,
        now: Timestamp,
    ) -> Self {
        let own = known.iter().find(|ban| ban.provider == feed.as_str() && ban.host == host);
        let own = own.filter(|ban| now.since(ban.until) < FORGOTTEN).cloned();
        // A clock that stood wrong must not silence a provider for years.
        let own = own.map(|ban| Ban { until: ban.until.min(now.plus(LONGEST)), ..ban });
        if let Some(ban) = own.as_ref().filter(|ban| ban.until > now) {
            tracing::info!(provider = %feed, until = %ban.until, reason = %ban.reason, "a provider is left alone, as before the start");
        }
        Self { feed, host, state: Mutex::new(own), store, wait }
    }

    /// The ban that stands.
    pub(super) fn standing(&self, now: Timestamp) -> Option<Trouble> {
        let state = self.state();
        let ban = state.as_ref().filter(|ban| ban.until > now)?;
        Some(Trouble::held(&ban.reason, ban.status, ban.until, now))
    }

    /// Notes a refusal, for everybody and over restarts; the trouble says until when. A time that the provider gave counts as it
    /// is, otherwise the wait grows with each refusal.
    pub(super) async fn refused(&self, why: &Trouble, least: Span, told: Option<Span>, now: Timestamp) -> Trouble {
        let ban = {
            let mut state = self.state();
            let failures = state.as_ref().map_or(0, |ban| ban.failures).saturating_add(1);
            let wait = told.unwrap_or_else(|| (self.wait)(Backoff::POLITE, failures).max(least)).min(LONGEST);
            let until = now.plus(wait).max(state.as_ref().map_or(now, |ban| ban.until));
            let ban = Ban {
                provider: self.feed.as_str().to_owned(),
                host: self.host.clone(),
                until,
                // Some say it under HTTP 200.
                status: why.status.filter(|status| *status >= 400).unwrap_or(429),
                failures,
                reason: why.text.clone(),
            };
            *state = Some(ban.clone());
            ban
        };
        tracing::warn!(provider = %self.feed, status = ban.status, until = %ban.until, reason = %ban.reason, "a provider wants to be left alone");
        let trouble = Trouble::held(&ban.reason, ban.status, ban.until, now);
        if let Some(store) = &self.store
            && let Err(error) = store.put_ban(ban).await
        {
            tracing::warn!(provider = %self.feed, %error, "the next start will not know that this provider is to be left alone");
        }
        trouble
    }

    /// It answers again: the next refusal is the first.
    pub(super) async fn answered(&self) {
        let over = self.state().take();
        if let (Some(ban), Some(store)) = (over, &self.store)
            && let Err(error) = store.lift_ban(ban.provider, ban.host).await
        {
            tracing::debug!(provider = %self.feed, %error, "a ban that is over could not be struck out");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<Ban>> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
