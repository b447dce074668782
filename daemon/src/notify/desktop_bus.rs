//! The session's D-Bus, as far as notifications need it (freedesktop.org Desktop Notifications 1.2).
//!
//! One connection, made when it is first needed and again after it was lost. It also hears which buttons are pressed.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture};
use zbus::{Connection, MatchRule, MessageStream, Variant, connection::Builder, message::Type};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// How long the bus may take for one answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Something asked of the bus.
pub(super) type Call<T> = BoxFuture<'static, Result<T, String>>;

/// The program that shows notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shower {
    /// Its name and version.
    pub(super) name: String,
    /// What it can do: `actions`, `body-markup`, ...
    pub(super) can: Vec<String>,
}

impl Shower {
    /// Whether it can do that.
    pub(super) fn can(&self, what: &str) -> bool {
        self.can.iter().any(|known| known == what)
    }
}

/// A notification as the bus takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Card {
    /// The number that it replaces, or 0.
    pub(super) replaces: u32,
    /// Plain text.
    pub(super) summary: String,
    /// Markup, where the other side reads markup; otherwise plain text.
    pub(super) body: String,
    /// Buttons: a key and a label each.
    pub(super) actions: Vec<(String, &'static str)>,
    /// Whether it is to stay until it is seen.
    pub(super) critical: bool,
    /// Whether it may be forgotten when it was not seen.
    pub(super) transient: bool,
    /// By which some desktops tell that it is the same again.
    pub(super) tag: String,
    /// Milliseconds until it goes away by itself; 0 never, -1 as the desktop likes.
    pub(super) expire: i32,
}

/// What happens when a button is pressed: the number of the notification and the key, and perhaps a card to show in its place.
pub(super) type Pressed = Arc<dyn Fn(u32, String) -> BoxFuture<'static, Option<Card>> + Send + Sync>;

/// The bus; a test puts its own in place of the session's.
pub(super) struct Bus {
    /// Who shows notifications.
    pub(super) find: Box<dyn Fn() -> Call<Shower> + Send + Sync>,
    /// Shows one and gives its number.
    pub(super) show: Box<dyn Fn(Card) -> Call<u32> + Send + Sync>,
    /// Takes nothing for granted any more: the next call connects anew.
    pub(super) forget: Box<dyn Fn() + Send + Sync>,
}

impl Bus {
    /// The session's. Connects nowhere yet.
    pub(super) fn session(pressed: Pressed) -> Self {
        let session = Arc::new(Session { line: Mutex::default(), pressed });
        let (finding, forgetting) = (Arc::clone(&session), Arc::clone(&session));
        Self {
            find: Box::new(move || {
                let session = Arc::clone(&finding);
                Box::pin(async move { Ok(session.line().await?.shower) })
            }),
            show: Box::new(move |card| {
                let session = Arc::clone(&session);
                Box::pin(async move {
                    let line = session.line().await?;
                    let shown = notify(&line.connection, &card).await;
                    shown.map_err(|error| {
                        session.forget();
                        error.to_string()
                    })
                })
            }),
            forget: Box::new(move || forgetting.forget()),
        }
    }
}

/// A connection and who is at its other end.
#[derive(Clone)]
struct Line {
    connection: Connection,
    shower: Shower,
}

struct Session {
    line: Mutex<Option<Line>>,
    pressed: Pressed,
}

impl Session {
    fn kept(&self) -> Option<Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, line: Option<Line>) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    fn forget(&self) {
        self.keep(None);
    }

    async fn line(&self) -> Result<Line, String> {
        if let Some(line) = self.kept() {
            return Ok(line);
        }
        let line = self.connect().await.map_err(|error| error.to_string())?;
        self.keep(Some(line.clone()));
        Ok(line)
    }

    async fn connect(&self) -> zbus::Result<Line> {
        let connection = Builder::session().method_timeout(ANSWER).build().await?;
        // The rule names the sender: no other program on the bus can press our buttons.
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(NAME).interface(NAME).path(PATH).build()?;
        let signals = MessageStream::for_match_rule(rule, &connection, None).await?;
        tokio::spawn(listen(signals, connection.clone(), Arc::clone(&self.pressed)));
        let about: (String, String, String, String) = connection
            .call_method(Some(NAME), PATH, Some(NAME), "GetServerInformation", &())
            .await?
            .body()
            .deserialize()?;
        let can: Vec<String> =
            connection.call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &()).await?.body().deserialize()?;
        Ok(Line { connection, shower: Shower { name: format!("{} {}", about.0, about.2), can } })
    }
}

/// Hears which buttons are pressed until the connection ends.
async fn listen(mut signals: MessageStream, connection: Connection, pressed: Pressed) {
    while let Some(Ok(signal)) = signals.next().await {
        let header = signal.header();
        if header.member().is_some_and(|member| member.as_str() == "ActionInvoked")
            && let Ok((id, key)) = signal.body().deserialize::<(u32, String)>()
        {
            let answer = (pressed)(id, key);
            tokio::spawn(tell(connection.clone(), answer));
        }
    }
}

/// Shows what came of a button.
async fn tell(connection: Connection, answer: impl Future<Output = Option<Card>>) {
    if let Some(card) = answer.await
        && let Err(error) = notify(&connection, &card).await
    {
        tracing::debug!("what a button did is not shown: {error}");
    }
}

async fn notify(connection: &Connection, card: &Card) -> zbus::Result<u32> {
    let urgency: u8 = if card.critical { 2 } else { 1 };
    let hints: HashMap<&str, Variant<'_>> = HashMap::from([
        ("urgency", Variant::from(urgency)),
        ("category", Variant::from("bellwether.alert")),
        ("transient", Variant::from(card.transient)),
        ("x-dunst-stack-tag", Variant::from(card.tag.as_str())),
    ]);
    let actions: Vec<&str> = card.actions.iter().flat_map(|(key, label)| [key.as_str(), *label]).collect();
    let icon = if card.critical { "dialog-warning" } else { "dialog-information" };
    let words =
        ("bellwether", card.replaces, icon, card.summary.as_str(), card.body.as_str(), actions, hints, card.expire);
    connection.call_method(Some(NAME), PATH, Some(NAME), "Notify", &words).await?.body().deserialize()
}
