//! Whatever comes, in whatever order: random keys, mouse, resizes, server messages, disconnects, answers and settings. Never a panic, and
//! the screen that was changed bit by bit is the one that is drawn afresh.
//!
//! A few thousand steps each time; with `CI=true` a hundred thousand, with `BELLWETHER_STEPS` any number. `BELLWETHER_SEED` chooses another
//! walk; a failure names the seed and the last steps.

use std::collections::VecDeque;

use bellwether_core::{
    alert::AlertState,
    config::{
        Dashboard,
        dashboard::{Column, Graphs, Theme, UpColor},
    },
    event::{Event, FeedState, FeedStatus},
    instrument::FeedId,
    protocol::{Candles, Problem, ServerFrame},
    time::Span,
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::{
    Terminal,
    backend::{Backend as _, TestBackend},
    buffer::Buffer,
    style::Style,
};
use unicode_width::UnicodeWidthStr;

use super::draw;
use crate::{
    app::{
        App, Effect, Message, Reply,
        fixture::{self, alert, firing, price, ticker, walk},
        update,
    },
    client::{ApiError, stream::StreamMessage},
    rescue::Rescued,
};

/// A number that follows from the one before (xorshift, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % u64::try_from(end.max(1)).expect("small")).expect("small")
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn small(&mut self, end: u16) -> u16 {
        u16::try_from(self.below(usize::from(end))).expect("small")
    }
}

const TEXTS: [&str; 12] = [
    "BTC > 61k once",
    "eth",
    "> 100",
    "+2% in 24h",
    "crypto or stale",
    "tech",
    "0.5 at 60000",
    "crosses up sma(20, 1d)",
    "\u{1b}[2J\u{202e}",
    "東京👩‍🚀",
    "a17",
    "99999999999999999999999999999",
];
const SYMBOLS: [&str; 8] = ["BTC", "ETH", "SOL", "AAPL", "EURUSD", "NOBODY", "SHIB", "GOLD"];
const PRICES: [&str; 8] = ["60412.5", "0.00000001", "0", "-37.63", "79228162514264337593", "1.0437", "61000", "142.87"];
const LINES: [&str; 6] = [
    "BTC > 60000 every 1h",
    "ETH in 2000..3000 each",
    "BTC/ETH > 20 once",
    "SOL -5% in 1h each",
    "AAPL crosses up 240 once via desktop",
    "BTC > 1 and ETH > 1 once",
];

fn key(chance: &mut Chance) -> Message {
    let named = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Delete,
        KeyCode::Backspace,
        KeyCode::F(1),
        KeyCode::F(2),
    ];
    let code = match chance.below(3) {
        0 => chance.one(&named),
        _ => KeyCode::Char(char::from(b' ' + u8::try_from(chance.below(95)).expect("ASCII"))),
    };
    let modifiers = match chance.below(12) {
        0 => KeyModifiers::CONTROL,
        1 => KeyModifiers::SHIFT,
        2 => KeyModifiers::ALT,
        _ => KeyModifiers::NONE,
    };
    Message::Key(KeyEvent::new(code, modifiers))
}

fn mouse(chance: &mut Chance, size: (u16, u16)) -> Message {
    let button = chance.one(&[MouseButton::Left, MouseButton::Left, MouseButton::Right, MouseButton::Middle]);
    let kind = chance.one(&[
        MouseEventKind::Down(button),
        MouseEventKind::Down(button),
        MouseEventKind::Up(button),
        MouseEventKind::Drag(button),
        MouseEventKind::Moved,
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
    ]);
    let (column, row) = (chance.small(size.0.saturating_add(2)), chance.small(size.1.saturating_add(2)));
    Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
}

fn server(chance: &mut Chance, app: &App) -> Message {
    let state = chance.one(&[AlertState::Armed, AlertState::Paused, AlertState::Cooling, AlertState::Done]);
    let number = i64::try_from(chance.below(30)).expect("small") + 1;
    let event = match chance.below(8) {
        0..=3 => {
            let mut ticker = ticker(chance.one(&SYMBOLS), "1", "0");
            (ticker.price, ticker.as_of) = (price(chance.one(&PRICES)), app.now);
            if chance.below(4) == 0 {
                (ticker.reference, ticker.high, ticker.low, ticker.change_24h_pct) = (None, None, None, None);
            }
            Event::Price(ticker)
        }
        4 => Event::AlertPut(alert(number, chance.one(&LINES), state)),
        5 => Event::Fired(firing(number, u32::try_from(chance.below(9)).expect("small"), chance.one(&TEXTS))),
        6 => Event::Feed(FeedStatus {
            feed: chance.one(&[FeedId::Coinbase, FeedId::Yahoo, FeedId::Tape]),
            state: chance.one(&[FeedState::Live, FeedState::BackingOff, FeedState::Off]),
            instruments: 3,
            since: app.now,
            next_attempt: (chance.below(2) == 0).then(|| app.now.plus(Span::from_seconds(9))),
            trouble: (chance.below(2) == 0).then(|| chance.one(&TEXTS).to_owned()),
        }),
        _ => Event::AlertDeleted {
            id: bellwether_core::alert::AlertId(number),
            owner: bellwether_core::alert::UserId::OWNER,
            version: 1,
        },
    };
    // Mostly the next event, now and then one too far or one that was there already.
    let gap = chance.one(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0]);
    fixture::server(ServerFrame::from_event(app.board.seq() + gap, event))
}

