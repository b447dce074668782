//! A market that stands still: a board, bars and a clock that tests hold in their hands.

use std::sync::OnceLock;

use bellwether_core::{
    alert::{Alert, AlertId, AlertState, UserId},
    board::Snapshot,
    condition::ChannelName,
    delivery::{Delivery, DeliveryId, DeliveryState},
    event::{AlertRow, FeedState, FeedStatus, Ticker},
    firing::{Direction, Firing, FiringId, Told},
    instrument::{FeedId, Symbol},
    parse::{self, ParseContext},
    price::Price,
    protocol::{AlertView, ChannelView, ServerFrame},
    tick::{Candle, Session},
    time::{Span, Timestamp},
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::{App, Effect, Look, Message, Reply, update};
use crate::client::{ApiClient, stream::StreamMessage};

/// Sunday, 22 November 2026, 14:02:11 UTC.
pub(crate) fn noon() -> Timestamp {
    "2026-11-22T14:02:11Z".parse().expect("a time")
}

pub(crate) fn symbol(text: &str) -> Symbol {
    text.parse().expect(text)
}

pub(crate) fn price(text: &str) -> Price {
    text.parse().expect(text)
}

/// A price that is two seconds old.
pub(crate) fn ticker(name: &str, last: &str, change: &str) -> Ticker {
    let last = price(last);
    let change = price(change);
    let reference = last.decimal() / (Decimal::ONE + change.decimal() / Decimal::ONE_HUNDRED);
    let places = last.natural_places();
    let near = |percent: i64| Price::new((last.decimal() * Decimal::new(1000 + percent, 3)).round_dp(places));
    let as_of = noon().minus(Span::from_seconds(2));
    Ticker {
        symbol: symbol(name),
        price: last,
        change_24h_pct: Some(change),
        reference: Some(Price::new(reference.round_dp(places))),
        high: Some(near(9)),
        low: Some(near(-21)),
        volume: None,
        as_of,
        received: as_of,
        source: FeedId::Coinbase,
        session: Session::Regular,
        stale_after: Span::from_seconds(60),
        delay: Span::ZERO,
    }
}

fn tickers() -> Vec<Ticker> {
    let mut all: Vec<Ticker> = [
        ("BTC", "60412.5", "1.36"),
        ("ETH", "2711.04", "-0.42"),
        ("SOL", "142.87", "3.1"),
        ("XRP", "0.5213", "-1.07"),
        ("DOGE", "0.12034", "0.08"),
        ("ADA", "0.3611", "0"),
        ("AAPL", "231.2", "0.31"),
        ("MSFT", "417.32", "-0.17"),
        ("NVDA", "141.98", "2.45"),
        ("GOLD", "2714.9", "0.52"),
        ("EURUSD", "1.0437", "-0.21"),
        ("SHIB", "0.00001734", "-2.2"),
    ]
    .into_iter()
    .map(|(s, p, c)| ticker(s, p, c))
    .collect();
    for ticker in &mut all {
        let age = match ticker.symbol.as_str() {
            "AAPL" => {
                ticker.session = Session::Pre;
                ticker.source = FeedId::Yahoo;
                12
            }
            "MSFT" | "NVDA" => 2 * 86_400,
            "ADA" => 14 * 60,
            "XRP" => 25,
            _ => continue,
        };
        ticker.as_of = noon().minus(Span::from_seconds(age));
    }
    all
}

pub(crate) fn alert(id: i64, line: &str, state: AlertState) -> AlertRow {
    let catalog = bellwether_core::catalog::Catalog::builtin();
    let channels = [ChannelName::new("desktop"), ChannelName::new("email")];
    let context = ParseContext { catalog: &catalog, now: noon(), timezone: &TimeZone::UTC, channels: &channels };
    AlertRow {
        alert: Alert {
            id: AlertId(id),
            owner: UserId::OWNER,
            version: 1,
            rule: parse::parse(line, &context).expect(line),
            paused: state == AlertState::Paused,
            snoozed_until: None,
            created: noon(),
            updated: noon(),
        },
        state,
        fired: 0,
        last_fired: None,
        cooling_until: None,
        indicators: Vec::new(),
    }
}

fn alerts() -> Vec<AlertRow> {
    let mut all = vec![
        alert(9, "BTC < 58000 every 1h via desktop,email", AlertState::Armed),
        alert(17, "BTC crosses up 61000 each via desktop note \"take some off the table\"", AlertState::Armed),
        alert(18, "BTC > 60000 every 1h", AlertState::Cooling),
        alert(21, "ETH < 2650 once", AlertState::Armed),
        alert(22, "SOL +10% from now once", AlertState::Paused),
        alert(23, "AAPL exits 220..240 each", AlertState::Done),
    ];
    all[2].fired = 4;
    all[2].last_fired = Some(noon().minus(Span::from_seconds(2_880)));
    all[2].cooling_until = Some(noon().plus(Span::from_seconds(720)));
    all
}

pub(crate) fn firing(alert: i64, number: u32, reason: &str) -> Firing {
    let time = noon().minus(Span::from_seconds(2_880 * i64::from(5 - number.min(4))));
    Firing {
        id: FiringId { alert: AlertId(alert), version: 1, number },
        owner: UserId::OWNER,
        symbol: symbol("BTC"),
        time,
        received: time.plus(Span::from_millis(84)),
        price: Some(price("60012.5")),
        previous: Some(price("59987.1")),
        direction: Some(Direction::Up),
        source: FeedId::Coinbase,
        late: false,
        more: 0,
        delayed: false,
        urgent: false,
        story: Told {
            rule: "BTC > 60000 every 1h".to_owned(),
            condition: "above".into(),
            values: Vec::new(),
            reason: reason.to_owned(),
            note: None,
            via: Vec::new(),
        }
        .into(),
    }
}

fn deliveries() -> Vec<Delivery> {
    let id = FiringId { alert: AlertId(18), version: 1, number: 4 };
    [("desktop", DeliveryState::Sent, "shown"), ("email", DeliveryState::Retry, "421 try again later")]
        .into_iter()
        .zip(1..)
        .map(|((channel, state, answer), n)| Delivery {
            state,
            attempts: 1 + u32::from(state == DeliveryState::Retry),
            next_attempt: (state == DeliveryState::Retry).then(|| noon().plus(Span::from_seconds(32))),
            answer: Some(answer.to_owned()),
            ..Delivery::new(DeliveryId(n), id, UserId::OWNER, ChannelName::new(channel), noon())
        })
        .collect()
}

fn feeds() -> Vec<FeedStatus> {
    let status = |feed, state, instruments, trouble: Option<&str>| FeedStatus {
        feed,
        state,
        instruments,
        since: noon().minus(Span::from_seconds(7_300)),
        next_attempt: trouble.map(|_| noon().plus(Span::from_seconds(42))),
        trouble: trouble.map(str::to_owned),
    };
    vec![
        status(FeedId::Coinbase, FeedState::Live, 29, None),
        status(FeedId::Yahoo, FeedState::BackingOff, 73, Some("HTTP 503 from the provider")),
    ]
}

/// A walk that looks like a market and is always the same.
pub(crate) fn walk(last: Price, count: usize, interval: Span) -> Vec<Candle> {
    let mut seed: u64 = 7;
    let mut chance = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Decimal::from((seed >> 33) % 2_001) / Decimal::ONE_THOUSAND - Decimal::ONE
    };
    let unit = last.decimal() / Decimal::from(700);
    let places = last.natural_places();
    let mut close = last.decimal();
    let end =
        Timestamp::from_seconds(noon().as_seconds() / interval.as_seconds() * interval.as_seconds()).plus(interval);
    let mut bars: Vec<Candle> = (0..i64::try_from(count).expect("few"))
        .map(|i| {
            let open = close - chance() * unit + unit / Decimal::from(12);
            let high = open.max(close) + chance().abs() * unit / Decimal::TWO;
            let low = open.min(close) - chance().abs() * unit / Decimal::TWO;
            let to = end.minus(interval.times(i));
            let p = |d: Decimal| Price::new(d.round_dp(places));
            let bar = Candle {
                from: to.minus(interval),
                to,
                open: p(open),
                high: p(high),
                low: p(low),
                close: p(close),
                session: Session::Regular,
                volume: Some(Price::new(
                    ((close - open).abs() * Decimal::from(40)).checked_div(unit).unwrap_or_default().round_dp(2)
                        + Decimal::from(8),
                )),
            };
            close = open;
            bar
        })
        .collect();
    bars.reverse();
    bars
}

