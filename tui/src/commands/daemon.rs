//! `bellwether daemon`: becomes the daemon, in the foreground.

use std::{net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use bellwether_core::config::{Config, LogFormat, Tape};
use bellwether_daemon::{Daemon, Options, PulseWatch, Running};
pub(super) use bellwether_daemon::{back_up, budgets, examine_channels, examine_database, restore, test_channel};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;

use crate::{
    cli::{DaemonArgs, Global},
    config_file::{self, Loaded},
    error::UserError,
    folders::Folders,
    rescue, systemd,
    watched::Watched,
};

/// How long stopping may take before the process ends all the same.
const STOPPING: Duration = Duration::from_secs(10);

/// Runs the daemon until SIGTERM or SIGINT; SIGHUP reads the configuration again.
pub(super) fn run(global: &Global, args: &DaemonArgs) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    let loaded = load(global, args, &folders)?;
    if let Some(file) = &args.play {
        bellwether_daemon::check(&loaded.config).map_err(|wrong| unplayable(file, &wrong, &loaded))?;
    }
    check(&loaded)?;
    let level = log_to_stderr(&loaded.config)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(serve(global, args, &folders, loaded.config, level));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// What is wrong with a recording that the command line names, or with the configuration beside it.
fn unplayable(file: &std::path::Path, wrong: &bellwether_core::config::Senseless, loaded: &Loaded) -> UserError {
    if wrong.key != "feeds.tape.file" {
        return loaded.placed(wrong);
    }
    let said = format!("--play {}: {}", file.display(), wrong.message);
    UserError::with_hint(said, "it takes a file that `bellwether daemon --record FILE` has written")
}

/// The configuration, with what the command line says instead.
fn load(global: &Global, args: &DaemonArgs, folders: &Folders) -> Result<Loaded, UserError> {
    let mut loaded = config_file::load(&folders.config, global.config.is_some())?;
    let config = &mut loaded.config;
    if let Some(file) = &args.record {
        config.data.record = Some(file.clone());
    }
    if let Some(file) = &args.play {
        config.feeds.tape = Tape { enabled: true, file: file.clone(), speed: args.speed.unwrap_or_default() };
    }
    Ok(loaded)
}

/// What the daemon itself would find wrong with a configuration.
pub(super) fn check(loaded: &Loaded) -> Result<(), UserError> {
    bellwether_daemon::check(&loaded.config).map_err(|wrong| loaded.placed(&wrong))?;
    filter(&loaded.config).map(drop)
}

/// What the daemon of these folders is started with. The demo's market is simulated, its data temporary; a recording that is played
/// has a database of its own, so that its prices never mix with those of the present.
pub(super) fn options(global: &Global, folders: &Folders, mut config: Config) -> Options {
    if global.demo {
        config.feeds.simulated.enabled = true;
    }
    let mut data = folders.data.clone();
    if config.feeds.tape.enabled && !global.demo {
        data.push("tape");
    }
    if config.is_simulated() {
        // No network and no costs: a simulated price must not send a real text message.
        config.channels.email = None;
        config.channels.sms = None;
        config.channels.webhook.clear();
        let left = config.channel_names();
        config.user.default_channels.retain(|name| left.contains(name));
    }
    Options { config, data, runtime: folders.runtime.clone(), prefer: None, socket: None }
}

/// Has the daemon listen on the socket that the service manager has opened, where there is one: its address counts as that of the
/// configuration. One that others can reach has to be meant: then the same address stands in the configuration, which wants TLS for it.
fn take_socket(options: &mut Options, socket: Option<&Arc<TcpListener>>) -> Result<(), UserError> {
    let Some(socket) = socket else { return Ok(()) };
    let unusable = |e| UserError::new(format!("the socket of the service manager has no address: {e}"));
    let address = socket.local_addr().map_err(unusable)?;
    let listen = &mut options.config.server.listen;
    if !address.ip().is_loopback() && *listen != Some(address) {
        return Err(UserError::with_hint(
            format!(
                "others can reach the socket of the service manager, {address}, and the configuration does not say so"
            ),
            format!(
                "have it listen on 127.0.0.1, or write `server.listen = \"{address}\"`, and `[server.tls]` or `server.behind_proxy`"
            ),
        ));
    }
    *listen = Some(address);
    options.socket = Some(Arc::clone(socket));
    Ok(())
}

async fn serve(
    global: &Global,
    args: &DaemonArgs,
    folders: &Folders,
    config: Config,
    level: Level,
) -> anyhow::Result<()> {
    // Before anything starts: a signal that comes early must not end us halfway.
    let mut signals = Signals::listen()?;
    let mut watched = Watched::new(&folders.config);
    let temporary = global.demo.then(|| temporary_data(folders));
    let folders = temporary.as_ref().map_or(folders, |(folders, _)| folders);
    let mut options = options(global, folders, config);
    let socket = systemd::socket()?.map(Arc::new);
    take_socket(&mut options, socket.as_ref())?;
    let mut running = Daemon::start(options.clone()).await?;
    rescue::mark(&folders.runtime);
    tracing::info!(address = %running.file().address, version = %running.file().version, "ready");
    if global.demo {
        super::demo::furnish(running.file()).await?;
    }
    let mut inforce = InForce { global, args, folders, options, level, socket };
    let mut watchdog = Watchdog::of(&running);
    Watchdog::ready(&running);
    loop {
        let renewal = running.renewal();
        let wish = tokio::select! {
            () = renewal => Wish::Renew,
            wish = signals.next() => wish,
            () = watched.changed() => Wish::Follow,
            () = watchdog.look() => continue,
            error = running.failed() => {
                drop(tokio::time::timeout(STOPPING, running.stop()).await);
                return Err(error);
            }
        };
        match wish {
            Wish::End => break,
            Wish::Renew => {
                let same = Options { prefer: Some(running.address()), ..inforce.options.clone() };
                let (after, refused) = Box::pin(running.renewed(same.clone(), same)).await?;
                running = after;
                match refused {
                    None => {
                        tracing::info!("started again inside, because instruments, channels or the time have changed");
                    }
                    Some(error) => tracing::error!("{error:#}"),
                }
                watchdog = Watchdog::of(&running);
            }
            Wish::Reload | Wish::Follow => {
                systemd::reloading();
                // What changes from here on is another change.
                watched.taken();
                let (after, refused) = Box::pin(inforce.reload(running, matches!(wish, Wish::Reload))).await?;
                running = after;
                watchdog = Watchdog::of(&running);
                Watchdog::ready(&running);
                running.note("configuration", refused.as_deref().map(place));
                if let Some(refused) = refused {
                    let refused = format!("the configuration stays as it was: {refused}");
                    tracing::error!("{refused}");
                    systemd::status(&refused);
                }
            }
        }
    }
    tracing::info!("stopping");
    rescue::unmark(&folders.runtime);
    systemd::stopping();
    tokio::select! {
        stopped = running.stop() => stopped,
        // A second signal: at once.
        () = signals.end() => Err(UserError::new("stopped at once by a second signal").into()),
        () = tokio::time::sleep(STOPPING) => Err(UserError::new("stopped with work unfinished; it is kept for the next start").into()),
    }
}

/// Feeds the watchdog of systemd, where there is one, while all parts of the daemon turn.
struct Watchdog {
    every: Option<tokio::time::Interval>,
    pulse: PulseWatch,
    still: Vec<String>,
}

impl Watchdog {
    fn of(running: &Running) -> Self {
        let every = systemd::watchdog().map(|period| {
            let mut every = tokio::time::interval(period);
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            every
        });
        Self { every, pulse: running.pulse().watch(), still: Vec::new() }
    }

    fn ready(running: &Running) {
        systemd::ready(&format!("answers at {}", running.file().address));
    }

    /// Waits for the next look, and takes it; for ever where nobody wants to know.
    async fn look(&mut self) {
        let Some(every) = &mut self.every else { return std::future::pending().await };
        every.tick().await;
        let still = self.pulse.still();
        if still.is_empty() {
            systemd::alive();
        } else if self.still != still {
            tracing::debug!("waiting for {}", still.join(", "));
        }
        self.still = still;
    }
}

/// What a daemon that runs was started with, and how to read that again.
struct InForce<'a> {
    global: &'a Global,
    args: &'a DaemonArgs,
    folders: &'a Folders,
    options: Options,
    level: Level,
    socket: Option<Arc<TcpListener>>,
}

