//! What a channel is to the worker that drives it, and how it says whether trying again makes sense.

use std::{error::Error, fmt, sync::Arc};

use bellwether_core::{
    condition::ChannelName,
    config::Config,
    notification::Notification,
    rate::Allowance,
    suggest::nearest,
    text::{cut, sanitize},
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;

use super::{
    address::Guard, command::Command, desktop::Desktop, email::Email, hands::Hands, sms::Sms, trace::Trace,
    webhook::Webhook,
};
use crate::clock::Clock;

/// Whatever went wrong underneath, free of secrets.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The most characters of an answer that are kept.
const ANSWER: usize = 300;

/// Somewhere notifications go. The one trait of the daemon: there are several kinds at once, and a fake in every test.
pub(crate) trait Channel: Send + Sync {
    /// Its name in `via`.
    fn name(&self) -> &ChannelName;

    /// How often and how long it may be tried.
    fn limits(&self) -> Limits;

    /// Where it sends to, for people and without secrets.
    fn target(&self) -> String;

    /// Sends one message and says what the other side answered. Ends within [`Limits::deadline`].
    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>>;

    /// The same, and notes each step on the way: for a test by hand.
    fn send_traced<'a>(
        &'a self,
        message: &'a Outgoing,
        _trace: &'a Trace,
    ) -> BoxFuture<'a, Result<Receipt, SendError>> {
        self.send(message)
    }

    /// Looks whether it could send, without sending; `None` where that cannot be told.
    fn probe(&self) -> BoxFuture<'_, Option<Result<(), String>>> {
        Box::pin(std::future::ready(None))
    }

    /// The same for somebody who waits: goes as far as the other side lets it without a message, also where that takes a login.
    /// Gives what it said; ends within [`Limits::deadline`] because the caller sees to it.
    fn examine(&self) -> BoxFuture<'_, Option<Result<String, String>>> {
        Box::pin(async { Some(self.probe().await?.map(|()| "it is there".to_owned())) })
    }
}

/// How often and how long a channel may be tried (docs/alerts.md, C4 and C6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many messages, unless the configuration says otherwise.
    pub(crate) allowance: Allowance,
    /// The longest that one attempt may take.
    pub(crate) deadline: Span,
    /// How long after the firing it is still tried.
    pub(crate) give_up: Span,
    /// Whether an attempt that was cut off may simply be repeated, because a duplicate does little harm.
    pub(crate) repeatable: bool,
}

/// A message on its way to one channel.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// The same over all attempts, and different for every delivery: `d12`.
    pub(crate) key: String,
    /// The same as a number.
    pub(crate) number: i64,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// When the delivery was recorded.
    pub(crate) created: Timestamp,
    /// When it fired.
    pub(crate) fired: Timestamp,
    /// When it is sent.
    pub(crate) now: Timestamp,
    /// Whether its user called it urgent.
    pub(crate) urgent: bool,
    /// What it says.
    pub(crate) notification: Notification,
}

impl Outgoing {
    /// A message of the program itself, outside of the outbox: a test or a notice. It is tried once.
    pub(crate) fn message(kind: &str, title: &str, body: &str, now: Timestamp) -> Self {
        let key = format!("{}-{}", kind.replace('.', "-"), now.as_millis());
        Self {
            number: now.as_millis(),
            attempt: 1,
            created: now,
            fired: now,
            now,
            urgent: false,
            notification: Notification::message(kind, title, body, &key, now),
            key,
        }
    }
}

/// The other side accepted the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// What it said, free of secrets.
    pub(crate) answer: String,
}

/// Why a message was not accepted, as far as the worker must act differently (docs/alerts.md, C5).
#[derive(Debug)]
pub(crate) enum SendError {
    /// Busy, unreachable, HTTP 5xx or 429: worth another try, not before `after` if the other side told us.
    Retry {
        /// What the other side asked for.
        after: Option<Span>,
        /// What went wrong.
        source: BoxError,
    },
    /// It may have been accepted; the next attempt finds that out before it sends again.
    Doubtful {
        /// What went wrong.
        source: BoxError,
    },
    /// It may have been accepted, nobody can tell, and sending again might double it: it ends here, as *unknown*.
    Ambiguous {
        /// What went wrong.
        source: BoxError,
    },
    /// This message is refused: trying again would only annoy. The user must hear of it.
    Permanent {
        /// What went wrong.
        source: BoxError,
    },
    /// We are refused, whatever the message (a rejected password): the channel stops for a while, the message waits.
    Refused {
        /// What went wrong.
        source: BoxError,
    },
    /// The target is gone for ever (HTTP 410): nothing more is sent there.
    Gone {
        /// What went wrong.
        source: BoxError,
    },
}

