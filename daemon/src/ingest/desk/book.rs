//! Everything the desk knows, and what follows from a piece of news: pure. [`Book`] is told the time and asked nothing twice;
//! what it decides comes out as [`Out`], in order.
//!
//! A price on its way: is its feed in use ([`Route`])? is it newer than the last one? is it believable ([`Doubt`])? does
//! something have to be fetched before it ([`Gap`])? So what leaves is ordered by source time for each instrument, never
//! twice, and of one feed at a time (docs/alerts.md, B16).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    event::FeedStatus,
    instrument::{FeedId, Instrument, Symbol},
    tick::{Candle, Tick},
    time::{Span, Timestamp},
};

use super::{
    Now,
    dead::{Dead, Obituary},
    doubt::{Doubt, Judgement, Last, same},
    gap::Gap,
    news::{News, Split, Wanted, What, Whom},
    offset::{self, Offset},
    route::{Candidate, Line, Route, Why},
    time_of,
};
use crate::{
    ingest::supervise::clean,
    links::{Notice, Observation, Using},
};

/// Whose alerts need what was missed.
pub(crate) type Watched = Arc<BTreeSet<Symbol>>;

/// What the desk does about something.
#[derive(Clone, Debug)]
pub(super) enum Out {
    /// For the evaluator.
    Observe(Observation),
    /// For everybody who watches the feeds.
    Status(FeedStatus),
    /// Candles of a gap are to be fetched.
    Fetch { symbol: Symbol, from: Timestamp, to: Timestamp },
    /// A price was not believed.
    Rejected(FeedId, &'static str),
    /// Another feed has taken over.
    Switched { symbol: Symbol, from: FeedId, to: FeedId, why: Why },
    /// Worth a line in the log.
    Note(String),
    /// For the owner.
    Notice(Notice),
}

/// An instrument.
#[derive(Debug)]
struct Row {
    instrument: Instrument,
    route: Route,
    /// The last price that left, or waits to leave until what was missed is known.
    last: Option<Last>,
    doubt: Doubt,
    gap: Option<Gap>,
}

/// A feed.
#[derive(Debug)]
struct Desk {
    line: Line,
    offset: Offset,
    dead: Dead,
    /// What it says of itself.
    said: Option<FeedStatus>,
    /// What everybody was told of it.
    told: Option<FeedStatus>,
}

/// Everything the desk knows.
#[derive(Debug)]
pub(super) struct Book {
    rows: HashMap<Symbol, Row>,
    feeds: BTreeMap<FeedId, Desk>,
    watched: Watched,
}

impl Book {
    /// Instruments with their candidates; an instrument without any has no row.
    pub(super) fn new(
        instruments: impl IntoIterator<Item = (Instrument, Vec<Candidate>)>,
        known: impl IntoIterator<Item = (Symbol, Last)>,
        now: Now,
    ) -> Self {
        let mut book = Self { rows: HashMap::new(), feeds: BTreeMap::new(), watched: Watched::default() };
        for (instrument, candidates) in instruments {
            for candidate in &candidates {
                book.feeds.entry(candidate.feed).or_insert_with(|| Desk {
                    line: Line::new(now),
                    offset: Offset::default(),
                    dead: Dead::default(),
                    said: None,
                    told: None,
                });
            }
            if let Some(route) = Route::new(&candidates) {
                let row = Row { route, last: None, doubt: Doubt::default(), gap: None, instrument };
                book.rows.insert(row.instrument.symbol, row);
            }
        }
        for (symbol, last) in known {
            if let Some(row) = book.rows.get_mut(&symbol) {
                row.last = Some(last);
            }
        }
        book
    }

    /// On which instruments alerts stand.
    pub(super) fn watch(&mut self, watched: Watched) {
        self.watched = watched;
    }

