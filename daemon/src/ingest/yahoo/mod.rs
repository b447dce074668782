//! Yahoo Finance: everything that is not traded on a crypto exchange. One feed, two ways in.
//!
//! ```text
//!  stream.rs  WebSocket, up to 100 symbols a connection ─▶ pricing.rs ┐
//!  poll.rs    `spark`, 20 symbols a call ────────────────▶ meta.rs ───┼─▶ book.rs: each price once and in order ─▶ Link
//!             `chart`, one share a call ─────────────────▶ splits.rs ─┘      hours.rs: what the source says of its hours
//! ```
//!
//! Unofficial, and easily annoyed: the calls are spread over the interval, never more than 300 an hour, and after a refusal the
//! next one comes a minute or more later, under the next user agent. The stream says nothing of itself, so the poll supervises
//! it; where only the poll works, it brings the ends of the minutes between two polls too. The feed fails where neither way works.
//!
//! A price whose time stands still is no news and is never repeated as such: while its market is open that means a halt or a
//! stuck source, and it has to turn stale.

mod book;
mod hours;
mod meta;
mod poll;
mod pricing;
mod splits;
mod stream;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, convert::Infallible, future::Future, pin::Pin, time::Duration};

use bellwether_core::{
    config,
    instrument::{FeedId, Instrument, Symbol},
    retry::Backoff,
    time::{Span, Timestamp},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use self::{
    book::{Book, Polled},
    poll::PER_CALL,
    pricing::Frame,
    splits::Rounds,
    stream::{Event, Streams},
};
use super::supervise::{Link, Remedy, Trouble, Wait, clean, jittered};
use crate::provider::{self, Answer, Provider};

/// The gap between the calls of the first round, so that a new start shows all prices soon.
const FIRST_ROUND: Duration = Duration::from_secs(2);

/// How long things take; tests are quicker.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The least wait before a connection is opened anew.
    reconnect: Duration,
    /// For how long the stream may lag behind the poll.
    grace: Span,
    /// While nothing can be polled and markets are open, a stream that is silent for this long is no hope.
    silence: Duration,
    /// How often the state of things is looked at.
    pulse: Duration,
    /// Between two questions for splits.
    splits: Span,
    /// How long to wait after so many failures in a row.
    wait: Wait,
}

const PACE: Pace = Pace {
    reconnect: Duration::from_secs(3),
    grace: Span::from_seconds(20),
    silence: Duration::from_mins(2),
    pulse: Duration::from_secs(5),
    splits: Span::from_seconds(90),
    wait: jittered,
};

/// What was asked.
enum Asked {
    /// Prices, of these.
    Prices(Vec<usize>),
    /// Splits, of this one.
    Splits(usize),
}

/// A request on its way.
type Request = Pin<Box<dyn Future<Output = (Asked, Result<Answer, provider::Trouble>, Duration)> + Send>>;

/// The feed. What it knows outlives a failure.
#[derive(Debug)]
pub(super) struct Yahoo {
    provider: Provider,
    /// Where the streamer is; none: only polls.
    ws_url: Option<String>,
    interval: Duration,
    user_agents: Vec<String>,
    book: Book,
    pace: Pace,
    rounds: Rounds,
    /// What the desk wants, by its place in the book.
    wanted: BTreeSet<usize>,
    /// Which part of that is asked for next.
    part: usize,
    /// Whether each part has been asked for once.
    spread: bool,
    /// Since polls have failed while the stream went on: how often, why, and when the next may go out.
    refused: Option<(u32, Trouble, Instant)>,
    /// Whether anything was delivered since the feed was started or has last failed.
    good: bool,
}

impl Yahoo {
    pub(super) fn new(
        config: &config::Yahoo,
        interval: Span,
        instruments: Vec<Instrument>,
        provider: Provider,
    ) -> Self {
        Self::with_pace(config, interval, instruments, provider, PACE)
    }

