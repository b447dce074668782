//! The heartbeat: an address that is called again and again while everything works, so that somebody elsewhere notices when it no
//! longer does (docs/reliability.md, P30). It says nothing but that, and when a part stands still it falls silent.

use std::{sync::Arc, time::Duration};

use bellwether_core::config::Secret;
use futures_util::future::BoxFuture;
use reqwest::{Client, redirect::Policy};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    notes::Notes,
    pulse::{Pulse, PulseWatch},
};

/// What a note of it is about.
pub(crate) const ABOUT: &str = "heartbeat";
/// The longest that a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether prices come in and what fires can be recorded, or why not.
pub(crate) type Works = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What it works with.
pub(crate) struct Heartbeat {
    /// What is called. Whoever knows it can call it too, so it is shown nowhere.
    pub(crate) url: Secret,
    /// How often.
    pub(crate) every: Duration,
    /// Whether the parts turn.
    pub(crate) pulse: Pulse,
    /// Whether they do what they are for.
    pub(crate) works: Works,
    /// Where it is said why it is silent.
    pub(crate) notes: Notes,
}

/// Calls until it is told to stop.
pub(crate) async fn run(heart: Heartbeat, stop: CancellationToken) {
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut watch = heart.pulse.watch();
    let mut every = tokio::time::interval(heart.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let said = tokio::select! {
            () = stop.cancelled() => return,
            said = heart.beat(client.as_ref(), &mut watch) => said.err(),
        };
        if said != before {
            if let Some(why) = &said {
                tracing::warn!("no heartbeat: {why}");
            } else {
                tracing::info!("the heartbeat goes on");
            }
            heart.notes.set(ABOUT, said.clone());
            before = said;
        }
    }
}

impl Heartbeat {
    /// Calls, unless something does not work; or says what.
    async fn beat(&self, client: Result<&Client, &reqwest::Error>, watch: &mut PulseWatch) -> Result<(), String> {
        let client = client.map_err(|error| format!("TLS cannot be set up: {error:?}"))?;
        let still = watch.still();
        if !still.is_empty() {
            return Err(format!("{} stands still", still.join(", ")));
        }
        // A store that hangs must not hang this.
        let works = tokio::time::timeout(PATIENCE.min(self.every), (self.works)()).await;
        works.map_err(|_| "the database does not answer in time".to_owned())??;
        let answer =
            client.get(self.url.expose()).send().await.map_err(|e| format!("its address: {}", e.without_url()))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("its address answered {}", answer.status())) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    /// An address that counts the calls, and answers with this status.
    async fn address(status: &'static str) -> (String, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let mut buffer = [0; 1_024];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                assert!(buffer[..length].starts_with(b"GET /ping/secret "), "{:?}", &buffer[..length]);
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        (format!("http://{address}/ping/secret"), calls)
    }

    async fn eventually(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..3_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }

    #[tokio::test]
    async fn it_falls_silent_when_any_link_breaks_and_goes_on_when_it_is_mended() {
        let (url, calls) = address("200 OK").await;
        let trouble = Arc::new(Mutex::new(None::<String>));
        let (asked, pulse, notes) = (Arc::clone(&trouble), Pulse::default(), Notes::default());
        let turning: Vec<_> =
            ["desk", "evaluate", "store", "recorder of firings"].map(|part| (part, pulse.part(part))).into();
        let works: Works = Arc::new(move || {
            let said = asked.lock().expect("free").clone();
            Box::pin(async move { said.map_or(Ok(()), Err) })
        });
        let heart = Heartbeat { url: Secret::Value(url), every: EVERY, pulse, works, notes: notes.clone() };
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(heart, stop.clone()));
        let broken = Arc::new(Mutex::new(None::<&str>));
        let halted = Arc::clone(&broken);
        tokio::spawn(async move {
            loop {
                let halted = *halted.lock().expect("free");
                turning.iter().filter(|(part, _)| Some(*part) != halted).for_each(|(_, beat)| beat.turn());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let silent = async |why: &str| {
            eventually(why, || notes.all().get(ABOUT).is_some_and(|said| said.contains(why))).await;
            // It has been noticed: what comes now would be a heartbeat of something dead.
            let before = calls.load(Ordering::SeqCst);
            tokio::time::sleep(EVERY * 4).await;
            assert_eq!(calls.load(Ordering::SeqCst), before, "{why}");
        };
        let beats = async || {
            let before = calls.load(Ordering::SeqCst);
            eventually("a heartbeat", || calls.load(Ordering::SeqCst) > before + 1).await;
            assert!(notes.all().is_empty());
        };
        beats().await;
        for part in ["desk", "evaluate", "store", "recorder of firings"] {
            *broken.lock().expect("free") = Some(part);
            silent(&format!("{part} stands still")).await;
            *broken.lock().expect("free") = None;
            beats().await;
        }
        for why in ["no feed delivers", "firings cannot be recorded: the disk is full"] {
            *trouble.lock().expect("free") = Some(why.to_owned());
            silent(why).await;
            *trouble.lock().expect("free") = None;
            beats().await;
        }
        stop.cancel();
        task.await.expect("it ends");
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_noted_without_being_shown() {
        let (url, _calls) = address("404 Not Found").await;
        let (pulse, notes, stop) = (Pulse::default(), Notes::default(), CancellationToken::new());
        let works: Works = Arc::new(|| Box::pin(async { Ok(()) }));
        let heart = Heartbeat { url: Secret::Value(url), every: EVERY, pulse, works, notes: notes.clone() };
        let task = tokio::spawn(run(heart, stop.clone()));
        eventually("a note", || notes.all().contains_key(ABOUT)).await;
        assert_eq!(notes.all()[ABOUT], "its address answered 404 Not Found");
        stop.cancel();
        task.await.expect("it ends");
    }
}
