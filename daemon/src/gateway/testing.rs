//! A whole gateway for tests: a store in a temporary folder, a hub, and an evaluator that takes in every change and fires nothing.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use bellwether_core::{
    alert::{Alert, AlertChange, AlertId, AlertState, UserId},
    board::Snapshot,
    catalog::Catalog,
    condition::{ChannelName, Comparison, Condition, Level, Operand, Rule, Term},
    config::Config,
    delivery::{Delivery, DeliveryId},
    event::{AlertRow, Event, FeedState, FeedStatus, Ticker},
    firing::{Firing, FiringId, Told},
    instrument::FeedId,
    protocol::{ChannelTest, ChannelView},
    tick::Session,
    time::{Span, Timestamp},
};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{ChannelAccess, Gateway, Hub, OutboxAccess, Sessions, auth::Auth, router};
use crate::{
    clock::Clock,
    history::{Days, History},
    links::{Change, Events},
    metrics::Metrics,
    provider::Providers,
    store::{Store, StoreError},
};

/// The local owner's token.
pub(crate) const OWNER_TOKEN: &str = "owner-token-canary-0123456789abcdef";
/// When tests take place.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

/// A price row.
pub(crate) fn ticker(symbol: &str, price: &str) -> Ticker {
    Ticker {
        symbol: symbol.parse().expect("a symbol"),
        price: price.parse().expect("a price"),
        change_24h_pct: None,
        reference: None,
        high: None,
        low: None,
        volume: None,
        as_of: NOW,
        received: NOW,
        source: FeedId::Coinbase,
        session: Session::Regular,
        stale_after: Span::from_seconds(3_600),
        delay: Span::ZERO,
    }
}

/// A new price.
pub(crate) fn price_event(symbol: &str, price: &str) -> Event {
    Event::Price(ticker(symbol, price))
}

/// News of a feed.
pub(crate) fn feed_event() -> Event {
    Event::Feed(FeedStatus {
        feed: FeedId::Coinbase,
        state: FeedState::Live,
        instruments: 3,
        since: NOW,
        next_attempt: None,
        trouble: None,
    })
}

/// An alert of this owner was made.
pub(crate) fn alert_event(owner: i64, id: i64) -> Event {
    let condition =
        Condition::Compare { cmp: Comparison::Above, level: Level::Price("60000".parse().expect("a price")) };
    let rule = Rule {
        terms: vec![Term { operand: Operand::Price("BTC".parse().expect("a symbol")), condition }],
        join: bellwether_core::condition::Join::And,
        repeat: bellwether_core::condition::Repeat::Once,
        hold: None,
        hysteresis: None,
        session: bellwether_core::condition::SessionScope::Regular,
        until: None,
        via: Vec::new(),
        urgent: false,
        note: None,
    };
    let alert = Alert {
        id: AlertId(id),
        owner: UserId(owner),
        version: 1,
        rule,
        paused: false,
        snoozed_until: None,
        created: NOW,
        updated: NOW,
    };
    Event::AlertPut(row(alert))
}

/// The `number`th firing of an alert of this owner.
pub(crate) fn firing(owner: i64, alert: i64, number: u32) -> Firing {
    Firing {
        id: FiringId { alert: AlertId(alert), version: 1, number },
        owner: UserId(owner),
        symbol: "BTC".parse().expect("a symbol"),
        time: NOW,
        received: NOW,
        price: Some("60001".parse().expect("a price")),
        previous: None,
        direction: None,
        source: FeedId::Coinbase,
        late: false,
        more: 0,
        delayed: false,
        urgent: false,
        story: Told {
            rule: "BTC > 60000 each".to_owned(),
            condition: "above".into(),
            values: Vec::new(),
            reason: "BTC rose above 60,000".to_owned(),
            note: None,
            via: Vec::new(),
        }
        .into(),
    }
}

fn row(alert: Alert) -> AlertRow {
    let state = if alert.paused { AlertState::Paused } else { AlertState::Armed };
    AlertRow { alert, state, fired: 0, last_fired: None, cooling_until: None, indicators: Vec::new() }
}

