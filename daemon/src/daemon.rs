//! Joins the roles: one straight story, each step needing what the one before made.
//!
//! ```text
//!            ┌─────────── ticks ──────────┐   ┌── batches ──┐   ┌─ outbox ─┐
//!  ingest ───┘                            ▼   │             ▼   │          ▼
//!                                     evaluate ┘          notify ┘       workers ──▶ channels
//!  gateway ───────── changes ─────────────▲ │                │               │
//!     ▲                                     └──── events ────┴──── events ───┘
//!     └──────────────── hub ◀───────────────────────┘
//!                        └──▶ record (bars, last prices); retention removes what is too old
//! ```
//!
//! Start: configuration checked, data folder taken, store open, evaluator loaded, hub, notify (which takes up waiting
//! deliveries), evaluate, listener, feeds last. Stop: only the edges (feeds, listener) are told; whoever stands inside ends
//! when its inputs have ended, so nothing taken in is lost; the store closes last.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use anyhow::Context as _;
use bellwether_core::{
    board::Snapshot,
    catalog::Catalog,
    condition::{ChannelName, HistoryNeed},
    config::{self, Config, Senseless},
    evaluator::Evaluator,
    event::FeedState,
    instrument::{FeedId, Instrument},
    notification::About,
    protocol::{AlertPatch, DaemonFile, PROTOCOL},
    tick::Candle,
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup,
    clock::{Clock, watch_jumps},
    evaluate::Evaluate,
    gateway,
    heartbeat::{self, Heartbeat},
    history::{Days, History},
    ingest::{self, desk::Left, feeds::Feeds},
    links::{BATCHES, CHANGES, EVENTS, Notices, TICKS},
    metrics::Metrics,
    notes::Notes,
    notify, past,
    presence::Presence,
    provider::{Priority, Providers},
    pulse::{self, Beat, Pulse},
    record,
    recording::Recording,
    retention::{self, Keep},
    search::Search,
    store::Store,
};

/// What the evaluator is called where it is said which part stands still.
const EVALUATE: &str = "evaluate";
/// The same of the desk.
const DESK: &str = "desk";
/// Where the daemon listens when nothing says otherwise.
const PORT: u16 = 8000;
/// How much of the past a simulated market is given for its charts, in minutes; before the last [`FINE_PAST`] of these, one bar
/// stands for five minutes.
const SIMULATED_PAST: u32 = 24 * 60;
/// The minutes of a week: the most that are fetched of a gap.
const GAP: u32 = 7 * 24 * 60;
/// How many of the last minutes have a bar each.
const FINE_PAST: usize = 3 * 60;

/// What a daemon is started with. Reading files, the environment and signals is the binary's.
#[derive(Clone, Debug)]
pub struct Options {
    /// All settings, secrets resolved.
    pub config: Config,
    /// The folder of the database; made if it is not there, refused if others can write it.
    pub data: PathBuf,
    /// The folder of `daemon.json`.
    pub runtime: PathBuf,
    /// Where to listen if the configuration does not say and it is free: where the daemon was before a reload.
    pub prefer: Option<SocketAddr>,
    /// A socket that listens already at the address of the configuration, where the service manager has opened it (`sd_listen_fds(3)`).
    /// It stays open while the roles are started anew: who connects meanwhile waits instead of being refused.
    pub socket: Option<Arc<std::net::TcpListener>>,
}

/// The daemon as a library.
#[derive(Clone, Copy, Debug)]
pub struct Daemon;

/// A daemon that runs.
#[derive(Debug)]
pub struct Running {
    file: DaemonFile,
    address: SocketAddr,
    stop: CancellationToken,
    roles: JoinSet<(&'static str, anyhow::Result<()>)>,
    hub: JoinHandle<()>,
    store: Store,
    presence: Presence,
    renew: Arc<Notify>,
    pulse: Pulse,
    notes: Notes,
    config: Arc<Config>,
    data: PathBuf,
    runtime: PathBuf,
    clock: Clock,
    metrics: Metrics,
    feeds: Feeds,
    /// What the desk has left, once it has ended.
    desk: oneshot::Receiver<Left>,
    entrance: Entrance,
}

/// What goes on while the roles are started under other settings: the feeds with their connections, the database, the figures.
#[derive(Debug)]
struct Kept {
    presence: Presence,
    store: Store,
    clock: Clock,
    metrics: Metrics,
    notes: Notes,
    feeds: Feeds,
    left: Left,
    /// The owner's.
    token: SecretString,
}

/// Where clients come in, and who is inside: goes on, too, where the settings under `[server]` are the same.
#[derive(Clone)]
struct Entrance {
    /// The one for this machine comes last.
    doors: Vec<Arc<gateway::Door>>,
    sessions: gateway::Sessions,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance").field("doors", &self.doors.len()).finish_non_exhaustive()
    }
}

