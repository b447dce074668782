//! The past of prices: bars that were recorded here and bars that providers gave, as one.
//!
//! ```text
//!  candles(BTC, 5m, from, to) ─ what is missing? ─▶ fetch ─▶ providers in the catalogue's order ─▶ sieve ─▶ store (candles)
//!        ▲                        (asked before, recorded here, market closed: not missing)                  │
//!        └──────────────────────────────── merge ◀─── recorded minutes (bars), fetched bars ◀────────────────┘
//! ```
//!
//! What was asked once is not asked again, also where the answer was that there is nothing (holidays, quiet minutes). Each instrument
//! and length of bar is asked for by one task at a time, whoever waits for it. When nobody can be asked, what is stored is the answer.
//! Deliberately absent: writing the recorded minutes (that is record's), and judging what the bars hold (that is core's).

mod days;
mod fetch;
mod fold;
mod sources;
mod stretch;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwether_core::{
    catalog::Catalog,
    condition::HistoryNeed,
    instrument::{AssetClass, FeedId, Instrument, Symbol},
    tick::Candle,
    time::{Span, Timestamp},
};

pub(crate) use self::{days::Days, stretch::floor};
use self::{
    fold::{fold, merge},
    stretch::{joined, length as length_of, missing, trading},
};
use crate::{
    clock::Clock,
    provider::{Priority, Providers},
    store::{Store, StoreError, Stretch},
};

pub(crate) const MINUTE: Span = Span::from_seconds(60);
pub(crate) const FIVE: Span = Span::from_seconds(300);
pub(crate) const QUARTER: Span = Span::from_seconds(900);
pub(crate) const HOUR: Span = Span::from_seconds(3_600);
pub(crate) const DAY: Span = Span::from_seconds(86_400);

/// How long fetched bars of each length are kept; older ones are not asked for. Hours also hold what recorded minutes become.
pub(crate) const KEPT: [(Span, Span); 5] = [
    (MINUTE, DAY.times(8)),
    (FIVE, DAY.times(62)),
    (QUARTER, DAY.times(125)),
    (HOUR, DAY.times(400)),
    (DAY, DAY.times(3_660)),
];

/// A bar and who gave it; nobody: recorded here.
pub(crate) type Sourced = (Candle, Option<FeedId>);

/// The newest bars may still come in for so long after they closed, beside the declared delay.
const SETTLE: Span = Span::from_seconds(120);
/// How far back indicators look for what they need.
const DEEPEST: i64 = 1_000;
/// Less than this is not worth a request.
const WORTH_ASKING: Span = Span::from_seconds(300);
/// The longest pause between recorded minutes in which nothing is taken to be missing.
const PAUSE: Span = Span::from_seconds(300);
/// When the last bars did not come although the market should be open: a holiday, or a halt. They are asked for again after so long.
const QUIET: Span = Span::from_seconds(3_600);

/// The past of prices. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct History {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Whom to ask; none: nobody is asked.
    providers: Option<Providers>,
    /// Which of them are switched on.
    enabled: Vec<FeedId>,
    catalog: Arc<Catalog>,
    clock: Clock,
    memory: Mutex<Memory>,
}

/// What is known of asking.
#[derive(Debug, Default)]
struct Memory {
    /// One turn for each instrument and length of bar.
    turns: HashMap<(Symbol, Span), Arc<tokio::sync::Mutex<()>>>,
    /// Who did not give them, until when he is not asked for them again, and why.
    refused: HashMap<(Symbol, Span, FeedId), (Timestamp, String)>,
    /// When the newest bars were last asked for and did not come.
    quiet: HashMap<(Symbol, Span), Timestamp>,
}

