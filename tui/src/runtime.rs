//! The loop of the dashboard: messages in, one frame out when something changed, effects into the world.
//!
//! It owns the terminal and the [`App`]. Keys are answered with a frame at once, data with at most 20 frames a second, and
//! while nothing changes nothing is written but the clock.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bellwether_core::{
    backtest::NewBacktest, config::Dashboard, instrument::Symbol, protocol::AlertPatch, time::Timestamp,
};
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::CrosstermBackend};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

use crate::{
    alarm::Alarm,
    app::{App, Effect, Look, Message, Reply, Variables, update},
    client::{
        ApiClient,
        stream::{self, Reconnect, StreamCommand, StreamMessage},
    },
    memory::Memory,
    rescue::Rescue,
    settings_file::SettingsFile,
    terminal::{self, FrameBytes, Guard},
    view,
};

/// Where the dashboard writes down why it failed, in the data folder.
const LOG: &str = "dashboard.log";
/// The least time between two frames of data.
const FRAME: Duration = Duration::from_millis(50);
/// How often ages and clock move on.
const CLOCK: Duration = Duration::from_secs(1);
/// Frames from the daemon waiting for the loop; when full the stream waits, and the daemon conflates.
const FRAMES: usize = 1_024;
/// Finished effects waiting for the loop; when full they wait.
const REPLIES: usize = 64;
/// Wishes to the stream; the loop never waits for it, what does not fit is wished again.
const COMMANDS: usize = 8;

/// Starts a daemon in the background, and waits until it answers.
pub type Starter = Box<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync>;

/// What the dashboard needs to start.
pub struct DashboardOptions {
    /// The daemon's base address, such as `http://127.0.0.1:8000`.
    pub address: String,
    /// The bearer token that `daemon.json` holds.
    pub token: String,
    /// Whether the market is simulated: the screen says so from the first frame on.
    pub simulated: bool,
    /// Whether everything that changes something is hidden.
    pub readonly: bool,
    /// How to find the daemon again when it was lost.
    pub reconnect: Reconnect,
    /// How to start a daemon when there is none any more; nothing where that is not the dashboard's to do.
    pub start: Option<Starter>,
    /// What starts a daemon again that was started in the background and has died; nothing where others look after it.
    pub rescue: Option<Rescue>,
    /// Where the user's settings are read and saved.
    pub settings: SettingsFile,
    /// The folder for what the dashboard remembers, and for its log.
    pub data: PathBuf,
    /// The IANA time zone of times on the screen; the system's where absent or unknown.
    pub timezone: Option<String>,
    /// The instrument whose chart is shown first.
    pub chart: Option<Symbol>,
}

/// Without the token.
impl std::fmt::Debug for DashboardOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DashboardOptions")
            .field("address", &self.address)
            .field("simulated", &self.simulated)
            .field("readonly", &self.readonly)
            .finish_non_exhaustive()
    }
}

/// Shows the dashboard until the user leaves it or the process is told to end. The terminal is given back on every way out, also
/// when the future is dropped; what is to be said after that is the caller's.
///
/// # Errors
/// When there is no terminal, or it is lost.
pub async fn run(options: DashboardOptions) -> anyhow::Result<()> {
    anyhow::ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "the dashboard needs a terminal\n\nhint: `bellwether watch` prints prices and firings as lines, `bellwether daemon` runs without a screen"
    );
    let variables = Variables::read(|name| std::env::var(name).ok());
    let zone = options.timezone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
    let mut app = App::new(now(), zone, Look::default(), options.simulated, options.readonly);
    match options.settings.read() {
        Ok(settings) => app.configure(settings, variables),
        Err(error) => {
            app.configure(Dashboard::default(), variables);
            drop(update(&mut app, Message::Settings(Box::new(Err(error.to_string())))));
        }
    }
    let memory = Memory::of(&options.data);
    if !options.simulated {
        app.remember(memory.prices());
    }
    if let Some(symbol) = options.chart {
        app.open_chart(symbol);
    }
    let left = {
        let _guard = Guard::take(&options.data.join(LOG)).context("take the terminal")?;
        if !app.mouse {
            terminal::capture_mouse(false).context("give the mouse back")?;
        }
        Loop::start(options)?.run(&mut app).await
    };
    if !app.simulated {
        memory.keep(&app);
    }
    left.context("draw on the terminal")
}

fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

/// The loop's ends of everything.
struct Loop {
    api: ApiClient,
    frames: mpsc::Receiver<StreamMessage>,
    commands: mpsc::Sender<StreamCommand>,
    replies: mpsc::Receiver<Reply>,
    reply: mpsc::Sender<Reply>,
    settings: mpsc::Receiver<Result<Dashboard, String>>,
    file: SettingsFile,
    start: Option<Arc<Starter>>,
    rescue: Option<Arc<Rescue>>,
    bytes: FrameBytes,
    alarm: Alarm,
    terminal: Terminal<CrosstermBackend<FrameBytes>>,
}

/// What woke the loop.
enum Woken {
    Message(Message),
    /// Something must be drawn at once.
    Draw,
    /// Time has passed.
    Time,
    /// Leave.
    Quit,
}

impl Loop {
    fn start(options: DashboardOptions) -> anyhow::Result<Self> {
        let (out, frames) = mpsc::channel(FRAMES);
        let (commands, wishes) = mpsc::channel(COMMANDS);
        let (reply, replies) = mpsc::channel(REPLIES);
        let api = ApiClient::new(&options.address, &options.token);
        tokio::spawn(stream::run(options.address, options.token, options.reconnect, out, wishes));
        let (changed, settings) = mpsc::channel(1);
        tokio::spawn(options.settings.clone().watch(changed));
        let bytes = FrameBytes::default();
        let terminal = Terminal::new(CrosstermBackend::new(bytes.clone())).context("measure the terminal")?;
        let (file, start, rescue) = (options.settings, options.start.map(Arc::new), options.rescue.map(Arc::new));
        let alarm = Alarm::default();
        Ok(Self { api, frames, commands, replies, reply, settings, file, start, rescue, bytes, alarm, terminal })
    }

    async fn run(mut self, app: &mut App) -> anyhow::Result<()> {
        let mut keys = EventStream::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        self.draw(app)?;
        let mut drawn = Instant::now();
        let mut dirty = false;
        loop {
            let wake = if dirty { drawn + FRAME } else { drawn + next_change(app) };
            let woken = tokio::select! {
                biased;
                _ = terminate.recv() => Woken::Quit,
                _ = hangup.recv() => Woken::Quit,
                _ = interrupt.recv() => Woken::Quit,
                _ = quit.recv() => Woken::Quit,
                event = keys.next() => match event {
                    Some(Ok(Event::Key(key))) => Woken::Message(Message::Key(key)),
                    Some(Ok(Event::Mouse(mouse))) => Woken::Message(Message::Mouse(mouse)),
                    Some(Ok(Event::Paste(text))) => Woken::Message(Message::Paste(text)),
                    Some(Ok(Event::Resize(..) | Event::FocusGained | Event::FocusLost)) => Woken::Draw,
                    // The terminal is gone.
                    Some(Err(_)) | None => Woken::Quit,
                },
                () = tokio::time::sleep_until(wake) => Woken::Time,
                Some(reply) = self.replies.recv() => Woken::Message(Message::Reply(Box::new(reply))),
                Some(answer) = self.settings.recv() => Woken::Message(Message::Settings(Box::new(answer))),
                Some(message) = self.frames.recv() => Woken::Message(Message::Server(Box::new(message))),
            };
            if !Guard::is_taken() {
                anyhow::bail!("a part of the dashboard failed; the log says why");
            }
            let at_once = match woken {
                Woken::Quit => return Ok(()),
                Woken::Draw | Woken::Time => true,
                Woken::Message(message) => {
                    let at_once = matches!(message, Message::Key(_) | Message::Paste(_))
                        || matches!(&message, Message::Mouse(mouse) if !matches!(mouse.kind, crossterm::event::MouseEventKind::Moved));
                    if let Message::Server(server) = &message
                        && let StreamMessage::Connected { api, .. } = &**server
                    {
                        self.api = api.clone();
                    }
                    let mut effects = update(app, Message::Frame(now()));
                    effects.append(&mut update(app, message));
                    for effect in effects {
                        if !self.carry_out(effect)? {
                            return Ok(());
                        }
                    }
                    at_once
                }
            };
            dirty = true;
            if at_once || drawn.elapsed() >= FRAME {
                for effect in update(app, Message::Frame(now())) {
                    if !self.carry_out(effect)? {
                        return Ok(());
                    }
                }
                self.draw(app)?;
                drawn = Instant::now();
                dirty = false;
            }
        }
    }

    fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let mut seen = None;
        self.terminal.draw(|frame| seen = Some(view::draw(app, frame)))?;
        if let Some(view::Drawn { hits, page, plot }) = seen {
            app.seen(hits, page, plot);
        }
        self.bytes.send(&mut io::stdout())
    }

    /// Starts what the dashboard asks for. Says whether to go on.
    fn carry_out(&mut self, effect: Effect) -> io::Result<bool> {
        match effect {
            Effect::Quit => return Ok(false),
            Effect::Redraw => self.terminal.clear()?,
            Effect::Copy(text) => terminal::copy(&text)?,
            Effect::Ring { bell, sound } => self.alarm.ring(bell, sound.as_deref(), terminal::ring)?,
            Effect::Mouse(on) => terminal::capture_mouse(on)?,
            // A full queue holds the same wish already.
            Effect::Snapshot => drop(self.commands.try_send(StreamCommand::Snapshot)),
            Effect::Reconnect => drop(self.commands.try_send(StreamCommand::RetryNow)),
            Effect::TestChannel(name) => self.call(|api| async move {
                let answer = api.test_channel(&name).await;
                Reply::Tested(name, answer)
            }),
            Effect::SetUpChannel(setup) => self.call(|api| async move {
                let answer = api.set_up_channel(&setup.name, &setup.settings).await;
                Reply::ChannelSetUp(setup.name, answer)
            }),
            Effect::Resend(id) => self.call(move |api| async move { Reply::Resent(id, api.resend(id).await) }),
            Effect::FetchSparklines => self.call(|api| async move { Reply::Sparklines(api.prices(&[], true).await) }),
            Effect::FetchCandles(symbol, interval, before) => self.call(move |api| async move {
                Reply::Candles(symbol, interval, before, api.candles(symbol, interval, App::MOST_BARS, before).await)
            }),
            Effect::FetchInstruments => self.call(|api| async move { Reply::Instruments(api.instruments().await) }),
            Effect::FetchStatus => self.call(|api| async move { Reply::Status(api.status().await.map(Box::new)) }),
            Effect::FetchChannels => self.call(|api| async move { Reply::Channels(api.channels().await) }),
            Effect::FetchPast(line) => self.call(|api| async move {
                let wanted = NewBacktest { expr: Some(line.clone()), exprs: None, days: Some(App::PAST_DAYS) };
                Reply::Past(line, api.backtest(&wanted).await)
            }),
            Effect::FetchHits(asked) => self.call(|api| async move {
                let lines = asked.iter().map(|(_, _, line)| line.clone()).collect();
                let wanted = NewBacktest { expr: None, exprs: Some(lines), days: Some(App::PAST_DAYS) };
                Reply::Hits(asked, api.backtest(&wanted).await)
            }),
            Effect::Search(name) => self.call(|api| async move {
                let answer = api.search(&name).await;
                Reply::Searched(name, answer)
            }),
            Effect::AddInstrument(wanted) => {
                self.call(move |api| async move { Reply::Added(api.add_instrument(&wanted).await) });
            }
            Effect::SaveSettings(settings) => {
                let file = self.file.clone();
                self.call(move |_| async move {
                    let saved = tokio::task::spawn_blocking(move || file.save(&settings)).await;
                    Reply::SettingsSaved(saved.unwrap_or_else(|_| Err("the settings were not saved".to_owned())))
                });
            }
            Effect::Rescue => {
                if let Some(rescue) = self.rescue.clone() {
                    self.call(|_| async move { Reply::Rescued(rescue.lost().await) });
                }
            }
            Effect::StartDaemon => {
                let (start, rescue) = (self.start.clone(), self.rescue.clone());
                self.call(move |_| async move {
                    if let Some(rescue) = rescue {
                        rescue.forget().await;
                    }
                    Reply::Started(match start {
                        Some(start) => start().await.map_err(|error| error.to_string()),
                        None => Err("a demo that is over is begun anew with `bellwether demo`".to_owned()),
                    })
                });
            }
            effect @ (Effect::Create(_)
            | Effect::Edit(..)
            | Effect::Pause(..)
            | Effect::Snooze(..)
            | Effect::Acknowledge(_)
            | Effect::Delete(_)
            | Effect::Restore(..)) => self.change(effect),
        }
        Ok(true)
    }

    /// Starts what changes alerts.
    fn change(&self, effect: Effect) {
        match effect {
            Effect::Create(line) => self.call(|api| async move { Reply::Saved(api.create_alert(&line).await) }),
            Effect::Edit(id, version, line) => self.call(move |api| async move {
                let patch = AlertPatch { expr: Some(line), ..AlertPatch::default() };
                Reply::Saved(api.patch_alert_at(id, version, &patch).await)
            }),
            Effect::Pause(id, paused) => self.call(move |api| async move {
                let patch = AlertPatch { paused: Some(paused), ..AlertPatch::default() };
                Reply::Paused(id, paused, api.patch_alert(id, &patch).await)
            }),
            Effect::Snooze(id, until) => self.call(move |api| async move {
                let patch = AlertPatch { snoozed_until: Some(until), ..AlertPatch::default() };
                Reply::Snoozed(id, until, api.patch_alert(id, &patch).await)
            }),
            Effect::Acknowledge(ids) => self.call(move |api| async move {
                let patch = AlertPatch { acknowledged: Some(true), ..AlertPatch::default() };
                let mut refused = None;
                for &id in &ids {
                    if let Err(error) = api.patch_alert(id, &patch).await {
                        refused.get_or_insert((id, error));
                    }
                }
                Reply::Acknowledged(ids, refused)
            }),
            Effect::Delete(id) => self.call(move |api| async move { Reply::Deleted(id, api.delete_alert(id).await) }),
            Effect::Restore(id) => {
                self.call(move |api| async move { Reply::Restored(id, api.restore_alert(id).await) });
            }
            // The others are carried out where the terminal is.
            _ => {}
        }
    }

    /// Makes a call beside the loop; its answer comes back as a message.
    fn call<F>(&self, call: impl FnOnce(ApiClient) -> F)
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let (answer, reply) = (call(self.api.clone()), self.reply.clone());
        tokio::spawn(async move {
            // The loop that no longer listens is a dashboard that was closed.
            drop(reply.send(answer.await).await);
        });
    }
}

/// When the screen changes by itself: the clock, a flash, a message that goes.
fn next_change(app: &App) -> Duration {
    let at = now();
    let next = app.next_change(at).map_or(CLOCK, |change| change.since(at).into());
    let to_second = Duration::from_micros(1_000_000 - at.as_micros().rem_euclid(1_000_000).unsigned_abs());
    next.min(to_second).max(Duration::from_millis(10))
}