impl Entrance {
    async fn open(
        server: &config::Server,
        prefer: Option<SocketAddr>,
        socket: Option<&std::net::TcpListener>,
    ) -> anyhow::Result<Self> {
        let (door, inner) = doors(server, prefer, socket).await?;
        let doors = [Some(door), inner].into_iter().flatten().map(Arc::new).collect();
        Ok(Self { doors, sessions: gateway::Sessions::new(server.max_websockets) })
    }

    /// Nobody comes in any more, and who is inside is shown out.
    fn close(&mut self) {
        self.sessions.close();
        // The same address may be wanted again.
        self.doors.clear();
    }
}

/// Says what is wrong with settings that can only be judged by those who use them, without starting anything.
pub fn check(config: &Config) -> Result<(), Senseless> {
    let wrong = |e: notify::ChannelConfigError| Senseless { key: e.key, message: e.problem };
    if config.feeds.tape.enabled {
        let unplayable = |message| Senseless { key: "feeds.tape.file".to_owned(), message };
        ingest::tape::check(&config.feeds.tape.file).map_err(unplayable)?;
    }
    if let Some(tls) = &config.server.tls {
        gateway::acceptor(tls).map_err(|(key, message)| Senseless { key: key.to_owned(), message })?;
    }
    notify::ChannelSet::new(config, Clock::system(), &notify::Hands::default()).map(drop).map_err(wrong)
}

impl Daemon {
    /// Starts all roles. When it returns, the daemon answers at the address in [`Running::file`] and is ready.
    pub async fn start(options: Options) -> anyhow::Result<Running> {
        check(&options.config)?;
        // Refuse before anything is opened: one daemon per data folder, and a port that can be had.
        let presence = Presence::take(&options.data, &options.runtime)?;
        let entrance = Entrance::open(&options.config.server, options.prefer, options.socket.as_deref()).await?;
        let (clock, metrics) = (Clock::system(), Metrics::new());
        let store = Store::open(&options.data)?;
        let providers = Providers::open(&options.config, &store, &clock).await;
        let (feeds, news) = Feeds::new(&options.config, providers);
        let left = Left { news, said: Vec::new() };
        let notes = Notes::default();
        let token = SecretString::from(fresh_token());
        let kept = Kept { presence, store, clock, metrics, notes, feeds, left, token };
        Self::start_roles(options, entrance, kept).await
    }