    fn with_pace(
        config: &config::Yahoo,
        interval: Span,
        instruments: Vec<Instrument>,
        provider: Provider,
        pace: Pace,
    ) -> Self {
        let mut user_agents = config.user_agents.clone();
        if user_agents.is_empty() {
            user_agents = config::Yahoo::default().user_agents;
        }
        Self {
            provider,
            ws_url: config.stream.then(|| config.ws_url.clone()),
            interval: interval.into(),
            user_agents,
            book: Book::new(instruments, pace.grace),
            pace,
            rounds: Rounds::new(pace.splits),
            wanted: BTreeSet::new(),
            part: 0,
            spread: false,
            refused: None,
            good: false,
        }
    }

    /// Polls and listens until neither way works.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        self.good = false;
        let everything = (0..self.book.len()).collect();
        self.book.subscribed(&everything, None);
        let mut streams =
            Streams::new(self.ws_url.as_deref().unwrap_or_default(), &self.user_agents, self.pace, link.clock());
        let mut requests: FuturesUnordered<Request> = FuturesUnordered::new();
        let mut pulse = tokio::time::interval(self.pace.pulse);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut next_poll = Instant::now();
        let mut polling = false;
        loop {
            let earliest = self.refused.as_ref().map_or(next_poll, |(_, _, until)| next_poll.max(*until));
            tokio::select! {
                (place, event) = streams.next() => self.streamed(place, event, &mut streams, link).await?,
                () = tokio::time::sleep_until(earliest), if !polling && !self.wanted.is_empty() => {
                    let (request, gap) = self.poll(link.now());
                    requests.push(request);
                    (polling, next_poll) = (true, Instant::now() + gap);
                }
                Some((asked, answer, took)) = requests.next(), if !requests.is_empty() => {
                    polling &= !matches!(asked, Asked::Prices(_));
                    self.answered(asked, answer, took, &streams, link).await?;
                }
                _ = pulse.tick() => {
                    if self.want(link) {
                        next_poll = Instant::now();
                    }
                    self.look(&mut streams, link).await?;
                    if requests.is_empty() {
                        requests.extend(self.ask_splits(link.now()));
                    }
                }
            }
        }
    }

    /// Looks what is wanted; whether that is more than before, and has to be asked for soon.
    fn want(&mut self, link: &Link) -> bool {
        let wants = |place: &usize| link.wants(self.book.instrument(*place).symbol);
        let wanted: BTreeSet<usize> = (0..self.book.len()).filter(wants).collect();
        let more = !wanted.is_subset(&self.wanted);
        self.wanted = wanted;
        self.spread &= !more;
        more
    }

    fn code(&self, place: usize) -> String {
        self.book.instrument(place).code_at(FeedId::Yahoo).unwrap_or_default().to_owned()
    }

    /// The next call, and the gap between it and the one after it.
    fn poll(&mut self, now: Timestamp) -> (Request, Duration) {
        let parts = self.wanted.len().div_ceil(PER_CALL).max(1);
        // Moved on before the call: a part that always fails must not starve the others.
        let part = self.part % parts;
        self.part = part + 1;
        self.spread |= self.part == parts;
        let asked: Vec<usize> = self.wanted.iter().copied().skip(part * PER_CALL).take(PER_CALL).collect();
        let codes: Vec<String> = asked.iter().map(|&place| self.code(place)).collect();
        let minutes = asked.iter().any(|&place| self.book.wants_minutes(place, now));
        let request = poll::ask(self.provider.clone(), codes.join(","), minutes, now);
        let gap = self.interval / u32::try_from(parts).unwrap_or(1);
        (timed(Asked::Prices(asked), request), if self.spread { gap } else { gap.min(FIRST_ROUND) })
    }

    /// A question for splits, where one is due.
    fn ask_splits(&mut self, now: Timestamp) -> Option<Request> {
        for symbol in self.book.take_suspects() {
            self.rounds.suspect(symbol, now);
        }
        if self.refused.is_some() {
            return None;
        }
        let stocks = || self.book.stocks().filter(|place| self.wanted.contains(place));
        let symbol = self.rounds.due(stocks().map(|place| self.book.instrument(place).symbol), now)?;
        let place = stocks().find(|&place| self.book.instrument(place).symbol == symbol)?;
        self.rounds.asked(symbol, now);
        let request = poll::ask_splits(self.provider.clone(), self.code(place), now);
        Some(timed(Asked::Splits(place), request))
    }

    /// A request has come to its end.
    async fn answered(
        &mut self,
        asked: Asked,
        answer: Result<Answer, provider::Trouble>,
        took: Duration,
        streams: &Streams,
        link: &mut Link,
    ) -> Result<(), Trouble> {
        let outcome = match (answer, asked) {
            // A symbol without a chart has no splits.
            (Err(trouble), Asked::Splits(_)) if trouble.status == Some(404) => Ok(()),
            (Err(trouble), _) => Err(trouble.into()),
            (Ok(answer), Asked::Prices(asked)) => self.take_prices(&answer, &asked, took, link).await,
            (Ok(answer), Asked::Splits(place)) => self.take_splits(&answer, place, link).await,
        };
        match outcome {
            Ok(()) => {
                self.refused = None;
                self.good = true;
                link.live(self.trouble(streams, link.now())).await
            }
            Err(trouble) if trouble.remedy == Remedy::End => Err(trouble),
            Err(trouble) => self.not_polled(trouble, streams, link).await,
        }
    }

    async fn take_prices(
        &mut self,
        answer: &Answer,
        asked: &[usize],
        took: Duration,
        link: &mut Link,
    ) -> Result<(), Trouble> {
        let now = link.now();
        let instruments: Vec<Instrument> = asked.iter().map(|&place| self.book.instrument(place).clone()).collect();
        let rows = poll::parse(&answer.body, &instruments, now).ok_or_else(|| answer.not_understood())?;
        link.answered(took);
        for reason in rows.rejected {
            link.rejected(reason);
        }
        for (place, instrument) in asked.iter().zip(&instruments) {
            if !rows.found.iter().any(|(_, found)| found.tick.symbol == instrument.symbol) {
                self.book.unanswered(*place);
            }
        }
        for (place, currency) in rows.currencies {
            self.book.other_currency(asked[place], &currency);
        }
        let mut ticks = Vec::new();
        for (place, found) in rows.found {
            let symbol = found.tick.symbol;
            let Polled { candles, tick, outliers } = self.book.polled(asked[place], found, now);
            for _ in 0..outliers {
                link.rejected("outlier");
            }
            // Before the price: they are older.
            link.candles(symbol, candles).await?;
            ticks.extend(tick);
        }
        link.batch(ticks).await?;
        if self.spread {
            self.rounds.begin(now);
        }
        Ok(())
    }

    async fn take_splits(&self, answer: &Answer, place: usize, link: &mut Link) -> Result<(), Trouble> {
        let symbol = self.book.instrument(place).symbol;
        for split in splits::parse(&answer.body, link.now()).ok_or_else(|| answer.not_understood())? {
            link.split(symbol, split.ratio, split.at).await?;
        }
        Ok(())
    }

    /// A request failed. While the stream delivers, or may, the feed goes on without.
    async fn not_polled(&mut self, trouble: Trouble, streams: &Streams, link: &mut Link) -> Result<(), Trouble> {
        if self.ws_url.is_none() {
            return Err(trouble);
        }
        let failures = self.refused.as_ref().map_or(0, |(failures, ..)| *failures).saturating_add(1);
        let backoff = if trouble.remedy == Remedy::Retry { Backoff::FEED } else { Backoff::POLITE };
        let wait = trouble.after.unwrap_or_else(|| (self.pace.wait)(backoff, failures));
        tracing::warn!(feed = "yahoo", failures, wait = %Span::from_millis(wait.as_millis()), trouble = %trouble.text, "a poll failed");
        self.refused = Some((failures, trouble, Instant::now() + Duration::from(wait)));
        self.go_on(streams, link).await
    }

    /// Says what is not delivered; fails where neither way works.
    async fn go_on(&mut self, streams: &Streams, link: &mut Link) -> Result<(), Trouble> {
        if let Some((_, polls, until)) = self.refused.as_ref().filter(|_| !self.hopeful(streams, link.now())) {
            let stream = streams.trouble();
            let refused = polls.remedy != Remedy::Retry && stream.is_none_or(|stream| stream.remedy != Remedy::Retry);
            let silent = stream.map_or("silent", |trouble| trouble.text.as_str());
            let text = format!("{}; streamer: {silent}", polls.text);
            // The polls wait for themselves; the streamer may be there again much sooner.
            return Err(if refused {
                let after = Span::from(until.saturating_duration_since(Instant::now()));
                Trouble::refused(text).after(Some(after))
            } else {
                Trouble::failed(text)
            });
        }
        if self.good { link.live(self.trouble(streams, link.now())).await } else { Ok(()) }
    }

    fn hopeful(&self, streams: &Streams, now: Timestamp) -> bool {
        // At night every stream is silent.
        let silence =
            if self.book.any_open(self.wanted.iter().copied(), now) { self.pace.silence } else { Duration::MAX };
        streams.hopeful(silence)
    }

    /// Something happened to a connection.
    async fn streamed(
        &mut self,
        place: usize,
        event: Event,
        streams: &mut Streams,
        link: &mut Link,
    ) -> Result<(), Trouble> {
        match event {
            Event::Opened(at) => {
                self.book.subscribed(streams.carries(place), Some(at));
                self.go_on(streams, link).await
            }
            Event::Gone(_) => {
                self.book.subscribed(streams.carries(place), None);
                self.go_on(streams, link).await
            }
            Event::Text(text) => {
                let Ok(Frame::Pricing(data)) = pricing::parse(&text).inspect_err(|_| link.rejected("malformed")) else {
                    return Ok(());
                };
                let now = link.now();
                let Some(tick) = self.book.streamed(&data, now).unwrap_or_else(|reason| {
                    link.rejected(reason);
                    None
                }) else {
                    return Ok(());
                };
                if let Some(time) = tick.exchange_time {
                    link.answered(now.since(time).into());
                }
                link.tick(tick).await?;
                if self.good {
                    return Ok(());
                }
                self.good = true;
                self.go_on(streams, link).await
            }
        }
    }

    /// What has to be looked at now and then.
    async fn look(&mut self, streams: &mut Streams, link: &mut Link) -> Result<(), Trouble> {
        let now = link.now();
        if self.ws_url.is_none() {
            return Ok(());
        }
        let book = &self.book;
        let code = |place: usize| book.instrument(place).code_at(FeedId::Yahoo).unwrap_or_default().to_owned();
        let (added, removed) = streams.carry(&self.wanted, code);
        self.book.subscribed(&added, Some(now));
        self.book.subscribed(&removed, None);
        for place in streams.open().collect::<Vec<_>>() {
            let stuck = self.book.stuck(streams.carries(place), now);
            if !stuck.is_empty() {
                let names: Vec<&str> = stuck.iter().map(Symbol::as_str).collect();
                let why = clean(&format!("stuck: the polls know newer prices of {}", names.join(", ")));
                streams.reopen(place, why);
            }
        }
        link.batch(self.book.last_known(now)).await?;
        self.go_on(streams, link).await
    }

    /// What is not delivered, in words.
    fn trouble(&self, streams: &Streams, now: Timestamp) -> Option<String> {
        let polls = self.refused.as_ref().map(|(_, trouble, _)| format!("not polled: {}", trouble.text));
        let stream = streams.trouble().map(|trouble| format!("not streamed: {}", trouble.text));
        let all: Vec<String> = polls.into_iter().chain(stream).chain(self.book.trouble(now)).collect();
        (!all.is_empty()).then(|| clean(&all.join("; ")))
    }
}

fn timed(asked: Asked, request: impl Future<Output = Result<Answer, provider::Trouble>> + Send + 'static) -> Request {
    Box::pin(async move {
        let begun = Instant::now();
        let answer = request.await;
        (asked, answer, begun.elapsed())
    })
}