    /// Takes a piece of news.
    pub(super) fn news(&mut self, News { feed, what }: News, now: Now, out: &mut Vec<Out>) {
        match what.received_by(now.wall) {
            What::Tick(tick) => {
                if let Some(tick) = self.receive(feed, tick, now, out) {
                    out.push(Out::Observe(Observation::Tick(tick)));
                }
            }
            What::Batch(ticks) => self.batch(feed, ticks, now, out),
            What::Candles(symbol, candles) => self.candles(feed, symbol, candles, now, out),
            What::Alive(Whom::One(symbol)) => self.alive(feed, symbol, now),
            What::Alive(Whom::These(symbols)) => {
                for symbol in symbols {
                    self.alive(feed, symbol, now);
                }
            }
            What::Lost(symbol, why) => {
                if let Some(row) = self.rows.get_mut(&symbol) {
                    row.route.lost(feed);
                    out.push(Out::Note(format!("{feed} does not deliver {symbol}: {why}")));
                    self.review(now, out);
                }
            }
            What::Split(split) => self.split(split, now, out),
            What::Status(status) => self.status(feed, status, now, out),
        }
    }

    /// Four times a second: what follows from the passing of time.
    pub(super) fn beat(&mut self, now: Now, out: &mut Vec<Out>) {
        self.review(now, out);
        for row in self.rows.values_mut() {
            if row.gap.as_ref().is_some_and(|gap| gap.is_overdue(now)) {
                row.give_up("no answer in time", out);
            }
        }
        self.tell(out);
    }

    /// What was missed of an instrument, or why it cannot be known.
    pub(super) fn fetched(
        &mut self,
        symbol: Symbol,
        answer: Result<Vec<Candle>, String>,
        now: Now,
        out: &mut Vec<Out>,
    ) {
        let Some(row) = self.rows.get_mut(&symbol) else { return };
        // Given up: live prices are ahead of it by now.
        let Some(gap) = &row.gap else { return };
        match answer {
            Ok(candles) => {
                let candles = gap.fitting(candles);
                if !candles.is_empty() {
                    let source = row.route.using().feed;
                    out.push(Out::Note(format!("{symbol}: {} candles of what was missed", candles.len())));
                    out.push(Out::Observe(Observation::Backfill { symbol, candles, source, received: now.wall }));
                }
                row.release(out);
            }
            Err(why) => row.give_up(&why, out),
        }
    }

    /// What still waits goes on: the daemon is stopping.
    pub(super) fn close(&mut self, out: &mut Vec<Out>) {
        for row in self.rows.values_mut() {
            row.release(out);
        }
    }

    /// What the feeds said of themselves last.
    pub(super) fn said(&self) -> Vec<FeedStatus> {
        self.feeds.values().filter_map(|desk| desk.said.clone()).collect()
    }

    /// What is wanted of the polled feeds.
    pub(super) fn wanted(&self, now: Now) -> Wanted {
        let mut wanted: BTreeMap<FeedId, BTreeSet<Symbol>> = BTreeMap::new();
        for (symbol, row) in &self.rows {
            for feed in row.route.polled() {
                let symbols = wanted.entry(feed).or_default();
                if row.route.wants(feed, |feed| self.feeds[&feed].line, now) {
                    symbols.insert(*symbol);
                }
            }
        }
        Wanted(Arc::new(wanted))
    }