    #[expect(clippy::too_many_lines, reason = "one straight story: each step needs what the one before made")]
    async fn start_roles(options: Options, entrance: Entrance, kept: Kept) -> anyhow::Result<Running> {
        let Kept { mut presence, store, clock, metrics, notes, mut feeds, left, token } = kept;
        let Options { mut config, data, runtime, .. } = options;
        clock.follow();
        let started = clock.now();
        let simulated = config.is_simulated();
        let timezone = match &config.user.timezone {
            Some(zone) => jiff::tz::TimeZone::get(zone).with_context(|| format!("`user.timezone`: {zone}"))?,
            None => jiff::tz::TimeZone::system(),
        };

        let own = entrance.doors.last().context("there is no door")?;
        let address = own.listener.local_addr().context("the listener has no address")?;

        set_up(&mut config, store.channels_set().await?);
        let config = Arc::new(config);
        let assigned = ingest::assign(&config, &known_instruments(&store).await?);
        let catalog = Arc::new(Catalog::new(assigned.instruments.iter().cloned()));
        let recording = config.data.record.as_deref().map(Recording::open).transpose()?;
        let alerts = store.alerts().await?;
        let memory = store.memory().await?;
        let evaluator = Evaluator::restore(assigned.instruments.iter().cloned(), alerts, memory.received_by(started));
        let known = known(&evaluator, &assigned.instruments, simulated);

        let (ticks_tx, ticks) = mpsc::channel(TICKS); // full: the feed waits, TCP pushes back
        let (changes_tx, changes) = mpsc::channel(CHANGES); // full: the request waits
        let (batches_tx, batches) = mpsc::channel(BATCHES); // full: evaluation waits for the disk
        let (events_tx, events) = mpsc::channel(EVENTS); // full: the sender waits; the hub never waits for clients
        let (needs_tx, needs) = mpsc::channel(past::NEEDS); // full: an indicator begins without its past
        let (trades_tx, trades) = mpsc::channel(record::TRADES); // full: the price is left out of its bar

        let before = picture(&store, &catalog, simulated).await?;
        let (hub, hub_task) = gateway::Hub::start(before, events);
        let stop = CancellationToken::new();
        let mut roles = JoinSet::new();

        let asked =
            if feeds.are_under(&config) { feeds.providers() } else { Providers::open(&config, &store, &clock).await };
        feeds.settle(&config, &assigned, asked).await;
        let kept: Vec<&str> = feeds.names().into_iter().map(FeedId::as_str).collect();
        if !kept.is_empty() {
            tracing::info!("{} keep what they have of connections", kept.join(", "));
        }
        let providers = feeds.providers();
        let enabled = config.enabled_feeds();
        let search = Search::new(providers.clone(), enabled.clone());
        let renew = Arc::new(Notify::new());
        let history =
            History::new(store.clone(), Some(providers.clone()), enabled, Arc::clone(&catalog), clock.clone());
        let days = Days::default();

        // Filled in below: what a button on the desktop does, the gateway's commands do.
        let commands = Arc::new(OnceLock::new());
        let hands = hands(Arc::clone(&commands), store.clone(), clock.clone());
        let channels = Arc::new(notify::ChannelSet::new(&config, clock.clone(), &hands)?);
        let health = notify::StoreHealth::default();
        let pulse = Pulse::default();
        let waiting = health.clone();
        // While the disk refuses, evaluation waits behind it, and the desk behind that: it is told, and another start would not help.
        pulse.excuse(move |part| matches!(part, EVALUATE | DESK) && waiting.trouble().is_some());
        let delivery = notify::Deps {
            store: store.clone(),
            channels: Arc::clone(&channels),
            events: events_tx.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            context: notify::Context {
                catalog: Arc::clone(&catalog),
                timezone: timezone.iana_name().map(str::to_owned),
                simulated,
            },
            policy: notify::Policy {
                quiet: match &config.user.quiet_hours {
                    Some(hours) => Some(
                        hours
                            .judged(&timezone)
                            .map_err(|(key, wrong)| anyhow::anyhow!("`user.quiet_hours.{key}`: {wrong}"))?,
                    ),
                    None => None,
                },
                steps: config.user.escalation.clone(),
            },
            health: health.clone(),
            pulse: pulse.clone(),
        };
        let by_hand = notify::ByHand {
            store: store.clone(),
            channels: Arc::clone(&channels),
            events: events_tx.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
        };
        roles.spawn(async move {
            notify::run(batches, delivery).await;
            ("notify", Ok(()))
        });

        let recorder = recording.map(|(recorder, recording)| {
            roles.spawn(async move {
                recording.run().await;
                ("recording", Ok(()))
            });
            recorder
        });
        let notices = notices(&channels);
        let (watched_tx, watched) = watch::channel(Arc::new(evaluator.watched()));
        let evaluate = Evaluate {
            evaluator,
            instruments: by_symbol(&assigned.instruments),
            batches: batches_tx,
            events: events_tx.clone(),
            trades: trades_tx,
            recorder,
            watched: watched_tx,
            notices: Arc::clone(&notices),
            needs: needs_tx,
            days: days.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            beat: pulse.part(EVALUATE),
        };
        roles.spawn(async move { ("evaluate", evaluate.run(ticks, changes).await) });

        let recorder = record::run(trades, store.clone(), hub.clone(), clock.clone());
        // The hub ends with the last who can tell it something: not before the recorder has asked it for the last prices.
        let hub_lives = events_tx.clone();
        roles.spawn(async move {
            let ended = recorder.await;
            drop(hub_lives);
            ("record", ended)
        });

        let keep = Keep { bars: config.data.keep_bars, history: config.data.keep_history };
        let pruning = retention::run(store.clone(), keep, clock.clone(), metrics.clone(), stop.clone());
        roles.spawn(async move {
            pruning.await;
            ("retention", Ok(()))
        });

        let asked = ask_store(store.clone(), pulse.part("store"), stop.clone());
        roles.spawn(async move {
            asked.await;
            ("store", Ok(()))
        });

        if let Some(url) = config.heartbeat.url.as_ref().filter(|_| !simulated) {
            let works = works(hub.clone(), store.clone(), health.clone());
            let heart = Heartbeat {
                url: url.clone(),
                every: config.heartbeat.every.into(),
                pulse: pulse.clone(),
                works,
                notes: notes.clone(),
            };
            let beating = heartbeat::run(heart, stop.clone());
            roles.spawn(async move {
                beating.await;
                ("heartbeat", Ok(()))
            });
        } else {
            notes.set(heartbeat::ABOUT, None);
        }

        if !simulated {
            let backups = backup::daily(data.clone(), config.data.backups, clock.clone(), stop.clone());
            roles.spawn(async move {
                backups.await;
                ("backup", Ok(()))
            });
        }

        let serving = Arc::new(gateway::Gateway {
            store: store.clone(),
            history: history.clone(),
            days: days.clone(),
            hub,
            changes: changes_tx,
            turns: gateway::Turns::default(),
            search,
            renew: Arc::clone(&renew),
            catalog: Arc::clone(&catalog),
            config: Arc::clone(&config),
            clock: clock.clone(),
            metrics: metrics.clone(),
            channels: access(&channels),
            outbox: outbox(by_hand),
            auth: gateway::Auth::open(&store, &config.server, token.expose_secret().to_owned()).await?,
            timezone,
            started,
            health: Arc::new(move || {
                let outbox = health.trouble().unwrap_or_else(|| "ok".to_owned());
                BTreeMap::from([("outbox".to_owned(), outbox)])
            }),
            notes: {
                let notes = notes.clone();
                Arc::new(move || notes.all())
            },
            stop: stop.clone(),
            sessions: entrance.sessions.clone(),
        });
        entrance.sessions.served_by(&serving);
        drop(commands.set(Arc::downgrade(&serving)));
        let router = gateway::router(serving);
        let places = gateway::Places::new(config.server.max_connections);
        for door in &entrance.doors {
            let serving = gateway::serve(Arc::clone(door), places.clone(), router.clone(), stop.clone());
            roles.spawn(async move {
                serving.await;
                ("gateway", Ok(()))
            });
        }

        let completing = days.run(history.clone(), Arc::clone(&catalog), clock.clone(), stop.clone());
        roles.spawn(async move {
            completing.await;
            ("days", Ok(()))
        });

        let asking = past::run(needs, ask_past(history.clone()), ticks_tx.clone(), clock.clone(), stop.clone());
        roles.spawn(async move {
            asking.await;
            ("past", Ok(()))
        });

        // The feeds last: no price before somebody listens.
        let wanted_tx = feeds.wanted();
        wanted_tx.send_replace(assigned.wanted());
        let desk = ingest::desk::Deps {
            observations: ticks_tx,
            events: events_tx,
            wanted: wanted_tx,
            watched,
            notices,
            fetch_gap: fetch_gap(history),
            clock: clock.clone(),
            behind: Arc::clone(&renew),
            metrics: metrics.clone(),
            stop: stop.clone(),
            beat: pulse.part(DESK),
        };
        let desk = ingest::desk::run(assigned.routes(), known, left, desk);
        let last = stop.clone();
        let (left_tx, desk_left) = oneshot::channel();
        roles.spawn(async move {
            drop(left_tx.send(desk.await));
            // It also ends when nobody takes its prices: then another part says why.
            last.cancelled().await;
            ("desk", Ok(()))
        });
        let jumping = watch_jumps(feeds.jumps(), stop.clone());
        roles.spawn(async move {
            jumping.await;
            ("clock", Ok(()))
        });
        feeds.start(&config, &assigned, &clock, &metrics);
        if config.feeds.simulated.enabled {
            let past = simulated_past(config.feeds.simulated.seed, assigned.instruments, store.clone(), clock.now());
            // No role: the charts can do without it.
            tokio::spawn(past);
        }

        let file = DaemonFile {
            address: format!("http://{address}"),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            simulated,
            started,
            token: token.expose_secret().to_owned(),
        };
        presence.announce(&runtime, &file)?;
        let hub = hub_task;
        Ok(Running {
            file,
            address,
            stop,
            roles,
            hub,
            store,
            presence,
            renew,
            pulse,
            notes,
            config,
            data,
            runtime,
            clock,
            metrics,
            feeds,
            desk: desk_left,
            entrance,
        })
    }
}

