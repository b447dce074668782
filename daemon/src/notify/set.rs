//! All channels of this daemon with how each is doing: for `GET /channels`, for `notify test`, and for notices about the
//! channels themselves.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bellwether_core::{
    condition::ChannelName,
    config::{ChannelLimits, Config},
    delivery::group::Grouping,
    protocol::{ChannelTest, ChannelView},
    time::{Span, Timestamp},
};
use futures_util::FutureExt as _;
use tokio::sync::Notify;

use super::{
    channel::{Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, channels},
    hands::Hands,
    trace::Trace,
};
use crate::{clock::Clock, links::Notice};

/// The same trouble is told once in this time (docs/alerts.md, C10).
const NOTICE_EVERY: Span = Span::from_seconds(6 * 3600);

/// How a channel is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing has been sent yet.
    #[default]
    Untried,
    /// The last message was accepted, or the channel was found to be there.
    Working,
    /// The last message was not accepted; it is tried again.
    Failing(String),
    /// Down: only a probe now and then.
    Down(String),
    /// The target is gone for ever.
    Gone(String),
}

/// A channel and how it is doing.
pub(super) struct Member {
    pub(super) channel: Arc<dyn Channel>,
    /// How often and how long it may be tried, with what the configuration says of it.
    pub(super) limits: Limits,
    /// How what fires for it is collected.
    pub(super) grouping: Grouping,
    /// Tells its worker that something new is due.
    pub(super) nudge: Notify,
    health: Mutex<Health>,
}

impl Member {
    fn new(channel: Arc<dyn Channel>, configured: ChannelLimits) -> Self {
        let mut limits = channel.limits();
        limits.allowance = configured.over(limits.allowance);
        Self { channel, limits, grouping: configured.grouping(), nudge: Notify::new(), health: Mutex::default() }
    }

    pub(super) fn name(&self) -> &ChannelName {
        self.channel.name()
    }

    pub(super) fn health(&self) -> Health {
        locked(&self.health).clone()
    }

    pub(super) fn set_health(&self, health: Health) {
        *locked(&self.health) = health;
    }

    /// One attempt, within the channel's deadline whatever the channel does; a bug in it costs this message and no more.
    pub(super) async fn send(&self, message: &Outgoing) -> Result<Receipt, SendError> {
        self.send_traced(message, &Trace::off()).await
    }

    async fn send_traced(&self, message: &Outgoing, trace: &Trace) -> Result<Receipt, SendError> {
        let limits = self.limits;
        let attempt = AssertUnwindSafe(self.channel.send_traced(message, trace)).catch_unwind();
        match tokio::time::timeout(Duration::from(limits.deadline), attempt).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(SendError::permanent("a bug in this channel: please report it")),
            Err(_) if limits.repeatable => Err(SendError::retry("no answer in time")),
            Err(_) => Err(SendError::doubtful("no answer in time")),
        }
    }
}

/// All channels of this daemon.
pub(crate) struct ChannelSet {
    pub(super) members: Vec<Arc<Member>>,
    /// The channels of alerts that name none.
    pub(super) defaults: Vec<ChannelName>,
    pub(super) clock: Clock,
    /// What has been told, and when.
    noticed: Mutex<HashMap<String, Timestamp>>,
}

impl ChannelSet {
    /// The channels that the configuration describes. Every value is checked, nothing is connected to.
    pub(crate) fn new(config: &Config, clock: Clock, hands: &Hands) -> Result<Self, ChannelConfigError> {
        let channels = channels(config, &clock, hands)?;
        let limits = |name: &ChannelName| config.channel_limits(name);
        Ok(Self::of(channels, limits, config.user.default_channels.clone(), clock))
    }

    /// A set of just these channels.
    pub(super) fn of(
        channels: Vec<Arc<dyn Channel>>,
        limits: impl Fn(&ChannelName) -> ChannelLimits,
        mut defaults: Vec<ChannelName>,
        clock: Clock,
    ) -> Self {
        let members = channels.into_iter().map(|channel| {
            let configured = limits(channel.name());
            Arc::new(Member::new(channel, configured))
        });
        let members: Vec<_> = members.collect();
        defaults.retain(|name| members.iter().any(|m| m.name() == name));
        Self { members, defaults, clock, noticed: Mutex::default() }
    }

    /// The names that alerts may use.
    pub(crate) fn names(&self) -> Vec<ChannelName> {
        self.members.iter().map(|m| m.name().clone()).collect()
    }

    /// Has the worker of this channel look into the outbox.
    pub(super) fn nudge(&self, name: &ChannelName) {
        if let Some(member) = self.members.iter().find(|m| m.name() == name) {
            member.nudge.notify_one();
        }
    }