    /// Every few seconds: whether a feed has died, or risen.
    pub(super) fn mourn(&mut self, now: Now, out: &mut Vec<Out>) {
        for (&feed, desk) in &mut self.feeds {
            let (mut open, mut fresh) = (0, 0);
            for row in self.rows.values().filter(|row| row.route.using().feed == feed) {
                let stale_after = row.route.using().setup.stale_after;
                let Instrument { session, timezone, .. } = &row.instrument;
                if row.last.is_some_and(|last| now.wall.since(last.ts) <= stale_after) {
                    fresh += 1;
                } else if market_hours(session, timezone, now.wall) == MarketHours::Open {
                    open += 1;
                }
            }
            let Some(obituary) = desk.dead.look(open + fresh, fresh, now) else { continue };
            let (title, body) = match obituary {
                Obituary::Died { since } => {
                    let trouble = desk.said.as_ref().and_then(|s| s.trouble.as_deref());
                    let why = trouble.map(|trouble| format!(" It says: {trouble}.")).unwrap_or_default();
                    let since = Timestamp::from_seconds(since.as_seconds());
                    (
                        format!("bellwether: no fresh prices from {feed}"),
                        format!(
                            "None of the {open} instruments that it delivers and whose market is open has had a fresh price \
                             since {since}. Alerts on them cannot fire until it is back.{why}"
                        ),
                    )
                }
                Obituary::Rose => (
                    format!("bellwether: {feed} delivers again"),
                    "Alerts on its instruments are judged again.".to_owned(),
                ),
            };
            let about = format!("{feed} {}", if obituary == Obituary::Rose { "rose" } else { "died" });
            out.push(Out::Notice(Notice { about, title, body }));
        }
    }

    fn alive(&mut self, feed: FeedId, symbol: Symbol, now: Now) {
        if let Some(row) = self.rows.get_mut(&symbol) {
            row.route.alive(feed, now);
        }
    }

    /// Takes a price; gives it back where it may go on.
    fn receive(&mut self, feed: FeedId, tick: Tick, now: Now, out: &mut Vec<Out>) -> Option<Tick> {
        let heard = self.rows.get_mut(&tick.symbol).and_then(|row| Some((row.route.tick(feed, &tick, now)?, row)));
        let Some(((in_use, first), row)) = heard else {
            out.push(Out::Rejected(feed, "unknown_symbol"));
            return None;
        };
        // The first price of a connection may be of any age.
        if let (Some(time), false, Some(desk)) = (tick.exchange_time, first, self.feeds.get_mut(&feed)) {
            desk.offset.add(tick.received_time, time);
        }
        if in_use {
            return row.admit(tick, now, &self.watched, out);
        }
        let confirmed = row.doubt.confirmed_by(tick.price, row.route.using().feed)?;
        let ts = time_of(&confirmed);
        let confirmed = row.pass(confirmed, ts, now, &self.watched, out)?;
        out.push(Out::Observe(Observation::Tick(confirmed)));
        None
    }

    fn batch(&mut self, feed: FeedId, ticks: Vec<Tick>, now: Now, out: &mut Vec<Out>) {
        let mut kept: Vec<Tick> = Vec::with_capacity(ticks.len());
        for tick in ticks {
            // Whatever has to go before a second price of an instrument goes after its first one.
            if kept.iter().any(|k| k.symbol == tick.symbol) {
                out.push(Out::Observe(Observation::Batch(std::mem::take(&mut kept))));
            }
            kept.extend(self.receive(feed, tick, now, out));
        }
        if !kept.is_empty() {
            out.push(Out::Observe(Observation::Batch(kept)));
        }
    }

    /// Closed candles of a feed that is polled seldom: judged by the last close, and no gap, as they are what was missed.
    fn candles(&mut self, feed: FeedId, symbol: Symbol, mut candles: Vec<Candle>, now: Now, out: &mut Vec<Out>) {
        let Some(row) = self.rows.get_mut(&symbol) else { return out.push(Out::Rejected(feed, "unknown_symbol")) };
        let mut end = row.last.map_or(Timestamp::from_micros(i64::MIN), |last| last.ts);
        candles.retain(|candle| {
            let next = candle.to > end && candle.to <= now.wall;
            if next {
                end = candle.to;
            }
            next
        });
        let Some(newest) = candles.last() else { return };
        let tick = Tick {
            exchange_time: Some(newest.to),
            session: newest.session,
            ..Tick::new(symbol, newest.close, feed, now.wall)
        };
        let Some((in_use, _)) = row.route.tick(feed, &tick, now) else {
            return out.push(Out::Rejected(feed, "unknown_symbol"));
        };
        if !in_use || !row.believes(&tick, newest.to, now, out) {
            return;
        }
        // Live prices that wait for older candles are behind these.
        row.release(out);
        row.last = Some(Last { ts: newest.to, price: newest.close, session: newest.session });
        out.push(Out::Observe(Observation::Candles { symbol, candles, source: feed }));
    }