impl Running {
    /// Where it answers, and its owner's token: what `daemon.json` holds.
    pub const fn file(&self) -> &DaemonFile {
        &self.file
    }

    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether its parts turn, for a watchdog.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits until the instruments have changed: then the daemon is to be stopped and started again with the same options, which
    /// loses nothing. The wait may outlive a borrow of this.
    pub fn renewal(&self) -> impl Future<Output = ()> + Send + use<> {
        let renew = Arc::clone(&self.renew);
        async move { renew.notified().await }
    }

    /// Waits until a part ends although nobody asked it to: then the daemon is to be stopped, loudly.
    pub async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = self.roles.join_next() => match ended {
                Some(ended) => unexpected(ended),
                None => anyhow::anyhow!("the daemon has no part left that runs"),
            },
            (_, error) = self.feeds.ended() => error,
        }
    }

    /// Notes something that is not as it should be and keeps nothing from working, or that it is over: `/health/ready` shows it.
    pub fn note(&self, about: &str, said: Option<String>) {
        self.notes.set(about, said);
    }

    /// Goes on under other settings: all but the feeds are stopped and started again, sends in hand are finished first. Feeds that the
    /// settings do not concern keep their connections, and what they say meanwhile waits. The owner's token stays; where nothing
    /// under `[server]` has changed, so do the address and the WebSocket sessions.
    ///
    /// Settings with which the daemon cannot start change nothing: it goes on under `before`, and the second value says why. An
    /// error: it cannot go on at all.
    pub async fn renewed(mut self, wanted: Options, before: Options) -> anyhow::Result<(Self, Option<anyhow::Error>)> {
        if let Err(error) = check(&wanted.config) {
            return Ok((self, Some(error.into())));
        }
        let elsewhere = wanted.data != self.data
            || wanted.runtime != self.runtime
            || wanted.config.is_simulated() != self.config.is_simulated();
        if elsewhere {
            self.stop().await?;
            return Box::pin(Self::anew(wanted, before)).await;
        }
        let server = &wanted.config.server;
        // Certificates may be others by now, under the same names.
        let entrance = if *server == self.config.server && server.tls.is_none() {
            self.entrance.sessions.pause();
            Some(self.entrance.clone())
        } else {
            // An address of its own can be had, or not, before anything is stopped.
            let early = if server.listen.is_some() && server.listen != self.config.server.listen {
                match Entrance::open(server, wanted.prefer, wanted.socket.as_deref()).await {
                    Ok(entrance) => Some(entrance),
                    Err(error) => return Ok((self, Some(error))),
                }
            } else {
                None
            };
            self.entrance.close();
            early
        };
        let kept = self.pause().await?;
        let sessions = entrance.as_ref().map(|entrance| entrance.sessions.clone());
        let started = async {
            let entrance = match entrance {
                Some(entrance) => entrance,
                None => Entrance::open(&wanted.config.server, wanted.prefer, wanted.socket.as_deref()).await?,
            };
            Daemon::start_roles(wanted, entrance, kept).await
        };
        match started.await {
            Ok(running) => Ok((running, None)),
            Err(error) => {
                if let Some(sessions) = sessions {
                    sessions.close();
                }
                Ok((Daemon::start(before).await?, Some(error)))
            }
        }
    }

    async fn anew(wanted: Options, before: Options) -> anyhow::Result<(Self, Option<anyhow::Error>)> {
        match Daemon::start(wanted).await {
            Ok(running) => Ok((running, None)),
            Err(error) => Ok((Daemon::start(before).await?, Some(error))),
        }
    }

    /// Stops: no new prices and requests, what was taken in is judged and recorded, sends in hand are finished.
    ///
    /// What could not be sent stays in the outbox for the next start.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.presence.withdraw();
        self.entrance.close();
        self.feeds.stop().await;
        let Kept { store, .. } = self.pause().await?;
        store.close().await;
        Ok(())
    }

    /// Ends all roles. The feeds go on, and are not read.
    async fn pause(mut self) -> anyhow::Result<Kept> {
        self.stop.cancel();
        let mut trouble = None;
        while let Some(ended) = self.roles.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                bad => trouble = Some(unexpected(bad)),
            }
        }
        // Everybody who tells the hub something is gone, so it ends.
        drop(self.hub.await);
        let Self { presence, store, clock, metrics, notes, feeds, desk, file, .. } = self;
        match (trouble, desk.await) {
            (None, Ok(left)) => {
                Ok(Kept { presence, store, clock, metrics, notes, feeds, left, token: file.token.into() })
            }
            (Some(trouble), _) => {
                store.close().await;
                Err(trouble)
            }
            (None, Err(_)) => {
                store.close().await;
                Err(anyhow::anyhow!("the desk broke; please report this"))
            }
        }
    }
}

