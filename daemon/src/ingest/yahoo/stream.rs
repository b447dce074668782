//! The streamer's connections: up to 100 symbols each, a task each, opened anew after a failure.
//!
//! Nothing is acknowledged and nothing refused: an unknown symbol is silence. So a connection says little of itself; whether it
//! is stuck, the poll tells.

use std::{collections::BTreeSet, time::Duration};

use bellwether_core::{
    retry::Backoff,
    time::{Span, Timestamp},
};
use reqwest::header::{HeaderMap, HeaderValue, ORIGIN, USER_AGENT};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Pace;
use crate::{
    clock::Clock,
    ingest::{
        socket::Socket,
        supervise::{Remedy, Trouble},
    },
};

/// The most symbols that a connection serves; a surplus is dropped without a word.
const PER_CONNECTION: usize = 100;
/// How long a connection must have delivered for its next failure to count as the first.
const PROOF: Duration = Duration::from_mins(1);
/// Frames that wait to be read. Full: the connection waits, and TCP pushes back.
const FRAMES: usize = 256;
/// What a connection has been told and has not yet done. Full: it is told again in the next round.
const COMMANDS: usize = 8;
/// A connection is not given up for its silence: at night all are silent.
const NEVER: Duration = Duration::from_hours(365 * 24);
/// Who asks, as far as the streamer wants to know.
const SITE: HeaderValue = HeaderValue::from_static("https://finance.yahoo.com");

/// What happened to a connection.
#[derive(Debug)]
pub(super) enum Event {
    /// It is open and has subscribed, at this time.
    Opened(Timestamp),
    /// It sent a text.
    Text(Utf8Bytes),
    /// It is gone, and will be opened anew after a wait.
    Gone(Trouble),
}

/// What a connection is told.
#[derive(Debug)]
enum Command {
    /// Carry exactly these.
    Carry(BTreeSet<String>),
    /// It is stuck.
    Reopen(String),
}

#[derive(Debug)]
enum State {
    /// On its way for the first time.
    Opening,
    /// Since when, and when it last sent something.
    Open { since: Instant, heard: Option<Instant> },
    /// After a failure, until it is open again.
    Gone(Trouble),
}

/// One connection, or the place of one.
#[derive(Debug)]
struct Place {
    /// What it carries, by its place in the book.
    carries: BTreeSet<usize>,
    /// Dropping this ends it.
    commands: mpsc::Sender<Command>,
    state: State,
}

/// All connections of the feed. Dropping this closes them.
#[derive(Debug)]
pub(super) struct Streams {
    url: String,
    agents: Vec<String>,
    pace: Pace,
    clock: Clock,
    places: Vec<Place>,
    tasks: JoinSet<()>,
    events_tx: mpsc::Sender<(usize, Event)>,
    events: mpsc::Receiver<(usize, Event)>,
}

impl Streams {
    /// No connection yet.
    pub(super) fn new(url: &str, agents: &[String], pace: Pace, clock: Clock) -> Self {
        let (events_tx, events) = mpsc::channel(FRAMES);
        let (url, agents) = (url.to_owned(), agents.to_vec());
        Self { url, agents, pace, clock, places: Vec::new(), tasks: JoinSet::new(), events_tx, events }
    }

    /// Carries what is wanted and nothing else. Gives what an open connection subscribes to, and what is carried no longer.
    pub(super) fn carry(
        &mut self,
        wanted: &BTreeSet<usize>,
        code: impl Fn(usize) -> String,
    ) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
        let so_far: BTreeSet<usize> = self.places.iter().flat_map(|place| &place.carries).copied().collect();
        let mut rest: Vec<usize> = wanted.difference(&so_far).copied().collect();
        for place in &mut self.places {
            // Unsubscribing frees a place.
            let mut carries: BTreeSet<usize> = place.carries.intersection(wanted).copied().collect();
            let room = PER_CONNECTION.saturating_sub(carries.len()).min(rest.len());
            carries.extend(&rest[..room]);
            if carries == place.carries {
                continue;
            }
            let codes = carries.iter().map(|&row| code(row)).collect();
            if place.commands.try_send(Command::Carry(codes)).is_ok() {
                removed.extend(place.carries.difference(&carries));
                if matches!(place.state, State::Open { .. }) {
                    added.extend(rest.iter().take(room));
                }
                rest.drain(..room);
                place.carries = carries;
            }
        }
        for rows in rest.chunks(PER_CONNECTION) {
            let (commands_tx, commands) = mpsc::channel(COMMANDS);
            let connection = Connection {
                url: self.url.clone(),
                agents: self.agents.clone(),
                pace: self.pace,
                clock: self.clock.clone(),
                codes: rows.iter().map(|&row| code(row)).collect(),
                commands,
                place: self.places.len(),
                events: self.events_tx.clone(),
            };
            self.tasks.spawn(connection.keep());
            self.places.push(Place {
                carries: rows.iter().copied().collect(),
                commands: commands_tx,
                state: State::Opening,
            });
        }
        (added, removed)
    }

    /// The next thing that happens to any of them; for ever where there are none.
    pub(super) async fn next(&mut self) -> (usize, Event) {
        // Never nothing: one sender is our own.
        let Some((place, event)) = self.events.recv().await else { std::future::pending().await };
        match &event {
            Event::Opened(_) => self.places[place].state = State::Open { since: Instant::now(), heard: None },
            Event::Text(_) => {
                if let State::Open { heard, .. } = &mut self.places[place].state {
                    *heard = Some(Instant::now());
                }
            }
            Event::Gone(trouble) => self.places[place].state = State::Gone(trouble.clone()),
        }
        (place, event)
    }

    /// What a connection carries.
    pub(super) fn carries(&self, place: usize) -> &BTreeSet<usize> {
        &self.places[place].carries
    }

    /// The connections that are open.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> {
        let open = |(_, place): &(usize, &Place)| matches!(place.state, State::Open { .. });
        self.places.iter().enumerate().filter(open).map(|(number, _)| number)
    }

    /// Closes a connection that is stuck; it will be opened anew.
    pub(super) fn reopen(&self, place: usize, why: String) {
        // If it is told too much already, it will be found stuck again.
        self.places[place].commands.try_send(Command::Reopen(why)).ok();
    }

    /// Whether one of them can be hoped to deliver: on its way for the first time, or open and not silent for this long.
    pub(super) fn hopeful(&self, silence: Duration) -> bool {
        self.places.iter().any(|place| match &place.state {
            State::Opening => true,
            State::Open { since, heard } => heard.unwrap_or(*since).elapsed() < silence,
            State::Gone(_) => false,
        })
    }

    /// Why the first of those that are gone is gone.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.places.iter().find_map(|place| match &place.state {
            State::Gone(trouble) => Some(trouble),
            State::Opening | State::Open { .. } => None,
        })
    }
}

