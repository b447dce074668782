//! What the dashboard costs without a terminal: drawing, bytes, memory over a day, a key in the alert line.
//!
//! ```sh
//! BELLWETHER_MEASURE=1 cargo test --release -p bellwether --lib dashboard_figures -- --nocapture
//! ```
//!
//! Without the variable nothing is measured and nothing asserted: the figures stand in docs/performance.md. What needs a terminal
//! and a daemon is in `benches/dashboard.rs`.

use std::{
    fs,
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use bellwether_core::{
    alert::AlertState, catalog::Catalog, event::Ticker, price::Price, protocol::ServerFrame, time::Span,
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use rust_decimal::Decimal;

use crate::{
    app::{App, INTERVALS, Message, Screen, fixture, update},
    terminal::FrameBytes,
    view,
};

/// Instruments and alerts on the screen.
const INSTRUMENTS: usize = 50;
const ALERTS: i64 = 30;
/// Frames of each kind.
const FRAMES: usize = 400;
/// The updates of a day at 500 a second.
const DAY: u64 = 86_400 * 500;

type Screenful = Terminal<CrosstermBackend<FrameBytes>>;

fn screen(width: u16, height: u16) -> (Screenful, FrameBytes) {
    let bytes = FrameBytes::default();
    let area = Rect::new(0, 0, width, height);
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    (Terminal::with_options(CrosstermBackend::new(bytes.clone()), options).expect("a screen"), bytes)
}

/// Draws one frame; the bytes that a terminal would get.
fn frame(app: &mut App, (terminal, bytes): &mut (Screenful, FrameBytes)) -> usize {
    let mut seen = None;
    terminal.draw(|frame| seen = Some(view::draw(app, frame))).expect("drawn");
    let drawn = seen.expect("it was drawn");
    app.seen(drawn.hits, drawn.page, drawn.plot);
    let mut out = Vec::new();
    bytes.send(&mut out).expect("memory takes bytes");
    out.len()
}

fn tickers() -> Vec<Ticker> {
    let all = Catalog::builtin();
    let last = |n: usize| format!("{}.{:02}", 100 + n * 37, n % 100);
    all.instruments()
        .iter()
        .take(INSTRUMENTS)
        .enumerate()
        .map(|(n, i)| fixture::ticker(i.symbol.as_str(), &last(n), "0.5"))
        .collect()
}

/// A dashboard with fifty instruments and thirty alerts on the one that is selected.
fn dashboard() -> (App, Vec<Ticker>) {
    let mut app = fixture::empty();
    let tickers = tickers();
    let first = tickers[0].symbol;
    let rows = (1..=ALERTS)
        .map(|n| fixture::alert(n, &format!("{first} > {} every 1h", 100 + n), AlertState::Armed))
        .collect();
    fixture::feed(&mut app, [fixture::connected(), fixture::snapshot_of(tickers.clone(), rows, Vec::new())]);
    // Bars of the instrument that is looked at, small pictures of all.
    for interval in INTERVALS {
        app.market.set_bars(first, interval, Ok(fixture::walk(tickers[0].price, 288, interval)));
    }
    for ticker in &tickers {
        let day = fixture::walk(ticker.price, 48, Span::from_seconds(1_800));
        app.market.set_spark(ticker.symbol, day.into_iter().map(|c| c.close).collect());
    }
    app.look.animations = false;
    (app, tickers)
}

/// The next price of an instrument, at the dashboard's own time.
fn moved(app: &App, ticker: &Ticker, n: u64) -> Message {
    let step = Decimal::new(i64::try_from(n % 97).expect("small") - 48, 2);
    let price = Price::new(ticker.price.decimal() + step);
    fixture::server(ServerFrame::Price {
        seq: app.board.seq() + 1,
        ticker: Ticker { price, as_of: app.now, received: app.now, ..ticker.clone() },
    })
}

fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("told");
}

fn say(what: &str, taken: &mut [Duration], to_reach: &str) {
    taken.sort();
    let at = |share: usize| taken[(taken.len() - 1) * share / 100].as_secs_f64() * 1_000.0;
    tell(&format!("{what}: p50 {:.3} ms, p99 {:.3} ms (to reach: {to_reach})", at(50), at(99)));
}

fn drawing() {
    for (width, height, to_reach) in [(120, 40, "1.5 ms"), (200, 60, "2.5 ms"), (300, 90, "4 ms")] {
        for (name, which) in [("watch", Screen::Watch), ("chart", Screen::Chart), ("alerts", Screen::Alerts)] {
            let (mut app, tickers) = dashboard();
            app.screen = which;
            let mut screen = screen(width, height);
            frame(&mut app, &mut screen);
            let mut taken = Vec::new();
            for n in 0..FRAMES {
                for ticker in &tickers {
                    let message = moved(&app, ticker, n as u64);
                    drop(update(&mut app, message));
                }
                let at = Instant::now();
                black_box(frame(&mut app, &mut screen));
                taken.push(at.elapsed());
            }
            say(&format!("draw and diff, {name}, {width}x{height}, all rows moved"), &mut taken, to_reach);
        }
    }
}

fn bytes() {
    let (mut app, tickers) = dashboard();
    let mut screen = screen(120, 40);
    tell(&format!("bytes of a full draw at 120x40: {} (to reach: 13,000)", frame(&mut app, &mut screen)));
    tell(&format!("bytes when nothing changed: {} (to reach: 0)", frame(&mut app, &mut screen)));
    // Not the selected one, whose chart moves with it.
    let mut most = |count: usize, from: usize| {
        let mut all: Vec<usize> = (0..100)
            .map(|n| {
                for ticker in &tickers[from..from + count] {
                    let message = moved(&app, ticker, n);
                    drop(update(&mut app, message));
                }
                frame(&mut app, &mut screen)
            })
            .collect();
        all.sort_unstable();
        (all[50], all[99])
    };
    let (one, all) = (most(1, 3), most(INSTRUMENTS, 0));
    tell(&format!("bytes for one row: {} in the middle, {} at most (to reach: 200)", one.0, one.1));
    tell(&format!("bytes for all rows: {} in the middle, {} at most (to reach: 7,000)", all.0, all.1));
}

fn preview() {
    let (mut app, _) = dashboard();
    let mut screen = screen(120, 40);
    frame(&mut app, &mut screen);
    let key = |c| Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    let (mut computing, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        drop(update(&mut app, key('a')));
        for c in "crosses up 61k via desktop every 1h note \"take some off\"".chars() {
            let at = Instant::now();
            black_box(update(&mut app, key(c)));
            computing.push(at.elapsed());
            frame(&mut app, &mut screen);
            whole.push(at.elapsed());
        }
        app.overlay = None;
    }
    say("a key in the alert line, understood", &mut computing, "1 ms");
    say("a key in the alert line, drawn too", &mut whole, "30 ms");
}

fn a_day() {
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).map(str::to_owned).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    let (mut app, tickers) = dashboard();
    let mut screen = screen(120, 40);
    frame(&mut app, &mut screen);
    let (start, at) = (resident(), Instant::now());
    let (mut sizes, mut updating) = (Vec::new(), Duration::ZERO);
    for n in 0..DAY {
        let message = moved(&app, &tickers[usize::try_from(n).expect("64 bit") % INSTRUMENTS], n);
        let before = Instant::now();
        drop(update(&mut app, message));
        updating += before.elapsed();
        // Fifty a frame would be ten a second; one in a hundred of those is drawn.
        if n % 500 == 499 {
            let second = app.now.plus(Span::from_seconds(1));
            drop(update(&mut app, Message::Frame(second)));
        }
        if n % 50_000 == 0 {
            frame(&mut app, &mut screen);
        }
        if n % (DAY / 8) == DAY / 8 - 1 {
            sizes.push(format!("{:+.2}", resident() - start));
        }
    }
    tell(&format!(
        "a day at 500 updates/s in {:.0} s, {} ns an update: resident {start:.1} MiB in this test, and each three hours {} MiB (to reach: no trend)",
        at.elapsed().as_secs_f64(),
        updating.as_nanos() / u128::from(DAY),
        sizes.join(" ")
    ));
}

#[test]
fn dashboard_figures() {
    if std::env::var_os("BELLWETHER_MEASURE").is_none() {
        return;
    }
    drawing();
    bytes();
    preview();
    a_day();
}