/// Lets the dashboard take messages, one after the other.
pub(crate) fn feed(app: &mut App, messages: impl IntoIterator<Item = Message>) -> Vec<Effect> {
    messages.into_iter().flat_map(|message| update(app, message)).collect()
}

pub(crate) fn server(frame: ServerFrame) -> Message {
    Message::Server(Box::new(StreamMessage::Frame(Box::new(frame))))
}

pub(crate) fn connected() -> Message {
    Message::Server(Box::new(StreamMessage::Connected {
        version: "0.1.0".to_owned(),
        simulated: false,
        api: ApiClient::new("http://127.0.0.1:1", "t"),
    }))
}

pub(crate) fn snapshot_of(prices: Vec<Ticker>, alerts: Vec<AlertRow>, firings: Vec<Firing>) -> Message {
    let snapshot = Snapshot { seq: 1, prices, alerts, firings, deliveries: deliveries(), feeds: feeds() };
    server(ServerFrame::from_snapshot(1, snapshot))
}

/// A dashboard that has just been opened.
pub(crate) fn empty() -> App {
    let mut app = App::new(noon(), TimeZone::UTC, Look::default(), false, false);
    app.settings.hints = false;
    app
}

/// A dashboard in the middle of an ordinary day.
pub(crate) fn app() -> App {
    static APP: OnceLock<App> = OnceLock::new();
    APP.get_or_init(ordinary_day).clone()
}