impl History {
    /// The history of these instruments. Of `enabled` feeds only those that are behind one of `providers` are asked.
    pub(crate) fn new(
        store: Store,
        providers: Option<Providers>,
        enabled: Vec<FeedId>,
        catalog: Arc<Catalog>,
        clock: Clock,
    ) -> Self {
        let inner = Inner { store, providers, enabled, catalog, clock, memory: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Bars of `interval` (a multiple of a minute, counted from 1970 in UTC) that start in `from..to`: the newest `limit` of them,
    /// oldest first; the last one may still run. What is missing is fetched first, as far as that is possible within the patience
    /// of `priority`; what cannot be had is simply not there.
    ///
    /// # Errors
    /// Only where the store cannot be read.
    pub(crate) async fn candles(
        &self,
        symbol: Symbol,
        interval: Span,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
        priority: Priority,
    ) -> Result<Vec<Candle>, StoreError> {
        let interval = interval.max(MINUTE);
        let base = base(interval);
        let (from, to) = (floor(from, interval), to.min(self.inner.clock.now().plus(interval)));
        // Whoever looks at a chart gets what there is before his client gives up, and the rest when he looks again.
        let patience = match priority {
            Priority::Live | Priority::Gap => Duration::from_secs(9),
            Priority::Person => Duration::from_secs(4),
            Priority::Background => Duration::from_mins(10),
        };
        self.fetch(symbol, base, from, to, priority, patience).await;
        let mut bars = fold(self.inner.merged(symbol, base, from, to).await?, interval);
        let running = floor(self.inner.clock.now(), interval);
        // Of a long bar that still runs only shorter ones are closed.
        if interval > HOUR && from <= running && running < to {
            let shorter = Box::pin(self.candles(symbol, QUARTER, running, to, u32::MAX, priority)).await?;
            if let Some(whole) = fold(shorter, interval).pop() {
                bars.retain(|bar| bar.from < running);
                bars.push(whole);
            }
        }
        let surplus = bars.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        bars.drain(..surplus);
        Ok(bars)
    }

    /// The newest `limit` bars that start before `before`, oldest first.
    ///
    /// # Errors
    /// As [`candles`](Self::candles).
    pub(crate) async fn newest(
        &self,
        symbol: Symbol,
        interval: Span,
        limit: u32,
        before: Timestamp,
        priority: Priority,
    ) -> Result<Vec<Candle>, StoreError> {
        let from = before.minus(self.inner.stretch_of(symbol, interval, limit));
        self.candles(symbol, interval, from, before, limit, priority).await
    }

    /// What an indicator needs to know of the time before `end`: closed bars, oldest first, of a length that divides its own. Fewer
    /// where there are not so many.
    ///
    /// # Errors
    /// As [`candles`](Self::candles).
    pub(crate) async fn warm_up(
        &self,
        need: HistoryNeed,
        end: Timestamp,
        priority: Priority,
    ) -> Result<Vec<Candle>, StoreError> {
        let HistoryNeed { symbol, bar, bars } = need;
        let session = self.inner.catalog.get(symbol).map_or("24x7", |known| known.session.as_str());
        // A day of UTC ends before the next day of New York begins. Other markets' days end elsewhere, but at whole hours.
        let length = if bar >= DAY && !matches!(session, "24x7" | "us_equity") { HOUR } else { bar };
        let count = u32::try_from(bars).unwrap_or(u32::MAX).saturating_add(2);
        // Bars without a price do not exist: a little more than the number asks for.
        let stretch = self.inner.stretch_of(symbol, bar, count).min(DAY.times(DEEPEST));
        let from = end.minus(stretch).minus(HOUR);
        let mut past = self.candles(symbol, length, from, end, u32::MAX, priority).await?;
        past.retain(|bar| bar.to <= end);
        Ok(past)
    }

    /// Recorded minutes, and where these are missing bars of `length`, that start in `from..to`, oldest first. Nothing is fetched.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) async fn finest(
        &self,
        symbol: Symbol,
        length: Span,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Sourced>, StoreError> {
        let store = &self.inner.store;
        let fetched = store.fetched(symbol, length, from, to).await?;
        let recorded = store.bars(vec![symbol], from, to).await?.into_iter().map(|(_, bar)| (bar, None)).collect();
        let whole = if length == MINUTE { Vec::new() } else { self.inner.runs(symbol, from, to, false).await? };
        Ok(merge(fetched, recorded, &whole, length != MINUTE))
    }

    /// Of how much of `from..to`, in per cent of the hours in which it is traded, the bars are known: recorded, or asked for.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) async fn covered(
        &self,
        symbol: Symbol,
        length: Span,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<u32, StoreError> {
        let Some(instrument) = self.inner.catalog.get(symbol) else { return Ok(0) };
        let whole = length_of(&trading(instrument, vec![(from, to)])).as_seconds();
        let lacks = length_of(&self.inner.missing(instrument, length, from, to, false).await?).as_seconds();
        if whole == 0 {
            return Ok(100);
        }
        // Rounded down: 100 is said of nothing that lacks a minute.
        Ok(u32::try_from((whole - lacks).max(0) * 100 / whole).unwrap_or(0))
    }

    /// Fetches what is missing of `from..to`, as far as that is possible within `patience`; after that it goes on by itself. Answers why something is still missing.
    pub(crate) async fn fetch(
        &self,
        symbol: Symbol,
        length: Span,
        from: Timestamp,
        to: Timestamp,
        priority: Priority,
        patience: Duration,
    ) -> Option<String> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let instrument = inner.catalog.get(symbol)?.clone();
        if inner.providers.is_none() || inner.whom(&instrument).next().is_none() {
            return None;
        }
        let kept = KEPT.iter().find(|(of, _)| *of == length)?.1;
        // For a gap every closed minute counts, otherwise the newest bars are left time to come in.
        let settled = if priority == Priority::Gap { now } else { now.minus(settle(&instrument)) };
        let from = from.max(now.minus(kept));
        let to = to.min(floor(settled, length));
        // Of most feeds a price says nothing of what was traded: whoever looks at it gets the bars of those who do.
        let volumes = priority == Priority::Person && inner.tells_volume(&instrument);
        let worth = if priority == Priority::Gap { Span::ZERO } else { WORTH_ASKING.max(length) };
        if from >= to || length_of(&inner.wanted(&instrument, length, from, to, volumes).await.ok()?) < worth {
            return None;
        }
        let turn = Arc::clone(inner.memory().turns.entry((symbol, length)).or_default());
        let work = Arc::clone(inner);
        let task = tokio::spawn(async move {
            let _turn = turn.lock_owned().await;
            // Whoever had the turn before may have fetched it all.
            let wanted = work.wanted(&instrument, length, from, to, volumes).await.ok()?;
            if length_of(&wanted) < worth { None } else { work.fetch(&instrument, length, wanted, priority).await }
        });
        match tokio::time::timeout(patience, task).await {
            Ok(Ok(trouble)) => trouble,
            Ok(Err(error)) => Some(format!("a fault in this program: {error}")),
            Err(_) => Some("more is being fetched; ask again in a moment".to_owned()),
        }
    }
}

impl Inner {
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        // Nothing panics while it is held.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The feeds of an instrument that may be asked, the best first.
    fn whom<'a>(&'a self, instrument: &'a Instrument) -> impl Iterator<Item = FeedId> + 'a {
        instrument.providers.iter().map(|p| p.feed).filter(|feed| self.enabled.contains(feed))
    }