/// Whether prices come in and what fires can be recorded, or why not.
fn works(hub: gateway::Hub, store: Store, health: notify::StoreHealth) -> heartbeat::Works {
    Arc::new(move || {
        let (hub, store, health) = (hub.clone(), store.clone(), health.clone());
        Box::pin(async move {
            if let Some(trouble) = health.trouble() {
                return Err(trouble);
            }
            store.writable().await.map_err(|error| error.to_string())?;
            let feeds = hub.feeds().await.map_err(|_| "the hub has stopped".to_owned())?;
            let alive = feeds.iter().any(|feed| matches!(feed.state, FeedState::Live | FeedState::Paused));
            if alive { Ok(()) } else { Err("no feed delivers".to_owned()) }
        })
    })
}

/// Asks the store again and again: an answer shows that its threads turn.
async fn ask_store(store: Store, beat: Beat, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if store.answers().await.is_ok() {
            beat.turn();
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pulse::TURN) => {}
        }
    }
}

fn unexpected(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((role, Ok(()))) => anyhow::anyhow!("{role} ended although nobody asked it to"),
        Ok((role, Err(error))) => error.context(format!("{role} failed")),
        Err(error) => anyhow::anyhow!("a part of the daemon broke: {error}; please report this"),
    }
}

/// The door that the configuration wants, and where that is none for programs on this machine (it speaks TLS with a certificate for
/// another name, or it is another address) one more on the loopback address for them.
async fn doors(
    server: &config::Server,
    prefer: Option<SocketAddr>,
    socket: Option<&std::net::TcpListener>,
) -> anyhow::Result<(gateway::Door, Option<gateway::Door>)> {
    let foreign = server.tls.is_some() || server.listen.is_some_and(|at| !at.ip().is_loopback());
    // Where a door of its own is for this machine, that is the one to be found again.
    let listener = match socket {
        Some(socket) => handed(socket).context("the socket of the service manager cannot be used")?,
        None => listen(server.listen, prefer.filter(|_| !foreign)).await?,
    };
    let tls = match &server.tls {
        Some(tls) => {
            if let Some(key) = gateway::open_key(tls) {
                tracing::warn!("everybody can read the private key {key}: chmod 600 {key}", key = key.display());
            }
            Some(gateway::acceptor(tls).map_err(|(key, wrong)| anyhow::anyhow!("`{key}`: {wrong}"))?)
        }
        None => None,
    };
    let door = gateway::Door { listener, tls, behind_proxy: server.behind_proxy };
    let inner = if foreign { Some(gateway::Door::plain(listen(None, prefer).await?)) } else { None };
    if let (Some(_), Ok(at)) = (&inner, door.listener.local_addr()) {
        tracing::info!(address = %at, tls = door.tls.is_some(), "open to others");
    }
    Ok((door, inner))
}

