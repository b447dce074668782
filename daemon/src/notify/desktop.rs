//! Notifications on this machine's desktop, with buttons that act.
//!
//! A bus may hang for ever: each call runs apart, has two seconds, and is abandoned then.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwether_core::{
    alert::{AlertId, UserId},
    condition::ChannelName,
    config::Desktop as Config,
    notification::{About, escape},
    rate::Allowance,
    time::{Span, Timestamp},
};
use futures_util::future::BoxFuture;

use super::{
    channel::{Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, clean_answer},
    desktop_bus::{Bus, Call, Card, Shower},
    desktop_chart::Opener,
    hands::{Act, Action, Hands},
    trace::Trace,
};

/// How long the bus may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Our replace tags start here ("BW"), far from the small numbers that notification servers give out to others.
const TAGS: u32 = 0x4257_0000;
/// What the keys of our buttons begin with.
const KEY: &str = "bellwether:";
/// The most notifications that are known by their number.
const REMEMBERED: usize = 512;
/// How long the answer to a button is shown, in milliseconds.
const ANSWER_SHOWN: i32 = 5_000;

/// The channel `desktop`.
pub(super) struct Desktop {
    name: ChannelName,
    bus: Arc<Bus>,
    buttons: Arc<Buttons>,
    /// Milliseconds, as the bus takes them.
    expire: i32,
    deadline: Duration,
}

impl Desktop {
    /// The session's desktop. Connects nowhere yet.
    pub(super) fn new(config: &Config, simulated: bool, hands: &Hands) -> Result<Self, ChannelConfigError> {
        let expire = match config.expire {
            None => -1,
            Some(span) => {
                i32::try_from(span.as_millis()).ok().filter(|ms| (1_000..=86_400_000).contains(ms)).ok_or_else(
                    || ChannelConfigError::new("channels.desktop.expire", "expected a duration from 1s to 1d"),
                )?
            }
        };
        let opener = Opener::find(config, simulated)?;
        let buttons = Arc::new(Buttons { shown: Mutex::default(), act: Arc::clone(&hands.act), opener });
        let pressed = Arc::clone(&buttons);
        let bus = Bus::session(Arc::new(move |id, key| {
            let buttons = Arc::clone(&pressed);
            Box::pin(async move { buttons.pressed(id, &key).await })
        }));
        Ok(Self { name: ChannelName::new("desktop"), bus: Arc::new(bus), buttons, expire, deadline: DEADLINE })
    }

    async fn show(&self, message: &Outgoing, trace: &Trace) -> Result<Receipt, SendError> {
        let (bus, buttons, expire) = (Arc::clone(&self.bus), Arc::clone(&self.buttons), self.expire);
        let (message, steps) = (message.clone(), trace.clone());
        let call = async move {
            let shower = (bus.find)().await?;
            steps.done("found", &format!("{}: {}", shower.name, shower.can.join(", ")));
            let card = buttons.card(&message, &shower, expire);
            let id = (bus.show)(card).await?;
            if let Some(about) = message.notification.about {
                buttons.remember(id, about);
            }
            Ok((id, shower.name))
        };
        match apart(Box::pin(call), self.deadline).await {
            Ok((id, name)) => {
                Ok(Receipt { answer: clean_answer(&format!("shown as notification {id} by {name}"), &[]) })
            }
            Err(trouble) => {
                (self.bus.forget)();
                Err(SendError::retry(trouble))
            }
        }
    }
}

impl Channel for Desktop {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits {
            allowance: Allowance { burst: 5, refill: Span::from_seconds(3), daily: None },
            deadline: Span::from_seconds(4),
            give_up: Span::from_seconds(600),
            repeatable: true,
        }
    }

    fn target(&self) -> String {
        "this desktop".to_owned()
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move { self.show(message, &Trace::off()).await })
    }

    fn send_traced<'a>(&'a self, message: &'a Outgoing, trace: &'a Trace) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(self.show(message, trace))
    }

    fn probe(&self) -> BoxFuture<'_, Option<Result<(), String>>> {
        Box::pin(async move { Some(apart((self.bus.find)(), self.deadline).await.map(|_| ())) })
    }
}