    /// Every channel with where it sends to, or why it cannot.
    pub(crate) fn views(&self) -> Vec<ChannelView> {
        self.members.iter().map(|member| self.view(member)).collect()
    }

    fn view(&self, member: &Member) -> ChannelView {
        let target = member.channel.target();
        let (ready, status) = match member.health() {
            Health::Untried | Health::Working => (true, target),
            Health::Failing(trouble) => (false, format!("{target}: {trouble}")),
            Health::Down(trouble) => (false, format!("{target}: down: {trouble}")),
            Health::Gone(trouble) => (false, format!("{target}: switched off: {trouble}")),
        };
        ChannelView { name: member.name().clone(), ready, status, default: self.defaults.contains(member.name()) }
    }

    /// Sends one test message, past the outbox, and tells step by step what the other side said. `None`: no channel is called that.
    pub(crate) async fn test(&self, name: &ChannelName) -> Option<ChannelTest> {
        let member = self.members.iter().find(|m| m.name() == name)?;
        let body = "This is how a notification of bellwether arrives here. Nothing has happened to any price.";
        let message = Outgoing::message("channel.test", "bellwether: test message", body, self.clock.now());
        let trace = Trace::on();
        let (accepted, answer) = match member.send_traced(&message, &trace).await {
            Ok(receipt) => (true, receipt.answer),
            Err(error) => (false, error.to_string()),
        };
        if accepted {
            member.set_health(Health::Working);
        }
        let steps = trace.ended(accepted, &answer);
        Some(ChannelTest { channel: name.clone(), accepted, answer, steps })
    }

    /// Looks at each channel that can be looked at without sending.
    pub(super) async fn probe(&self) {
        for member in &self.members {
            match member.channel.probe().await {
                Some(Ok(())) => member.set_health(Health::Working),
                Some(Err(trouble)) => {
                    tracing::warn!(channel = %member.name(), "{trouble}");
                    member.set_health(Health::Failing(trouble));
                }
                None => {}
            }
        }
    }

    /// Looks at each channel as far as that goes without sending, all at once, each within its deadline: what it said, or why it
    /// would not send; nothing where only a message would tell.
    pub(crate) async fn examine(&self) -> Vec<(ChannelName, Option<Result<String, String>>)> {
        let looks = self.members.iter().map(|member| async move {
            let deadline = Duration::from(member.limits.deadline);
            let late = || Some(Err("no answer in time".to_owned()));
            let said = tokio::time::timeout(deadline, member.channel.examine()).await.unwrap_or_else(|_| late());
            (member.name().clone(), said)
        });
        futures_util::future::join_all(looks).await
    }

    /// Tells the user about trouble of the program itself by the first channel that takes it, not by `except`, and not the same
    /// (`about`) again within six hours. Text messages come last: they cost money.
    pub(super) async fn notice(&self, about: &str, except: Option<&ChannelName>, title: &str, body: &str) {
        let now = self.clock.now();
        if self.is_news(about, now) {
            self.send_first(except, &Outgoing::message("notice", title, body, now)).await;
        }
    }
}

impl ChannelSet {
    /// Tells the owner about the feeds by the default channels, and not the same (`about`) again within six hours. Where none of
    /// them takes it, by the first other one that does.
    pub(crate) async fn tell_owner(&self, notice: Notice) {
        let Notice { about, title, body } = notice;
        let now = self.clock.now();
        if !self.is_news(&about, now) {
            return;
        }
        let message = Outgoing::message("notice", &title, &body, now);
        let mut told = false;
        for member in self.members.iter().filter(|m| self.defaults.contains(m.name())) {
            told |= !matches!(member.health(), Health::Gone(_)) && member.send(&message).await.is_ok();
        }
        if !told {
            self.send_first(None, &message).await;
        }
    }

    /// Whether this has not been told within six hours; from now on it has.
    fn is_news(&self, about: &str, now: Timestamp) -> bool {
        let mut noticed = locked(&self.noticed);
        let news = noticed.get(about).is_none_or(|told| now.since(*told) >= NOTICE_EVERY);
        if news {
            noticed.retain(|_, told| now.since(*told) < NOTICE_EVERY);
            noticed.insert(about.to_owned(), now);
        }
        news
    }

    /// Sends by the first channel that takes it.
    async fn send_first(&self, except: Option<&ChannelName>, message: &Outgoing) {
        let mut members: Vec<_> = self.members.iter().filter(|m| Some(m.name()) != except).collect();
        members.sort_by_key(|m| m.name().kind() == "sms");
        for member in members {
            if !matches!(member.health(), Health::Down(_) | Health::Gone(_)) && member.send(message).await.is_ok() {
                return;
            }
        }
        tracing::warn!("no channel could tell: {}", message.notification.title);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