/// A listener on a socket that somebody else has opened, and keeps.
fn handed(socket: &std::net::TcpListener) -> std::io::Result<TcpListener> {
    let socket = socket.try_clone()?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Binds the address of the configuration, or port 8000 on this machine, or a free port when that one is taken.
async fn listen(wanted: Option<SocketAddr>, prefer: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = wanted {
        return TcpListener::bind(address).await.map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
                std::io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
                std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
                _ => error.to_string(),
            };
            anyhow::anyhow!("cannot listen on {address}: {why}\n\nhint: choose another address with `server.listen`, or leave that setting out to take a free port")
        });
    }
    for address in prefer.into_iter().chain([SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))]) {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port can be had on 127.0.0.1")?;
    let port = listener.local_addr().map_or(0, |a| a.port());
    tracing::warn!("port {PORT} is taken; listening on {port} instead, where this machine's clients find it");
    Ok(listener)
}

/// Puts in the channels that were set up while a daemon ran. What stands in the file by now wins, and what can no longer be used is
/// left out: it must not keep the others from working.
fn set_up(config: &mut Config, channels: Vec<(ChannelName, serde_json::Value)>) {
    if config.is_simulated() {
        return;
    }
    for (name, settings) in channels {
        let mut with = config.clone();
        let usable = if config.channel_names().contains(&name) {
            Err("the configuration file has one of that name".to_owned())
        } else {
            with.set_channel(&name, &settings).and_then(|()| check(&with).map_err(|wrong| wrong.to_string()))
        };
        match usable {
            Ok(()) => *config = with,
            Err(why) => tracing::warn!(channel = %name, "a channel that was set up is left out: {why}"),
        }
    }
}