fn connection(chance: &mut Chance, app: &App) -> Message {
    match chance.below(3) {
        0 => Message::Server(Box::new(StreamMessage::Lost {
            reason: chance.one(&TEXTS).to_owned(),
            retry_at: app.now.plus(Span::from_seconds(3)),
        })),
        1 => fixture::connected(),
        _ => {
            let prices = SYMBOLS.iter().take(chance.below(9)).map(|s| ticker(s, chance.one(&PRICES), "1")).collect();
            let alerts = (1..4).map(|n| alert(n, chance.one(&LINES), AlertState::Armed)).collect();
            fixture::snapshot_of(prices, alerts, Vec::new())
        }
    }
}

fn settings(chance: &mut Chance) -> Message {
    if chance.below(5) == 0 {
        return Message::Settings(Box::new(Err("config.toml:3:1: no".to_owned())));
    }
    let columns = Column::ALL.iter().copied().filter(|_| chance.below(3) > 0).collect();
    let symbols = SYMBOLS.iter().filter(|_| chance.below(2) == 0).map(|s| fixture::symbol(s)).collect();
    Message::Settings(Box::new(Ok(Dashboard {
        theme: chance.one(Theme::ALL),
        up_color: chance.one(UpColor::ALL),
        graphs: chance.one(Graphs::ALL),
        ascii: chance.below(4) == 0,
        hints: chance.below(4) == 0,
        columns,
        order: vec![fixture::symbol("SHIB")],
        watchlists: [("tech".to_owned(), symbols)].into(),
        ..Dashboard::default()
    })))
}

/// What the world answers to a wish, where it does so in this walk.
fn answer(chance: &mut Chance, effect: Effect) -> Option<Message> {
    let refused = || {
        let problem = Problem { status: 422, detail: "no\u{1b}[2J".to_owned(), ..Problem::default() };
        ApiError::Problem(Box::new(problem))
    };
    let fine = chance.below(3) > 0;
    let reply = match effect {
        Effect::FetchCandles(symbol, interval, before) if fine => {
            let items = walk(price(chance.one(&PRICES)), chance.below(300), interval);
            Reply::Candles(symbol, interval, before, Ok(Candles { symbol, interval, items }))
        }
        Effect::FetchCandles(symbol, interval, before) => Reply::Candles(symbol, interval, before, Err(refused())),
        Effect::Create(_) | Effect::Edit(..) if fine => {
            Reply::Saved(Ok(fixture::answer(alert(31, chance.one(&LINES), AlertState::Armed))))
        }
        Effect::Create(_) | Effect::Edit(..) => Reply::Saved(Err(refused())),
        Effect::Pause(id, paused) => Reply::Paused(id, paused, Err(refused())),
        Effect::Delete(id) if fine => Reply::Deleted(id, Ok(())),
        Effect::Delete(id) => Reply::Deleted(id, Err(refused())),
        Effect::FetchPast(line) => Reply::Past(line, Err(refused())),
        Effect::Search(name) => Reply::Searched(name, Err(refused())),
        Effect::SaveSettings(_) => Reply::SettingsSaved(Err("the disk is full".to_owned())),
        Effect::Rescue if fine => Reply::Rescued(Some(Rescued::Again { times: 1, words: "killed".to_owned() })),
        Effect::Rescue => Reply::Rescued(Some(Rescued::GivenUp { words: "killed".to_owned() })),
        Effect::StartDaemon => Reply::Started(Err("no".to_owned())),
        Effect::FetchChannels => Reply::Channels(Err(refused())),
        Effect::FetchStatus if fine => Reply::Status(Ok(Box::new(fixture::status()))),
        Effect::FetchStatus => Reply::Status(Err(refused())),
        _ => return None,
    };
    Some(Message::Reply(Box::new(reply)))
}