impl InForce<'_> {
    /// Takes up a changed configuration. One that cannot be read or used changes nothing, and is said. Where somebody `asked` for it,
    /// also what stands in other files, such as certificates.
    async fn reload(&mut self, running: Running, asked: bool) -> anyhow::Result<(Running, Option<String>)> {
        let loaded = load(self.global, self.args, self.folders).and_then(|loaded| check(&loaded).map(|()| loaded));
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return Ok((running, Some(error.to_string()))),
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        // Clients that were told an address find the daemon there again.
        let prefer = Some(running.address());
        let mut wanted = Options { prefer, ..options(self.global, self.folders, loaded.config) };
        if let Err(error) = take_socket(&mut wanted, self.socket.as_ref()) {
            return Ok((running, Some(error.to_string())));
        }
        let before = std::mem::replace(&mut self.options, wanted.clone());
        let changed = changed(&before.config, &wanted.config);
        if changed.contains(&"log") {
            if let Ok(filter) = filter(&wanted.config)
                && let Err(error) = self.level.reload(filter)
            {
                tracing::error!("the level of the log stays as it was: {error}");
            }
            if wanted.config.log.format != before.config.log.format {
                tracing::warn!("`log.format` is taken up at the next start");
            }
        }
        // Neither concerns a part that runs.
        if !asked
            && self.options.config.server.tls.is_none()
            && changed.iter().all(|section| ["log", "dashboard"].contains(section))
        {
            tracing::info!("the configuration was read again; {}", said(&changed));
            return Ok((running, None));
        }
        let before = Options { prefer, ..before };
        let (running, refused) = Box::pin(running.renewed(wanted, before.clone())).await?;
        if let Some(error) = refused {
            self.options = before;
            return Ok((running, Some(format!("{error:#}"))));
        }
        tracing::info!("the configuration was read again; {}", said(&changed));
        Ok((running, None))
    }
}