/// The built-in instruments and those that were added. What is built in by now wins over what was added before it was.
async fn known_instruments(store: &Store) -> anyhow::Result<Catalog> {
    let mut catalog = Catalog::builtin();
    for added in store.added_instruments().await? {
        if catalog.resolve(added.symbol.as_str()).is_ok() {
            tracing::warn!(symbol = %added.symbol, "an added instrument is left out: its name is taken by now");
        } else {
            catalog.add(added);
        }
    }
    Ok(catalog)
}

/// What clients see before the first price: last known prices, recent firings and their deliveries.
async fn picture(store: &Store, catalog: &Catalog, simulated: bool) -> anyhow::Result<Snapshot> {
    let (firings, deliveries) = store.recent().await?;
    let mut prices = store.last_prices().await?;
    // A price of one kind of market says nothing in the other, and an instrument may have been removed.
    prices.retain(|ticker| ticker.source.is_real() != simulated && catalog.get(ticker.symbol).is_some());
    Ok(Snapshot { prices, firings, deliveries, ..Snapshot::default() })
}

/// The channels as the gateway reaches them, which knows nothing of notify.
fn access(channels: &Arc<notify::ChannelSet>) -> gateway::ChannelAccess {
    let (listed, tested) = (Arc::clone(channels), Arc::clone(channels));
    gateway::ChannelAccess {
        check: Arc::new(check),
        list: Arc::new(move || {
            let channels = Arc::clone(&listed);
            Box::pin(async move { channels.views() })
        }),
        test: Arc::new(move |name| {
            let channels = Arc::clone(&tested);
            Box::pin(async move { channels.test(&name).await })
        }),
    }
}

/// What channels may do besides sending. It holds the gateway only as long as that lives.
fn hands(commands: Arc<OnceLock<Weak<gateway::Gateway>>>, store: Store, clock: Clock) -> notify::Hands {
    let act = move |about: About, action| -> BoxFuture<'static, Result<(), String>> {
        let (gateway, now) = (commands.get().and_then(Weak::upgrade), clock.now());
        Box::pin(async move {
            let gateway = gateway.ok_or_else(|| "bellwether is stopping".to_owned())?;
            let patch = match action {
                notify::Action::Snooze => {
                    AlertPatch { snoozed_until: Some(now.plus(Span::from_seconds(3600))), ..AlertPatch::default() }
                }
                notify::Action::Acknowledge => AlertPatch { acknowledged: Some(true), ..AlertPatch::default() },
            };
            gateway::patch(&gateway, about.owner, about.alert, patch).await
        })
    };
    let bars = move |symbol, from, to| -> BoxFuture<'static, Vec<Candle>> {
        let store = store.clone();
        Box::pin(async move {
            store.candles(symbol, Span::from_seconds(60), from, to, 1_000).await.unwrap_or_else(|error| {
                tracing::warn!("a message goes out without its picture: {error}");
                Vec::new()
            })
        })
    };
    notify::Hands { act: Arc::new(act), bars: Arc::new(bars) }
}