    /// How far back `limit` bars of an instrument reach, nights and weekends included.
    fn stretch_of(&self, symbol: Symbol, interval: Span, limit: u32) -> Span {
        let plain = interval.times(i64::from(limit));
        let session = self.catalog.get(symbol).map_or("24x7", |instrument| instrument.session.as_str());
        let more = |tenths: i64| Span::from_micros(plain.as_micros().saturating_mul(tenths) / 10);
        match session {
            "24x7" => plain,
            _ if interval >= DAY => more(16),
            "fx" | "cme" | "ice_dx" | "cbot_grains" => more(20).max(plain.max(DAY.times(4))),
            _ => more(60).max(DAY.times(5)),
        }
    }

    /// Whether somebody who may be asked says how much of it was traded. Of currencies and indices nobody does.
    fn tells_volume(&self, instrument: &Instrument) -> bool {
        let traded = !matches!(instrument.class, AssetClass::Fx | AssetClass::Index);
        traded && self.whom(instrument).any(sources::tells_volume)
    }

    async fn runs(
        &self,
        symbol: Symbol,
        from: Timestamp,
        to: Timestamp,
        volumes: bool,
    ) -> Result<Vec<Stretch>, StoreError> {
        let usual = self.catalog.get(symbol).map_or(Span::ZERO, |instrument| instrument.stale_after);
        self.store.recorded_runs(symbol, from, to, PAUSE.max(usual), volumes).await
    }

    /// What of `from..to` was neither recorded (with `volumes`: together with what was traded) nor asked for, of the hours in which the
    /// instrument is traded.
    async fn missing(
        &self,
        instrument: &Instrument,
        length: Span,
        from: Timestamp,
        to: Timestamp,
        volumes: bool,
    ) -> Result<Vec<Stretch>, StoreError> {
        let mut known = self.store.asked(instrument.symbol, length, from, to).await?;
        known.extend(self.runs(instrument.symbol, from, to, volumes).await?);
        let lacks = missing((from, to), known);
        Ok(if length < DAY { trading(instrument, lacks) } else { lacks })
    }

    /// What is to be asked for, in whole bars.
    async fn wanted(
        &self,
        instrument: &Instrument,
        length: Span,
        from: Timestamp,
        to: Timestamp,
        volumes: bool,
    ) -> Result<Vec<Stretch>, StoreError> {
        let mut wanted = self.missing(instrument, length, from, to, volumes).await?;
        let now = self.clock.now();
        let quiet = self.memory().quiet.get(&(instrument.symbol, length)).copied();
        if let Some(since) = quiet.filter(|since| now.since(*since) < QUIET) {
            let newest = since.minus(settle(instrument)).minus(length);
            wanted.retain(|(begins, _)| *begins < newest);
        }
        for (begins, ends) in &mut wanted {
            let whole = floor(*ends, length);
            (*begins, *ends) = (floor(*begins, length), if whole == *ends { whole } else { whole.plus(length) });
        }
        let gap = if instrument.session == "24x7" { length.times(100) } else { length.times(100).max(DAY.times(4)) };
        Ok(joined(wanted, gap))
    }

    /// Bars of one length, fetched and recorded.
    async fn merged(
        &self,
        symbol: Symbol,
        length: Span,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Candle>, StoreError> {
        let fetched = self.store.fetched(symbol, length, from, to).await?;
        let recorded = self.store.candles(symbol, length, from, to, u32::MAX).await?;
        let recorded = recorded.into_iter().map(|bar| (bar, None)).collect();
        Ok(merge(fetched, recorded, &[], false).into_iter().map(|(bar, _)| bar).collect())
    }
}

/// How long the bars of an instrument may take to come in.
fn settle(instrument: &Instrument) -> Span {
    Span::from_micros(instrument.delay.as_micros() + SETTLE.as_micros())
}

/// The length of the bars that bars of `interval` are made of.
fn base(interval: Span) -> Span {
    let fits = |length: &Span| interval.as_micros() % length.as_micros() == 0;
    [DAY, HOUR, QUARTER, FIVE].into_iter().find(fits).unwrap_or(MINUTE)
}