/// The sections that are not the same in both.
fn changed(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("server", old.server != new.server),
        ("user", old.user != new.user),
        ("feeds.coinbase", old.feeds.coinbase != new.feeds.coinbase),
        ("feeds.kraken", old.feeds.kraken != new.feeds.kraken),
        ("feeds.binance", old.feeds.binance != new.feeds.binance),
        ("feeds.coingecko", old.feeds.coingecko != new.feeds.coingecko),
        ("feeds.yahoo", old.feeds.yahoo != new.feeds.yahoo),
        ("feeds.finnhub", old.feeds.finnhub != new.feeds.finnhub),
        ("feeds.twelvedata", old.feeds.twelvedata != new.feeds.twelvedata),
        ("feeds.simulated", old.feeds.simulated != new.feeds.simulated),
        ("feeds.tape", old.feeds.tape != new.feeds.tape),
        ("channels", old.channels != new.channels),
        ("data", old.data != new.data),
        ("log", old.log != new.log),
        ("heartbeat", old.heartbeat != new.heartbeat),
        ("dashboard", old.dashboard != new.dashboard),
    ]
    .into_iter()
    .filter_map(|(section, changed)| changed.then_some(section))
    .collect()
}

fn said(changed: &[&str]) -> String {
    if changed.is_empty() { "nothing has changed".to_owned() } else { format!("changed: {}", changed.join(", ")) }
}

/// What `/health/ready` says of a configuration that is refused: where, not what, because what stands there may be a secret.
fn place(refused: &str) -> String {
    let first = refused.lines().next().unwrap_or_default();
    let is_place = |place: &&str| place.rsplit(':').take(2).all(|number| number.parse::<u32>().is_ok());
    let place = first.split_once(": ").map(|(place, _)| place).filter(is_place).unwrap_or("it");
    format!("{place} cannot be used, and the settings from before stay in force; `bellwether config check` says why")
}

/// A data folder for this process inside the demo's own folder; what demos left that were killed is removed.
pub(super) fn temporary_data(folders: &Folders) -> (Folders, Temporary) {
    let runtime = folders.runtime.clone();
    for entry in std::fs::read_dir(&runtime).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(DEMO_DATA)).and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
    let data = runtime.join(format!("{DEMO_DATA}{}", std::process::id()));
    (Folders { data: data.clone(), ..folders.clone() }, Temporary { data, runtime })
}

/// How the demo's data folders are called, before the process that owns them.
const DEMO_DATA: &str = "data-";