    fn split(&mut self, split: Split, now: Now, out: &mut Vec<Out>) {
        let Some(row) = self.rows.get_mut(&split.symbol) else { return };
        let using = row.route.using().feed;
        // A price of a feed that was in use before is not needed: the next one is explained too.
        if let Some(tick) = row.doubt.record(split, row.last).filter(|tick| tick.source == using)
            && let Some(tick) = row.admit(tick, now, &self.watched, out)
        {
            out.push(Out::Observe(Observation::Tick(tick)));
        }
    }

    fn status(&mut self, feed: FeedId, status: FeedStatus, now: Now, out: &mut Vec<Out>) {
        let Some(desk) = self.feeds.get_mut(&feed) else { return out.push(Out::Status(status)) };
        let lost = desk.line.state(status.state, now);
        desk.said = Some(status);
        if lost {
            desk.offset.clear();
            for row in self.rows.values_mut() {
                row.route.disconnected(feed);
            }
        }
        self.tell(out);
    }

    /// Looks whether feeds have to take over from others, or can.
    fn review(&mut self, now: Now, out: &mut Vec<Out>) {
        for (&symbol, row) in &mut self.rows {
            let Some(switch) = row.route.review(|feed| self.feeds[&feed].line, now) else { continue };
            out.push(Out::Switched { symbol, from: switch.from, to: switch.to, why: switch.why });
            let Candidate { feed, setup, .. } = row.route.using();
            let using = Using { symbol, source: feed, setup, instead: row.route.instead() };
            row.put(Observation::Feed(using), out);
            // Not older than what is known: or the first price of the new feed is its next one.
            let newer = switch.latest.filter(|tick| row.disorder(time_of(tick), tick).is_none());
            if let Some(tick) = newer.and_then(|tick| row.admit(tick, now, &self.watched, out)) {
                out.push(Out::Observe(Observation::Tick(tick)));
            }
        }
    }

    /// Whether the present is ahead of the sources by about this much, so that a clock which shows so much less is right.
    pub(super) fn sources_are_behind_by(&self, lead: Span) -> bool {
        let feeds = || self.feeds.values().filter_map(|desk| desk.offset.median());
        lead > offset::WARN
            && feeds().next().is_some()
            && feeds().all(|ahead| (ahead - lead.as_micros()).abs() < lead.as_micros() / 2)
    }

    /// Tells everybody how the feeds are, where that has changed.
    fn tell(&mut self, out: &mut Vec<Out>) {
        for (&feed, desk) in &mut self.feeds {
            let Some(said) = &desk.said else { continue };
            let mut troubles: Vec<String> = said.trouble.iter().cloned().collect();
            troubles.extend(desk.offset.trouble());
            let mut instruments = 0;
            let mut away: BTreeMap<FeedId, BTreeSet<Symbol>> = BTreeMap::new();
            let mut waiting = Vec::new();
            for (&symbol, row) in &self.rows {
                let using = row.route.using().feed;
                if using == feed {
                    instruments += 1;
                    waiting.extend(row.doubt.waiting().map(|price| (symbol, price, row.last)));
                } else if row.route.first() == feed {
                    away.entry(using).or_default().insert(symbol);
                }
            }
            waiting.sort_by_key(|(symbol, ..)| *symbol);
            for (symbol, price, last) in waiting {
                let last = last.map(|last| format!(" after {}", last.price)).unwrap_or_default();
                troubles.push(format!("{symbol}: {price}{last} is held until something explains it"));
            }
            for (other, symbols) in away {
                let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
                troubles.push(format!("{other} stands in for {}", names.join(", ")));
            }
            let trouble = (!troubles.is_empty()).then(|| clean(&troubles.join("; ")));
            let status = FeedStatus { instruments, trouble, ..said.clone() };
            if desk.told.as_ref() != Some(&status) {
                desk.told = Some(status.clone());
                out.push(Out::Status(status));
            }
        }
    }
}

impl Row {
    /// Why a price cannot follow the last one.
    fn disorder(&self, ts: Timestamp, tick: &Tick) -> Option<&'static str> {
        let last = self.last?;
        if ts < last.ts {
            return Some("out_of_order");
        }
        (ts == last.ts && tick.price == last.price).then_some("duplicate")
    }