/// Column, row, text and style.
type Cell = (u16, u16, String, Style);

/// Blanks what wide characters cover, as a terminal does and the test's stand-in for one does not.
fn cover(backend: &mut TestBackend) {
    let buffer = backend.buffer();
    let mut covered = Vec::new();
    for y in 0..buffer.area.height {
        let mut left = 0;
        for x in 0..buffer.area.width {
            if left == 0 {
                left = buffer[(x, y)].symbol().width().saturating_sub(1);
            } else {
                left -= 1;
                covered.push((x, y));
            }
        }
    }
    let blank = ratatui::buffer::Cell::default();
    backend.draw(covered.into_iter().map(|(x, y)| (x, y, &blank))).expect("drawn");
}

/// What an eye sees: cells with their place and style, without those that a wide character covers.
fn visible(buffer: &Buffer) -> Vec<Cell> {
    let mut seen = Vec::new();
    for y in 0..buffer.area.height {
        let mut covered = 0;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            if covered == 0 {
                covered = cell.symbol().width().saturating_sub(1);
                seen.push((x, y, cell.symbol().to_owned(), cell.style()));
            } else {
                covered -= 1;
            }
        }
    }
    seen
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Says where the walk was when something panics.
struct Log {
    seed: u64,
    last: VecDeque<String>,
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = Vec::from(std::mem::take(&mut self.last)).join("\n");
            crate::out::note(&format!("seed {}, the last steps:\n{steps}", self.seed));
        }
    }
}

#[test]
fn whatever_comes_nothing_panics_and_the_screen_is_the_one_drawn_afresh() {
    let whole = std::env::var("CI").is_ok_and(|v| v == "true");
    let steps = number("BELLWETHER_STEPS").unwrap_or(if whole { 100_000 } else { 2_000 });
    let seed = number("BELLWETHER_SEED").unwrap_or(0x0BE1_1E37).max(1);
    let (mut chance, mut log) = (Chance(seed), Log { seed, last: VecDeque::new() });
    let mut app = fixture::app();
    let mut size = (80, 24);
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a buffer");
    let mut waiting: VecDeque<Message> = VecDeque::new();
    for step in 0..steps {
        let message = match chance.below(100) {
            0..=44 => key(&mut chance),
            45..=56 => mouse(&mut chance, size),
            57..=59 => Message::Paste(chance.one(&TEXTS).to_owned()),
            60..=80 => server(&mut chance, &app),
            81..=82 => connection(&mut chance, &app),
            83 => settings(&mut chance),
            84..=91 => {
                Message::Frame(app.now.plus(Span::from_millis(i64::try_from(chance.below(3_000)).expect("few"))))
            }
            92..=94 => {
                let wide = chance.one(&[12, 40, 60, 90, 130]);
                size = (chance.small(wide) + 1, chance.small(45) + 1);
                terminal.backend_mut().resize(size.0, size.1);
                Message::Frame(app.now)
            }
            _ => waiting.pop_front().unwrap_or(Message::Frame(app.now)),
        };
        log.last.push_back(format!("{step}: {size:?} {message:?}").chars().take(400).collect());
        if log.last.len() > 12 {
            log.last.pop_front();
        }
        for effect in update(&mut app, message) {
            if let Effect::Redraw = effect {
                terminal.clear().expect("cleared");
            }
            waiting.extend(answer(&mut chance, effect).filter(|_| waiting.len() < 20));
        }
        let mut drawn = None;
        terminal.draw(|frame| drawn = Some(draw(&app, frame))).expect("drawn");
        cover(terminal.backend_mut());
        if step % 16 == 0 {
            let mut fresh = Terminal::new(TestBackend::new(size.0, size.1)).expect("a buffer");
            fresh.draw(|frame| drop(draw(&app, frame))).expect("drawn");
            let (old, new) = (visible(terminal.backend().buffer()), visible(fresh.backend().buffer()));
            let differs = old.iter().zip(&new).find(|(old, new)| old != new);
            let line = |cells: &[Cell], at: u16| -> String {
                cells.iter().filter(|(_, y, ..)| *y == at).map(|(_, _, symbol, _)| symbol.as_str()).collect()
            };
            let lines = differs.map(|((_, y, ..), _)| (line(&old, *y), line(&new, *y)));
            assert_eq!(differs, None, "step {step} at {size:?}: {lines:?}");
        }
        if let Some(super::Drawn { hits, page, plot }) = drawn {
            app.seen(hits, page, plot);
        }
    }
}
