//! Asking providers for bars: one after the other in the catalogue's order, page by page from the newest back.

use bellwether_core::{
    instrument::{FeedId, Instrument},
    time::{Span, Timestamp},
};

use super::{
    Inner, WORTH_ASKING,
    fold::sieve,
    settle,
    sources::{page, reach},
};
use crate::{
    provider::{Kind, Priority, Trouble},
    store::{Fetched, Stretch},
};

/// How long who does not know an instrument is not asked for it again.
const UNKNOWN: Span = Span::from_seconds(6 * 3600);
/// How long who refused is not asked for these bars again.
const REFUSED: Span = Span::from_seconds(600);
/// How long who gave no good answer is not asked for these bars again.
const FAILED: Span = Span::from_seconds(60);
/// No more requests than this for one need.
const PAGES: u32 = 80;

impl Inner {
    /// Fetches these stretches, the newest first. Answers what was in the way of the rest.
    pub(super) async fn fetch(
        &self,
        instrument: &Instrument,
        length: Span,
        wanted: Vec<Stretch>,
        priority: Priority,
    ) -> Option<String> {
        let mut troubles: Vec<String> = Vec::new();
        let mut pages = 0;
        for mut rest in wanted.into_iter().rev() {
            for feed in self.whom(instrument) {
                if rest.0 >= rest.1 {
                    break;
                }
                match self.fetch_from(feed, instrument, length, &mut rest, priority, &mut pages).await {
                    Ok(()) => {}
                    Err(why) => {
                        let why = format!("{feed}: {why}");
                        if !troubles.contains(&why) {
                            troubles.push(why);
                        }
                    }
                }
            }
            if pages >= PAGES {
                break;
            }
        }
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }

    /// Fetches what this provider has of `rest`, which is shortened by that from its end.
    async fn fetch_from(
        &self,
        feed: FeedId,
        instrument: &Instrument,
        length: Span,
        rest: &mut Stretch,
        priority: Priority,
        pages: &mut u32,
    ) -> Result<(), String> {
        let Some(provider) = self.providers.as_ref().and_then(|providers| providers.of(feed)) else { return Ok(()) };
        let key = (instrument.symbol, length, feed);
        let now = self.clock.now();
        if let Some((until, why)) = self.memory().refused.get(&key)
            && now < *until
        {
            return Err(why.clone());
        }
        let Some(reach) = reach(feed, instrument, length, now) else { return Ok(()) };
        while rest.0.max(reach) < rest.1 && *pages < PAGES {
            let wanted = (rest.0.max(reach), rest.1);
            *pages += 1;
            let page = match page(provider, instrument, length, wanted, priority, now).await {
                Ok(page) => page,
                Err(trouble) => {
                    self.remember(key, &trouble);
                    tracing::debug!(%feed, symbol = %instrument.symbol, %length, %trouble, "no bars");
                    return Err(trouble.text);
                }
            };
            for split in page.splits {
                let forgotten = self.store.forget_before(instrument.symbol, split).await;
                if forgotten.as_ref().is_ok_and(|bars| *bars > 0) {
                    tracing::info!(symbol = %instrument.symbol, at = %split, "a split: older fetched bars were in old units and are forgotten");
                }
            }
            let from = page.from.max(wanted.0);
            let candles = sieve(page.candles, instrument, (from, wanted.1), now);
            let last = candles.last().map(|bar| bar.to);
            let settled = now.minus(settle(instrument));
            let ends = wanted.1.min(settled.max(last.unwrap_or(settled)));
            if wanted.1 > settled.minus(WORTH_ASKING.max(length)) && last.is_none() {
                self.memory().quiet.insert((instrument.symbol, length), now);
            }
            let asked = Some((from, ends)).filter(|(from, ends)| from < ends);
            let fetched = Fetched { symbol: instrument.symbol, length, source: feed, candles, asked };
            self.store.put_candles(fetched, now).await.map_err(|error| error.to_string())?;
            if from >= rest.1 {
                return Ok(());
            }
            rest.1 = from;
        }
        Ok(())
    }

    fn remember(&self, key: (bellwether_core::instrument::Symbol, Span, FeedId), trouble: &Trouble) {
        let wait = match (trouble.kind, trouble.status) {
            (Kind::Refused, Some(404 | 200)) => UNKNOWN,
            (Kind::Refused, _) => REFUSED,
            (Kind::Failed, _) => FAILED,
            // The provider itself knows until when.
            (Kind::Held | Kind::Busy, _) => return,
        };
        let until: Timestamp = self.clock.now().plus(wait);
        self.memory().refused.insert(key, (until, trouble.text.clone()));
    }
}