/// The outbox as the gateway reaches it.
fn outbox(by_hand: notify::ByHand) -> gateway::OutboxAccess {
    let resending = by_hand.clone();
    gateway::OutboxAccess {
        resend: Arc::new(move |owner, id| {
            let by_hand = resending.clone();
            Box::pin(async move { by_hand.resend(owner, id).await })
        }),
        withdrawn: Arc::new(move |alert, since| {
            let by_hand = by_hand.clone();
            Box::pin(async move { by_hand.withdrawn(alert, since).await })
        }),
    }
}

/// The last price of each instrument that the evaluator remembers, of the kind of market that is about to be watched.
fn known(
    evaluator: &Evaluator,
    instruments: &[Instrument],
    simulated: bool,
) -> Vec<(bellwether_core::instrument::Symbol, bellwether_core::evaluator::Observation)> {
    let last = |i: &Instrument| Some((i.symbol, evaluator.last(i.symbol)?));
    instruments.iter().filter_map(last).filter(|(_, o)| o.source.is_real() != simulated).collect()
}

/// Where roles put notices to the owner: each is sent beside everything else, and nobody waits for it.
fn notices(channels: &Arc<notify::ChannelSet>) -> Notices {
    let channels = Arc::clone(channels);
    Arc::new(move |notice| {
        let channels = Arc::clone(&channels);
        tokio::spawn(async move { channels.tell_owner(notice).await });
    })
}

/// Where the desk gets what was missed: the minutes that the history has or can fetch.
fn fetch_gap(history: History) -> ingest::desk::FetchGap {
    Arc::new(move |symbol, from, to| {
        let history = history.clone();
        Box::pin(async move {
            // The first minute began before the last price.
            let from = from.minus(Span::from_seconds(60));
            let candles = history.candles(symbol, Span::from_seconds(60), from, to, GAP, Priority::Gap).await;
            candles.map_err(|error| error.to_string())
        })
    })
}

/// Where indicators get their past.
fn ask_past(
    history: History,
) -> impl Fn(HistoryNeed, Timestamp) -> futures_util::future::BoxFuture<'static, Result<Vec<Candle>, String>> {
    move |need, end| {
        let history = history.clone();
        Box::pin(
            async move { history.warm_up(need, end, Priority::Background).await.map_err(|error| error.to_string()) },
        )
    }
}

fn by_symbol(instruments: &[Instrument]) -> HashMap<bellwether_core::instrument::Symbol, Instrument> {
    instruments.iter().map(|i| (i.symbol, i.clone())).collect()
}

/// 256 random bits as hexadecimal digits.
fn fresh_token() -> String {
    use std::fmt::Write as _;
    rand::random::<[u8; 32]>().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Gives the simulated market a past, so that its charts are not empty. A store that has one already is left alone.
async fn simulated_past(seed: u64, instruments: Vec<Instrument>, store: Store, now: Timestamp) {
    let minute = Timestamp::from_seconds(now.as_seconds().div_euclid(60) * 60);
    for instrument in instruments {
        let since = minute.minus(Span::from_seconds(24 * 3600));
        let known = store.candles(instrument.symbol, Span::from_seconds(60), since, minute, 2).await;
        if known.is_ok_and(|bars| bars.len() > 1) {
            continue;
        }
        let bars = ingest::simulated::history(seed, &instrument, SIMULATED_PAST, minute);
        let rows = thinned(&bars).into_iter().map(|bar| (instrument.symbol, bar)).collect();
        if let Err(error) = store.record_prices(rows, Vec::new()).await {
            tracing::warn!(%error, "the simulated market has no past");
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// All of the last minutes, and of those before every fifth with the extremes of its five.
fn thinned(bars: &[Candle]) -> Vec<Candle> {
    let fine = bars.len().saturating_sub(FINE_PAST);
    let coarse = bars[..fine].chunks(5).filter_map(|five| {
        let (first, last) = (five.first()?, five.last()?);
        let high = five.iter().map(|b| b.high).max()?;
        let low = five.iter().map(|b| b.low).min()?;
        let volume =
            five[1..].iter().fold(first.clone(), |sum, bar| Candle { volume: sum.volume_with(bar), ..sum }).volume;
        Some(Candle { open: first.open, high, low, close: last.close, volume, ..first.clone() })
    });
    coarse.chain(bars[fine..].iter().cloned()).collect()
}
