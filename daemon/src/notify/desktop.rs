//! Notifications on this machine's desktop (freedesktop.org Desktop Notifications 1.2, over the session's D-Bus).
//!
//! The crate underneath waits for ever on a bus that hangs, so each call runs apart, has two seconds, and is abandoned then.

use std::time::Duration;

use bellwether_core::{condition::ChannelName, notification::escape, rate::Allowance, time::Span};
use futures_util::future::BoxFuture;
use notify_rust::{Hint, Notification, Urgency};

use super::channel::{Channel, Limits, Outgoing, Receipt, SendError, clean_answer};

/// How long the bus may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Our replace tags start here ("BW"), far from the small numbers that notification servers give out to others.
const TAGS: u32 = 0x4257_0000;

type Call = BoxFuture<'static, Result<u32, String>>;
type Show = Box<dyn Fn(Notification) -> Call + Send + Sync>;

/// The channel `desktop`.
pub(super) struct Desktop {
    name: ChannelName,
    show: Show,
    deadline: Duration,
}

impl Desktop {
    /// The session's desktop. Connects nowhere yet.
    pub(super) fn new() -> Self {
        let show = |notification: Notification| -> Call {
            Box::pin(async move { notification.show_async().await.map(|shown| shown.id()).map_err(|e| e.to_string()) })
        };
        Self { name: ChannelName::new("desktop"), show: Box::new(show), deadline: DEADLINE }
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
        Box::pin(async move {
            match apart((self.show)(words(message)), self.deadline).await {
                Ok(id) => Ok(Receipt { answer: format!("shown as notification {id}") }),
                Err(trouble) => Err(SendError::retry(trouble)),
            }
        })
    }

    fn probe(&self) -> BoxFuture<'_, Option<Result<(), String>>> {
        Box::pin(async move { Some(apart(Box::pin(ask_who_shows()), self.deadline).await.map(|_| ())) })
    }
}

/// Asks which program shows notifications. The crate offers this only as a call that blocks, perhaps for ever, so it has a
/// thread of its own that nobody waits for.
async fn ask_who_shows() -> Result<u32, String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("desktop-probe".to_owned())
        .spawn(move || tell.send(notify_rust::get_server_information().map(|_| 0).map_err(|e| e.to_string())))
        .map_err(|e| e.to_string())?;
    told.await.unwrap_or_else(|_| Err("the call failed".to_owned()))
}

/// Runs a call as a task of its own and gives it up when its time is over.
async fn apart(call: Call, deadline: Duration) -> Result<u32, String> {
    let task = tokio::spawn(call);
    let abort = task.abort_handle();
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(Ok(id))) => Ok(id),
        Ok(Ok(Err(error))) => Err(clean_answer(&format!("no notification service: {error}"), &[])),
        Ok(Err(_)) => Err("the desktop call failed".to_owned()),
        Err(_) => {
            abort.abort();
            Err("the desktop did not answer in time".to_owned())
        }
    }
}

/// The message as the bus takes it: the summary is plain text, the body is markup, so it is escaped.
fn words(message: &Outgoing) -> Notification {
    let low_bits = u32::try_from(message.number.rem_euclid(0x1_0000)).unwrap_or_default();
    let mut notification = Notification::new();
    notification
        .appname("bellwether")
        .summary(&message.notification.title)
        .body(&escape(&message.notification.body))
        .icon("dialog-information")
        .urgency(if message.urgent { Urgency::Critical } else { Urgency::Normal })
        .hint(Hint::Category("bellwether.alert".to_owned()))
        .hint(Hint::Custom("x-dunst-stack-tag".to_owned(), format!("bellwether-{}", message.key)))
        .id(TAGS | low_bits);
    notification
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bellwether_core::time::Timestamp;

    use super::*;

    fn message(body: &str) -> Outgoing {
        Outgoing::message("channel.test", "a <title>", body, Timestamp::from_seconds(100))
    }

    fn desktop(show: impl Fn(Notification) -> Call + Send + Sync + 'static) -> Desktop {
        Desktop { show: Box::new(show), ..Desktop::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_hangs_is_given_up_after_two_seconds() {
        let channel = desktop(|_| Box::pin(std::future::pending()));
        let started = tokio::time::Instant::now();
        let error = channel.send(&message("x")).await.expect_err("no answer");
        assert!(matches!(error, SendError::Retry { after: None, .. }));
        assert_eq!(error.to_string(), "the desktop did not answer in time");
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test]
    async fn no_bus_is_a_reason_to_try_again_and_says_so() {
        let channel = desktop(|_| Box::pin(std::future::ready(Err("address\u{1b} not set".to_owned()))));
        let error = channel.send(&message("x")).await.expect_err("no bus");
        assert!(matches!(error, SendError::Retry { .. }));
        assert_eq!(error.to_string(), "no notification service: address\u{fffd} not set");
    }

    #[tokio::test]
    async fn a_panic_underneath_is_an_error_and_no_more() {
        let channel = desktop(|_| Box::pin(async { panic!("a bug below") }));
        assert!(matches!(channel.send(&message("x")).await, Err(SendError::Retry { .. })));
    }

    #[tokio::test]
    async fn markup_is_shown_as_text_and_a_repeat_replaces() {
        let seen: Arc<Mutex<Vec<Notification>>> = Arc::default();
        let sink = Arc::clone(&seen);
        let channel = desktop(move |notification| {
            sink.lock().expect("lock").push(notification);
            Box::pin(std::future::ready(Ok(7)))
        });
        let message = message("<img src=x> <a href=y>\u{1b}]0;z\u{7}");
        for _ in 0..2 {
            let receipt = channel.send(&message).await.expect("shown");
            assert_eq!(receipt.answer, "shown as notification 7");
        }
        let seen = seen.lock().expect("lock");
        assert_eq!(seen[0].body, "&lt;img src=x&gt; &lt;a href=y&gt;\u{fffd}]0;z\u{fffd}");
        assert_eq!(seen[0].summary, "a <title>");
        for notification in seen.iter() {
            let all = format!("{notification:?}");
            assert!(all.contains("bellwether-channel-test-100000"), "{all}");
            assert!(all.contains(&(TAGS | (100_000 % 0x1_0000)).to_string()), "the same tag both times: {all}");
        }
    }
}