    /// Takes a price of the feed in use; gives it back where it may go on now.
    fn admit(&mut self, tick: Tick, now: Now, watched: &Watched, out: &mut Vec<Out>) -> Option<Tick> {
        let ts = time_of(&tick);
        if let Some(reason) = self.disorder(ts, &tick) {
            out.push(Out::Rejected(tick.source, reason));
            return None;
        }
        if self.believes(&tick, ts, now, out) { self.pass(tick, ts, now, watched, out) } else { None }
    }

    /// Whether a price is believable; a split that makes it so goes on first.
    fn believes(&mut self, tick: &Tick, ts: Timestamp, now: Now, out: &mut Vec<Out>) -> bool {
        let stale_after = self.route.using().setup.stale_after;
        let (doubt, route) = (&mut self.doubt, &self.route);
        let agrees = |price| route.others(now).any(|other| same(other, price));
        match doubt.judge(tick, ts, self.last, stale_after, now, agrees) {
            Judgement::Believe => true,
            Judgement::Hold { first } => {
                out.push(Out::Rejected(tick.source, "doubtful"));
                if let Some(last) = self.last.filter(|_| first) {
                    let Tick { symbol, price, source, .. } = tick;
                    out.push(Out::Note(format!(
                        "{symbol}: {price} from {source} after {} is held: other units, or a split?",
                        last.price
                    )));
                }
                false
            }
            Judgement::After(split) => {
                let Split { symbol, ratio, .. } = split;
                out.push(Out::Note(format!("{symbol}: split, {ratio} for 1")));
                self.put(Observation::Split { symbol, ratio, received: now.wall }, out);
                true
            }
        }
    }

    /// Lets a believed price through, unless something has to come before it.
    fn pass(&mut self, tick: Tick, ts: Timestamp, now: Now, watched: &Watched, out: &mut Vec<Out>) -> Option<Tick> {
        let next = Last { ts, price: tick.price, session: tick.session };
        let last = self.last.replace(next);
        if let Some(gap) = &mut self.gap {
            if !gap.hold(Observation::Tick(tick)) {
                self.give_up("too many prices wait for it", out);
            }
            return None;
        }
        let stale_after = self.route.using().setup.stale_after;
        let symbol = tick.symbol;
        let missed = last.filter(|_| watched.contains(&symbol));
        match missed.and_then(|last| Gap::before(&tick, ts, last.ts, stale_after, &self.instrument, now)) {
            None => Some(tick),
            Some(gap) => {
                out.push(Out::Fetch { symbol, from: gap.from, to: gap.to });
                self.gap = Some(gap);
                None
            }
        }
    }

    /// Lets something else than a price go on, behind the prices that wait.
    fn put(&mut self, observation: Observation, out: &mut Vec<Out>) {
        match &mut self.gap {
            Some(gap) => {
                if !gap.hold(observation) {
                    self.give_up("too many prices wait for it", out);
                }
            }
            None => out.push(Out::Observe(observation)),
        }
    }

    /// What waits goes on without what was missed.
    fn give_up(&mut self, why: &str, out: &mut Vec<Out>) {
        let symbol = self.instrument.symbol;
        if let Some(Gap { from, to, .. }) = &self.gap {
            out.push(Out::Note(format!("{symbol}: what happened from {from} to {to} is not known: {why}")));
        }
        self.release(out);
    }

    fn release(&mut self, out: &mut Vec<Out>) {
        let waiting = self.gap.take().map(Gap::waiting).unwrap_or_default();
        out.extend(waiting.into_iter().map(Out::Observe));
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