fn ordinary_day() -> App {
    let mut app = empty();
    let firings = vec![
        firing(18, 4, "BTC rose above 60,000: now 60,012.50 (before: 59,987.10)"),
        firing(18, 3, "BTC rose above 60,000: now 60,004.00 (before: 59,990.20)"),
    ];
    let channel = |name: &str, ready: bool, status: &str| ChannelView {
        name: ChannelName::new(name),
        ready,
        status: status.to_owned(),
        default: name == "desktop",
    };
    let channels = vec![
        channel("desktop", true, "the notification service of this session"),
        channel("email", true, "to me@example.com by mail.example.com:587"),
        channel("sms", false, "no account: set TWILIO_ACCOUNT_SID"),
    ];
    feed(
        &mut app,
        [
            connected(),
            snapshot_of(tickers(), alerts(), firings),
            Message::Reply(Box::new(Reply::Channels(Ok(channels)))),
            Message::Reply(Box::new(Reply::Status(Ok(Box::new(status()))))),
        ],
    );
    for ticker in tickers() {
        for interval in super::INTERVALS {
            app.market.set_bars(ticker.symbol, interval, Ok(walk(ticker.price, 500, interval)));
        }
        let day = walk(ticker.price, 48, Span::from_seconds(1_800));
        app.market.set_spark(ticker.symbol, day.into_iter().map(|c| c.close).collect());
    }
    app
}

/// Another dashboard in the same state, without what lies over it.
pub(crate) fn app_like(other: &App) -> App {
    App { overlay: None, ..other.clone() }
}

/// Types text.
pub(crate) fn types(app: &mut App, text: &str) -> Vec<Effect> {
    let keys = text.chars().map(|c| Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
    feed(app, keys)
}

/// Presses a key.
pub(crate) fn press(app: &mut App, code: KeyCode) -> Vec<Effect> {
    feed(app, [Message::Key(KeyEvent::new(code, KeyModifiers::NONE))])
}

/// An answer to making an alert.
pub(crate) fn answer(row: AlertRow) -> bellwether_core::protocol::AlertAnswer {
    bellwether_core::protocol::AlertAnswer {
        alert: AlertView::from(row),
        words: "When so.".to_owned(),
        warnings: Vec::new(),
    }
}

/// A daemon that has run for three days, and has mail that waits.
pub(crate) fn status() -> bellwether_core::protocol::Status {
    let text = r#"{"status":"ready","version":"0.1.0","simulated":false,"uptime_seconds":273600,"checks":{},"feeds":[],"protocol":1,
        "started":"2026-11-19T10:00:00Z","channels":[],"database":{"writable":true,"size_bytes":13107200,"alerts":7,"firings":1204},
        "queue":[{"channel":"email","waiting":3,"oldest_seconds":95}],"sessions":2,"resident_bytes":25165824}"#;
    serde_json::from_str(text).expect("a status")
}