/// Removes the demo's folders when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    data: PathBuf,
    runtime: PathBuf,
}

impl Temporary {
    /// The folder of the data.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.data
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.data));
        drop(std::fs::remove_file(self.runtime.join("daemon.lock")));
        // Only when nothing else is in it.
        drop(std::fs::remove_dir(&self.runtime));
    }
}

/// What a signal asks for.
enum Wish {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP.
    Reload,
    /// The configuration has changed.
    Follow,
    /// The instruments, or what was set up over the API.
    Renew,
}

/// The signals a daemon listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// SIGTERM or SIGINT.
    async fn end(&mut self) {
        while !matches!(self.next().await, Wish::End) {}
    }
}

/// Whether standard error is the journal: then systemd names its device and inode in `JOURNAL_STREAM` (systemd.exec(5)).
fn is_journal(named: &str, stderr: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    named
        .split_once(':')
        .is_some_and(|(device, inode)| device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
}

/// The journal, where standard error leads there: it takes fields and levels, which a line of text would lose.
fn journal() -> Option<tracing_journald::Layer> {
    let named = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = std::fs::metadata("/proc/self/fd/2").ok()?;
    is_journal(&named, &stderr).then(|| tracing_journald::layer().ok()).flatten()
}

/// Changes what the log lets through.
type Level = tracing_subscriber::reload::Handle<Targets, tracing_subscriber::Registry>;

/// The log goes to standard error, or as fields to the journal behind it.
fn log_to_stderr(config: &Config) -> Result<Level, UserError> {
    use tracing_subscriber::{fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _};
    let (filter, level) = reload::Layer::new(filter(config)?);
    let log = tracing_subscriber::registry().with(filter);
    let set = match config.log.format {
        LogFormat::Json => log.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogFormat::Text => {
            if let Some(journal) = journal() {
                log.with(journal).try_init()
            } else {
                use std::io::IsTerminal as _;
                let plain = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
                let colour = std::io::stderr().is_terminal() && plain;
                let text = fmt::layer().with_ansi(colour).with_target(false).with_writer(std::io::stderr);
                log.with(text).try_init()
            }
        }
    };
    set.map_err(|e| UserError::new(format!("cannot set up the log: {e}")))?;
    Ok(level)
}

/// What the log lets through. Libraries are quiet unless a filter names them.
pub(super) fn filter(config: &Config) -> Result<Targets, UserError> {
    let level = &config.log.level;
    let plain = ["error", "warn", "info", "debug", "trace"].contains(&level.as_str());
    let text = if plain {
        format!("warn,bellwether={level},bellwether_daemon={level},bellwether_tui={level}")
    } else {
        level.clone()
    };
    text.parse().map_err(|e: tracing_subscriber::filter::ParseError| {
        UserError::with_hint(
            format!("`log.level` = \"{level}\" is no level and no filter: {e}"),
            "expected error, warn, info, debug or trace, or a filter such as \"info,bellwether_daemon::ingest=debug\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_refused_configuration_is_named_by_its_place_and_never_by_its_words() {
        let said = place("/c/config.toml:12:5: invalid type: string \"canary\", expected a boolean\n\nhint: x");
        assert!(said.starts_with("/c/config.toml:12:5 cannot be used") && !said.contains("canary"), "{said}");
        assert!(place("cannot listen on 1.2.3.4:80: x").starts_with("it cannot be used"));
    }

    #[test]
    fn only_what_differs_has_changed() {
        let (old, mut new) = (Config::default(), Config::default());
        assert_eq!(said(&changed(&old, &new)), "nothing has changed");
        new.feeds.kraken.enabled = false;
        new.log.level = "debug".to_owned();
        assert_eq!(said(&changed(&old, &new)), "changed: feeds.kraken, log");
    }

    #[test]
    fn the_journal_is_known_by_the_device_and_inode_that_systemd_names() {
        let here = std::fs::metadata("/proc/self/exe").expect("there");
        assert!(is_journal(&format!("{}:{}", here.dev(), here.ino()), &here));
        for other in [format!("{}:{}", here.dev(), here.ino() + 1), "8:".to_owned(), String::new(), "x:y".to_owned()] {
            assert!(!is_journal(&other, &here), "{other}: inherited from somebody else's service");
        }
    }
}