/// A gateway and what stands around it.
pub(crate) struct Rig {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) router: Router,
    pub(crate) events: Events,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    /// The changes that the evaluator was told, in their order.
    pub(crate) told: Arc<std::sync::Mutex<Vec<(AlertId, u32)>>>,
    pub(crate) places: super::Places,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// With the default configuration, at a standing time.
    pub(crate) async fn new() -> Self {
        Self::with(Config::default(), Clock::by_hand(NOW)).await
    }

    /// With this configuration and clock.
    pub(crate) async fn with(config: Config, clock: Clock) -> Self {
        Self::asking(config, clock, None).await
    }

    /// With these providers to ask for the past.
    pub(crate) async fn asking(config: Config, clock: Clock, providers: Option<Providers>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("data")).expect("a store");
        let (events, receiver) = mpsc::channel(crate::links::EVENTS);
        let (hub, _task) = Hub::start(Snapshot::default(), receiver);
        let (changes, mut asked) = mpsc::channel::<Change>(crate::links::CHANGES);
        let (news, told) = (events.clone(), Arc::<std::sync::Mutex<Vec<_>>>::default());
        let heard = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(Change { change, done, .. }) = asked.recv().await {
                heard.lock().expect("lock").push((change.id(), change.version()));
                let event = match change {
                    AlertChange::Put(a)
                    | AlertChange::Pause(a)
                    | AlertChange::Resume(a)
                    | AlertChange::Snooze(a)
                    | AlertChange::Acknowledge(a)
                    | AlertChange::Together { alert: a, .. } => Event::AlertPut(row(a)),
                    AlertChange::Delete { id, version } => Event::AlertDeleted { id, owner: UserId::OWNER, version },
                };
                news.send(event).await.expect("the hub lives");
                done.send(()).expect("the gateway waits");
            }
        });
        let stop = CancellationToken::new();
        let auth = Auth::open(&store, &config.server, OWNER_TOKEN.to_owned()).await.expect("a key");
        let catalog = Arc::new(Catalog::builtin());
        let enabled = config.enabled_feeds();
        let asked =
            providers.clone().unwrap_or_else(|| Providers::new(&config, &[], None, &clock, crate::provider::jittered));
        let search = crate::search::Search::new(asked, enabled.clone());
        let history = History::new(store.clone(), providers, enabled, Arc::clone(&catalog), clock.clone());
        let gateway = Arc::new(Gateway {
            store,
            history,
            days: Days::default(),
            hub,
            changes,
            turns: super::alerts::Turns::default(),
            search,
            renew: Arc::default(),
            catalog,
            config: Arc::new(config),
            clock: clock.clone(),
            metrics: Metrics::new(),
            channels: channels(),
            outbox: outbox(),
            auth,
            timezone: jiff::tz::TimeZone::UTC,
            started: clock.now(),
            notes: Arc::new(BTreeMap::new),
            health: Arc::new(|| BTreeMap::from([("evaluator".to_owned(), "ok".to_owned())])),
            stop: stop.clone(),
            sessions: Sessions::new(64),
        });
        Self {
            router: router(Arc::clone(&gateway)),
            gateway,
            events,
            clock,
            stop,
            told,
            places: super::Places::new(256),
            _folder: folder,
        }
    }

    /// Answers a request to this machine; a `Host` is added where there is none.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", "localhost:8000".parse().expect("a host"));
        }
        self.router.clone().oneshot(request).await.expect("never fails")
    }

    /// Status and body of the answer to a call with a token and perhaps a JSON body.
    pub(crate) async fn call(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        read(self.send(request.body(Body::from(body.to_owned())).expect("a request")).await).await
    }

    /// Makes an account and logs in: its token.
    pub(crate) async fn account(&self, email: &str) -> String {
        let body = format!(r#"{{"email":"{email}","password":"secret123"}}"#);
        let (status, answer) = self.call("POST", "/auth/register", "", &body).await;
        assert_eq!(status, 201, "{answer}");
        let body = format!(r#"{{"username":"{email}","password":"secret123"}}"#);
        let (status, answer) = self.call("POST", "/auth/login", "", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Serves on a free port of this machine: its address.
    pub(crate) async fn listen(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(super::serve(
            super::Door::plain(listener),
            self.places.clone(),
            self.router.clone(),
            self.stop.clone(),
        ));
        address
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Status and body of an answer; a body that is no JSON as a text.
pub(crate) async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
    (status, value)
}

/// Knows `d1`, which is dead and of the owner, and `d2`, which was sent.
fn outbox() -> OutboxAccess {
    let resend = |owner: UserId, id: DeliveryId| match (owner, id.0) {
        (UserId::OWNER, 1) => {
            let firing = firing(1, 1, 1).id;
            Ok(Ok(Delivery { resent: 1, ..Delivery::new(id, firing, owner, ChannelName::new("email"), NOW) }))
        }
        (UserId::OWNER, 2) => Ok(Err("Delivery d2 is sent.".to_owned())),
        _ => Err(StoreError::NotFound),
    };
    OutboxAccess {
        resend: Arc::new(move |owner, id| std::future::ready(resend(owner, id)).boxed()),
        withdrawn: Arc::new(|_, _| std::future::ready(()).boxed()),
    }
}

fn channels() -> ChannelAccess {
    let name = || ChannelName::new("desktop");
    let view = move || ChannelView { name: name(), ready: true, status: "secret place".to_owned(), default: true };
    let test = |channel| ChannelTest { channel, accepted: true, answer: "shown".to_owned(), steps: Vec::new() };
    ChannelAccess {
        check: Arc::new(crate::daemon::check),
        list: Arc::new(move || std::future::ready(vec![view()]).boxed()),
        test: Arc::new(move |channel| std::future::ready(Some(test(channel))).boxed()),
    }
}