/// Runs a call as a task of its own and gives it up when its time is over.
async fn apart<T: Send + 'static>(call: Call<T>, deadline: Duration) -> Result<T, String> {
    let task = tokio::spawn(call);
    let abort = task.abort_handle();
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(Ok(found))) => Ok(found),
        Ok(Ok(Err(error))) => Err(clean_answer(&format!("no notification service: {error}"), &[])),
        Ok(Err(_)) => Err("the desktop call failed".to_owned()),
        Err(_) => {
            abort.abort();
            Err("the desktop did not answer in time".to_owned())
        }
    }
}

/// What is on the screen, and what its buttons do.
struct Buttons {
    /// The numbers of our notifications with what they are about, the newest last.
    shown: Mutex<VecDeque<(u32, About)>>,
    act: Act,
    opener: Option<Opener>,
}

impl Buttons {
    fn remember(&self, id: u32, about: About) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|(known, _)| *known != id);
        shown.push_back((id, about));
        if shown.len() > REMEMBERED {
            shown.pop_front();
        }
    }

    fn about(&self, id: u32) -> Option<About> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.iter().find(|(known, _)| *known == id).map(|(_, about)| *about)
    }

    /// The message as the bus takes it: the summary is plain text, the body is escaped where it is said to be read as markup.
    fn card(&self, message: &Outgoing, shower: &Shower, expire: i32) -> Card {
        let low_bits = u32::try_from(message.number.rem_euclid(0x1_0000)).unwrap_or_default();
        let told = &message.notification;
        let mut actions = Vec::new();
        if let Some(about) = told.about.filter(|_| shower.can("actions")) {
            let key = |word| key(word, about);
            actions.extend([(key("snooze"), "Snooze 1h"), (key("acknowledge"), "Acknowledge")]);
            actions.extend(self.opener.is_some().then(|| (key("chart"), "Open chart")));
        }
        Card {
            replaces: TAGS | low_bits,
            summary: told.title.clone(),
            body: if shower.can("body-markup") { escape(&told.body) } else { harmless(&told.body) },
            actions,
            critical: message.urgent,
            transient: false,
            tag: format!("bellwether-{}", message.key),
            expire: if message.urgent { 0 } else { expire },
        }
    }

    /// Does what a button says, and what came of it as a card in the place of the first.
    async fn pressed(&self, id: u32, key: &str) -> Option<Card> {
        // Every program on the bus hears of every button: this one may be another's.
        let (word, about) = read_key(key).or_else(|| Some((key, self.about(id)?)))?;
        let (done, outcome) = match word {
            "snooze" => ("is silent for an hour", (self.act)(about, Action::Snooze).await),
            "acknowledge" => ("is acknowledged", (self.act)(about, Action::Acknowledge).await),
            "chart" => {
                let opened = self.opener.as_ref().map_or(Ok(()), |opener| opener.open(about.symbol));
                if opened.is_ok() {
                    return None;
                }
                ("", opened)
            }
            _ => return None,
        };
        let (summary, body) = match outcome {
            Ok(()) => (format!("{} {done}", about.alert), String::new()),
            Err(trouble) => {
                tracing::warn!(alert = %about.alert, "a button on the desktop did not work: {trouble}");
                (format!("{}: that did not work", about.alert), escape(&clean_answer(&trouble, &[])))
            }
        };
        let tag = format!("bellwether-answer-{id}");
        Some(Card { replaces: 0, summary, body, tag, transient: true, expire: ANSWER_SHOWN, ..Card::default() })
    }
}

/// A button's key says all that pressing it needs: the desktop gives it back, also to a daemon that has been started since.
fn key(word: &str, about: About) -> String {
    format!("{KEY}{word}:{}:{}:{}", about.alert.0, about.owner.0, about.symbol)
}

/// What a key of ours says; when it fired and at which price is not in it, and no button needs that.
fn read_key(key: &str) -> Option<(&str, About)> {
    let mut parts = key.strip_prefix(KEY)?.splitn(4, ':');
    let word = parts.next()?;
    let (alert, owner) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let symbol = parts.next()?.parse().ok()?;
    let time = Timestamp::from_seconds(0);
    Some((word, About { alert: AlertId(alert), owner: UserId(owner), symbol, time, price: None }))
}

/// The text without what anybody would take for markup: some desktops read it although they do not say so (dunst).
fn harmless(text: &str) -> String {
    let look_alike = |c| match c {
        '<' => '\u{2039}',
        '>' => '\u{203a}',
        '&' => '\u{ff06}',
        c => c,
    };
    text.chars().map(look_alike).collect()
}

#[cfg(test)]
#[path = "desktop_tests.rs"]
mod tests;
