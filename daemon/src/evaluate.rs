//! Role 2: the task that owns core's [`Evaluator`]. Nobody else changes what an alert remembers.
//!
//! Observations and changes come in; prices go out as events at once, firings go out as one batch with everything that changed
//! in memory, to be recorded by notify before anybody sees them. Without a firing, what changed is recorded once a second.
//! The task ends when all feeds and the gateway have let go of their ends.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, AlertState},
    condition::{Family, HistoryNeed, Rule},
    evaluator::{Admission, Evaluator},
    event::{AlertRow, Event, Ticker},
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::{Candle, Session, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;
use tokio::sync::{mpsc, watch};

use crate::{
    clock::Clock,
    history::Days,
    links::{Batch, Batches, Change, Events, Notice, Notices, Observation, Returned, Using},
    metrics::Metrics,
    pulse::Beat,
    record::Trade,
    recording::Recorder,
};

/// How long a change of memory may wait to be recorded (docs/alerts.md, B15).
const CUT: Duration = Duration::from_secs(1);

/// What the task needs besides the evaluator.
pub(crate) struct Evaluate {
    /// The owner of all alert state.
    pub(crate) evaluator: Evaluator,
    /// The instruments, with the staleness of the feed in use.
    pub(crate) instruments: HashMap<Symbol, Instrument>,
    /// Where batches go.
    pub(crate) batches: Batches,
    /// Where prices and alert states go.
    pub(crate) events: Events,
    /// Where accepted prices go to become bars. Full: the price is left out of its bar.
    pub(crate) trades: mpsc::Sender<Trade>,
    /// Where every price that comes is written down, if it is.
    pub(crate) recorder: Option<Recorder>,
    /// Where it is told on which instruments alerts stand.
    pub(crate) watched: watch::Sender<Arc<BTreeSet<Symbol>>>,
    /// Tells the owner which alerts a split has changed.
    pub(crate) notices: Notices,
    /// Where it is told which past an alert's indicators need. Full: they begin without it.
    pub(crate) needs: mpsc::Sender<HistoryNeed>,
    /// What feeds leave out of the trading day.
    pub(crate) days: Days,
    /// The time.
    pub(crate) clock: Clock,
    /// The figures.
    pub(crate) metrics: Metrics,
    /// Shows that it turns.
    pub(crate) beat: Beat,
}

/// What clients were last told of an alert, and when that will change by itself.
#[derive(Default)]
struct Told {
    rows: HashMap<AlertId, AlertRow>,
    due: BTreeSet<(Timestamp, AlertId)>,
    /// The last firing of each urgent alert whose episode was told to be over.
    over: HashMap<AlertId, u32>,
    /// Alerts have changed, and with them perhaps the instruments that they are on.
    changed: bool,
}

/// What one observation has brought about.
#[derive(Default)]
struct Effects {
    firings: Vec<Firing>,
    /// Alerts that a split has changed.
    rewritten: Vec<Alert>,
}

impl Evaluate {
    /// Judges until both ends are closed.
    pub(crate) async fn run(
        mut self,
        mut observations: mpsc::Receiver<Observation>,
        mut changes: mpsc::Receiver<Change>,
    ) -> anyhow::Result<()> {
        let mut told = Told::default();
        let now = self.clock.now();
        let mut ids = Vec::new();
        for alert in self.evaluator.alerts() {
            self.need(&alert.rule);
            ids.push(alert.id);
        }
        self.tell(&mut told, ids, now).await;
        self.metrics.alerts.set(i64::try_from(self.evaluator.count()).unwrap_or(i64::MAX));
        let mut beat = tokio::time::interval(CUT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut feeding, mut changing) = (true, true);
        let mut effects = Effects::default();
        let mut instead = HashMap::new();
        while feeding || changing {
            self.beat.turn();
            tokio::select! {
                biased;
                change = changes.recv(), if changing => match change {
                    Some(Change { change, returned, done }) => {
                        self.change(&mut told, change, returned, &mut effects.firings).await;
                        let _ = done.send(());
                    }
                    None => changing = false,
                },
                observation = observations.recv(), if feeding => match observation {
                    Some(Observation::Feed(using)) => self.use_feed(using, &mut instead),
                    Some(observation) => self.observe(observation, &mut effects).await,
                    None => feeding = false,
                },
                _ = beat.tick() => self.beat(&mut told).await,
            }
            if !effects.firings.is_empty() || !effects.rewritten.is_empty() {
                say_instead(&mut effects.firings, &instead);
                self.record(&mut told, std::mem::take(&mut effects)).await;
            }
        }
        drop(self.batches.send(Batch { cut: self.evaluator.take_cut(), ..Batch::default() }).await);
        Ok(())
    }

    async fn observe(&mut self, observation: Observation, effects: &mut Effects) {
        let started = Instant::now();
        let firings = &mut effects.firings;
        match observation {
            Observation::Tick(tick) => {
                self.write_down(std::slice::from_ref(&tick));
                let admission = self.evaluator.on_tick(&tick, firings);
                self.metrics.evaluation.observe(started.elapsed().as_secs_f64());
                self.admitted(&tick, admission).await;
            }
            Observation::Batch(ticks) => {
                self.write_down(&ticks);
                let admissions = self.evaluator.on_batch(&ticks, firings);
                self.metrics.evaluation.observe(started.elapsed().as_secs_f64());
                for (tick, admission) in ticks.iter().zip(admissions) {
                    self.admitted(tick, admission).await;
                }
            }
            Observation::Candles { symbol, candles, source } => {
                let received = self.clock.now();
                for candle in &candles {
                    if self.evaluator.on_candle(symbol, candle, source, received, firings) {
                        self.traded(symbol, candle);
                    } else {
                        self.metrics.rejected(source, "candle");
                    }
                }
                self.metrics.evaluation.observe(started.elapsed().as_secs_f64());
            }
            Observation::Backfill { symbol, candles, source, received } => {
                self.evaluator.on_backfill(symbol, &candles, source, received, firings);
                self.metrics.evaluation.observe(started.elapsed().as_secs_f64());
            }
            Observation::History { symbol, candles, received } => {
                self.evaluator.on_history(symbol, &candles, received);
            }
            Observation::Split { symbol, ratio, received } => {
                let changed = self.evaluator.on_split(symbol, ratio, received);
                if !changed.is_empty() {
                    (self.notices)(split_notice(symbol, ratio, received, &changed));
                }
                effects.rewritten.extend(changed);
            }
            Observation::Feed(_) => {}
        }
    }

    fn write_down(&self, ticks: &[Tick]) {
        if let Some(recorder) = &self.recorder {
            for tick in ticks {
                recorder.put(tick);
            }
        }
    }

    /// Has the past fetched that its indicators look at.
    fn need(&self, rule: &Rule) {
        for need in rule.history_needed() {
            if self.needs.try_send(need).is_err() {
                tracing::warn!(symbol = %need.symbol, "an indicator begins without its past");
            }
        }
    }

    /// The close of a candle becomes part of its bar.
    fn traded(&self, symbol: Symbol, candle: &Candle) {
        // The end of a candle belongs to no later minute than its beginning.
        let time = candle.to.minus(Span::from_millis(1));
        let _ = self.trades.try_send(Trade { symbol, price: candle.close, time, counted: None });
    }

    /// Another feed is in use from now on: what depends on it changes with it.
    fn use_feed(&mut self, using: Using, instead: &mut HashMap<Symbol, Using>) {
        if let Some(instrument) = self.instruments.get_mut(&using.symbol) {
            using.setup.apply(instrument);
            self.evaluator.set_instrument(instrument.clone());
        }
        if using.instead.is_some() {
            instead.insert(using.symbol, using);
        } else {
            instead.remove(&using.symbol);
        }
    }

    /// Shows an accepted price; counts one that was not believed.
    async fn admitted(&self, tick: &Tick, admission: Admission) {
        match admission {
            Admission::Accepted => {
                let (Some(instrument), Some(seen)) =
                    (self.instruments.get(&tick.symbol), self.evaluator.last(tick.symbol))
                else {
                    return;
                };
                let counted = counted(tick);
                let _ = self.trades.try_send(Trade { symbol: tick.symbol, price: tick.price, time: seen.ts, counted });
                let mut row = ticker(tick, instrument, seen.ts);
                self.days.complete(&mut row);
                row.change_24h_pct = row.reference.and_then(|reference| change_pct(reference, row.price));
                drop(self.events.send(Event::Price(row)).await);
            }
            Admission::Held => self.metrics.rejected(tick.source, "held"),
            Admission::Rejected(reason) => self.metrics.rejected(tick.source, reason.as_str()),
        }
    }

    async fn change(
        &mut self,
        told: &mut Told,
        change: AlertChange,
        returned: Option<Box<Returned>>,
        firings: &mut Vec<Firing>,
    ) {
        let now = self.clock.now();
        let id = change.id();
        let gone = match &change {
            AlertChange::Delete { version, .. } => {
                self.evaluator.alert(id).map(|a| Event::AlertDeleted { id, owner: a.owner, version: *version })
            }
            _ => None,
        };
        if gone.is_some() && self.evaluator.is_dirty() {
            // Should it be brought back, it must know all that it knows now.
            self.record(told, Effects::default()).await;
        }
        let applied = match (change, returned) {
            (AlertChange::Put(alert), Some(returned)) => self.evaluator.bring_back(alert, returned.memory, now),
            (change, _) => self.evaluator.apply(change, now, firings),
        };
        if !applied {
            return;
        }
        if let Some(alert) = self.evaluator.alert(id) {
            self.need(&alert.rule);
        }
        self.metrics.alerts.set(i64::try_from(self.evaluator.count()).unwrap_or(i64::MAX));
        told.changed = true;
        if let Some(event) = gone {
            told.rows.remove(&id);
            told.over.remove(&id);
            drop(self.events.send(event).await);
        } else if firings.is_empty() {
            // With a firing the new state is shown once that is recorded.
            self.tell(told, [id], now).await;
        }
    }

    /// Hands firings over with all that changed; what clients see of their alerts follows after the commit.
    async fn record(&mut self, told: &mut Told, Effects { firings, rewritten }: Effects) {
        let now = self.clock.now();
        let started = firings.iter().map(|f| f.received).min();
        let cut = self.evaluator.take_cut();
        let ids: Vec<AlertId> = cut.alerts.iter().map(|m| m.id).collect();
        let over = self.over(told, &ids, now);
        let rows = self.news(told, ids, now);
        if self.batches.send(Batch { firings, cut, rows, over, rewritten, started }).await.is_err() {
            tracing::error!("the recorder of firings is gone");
        }
    }

    /// Once a second: what changed is recorded, and alerts whose state changed by the passing of time are shown.
    async fn beat(&mut self, told: &mut Told) {
        let now = self.clock.now();
        if std::mem::take(&mut told.changed) {
            self.watched.send_replace(Arc::new(self.evaluator.watched()));
        }
        let mut ids: Vec<AlertId> = Vec::new();
        while told.due.first().is_some_and(|(at, _)| *at <= now) {
            ids.extend(told.due.pop_first().map(|(_, id)| id));
        }
        let mut rows = Vec::new();
        let cut = if self.evaluator.is_dirty() { Some(self.evaluator.take_cut()) } else { None };
        if let Some(cut) = &cut {
            ids.extend(cut.alerts.iter().map(|m| m.id));
        }
        let over = self.over(told, &ids, now);
        rows.extend(self.news(told, ids, now));
        if let Some(cut) = cut {
            drop(self.batches.send(Batch { cut, rows, over, ..Batch::default() }).await);
        } else {
            for row in rows {
                drop(self.events.send(Event::AlertPut(row)).await);
            }
        }
    }

    /// The urgent alerts among these that have fired and whose episode is over, each firing once: its later steps are pointless.
    /// Only levels have an end that can be seen; a firing of a move is its own end, and a `once` is not judged any more.
    fn over(&self, told: &mut Told, ids: &[AlertId], now: Timestamp) -> Vec<(AlertId, u32)> {
        let mut over = Vec::new();
        for id in ids {
            let Some(status) = self.evaluator.status(*id, now) else { continue };
            let news = told.over.get(id) != Some(&status.count);
            if status.count == 0 || status.satisfied != Some(false) || status.state == AlertState::Done || !news {
                continue;
            }
            let Some(alert) = self.evaluator.alert(*id) else { continue };
            told.over.insert(*id, status.count);
            if alert.rule.urgent && alert.rule.terms.iter().all(|term| term.condition.family() == Family::Level) {
                over.push((*id, status.count));
            }
        }
        over
    }

    async fn tell(&self, told: &mut Told, ids: impl IntoIterator<Item = AlertId>, now: Timestamp) {
        for row in self.news(told, ids, now) {
            drop(self.events.send(Event::AlertPut(row)).await);
        }
    }

    /// The rows among these that differ from what clients were told.
    fn news(&self, told: &mut Told, ids: impl IntoIterator<Item = AlertId>, now: Timestamp) -> Vec<AlertRow> {
        let mut rows = Vec::new();
        for id in ids {
            let (Some(alert), Some(status)) = (self.evaluator.alert(id), self.evaluator.status(id, now)) else {
                continue;
            };
            let row = AlertRow {
                alert,
                state: status.state,
                fired: status.count,
                last_fired: status.last_fired,
                cooling_until: status.cooling_until,
                indicators: status.indicators,
            };
            let next = [row.cooling_until, row.alert.rule.until, row.alert.snoozed_until];
            for at in next.into_iter().flatten().filter(|at| *at > now) {
                told.due.insert((at, id));
            }
            if told.rows.get(&id) != Some(&row) {
                told.rows.insert(id, row.clone());
                rows.push(row);
            }
        }
        rows
    }
}

/// Says in each firing whose price it was, where that is not the first choice's.
fn say_instead(firings: &mut [Firing], instead: &HashMap<Symbol, Using>) {
    if instead.is_empty() {
        return;
    }
    for firing in firings {
        if let Some(Using { source, instead: Some((first, since)), .. }) = instead.get(&firing.symbol)
            && *source == firing.source
        {
            let since = Timestamp::from_seconds(since.as_seconds());
            firing.remark(&format!(" (by {source}, in place of {first} since {since})"));
        }
    }
}

/// What the owner is told of a split.
fn split_notice(symbol: Symbol, ratio: Decimal, at: Timestamp, changed: &[Alert]) -> Notice {
    let alerts: Vec<String> = changed.iter().map(|a| format!("{}: {}", a.id, a.rule)).collect();
    Notice {
        about: format!("split of {symbol} {ratio} at {at}"),
        title: format!("bellwether: {symbol} was split, {} for 1", ratio.normalize()),
        body: format!("These alerts were changed with it:\n{}", alerts.join("\n")),
    }
}

/// The board's row for an accepted tick, without the change that follows from the day's reference.
/// What the source of a price counts on and on. Volumes of the last 24 hours are none of these: what was traded a day ago goes out of
/// them, so that their difference is not what was traded meanwhile. Outside of regular hours a day's volume stands still.
fn counted(tick: &Tick) -> Option<(FeedId, Price)> {
    let counts = matches!(tick.source, FeedId::Simulated | FeedId::Yahoo) && tick.session == Session::Regular;
    tick.day.volume.filter(|_| counts).map(|volume| (tick.source, volume))
}

fn ticker(tick: &Tick, instrument: &Instrument, as_of: Timestamp) -> Ticker {
    Ticker {
        symbol: tick.symbol,
        price: tick.price,
        change_24h_pct: None,
        reference: tick.day.reference,
        high: tick.day.high,
        low: tick.day.low,
        volume: tick.day.volume,
        as_of,
        received: tick.received_time,
        source: tick.source,
        session: tick.session,
        stale_after: instrument.stale_after,
        delay: instrument.delay,
    }
}

/// The change from `reference` to `price` in per cent, with two places; nothing where the reference is zero.
fn change_pct(reference: Price, price: Price) -> Option<Price> {
    let change = price.decimal().checked_sub(reference.decimal())?;
    let part = change.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(reference.decimal())?;
    Some(Price::new(part.round_dp(2)))
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