/// A connection's own task.
struct Connection {
    url: String,
    agents: Vec<String>,
    pace: Pace,
    clock: Clock,
    codes: BTreeSet<String>,
    commands: mpsc::Receiver<Command>,
    place: usize,
    events: mpsc::Sender<(usize, Event)>,
}

/// Nobody needs the connection any more.
struct Over;

impl Connection {
    /// Connects, for ever again, until nobody listens.
    async fn keep(mut self) {
        let (mut failures, mut agent) = (0_u32, 0_usize);
        loop {
            let mut first = None;
            let Ok(trouble) = self.once(agent, &mut first).await else { return };
            let proven = first.is_some_and(|first: Instant| first.elapsed() >= PROOF);
            failures = if proven { 1 } else { failures.saturating_add(1) };
            let backoff = match trouble.remedy {
                Remedy::Retry | Remedy::Again | Remedy::End => Backoff::FEED,
                Remedy::Blocked => Backoff::PLACE,
                // A firewall's 403 may mean no more than the user agent.
                Remedy::Wait | Remedy::Banned => {
                    agent = agent.wrapping_add(1);
                    Backoff::POLITE
                }
            };
            let wait = (self.pace.wait)(backoff, failures).max(trouble.after.unwrap_or(Span::ZERO));
            let wake = Instant::now() + Duration::from(wait).max(self.pace.reconnect);
            tracing::info!(connection = self.place, failures, trouble = %trouble.text, "a connection to Yahoo's streamer failed");
            if self.events.send((self.place, Event::Gone(trouble))).await.is_err() || self.rest(wake).await.is_err() {
                return;
            }
        }
    }

    /// Waits, and remembers what it is told meanwhile.
    async fn rest(&mut self, wake: Instant) -> Result<(), Over> {
        loop {
            tokio::select! {
                () = sleep_until(wake) => return Ok(()),
                command = self.commands.recv() => match command {
                    Some(Command::Carry(codes)) => self.codes = codes,
                    Some(Command::Reopen(_)) => {}
                    None => return Err(Over),
                },
            }
        }
    }

    /// One connection from its handshake to its end; `first` is when its first text came.
    async fn once(&mut self, agent: usize, first: &mut Option<Instant>) -> Result<Trouble, Over> {
        let mut socket = match self.open(agent).await {
            Ok(socket) => socket,
            Err(trouble) => return Ok(trouble),
        };
        self.tell(Event::Opened(self.clock.now())).await?;
        loop {
            tokio::select! {
                text = socket.text() => match text {
                    Ok(Some(text)) => {
                        first.get_or_insert_with(Instant::now);
                        self.tell(Event::Text(text)).await?;
                    }
                    Ok(None) => {}
                    Err(trouble) => return Ok(trouble),
                },
                command = self.commands.recv() => match command {
                    None => return Err(Over),
                    Some(Command::Reopen(why)) => return Ok(Trouble::failed(why)),
                    Some(Command::Carry(codes)) => {
                        let lists = [
                            ("unsubscribe", self.codes.difference(&codes).cloned().collect::<Vec<_>>()),
                            ("subscribe", codes.difference(&self.codes).cloned().collect()),
                        ];
                        self.codes = codes;
                        for (what, codes) in lists.into_iter().filter(|(_, codes)| !codes.is_empty()) {
                            if let Err(trouble) = socket.send(json!({ what: codes }).to_string()).await {
                                return Ok(trouble);
                            }
                        }
                    }
                },
            }
        }
    }

    async fn open(&self, agent: usize) -> Result<Socket, Trouble> {
        let agent = self.agents.get(agent % self.agents.len().max(1)).map(String::as_str).unwrap_or_default();
        let agent = HeaderValue::from_str(agent)
            .map_err(|_| Trouble::failed("user_agents of feeds.yahoo holds characters that no header may have"))?;
        let headers = HeaderMap::from_iter([(ORIGIN, SITE), (USER_AGENT, agent)]);
        let mut socket = Socket::open_with(&self.url, headers, NEVER, self.clock.now()).await?;
        if !self.codes.is_empty() {
            socket.send(json!({ "subscribe": self.codes }).to_string()).await?;
        }
        Ok(socket)
    }

    async fn tell(&self, event: Event) -> Result<(), Over> {
        self.events.send((self.place, event)).await.map_err(|_| Over)
    }
}