impl SendError {
    /// Worth another try, at the time we choose.
    pub(crate) fn retry(source: impl Into<BoxError>) -> Self {
        Self::Retry { after: None, source: source.into() }
    }

    /// Refused for good.
    pub(crate) fn permanent(source: impl Into<BoxError>) -> Self {
        Self::Permanent { source: source.into() }
    }

    /// Perhaps accepted.
    pub(crate) fn doubtful(source: impl Into<BoxError>) -> Self {
        Self::Doubtful { source: source.into() }
    }

    /// We are refused.
    pub(crate) fn refused(source: impl Into<BoxError>) -> Self {
        Self::Refused { source: source.into() }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { source, .. }
            | Self::Doubtful { source }
            | Self::Ambiguous { source }
            | Self::Permanent { source }
            | Self::Refused { source }
            | Self::Gone { source } => write!(f, "{source}"),
        }
    }
}

impl Error for SendError {}

/// An answer fit to be kept and shown: cleaned, short, one line, without any of the secrets that a server might echo.
pub(crate) fn clean_answer(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|s| !s.is_empty()) {
        text = text.replace(secret, "***");
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&sanitize(&line), ANSWER).into_owned()
}

/// Why a channel cannot be set up as configured: the key and what is wrong with its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub(crate) struct ChannelConfigError {
    /// The key, such as `channels.email.from`.
    pub(crate) key: String,
    /// What is wrong, without secrets.
    pub(crate) problem: String,
}

impl ChannelConfigError {
    /// `key` has this `problem`.
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

/// The channels that the configuration describes, in the order of [`Config::channel_names`]. Checks every value; connects nowhere.
pub(crate) fn channels(
    config: &Config,
    clock: &Clock,
    hands: &Hands,
) -> Result<Vec<Arc<dyn Channel>>, ChannelConfigError> {
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    if config.channels.desktop.enabled {
        channels.push(Arc::new(Desktop::new(&config.channels.desktop, config.feeds.simulated.enabled, hands)?));
    }
    if let Some(email) = &config.channels.email {
        channels.push(Arc::new(Email::new(email, config.user.timezone.as_deref(), hands)?));
    }
    if let Some(sms) = &config.channels.sms {
        channels.push(Arc::new(Sms::new(sms, clock.clone())?));
    }
    for (name, webhook) in &config.channels.webhook {
        let guard = (!config.may_reach_private(webhook)).then(Guard::new);
        channels.push(Arc::new(Webhook::new(name, webhook, guard, clock.clone())?));
    }
    for (name, command) in &config.channels.command {
        channels.push(Arc::new(Command::new(name, command)?));
    }
    let names = config.channel_names();
    for wanted in &config.user.default_channels {
        // The desktop is everybody's default; whoever switches it off need not also take it out of the list.
        if !names.contains(wanted) && wanted.as_str() != "desktop" {
            let hint = nearest(wanted.as_str(), names.iter().map(ChannelName::as_str))
                .map(|near| format!("; did you mean \"{near}\"?"))
                .unwrap_or_default();
            let shown = sanitize(wanted.as_str());
            let problem = format!("no channel \"{shown}\" is configured{hint}");
            return Err(ChannelConfigError::new("user.default_channels", problem));
        }
    }
    Ok(channels)
}

/// How an attempt ended, in one word, as the tables of the channels' tests write it.
#[cfg(test)]
pub(super) fn word(result: &Result<Receipt, SendError>) -> &'static str {
    match result {
        Ok(_) => "sent",
        Err(SendError::Retry { .. }) => "retry",
        Err(SendError::Doubtful { .. }) => "doubtful",
        Err(SendError::Ambiguous { .. }) => "ambiguous",
        Err(SendError::Permanent { .. }) => "permanent",
        Err(SendError::Refused { .. }) => "refused",
        Err(SendError::Gone { .. }) => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_short_clean_and_without_secrets() {
        let answer = clean_answer("bad\r\n\u{1b}[31m key hunter2 \u{202e}", &["hunter2", ""]);
        assert_eq!(answer, "bad \u{fffd}[31m key *** \u{fffd}");
        assert_eq!(clean_answer(&"x".repeat(5_000), &[]).chars().count(), ANSWER);
    }

    #[test]
    fn a_default_channel_that_does_not_exist_is_named_with_what_was_meant() {
        let mut config = Config::default();
        config.user.default_channels = vec![ChannelName::new("desktpo")];
        let error = channels(&config, &Clock::system(), &Hands::default()).err().expect("an error").to_string();
        assert_eq!(error, "user.default_channels: no channel \"desktpo\" is configured; did you mean \"desktop\"?");
        config.user.default_channels = vec![ChannelName::new("desktop")];
        config.channels.desktop.enabled = false;
        assert!(channels(&config, &Clock::system(), &Hands::default()).is_ok_and(|channels| channels.is_empty()));
    }
}
