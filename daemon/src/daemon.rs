//! Joins the roles: one straight story, each step needing what the one before made.
//!
//! ```text
//!            ┌─────────── ticks ──────────┐   ┌── batches ──┐   ┌─ outbox ─┐
//!  ingest ───┘                            ▼   │             ▼   │          ▼
//!                                     evaluate ┘          notify ┘       workers ──▶ channels
//!  gateway ───────── changes ─────────────▲ │                │               │
//!     ▲                                     └──── events ────┴──── events ───┘
//!     └──────────────── hub ◀───────────────────────┘
//!                        └──▶ record (bars, last prices)
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
    instrument::Instrument,
    notification::About,
    protocol::{AlertPatch, DaemonFile, PROTOCOL},
    tick::Candle,
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup,
    clock::{Clock, watch_jumps},
    evaluate::Evaluate,
    gateway,
    history::{Days, History},
    ingest,
    links::{BATCHES, CHANGES, EVENTS, Notices, TICKS},
    metrics::Metrics,
    notify, past,
    presence::Presence,
    provider::{Priority, Providers},
    record,
    recording::Recording,
    search::Search,
    store::Store,
};

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
    #[expect(clippy::too_many_lines, reason = "one straight story: each step needs what the one before made")]
    pub async fn start(options: Options) -> anyhow::Result<Running> {
        let Options { mut config, data, runtime, prefer } = options;
        check(&config)?;
        let clock = Clock::system();
        let started = clock.now();
        let metrics = Metrics::new();
        let simulated = config.is_simulated();
        let timezone = match &config.user.timezone {
            Some(zone) => jiff::tz::TimeZone::get(zone).with_context(|| format!("`user.timezone`: {zone}"))?,
            None => jiff::tz::TimeZone::system(),
        };

        // Refuse before anything is opened: one daemon per data folder, and a port that can be had.
        let mut presence = Presence::take(&data, &runtime)?;
        let (door, inner) = doors(&config.server, prefer).await?;
        let own = inner.as_ref().unwrap_or(&door);
        let address = own.listener.local_addr().context("the listener has no address")?;

        let store = Store::open(&data)?;
        set_up(&mut config, store.channels_set().await?);
        let config = Arc::new(config);
        let assigned = ingest::assign(&config, &known_instruments(&store).await?);
        let catalog = Arc::new(Catalog::new(assigned.instruments.iter().cloned()));
        let recording = config.data.record.as_deref().map(Recording::open).transpose()?;
        let alerts = store.alerts().await?;
        let memory = store.memory().await?;
        let evaluator = Evaluator::restore(assigned.instruments.iter().cloned(), alerts, memory);
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

        let providers = Providers::open(&config, &store, &clock).await;
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
        };
        roles.spawn(async move { ("evaluate", evaluate.run(ticks, changes).await) });

        let recorder = record::run(trades, store.clone(), hub.clone(), clock.clone(), config.data.keep_bars);
        roles.spawn(async move { ("record", recorder.await) });

        if !simulated {
            let backups = backup::daily(data.clone(), config.data.backups, clock.clone(), stop.clone());
            roles.spawn(async move {
                backups.await;
                ("backup", Ok(()))
            });
        }

        let token = fresh_token();
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
            auth: gateway::Auth::open(&store, &config.server, token.clone()).await?,
            timezone,
            started,
            health: Arc::new(move || {
                let outbox = health.trouble().unwrap_or_else(|| "ok".to_owned());
                BTreeMap::from([("outbox".to_owned(), outbox)])
            }),
            stop: stop.clone(),
            sessions: gateway::Sessions::new(config.server.max_websockets),
        });
        drop(commands.set(Arc::downgrade(&serving)));
        let router = gateway::router(serving);
        let places = gateway::Places::new(config.server.max_connections);
        for door in [Some(door), inner].into_iter().flatten() {
            let serving = gateway::serve(door, places.clone(), router.clone(), stop.clone());
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
        let (news_tx, news) = mpsc::channel(ingest::desk::NEWS); // full: the feed waits, TCP pushes back
        let (wanted_tx, wanted) = watch::channel(assigned.wanted());
        let (jumps_tx, jumps) = watch::channel(0);
        let desk = ingest::desk::Deps {
            observations: ticks_tx,
            events: events_tx,
            wanted: wanted_tx,
            watched,
            notices,
            fetch_gap: fetch_gap(history),
            clock: clock.clone(),
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        let desk = ingest::desk::run(assigned.routes(), known, news, desk);
        let last = stop.clone();
        roles.spawn(async move {
            let ended = desk.await;
            // Where every feed is switched off it has nobody to wait for; the daemon goes on.
            last.cancelled().await;
            ("desk", ended)
        });
        let jumping = watch_jumps(jumps_tx, stop.clone());
        roles.spawn(async move {
            jumping.await;
            ("clock", Ok(()))
        });
        let context = ingest::Context {
            providers,
            news: news_tx,
            wanted,
            jumps,
            clock: clock.clone(),
            metrics,
            stop: stop.clone(),
        };
        ingest::start(&config, &assigned, &context, &mut roles);
        drop(context);
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
            token,
        };
        presence.announce(&runtime, &file)?;
        Ok(Running { file, address, stop, roles, hub: hub_task, store, presence, renew })
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

    /// Waits until the instruments have changed: then the daemon is to be stopped and started again with the same options, which
    /// loses nothing. The wait may outlive a borrow of this.
    pub fn renewal(&self) -> impl Future<Output = ()> + Send + use<> {
        let renew = Arc::clone(&self.renew);
        async move { renew.notified().await }
    }

    /// Waits until a role ends although nobody asked it to: then the daemon is to be stopped, loudly.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.roles.join_next().await {
            Some(ended) => unexpected(ended),
            None => anyhow::anyhow!("the daemon has no part left that runs"),
        }
    }

    /// Stops: no new prices and requests, what was taken in is judged and recorded, sends in hand are finished.
    ///
    /// What could not be sent stays in the outbox for the next start.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.presence.withdraw();
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
        self.store.close().await;
        trouble.map_or(Ok(()), Err)
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
) -> anyhow::Result<(gateway::Door, Option<gateway::Door>)> {
    let foreign = server.tls.is_some() || server.listen.is_some_and(|at| !at.ip().is_loopback());
    // Where a door of its own is for this machine, that is the one to be found again.
    let listener = listen(server.listen, prefer.filter(|_| !foreign)).await?;
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
        Some(Candle { open: first.open, high, low, close: last.close, ..first.clone() })
    });
    coarse.chain(bars[fine..].iter().cloned()).collect()
}
