//! The screens as tests: drawn into a buffer at fixed sizes, with a market that stands still.

use bellwether_core::{
    backtest::{BacktestAnswer, BacktestSummary},
    firing::Told,
    time::Span,
};
use crossterm::event::{KeyCode, MouseButton, MouseEvent, MouseEventKind};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::app::{
    App, Look, Message, Reply, Screen, ThemeName,
    fixture::{self, press, types},
};

fn buffer(app: &App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
    terminal.draw(|frame| drop(draw(app, frame))).expect("drawn");
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let lines: Vec<String> = (0..buffer.area.height)
        .map(|y| {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                    skip = symbol.width().saturating_sub(1);
                } else {
                    skip -= 1;
                }
            }
            line.trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

fn shot(app: &App, width: u16, height: u16) -> String {
    text(&buffer(app, width, height))
}

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

/// Every screen and overlay, by name.
fn pictures() -> Vec<(&'static str, App)> {
    let with = |change: &dyn Fn(&mut App)| {
        let mut app = fixture::app();
        change(&mut app);
        app
    };
    vec![
        ("watch", fixture::app()),
        ("chart", with(&|app| app.screen = Screen::Chart)),
        ("alerts", with(&|app| app.screen = Screen::Alerts)),
        ("history", with(&|app| app.screen = Screen::History)),
        ("health", with(&|app| app.screen = Screen::Health)),
        ("entry_good", with(&|app| drop(types(app, "acrosses up 61k via desktop,email every 1h")))),
        ("entry_bad", with(&|app| drop(types(app, "aaccross 61k once")))),
        ("form", with(&|app| drop((types(app, "acrosses up 61k every 1h"), press(app, KeyCode::F(2)))))),
        ("help", with(&|app| drop(types(app, "?")))),
        ("find", with(&|app| drop(types(app, "/eth")))),
        ("explain", with(&|app| drop(types(app, "w")))),
        ("snooze", with(&|app| drop(types(app, "3z")))),
        ("line", with(&|app| drop((types(app, "2"), press(app, KeyCode::Tab))))),
        ("studies", with(&|app| drop(types(app, "2ciiiii")))),
        (
            "lost",
            with(&|app| {
                let lost = crate::client::stream::StreamMessage::Lost {
                    reason: "nobody listens there".to_owned(),
                    retry_at: app.now.plus(bellwether_core::time::Span::from_seconds(4)),
                };
                fixture::feed(app, [Message::Server(Box::new(lost))]);
            }),
        ),
        ("empty", fixture::empty()),
        ("palette", with(&|app| drop(types(app, ":al")))),
        (
            "menu",
            with(&|app| {
                let palette = crate::app::palette::Palette::menu(app, (30, 9));
                app.overlay = Some(Overlay::Palette(Box::new(palette)));
            }),
        ),
        ("settings", with(&|app| drop(types(app, ",")))),
        ("filter", with(&|app| drop(types(app, "f> 100 and alerts")))),
        ("filter_wrong", with(&|app| drop(types(app, "fcrosses 5")))),
        ("order", with(&|app| drop(types(app, "o")))),
        ("first_run", with(&|app| app.settings.hints = true)),
        (
            "holdings",
            with(&|app| {
                types(app, "H0.25 at 41200.50");
                press(app, KeyCode::Enter);
                types(app, "/aapl");
                press(app, KeyCode::Enter);
                types(app, "H12 at 240");
                press(app, KeyCode::Enter);
            }),
        ),
        (
            "everywhere",
            with(&|app| {
                types(app, "/wif");
                press(app, KeyCode::Enter);
                let listing = |ticker: &str, name: &str, rank, feed| bellwether_core::protocol::Listing {
                    ticker: ticker.to_owned(),
                    name: name.to_owned(),
                    class: None,
                    exchange: None,
                    currency: None,
                    feed,
                    code: name.to_owned(),
                    rank,
                    known: None,
                };
                let items = vec![
                    listing("WIF", "dogwifhat", Some(120), bellwether_core::instrument::FeedId::Coingecko),
                    listing("WIFI", "WiFi Map", Some(2210), bellwether_core::instrument::FeedId::Coingecko),
                    listing("WIF-USD", "dogwifhat USD", None, bellwether_core::instrument::FeedId::Yahoo),
                ];
                let troubles = vec!["kraken: too many requests, try again in 20s".to_owned()];
                let answer = bellwether_core::protocol::SearchAnswer { items, troubles };
                let reply = Reply::Searched("wif".to_owned(), Ok(answer));
                fixture::feed(app, [Message::Reply(Box::new(reply))]);
            }),
        ),
    ]
}

#[test]
fn the_screens_look_as_they_did() {
    let shown = [
        "watch",
        "chart",
        "line",
        "alerts",
        "history",
        "health",
        "entry_good",
        "entry_bad",
        "form",
        "help",
        "find",
        "explain",
        "lost",
        "empty",
        "palette",
        "menu",
        "settings",
        "filter",
        "filter_wrong",
        "order",
        "first_run",
        "holdings",
        "everywhere",
    ];
    for (name, app) in pictures().into_iter().filter(|(name, _)| shown.contains(name)) {
        for (w, h) in SIZES {
            insta::assert_snapshot!(format!("{name}_{w}x{h}"), shot(&app, w, h));
        }
    }
}

/// The looks a screen can have, by name.
fn looks() -> Vec<(String, Look)> {
    let mut looks: Vec<(String, Look)> = ThemeName::ALL
        .iter()
        .map(|theme| (theme.as_str().to_owned(), Look { theme: *theme, ..Look::default() }))
        .collect();
    looks.push(("red for a rise".to_owned(), Look { up_is_red: true, ..Look::default() }));
    looks.push(("NO_COLOR".to_owned(), Look { no_color: true, ..Look::default() }));
    looks
}

/// The styles of a screen in every look: a letter for each, what it is in each look, and line by line how many columns have which.
fn styles(app: &mut App, width: u16, height: u16) -> String {
    let looks = looks();
    let drawn = |look: Look, app: &mut App| {
        app.look = look;
        buffer(app, width, height)
    };
    let buffers: Vec<Buffer> = looks.iter().map(|(_, look)| drawn(*look, app)).collect();
    let mut known: Vec<Vec<ratatui::style::Style>> = Vec::new();
    let mut lines = Vec::new();
    let letter = |place: usize| char::from(*LETTERS.get(place).expect("not so many styles"));
    for y in 0..height {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for x in 0..width {
            let style: Vec<_> = buffers.iter().map(|buffer| buffer[(x, y)].style()).collect();
            let place = known.iter().position(|k| *k == style).unwrap_or_else(|| {
                known.push(style);
                known.len() - 1
            });
            match runs.last_mut() {
                Some((last, count)) if *last == place => *count += 1,
                _ => runs.push((place, 1)),
            }
        }
        let words: Vec<String> = runs.into_iter().map(|(place, count)| format!("{}{count}", letter(place))).collect();
        lines.push(words.join(" "));
    }
    let colour = |c: Option<ratatui::style::Color>| c.map_or("-".to_owned(), |c| c.to_string());
    let mut all = vec![format!("{width}x{height}")];
    for (number, (name, _)) in looks.iter().enumerate() {
        let legend = known.iter().enumerate().map(|(place, style)| {
            let style = style[number];
            let more = if style.add_modifier.is_empty() { String::new() } else { format!(" {:?}", style.add_modifier) };
            format!("{} {}/{}{more}", letter(place), colour(style.fg), colour(style.bg))
        });
        all.push(format!("= {name}: {}", legend.collect::<Vec<_>>().join(", ")));
    }
    all.extend(lines);
    all.join("\n")
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

#[test]
fn every_theme_colours_every_screen_as_it_did_at_every_size() {
    for (name, mut app) in pictures() {
        let all: Vec<String> = SIZES.iter().map(|&(w, h)| styles(&mut app, w, h)).collect();
        insta::assert_snapshot!(format!("colours_{name}"), all.join("\n\n"));
    }
}

#[test]
fn every_screen_in_ascii_looks_as_it_did() {
    let shown = ["watch", "chart", "alerts", "history", "health", "settings"];
    for (name, mut app) in pictures().into_iter().filter(|(name, _)| shown.contains(name)) {
        app.look = Look { ascii: true, ..Look::default() };
        for (w, h) in SIZES {
            insta::assert_snapshot!(format!("ascii_{name}_{w}x{h}"), shot(&app, w, h));
        }
    }
}

#[test]
fn every_look_shows_the_same_words_at_every_size() {
    for (name, mut app) in pictures() {
        for (w, h) in SIZES {
            app.look = Look::default();
            // The settings say which theme is on.
            let plain = shot(&app, w, h);
            for (theme, look) in looks() {
                app.look = look;
                assert_eq!(shot(&app, w, h), plain, "{name} in {theme} at {w}x{h}");
            }
        }
    }
}

#[test]
fn every_size_is_drawn_without_a_panic_and_never_blank() {
    let pictures = pictures();
    let mut turn = 0;
    for w in 1..=200 {
        for h in 1..=60 {
            let small = w <= 22 && h <= 9;
            let coarse = w % 41 == 0 && h % 13 == 0;
            let all = small || coarse;
            let first = if all { 0 } else { turn % pictures.len() };
            let count = if all { pictures.len() } else { 1 };
            turn += 1;
            for (name, app) in &pictures[first..first + count] {
                let drawn = buffer(app, w, h);
                assert!(drawn.content().iter().any(|c| c.symbol() != " "), "{name} is blank at {w}x{h}");
            }
        }
    }
}

#[test]
fn simulated_prices_are_called_so_at_every_size_and_on_every_screen() {
    let firing = fixture::firing(9, 1, "BTC fell below 58,000");
    let event = bellwether_core::protocol::ServerFrame::from_event(2, bellwether_core::event::Event::Fired(firing));
    for (name, mut app) in pictures() {
        app.simulated = true;
        fixture::feed(&mut app, [fixture::server(event.clone())]);
        let sizes = [20, 23, 31, 35, 36, 40, 52, 69].into_iter().flat_map(|w| [4, 7, 12].map(|h| (w, h)));
        for (w, h) in sizes.chain([70, 80, 90, 100, 120, 200].map(|w| (w, 24))) {
            for (screen, unseen) in Screen::ALL.into_iter().zip([0, 7, 12, 345, 99_999]) {
                (app.screen, app.unseen) = (screen, unseen);
                let shown = shot(&app, w, h);
                let first = shown.lines().next().unwrap_or_default();
                let mark = if w >= 80 && unseen < 10 || w >= 100 { " SIMULATED " } else { " SIM" };
                assert!(first.contains(mark), "{name} {screen:?} {w}x{h}: {first:?}");
            }
        }
    }
    let mut app = fixture::app();
    (app.simulated, app.screen) = (true, Screen::Alerts);
    let shown = shot(&app, 40, 12);
    assert!(shown.starts_with("1 2  Alerts 4 5     SIMULATED  14:02:11"), "{shown}");
}

#[test]
fn a_recording_that_is_played_is_called_so() {
    let mut app = fixture::app();
    app.simulated = true;
    let mut status = app.board.feeds().next().expect("a feed").clone();
    status.feed = bellwether_core::instrument::FeedId::Tape;
    let event = bellwether_core::event::Event::Feed(status);
    let seq = app.board.seq() + 1;
    fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(seq, event))]);
    for (w, h) in [(24, 7), (80, 24), (200, 60)] {
        let shown = shot(&app, w, h);
        let first = shown.lines().next().unwrap_or_default();
        assert!(first.contains("TAPE") && !first.contains("SIM"), "{w}x{h}: {first:?}");
    }
}

#[test]
fn after_shrinking_and_growing_the_screen_is_as_before() {
    for (name, app) in pictures() {
        let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a buffer");
        for (w, h) in [(120, 40), (30, 7), (1, 1), (200, 60), (120, 40)] {
            terminal.backend_mut().resize(w, h);
            terminal.draw(|frame| drop(draw(&app, frame))).expect("drawn");
        }
        assert_eq!(text(terminal.backend().buffer()), shot(&app, 120, 40), "{name}");
    }
}

/// What nobody should be able to write onto somebody's screen.
const EVIL: &str = "a\u{1b}]52;c;QUFB\u{7}\u{9b}2J\u{202e}cba\u{200b}\r\n👩‍🚀東京👨‍👩‍👧 tail";

#[test]
fn evil_text_from_outside_stays_text() {
    let mut app = fixture::app();
    let mut row = fixture::alert(30, "BTC > 1", bellwether_core::alert::AlertState::Armed);
    row.alert.rule.note = Some(EVIL.to_owned());
    let mut firing = fixture::firing(30, 1, EVIL);
    let told = (*firing.told()).clone();
    firing.story = Told { note: Some(EVIL.to_owned()), rule: EVIL.to_owned(), ..told }.into();
    let feed = bellwether_core::event::FeedStatus {
        feed: bellwether_core::instrument::FeedId::Yahoo,
        state: bellwether_core::event::FeedState::BackingOff,
        instruments: 1,
        since: app.now,
        next_attempt: None,
        trouble: Some(EVIL.to_owned()),
    };
    let events = [
        bellwether_core::event::Event::AlertPut(row),
        bellwether_core::event::Event::Fired(firing),
        bellwether_core::event::Event::Feed(feed),
    ];
    for (event, seq) in events.into_iter().zip(2..) {
        fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(seq, event))]);
    }
    let mut instrument = bellwether_core::instrument::Instrument::unlisted(fixture::symbol("BTC"));
    instrument.name = EVIL.to_owned();
    app.catalog.add(instrument);
    for screen in Screen::ALL {
        app.screen = screen;
        for overlay in ["", "a", "/", "w", "?"] {
            let mut app = fixture::app_like(&app);
            drop(types(&mut app, overlay));
            fixture::feed(&mut app, [Message::Paste(EVIL.to_owned())]);
            for (w, h) in [(40, 12), (80, 24), (120, 40), (200, 60)] {
                let buffer = buffer(&app, w, h);
                for cell in buffer.content() {
                    let c = cell.symbol();
                    let raw = c.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}'));
                    assert!(!raw, "{screen:?} {overlay:?} {w}x{h}: {c:?}");
                }
                let shown = text(&buffer);
                let wide = shown.lines().find(|line| line.width() > usize::from(w));
                assert_eq!(wide, None, "{screen:?} {overlay:?} {w}x{h}");
            }
        }
    }
    let history = {
        app.screen = Screen::History;
        shot(&app, 120, 40)
    };
    let frame = history.lines().find(|line| line.contains("a\u{fffd}]52")).expect("the evil reason is shown");
    assert!(frame.width() == 120 && frame.ends_with('│'), "columns stay straight: {frame:?}");
}

#[test]
fn without_colour_and_in_ascii_everything_can_still_be_told() {
    let mut app = fixture::app();
    app.look = Look { ascii: true, no_color: true, ..Look::default() };
    for screen in Screen::ALL {
        app.screen = screen;
        let buffer = buffer(&app, 120, 40);
        assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
        assert!(!text(&buffer).contains('?') || screen == Screen::Watch || text(&buffer).matches('?').count() <= 2);
        let coloured = buffer.content().iter().find(|c| {
            let reset = ratatui::style::Color::Reset;
            c.fg != reset || c.bg != reset
        });
        assert_eq!(coloured, None);
    }
    app.screen = Screen::Watch;
    let watch = shot(&app, 120, 40);
    assert!(watch.contains("^ +1.36") && watch.contains("v -0.42") && watch.contains("STALE 14m"), "{watch}");
}

#[test]
fn an_old_price_is_never_shown_as_live() {
    let mut app = fixture::app();
    let later = app.now.plus(bellwether_core::time::Span::from_seconds(600));
    fixture::feed(&mut app, [Message::Frame(later)]);
    let shown = shot(&app, 120, 40);
    assert!(shown.contains("● 0 live"), "{shown}");
    assert!(shown.lines().any(|l| l.contains("BTC") && l.contains("STALE 10m")), "{shown}");
    let small = shot(&app, 40, 12);
    assert!(small.lines().any(|l| l.contains("BTC ◐")), "{small}");
    assert!(shot(&app, 19, 3).contains("!BTC"));
}

#[test]
fn a_cooldown_does_not_outlive_its_end_while_the_daemon_is_away() {
    let mut app = fixture::app();
    let retry_at = app.now.plus(bellwether_core::time::Span::from_seconds(4));
    let reason = "nobody listens there".to_owned();
    let lost = crate::client::stream::StreamMessage::Lost { reason, retry_at };
    fixture::feed(&mut app, [Message::Server(Box::new(lost))]);
    types(&mut app, "3jj");
    let before = shot(&app, 120, 40);
    assert!(before.contains("a18   ◐ cooling 12m ") && before.contains("stays silent"), "{before}");
    for seconds in [720, 3_600] {
        let later = fixture::noon().plus(bellwether_core::time::Span::from_seconds(seconds));
        fixture::feed(&mut app, [Message::Frame(later)]);
        let after = shot(&app, 120, 40);
        assert!(after.contains("a18   ◐ cooling over ") && !after.contains("stays silent"), "{after}");
        assert!(after.contains("state      ◐ cooling over · has fired;"), "{after}");
    }
}

#[test]
fn why_is_asked_in_words_that_suit_the_alert() {
    for (keys, title) in [("3w", " a9: why not fired "), ("3jjw", " a18: why ─"), ("3jjjjjw", " a23: why ─")] {
        let mut app = fixture::app();
        types(&mut app, keys);
        let shown = shot(&app, 80, 24);
        assert!(shown.contains(title), "{shown}");
    }
}

#[test]
fn what_stands_in_the_way_of_an_alert_is_said_first() {
    for (keys, words) in [
        ("3w", "The price has to fall 3.99 % to 58,000 first."),
        ("3jjw", "It fired, and its cooldown lasts 12m more."),
        ("3jjjjw", "It is paused: nothing can fire until it is resumed."),
        ("3jjjjjw", "It was to fire once, and has."),
    ] {
        let mut app = fixture::app();
        types(&mut app, keys);
        assert!(shot(&app, 80, 24).contains(words), "{}", shot(&app, 80, 24));
    }
    let mut app = fixture::app();
    let row = fixture::alert(50, "ADA > 1", bellwether_core::alert::AlertState::Armed);
    let event = bellwether_core::event::Event::AlertPut(row);
    fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(2, event))]);
    types(&mut app, "3Gw");
    assert!(shot(&app, 80, 24).contains("The price of ADA is 14m old and judges nothing"), "{}", shot(&app, 80, 24));
}

#[test]
fn the_heading_of_the_alerts_stands_over_its_columns() {
    let mut app = fixture::app();
    types(&mut app, "3");
    let shown = shot(&app, 200, 40);
    let heading = shown.lines().find(|line| line.contains("State")).expect("a heading");
    let line = shown.lines().find(|line| line.contains("a18 ")).expect("an alert");
    let end = |line: &str, word: &str| line.find(word).map(|at| line[..at].chars().count() + word.chars().count());
    assert_eq!(end(heading, "Fired"), end(line, "4x"), "{shown}");
    assert_eq!(end(heading, "To go"), end(line, "-0.68%↓"), "{shown}");
}

#[test]
fn a_delivery_that_is_about_to_be_tried_again_is_due() {
    let mut app = fixture::app();
    types(&mut app, "4");
    assert!(shot(&app, 120, 40).contains("retry, 2 attempts, next in 32s"), "{}", shot(&app, 120, 40));
    for seconds in [32, 60] {
        let later = fixture::noon().plus(bellwether_core::time::Span::from_seconds(seconds));
        fixture::feed(&mut app, [Message::Frame(later)]);
        assert!(shot(&app, 120, 40).contains("retry, 2 attempts, due now"), "{}", shot(&app, 120, 40));
    }
}

#[test]
fn the_help_is_not_cut_where_there_is_room() {
    for (w, h) in [(80, 24), (100, 30), (120, 40), (200, 60)] {
        let mut app = fixture::app();
        types(&mut app, "?");
        let mut shown = String::new();
        for _ in 0..40 {
            shown.push_str(&shot(&app, w, h));
            press(&mut app, KeyCode::PageDown);
        }
        for binding in crate::app::keymap::KEYMAP {
            assert!(
                shown.contains(&format!("  {}  ", binding.help)) || shown.contains(&format!("  {} │", binding.help)),
                "{w}x{h}: {}",
                binding.help
            );
        }
    }
}

/// The Chart screen after these keys, at 120x40, with what the frame tells the dashboard.
fn charted(keys: &[KeyCode]) -> (App, String) {
    let mut app = fixture::app();
    app.screen = Screen::Chart;
    let look = |app: &mut App| {
        let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a buffer");
        let mut drawn = None;
        terminal.draw(|frame| drawn = Some(draw(app, frame))).expect("drawn");
        let Drawn { hits, page, plot } = drawn.expect("drawn");
        app.seen(hits, page, plot);
        text(terminal.backend().buffer())
    };
    look(&mut app);
    for key in keys {
        press(&mut app, *key);
        look(&mut app);
    }
    let shown = look(&mut app);
    (app, shown)
}

fn chars(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

#[test]
fn the_crosshair_tells_the_values_of_its_bar() {
    let (app, shown) = charted(&[KeyCode::Left, KeyCode::Left, KeyCode::Up]);
    let bar = app.cross_bar().expect("a bar");
    let line = shown.lines().nth(3).expect("a line");
    assert!(line.contains(&format!("C {}", format::price(bar.close))), "{shown}");
    assert!(line.contains(" O ") && line.contains(" H ") && line.contains(" L "), "{line}");
    assert!(shown.contains('┼'), "{shown}");
    let (app, shown) = charted(&[KeyCode::Left, KeyCode::Esc]);
    assert!(app.screen == Screen::Chart && !shown.contains('┼'), "Esc puts it away first");
}

#[test]
fn the_chart_is_pulled_along_by_the_mouse_and_never_beyond_what_there_is() {
    let (mut app, _) = charted(&[]);
    let at = |kind, column| {
        Message::Mouse(MouseEvent { kind, column, row: 10, modifiers: crossterm::event::KeyModifiers::NONE })
    };
    let columns: Vec<u16> = app.chart.plot.bars.iter().map(|(_, column)| *column).collect();
    let (from, to) = (columns[columns.len() - 40], columns[columns.len() - 10]);
    let (left, dragged) = (MouseButton::Left, MouseEventKind::Drag(MouseButton::Left));
    fixture::feed(&mut app, [at(MouseEventKind::Down(left), from), at(dragged, to)]);
    let back = app.chart.back;
    assert!(back >= 30, "thirty bars back: {back}");
    fixture::feed(&mut app, [at(dragged, from)]);
    assert_eq!(app.chart.back, 0, "and on again");
    fixture::feed(&mut app, [at(dragged, columns[0])]);
    assert_eq!(app.chart.back, 0, "no further than the newest");
}

#[test]
fn the_wheel_zooms_around_the_pointer() {
    let (mut app, _) = charted(&[]);
    let at = |app: &App, column: u16| {
        let bars = &app.chart.plot.bars;
        bars.partition_point(|(_, x)| *x <= column).checked_sub(1).map(|place| bars[place].0)
    };
    let look = |app: &mut App| {
        let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a buffer");
        for _ in 0..2 {
            let mut drawn = None;
            terminal.draw(|frame| drawn = Some(draw(app, frame))).expect("drawn");
            let drawn = drawn.expect("drawn");
            app.seen(drawn.hits, drawn.page, drawn.plot);
        }
    };
    look(&mut app);
    let column = app.chart.plot.bars[app.chart.plot.bars.len() / 2].1;
    let before = at(&app, column).expect("a bar");
    let wheel =
        |kind| Message::Mouse(MouseEvent { kind, column, row: 12, modifiers: crossterm::event::KeyModifiers::NONE });
    fixture::feed(&mut app, [wheel(MouseEventKind::ScrollUp)]);
    assert_eq!(app.chart.zoom, 1);
    look(&mut app);
    let after = at(&app, column).expect("a bar");
    let hour = Span::from_seconds(3_600);
    assert!(after.since(before) <= hour && before.since(after) <= hour, "{before} and {after}");
    assert!(app.chart.back > 0, "the newest bars have gone out of sight");
}

#[test]
fn a_new_line_stands_where_the_crosshair_was_and_says_the_same_number_everywhere() {
    let mut keys = vec![KeyCode::Left; 3];
    keys.extend([KeyCode::Up; 6]);
    keys.push(KeyCode::Char('A'));
    let (app, shown) = charted(&keys);
    let Some(Overlay::Level(draft)) = &app.overlay else { panic!("no line in the hand") };
    let level = format::level(draft.level);
    assert!(shown.contains(&format!("crosses up {}", draft.level)), "{shown}");
    assert!(shown.lines().any(|line| line.contains("new > ") && line.contains(&level)), "{level} on the axis: {shown}");
    assert!(shown.contains("last 30 days: counting"), "{shown}");
}

#[test]
fn ranges_styles_indicators_and_a_comparison_are_drawn() {
    for (keys, words) in [
        (chars("t"), "1W"),
        (chars("T"), "4H"),
        (chars("c"), "line"),
        (chars("cc"), "area"),
        (chars("i"), "sma(20"),
        (chars("iiii"), "RSI 14  "),
        (chars("="), "zoomed in"),
        (chars("_"), "zoomed out"),
        (chars("<<"), "up to "),
    ] {
        let (_, shown) = charted(&keys);
        assert!(shown.contains(words), "{keys:?}: {shown}");
    }
    let mut keys = chars("Ceth");
    keys.push(KeyCode::Enter);
    let (app, shown) = charted(&keys);
    assert_eq!(app.chart.compare, Some(fixture::symbol("ETH")));
    assert!(shown.contains("with ETH") && shown.contains("ETH ") && shown.contains("0.00 %"), "{shown}");
    keys.push(KeyCode::Char('C'));
    assert_eq!(charted(&keys).0.chart.compare, None);
}

#[test]
fn a_picture_of_the_past_stands_still_while_new_bars_come() {
    let (mut app, before) = charted(&chars("<<"));
    let from = app.bars().and_then(|bars| bars.items.last()).expect("a bar").to;
    for minutes in [1, 6, 11] {
        let mut ticker = fixture::ticker("BTC", "60500", "1.4");
        ticker.as_of = from.plus(Span::from_seconds(60 * minutes));
        let event = bellwether_core::event::Event::Price(ticker);
        let seq = app.board.seq() + 1;
        fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(seq, event))]);
    }
    let chart = |text: &str| text.lines().skip(3).take(32).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(chart(&shot(&app, 120, 40)), chart(&before));
}

#[test]
fn a_range_is_a_band_and_what_is_out_of_sight_an_arrow() {
    let mut app = fixture::app();
    let row = fixture::alert(40, "BTC exits 60500..62000 each", bellwether_core::alert::AlertState::Armed);
    let event = bellwether_core::event::Event::AlertPut(row);
    fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(2, event))]);
    (app.screen, app.look.theme) = (Screen::Chart, ThemeName::Dark);
    let drawn = buffer(&app, 120, 40);
    let ground = |y: u16| drawn[(3, y)].bg;
    let tinted = (4..36).filter(|y| ground(*y) != ground(37)).count();
    assert!((5..30).contains(&tinted), "{tinted} lines of band");
    assert!(text(&drawn).contains("↓ a9 58,000"), "{}", text(&drawn));
}

#[test]
fn a_firing_is_shown_whole_in_two_lines_at_the_bottom() {
    let mut app = fixture::app();
    let reason = "BTC rose above 60,000 after a long time of waiting below it: now 60,012.50 (before: 59,987.10)";
    let event = bellwether_core::event::Event::Fired(fixture::firing(9, 1, reason));
    fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(2, event))]);
    let shown = shot(&app, 120, 40);
    let last: Vec<&str> = shown.lines().skip(37).take(2).collect();
    assert!(last[0].contains("◆ a9 fired: BTC rose") && last[1].ends_with("59,987.10)"), "{last:?}");
}

#[test]
fn at_most_two_messages_lie_over_an_ordinary_window() {
    let mut app = fixture::app();
    for number in 1..=4 {
        app.toasts.push(crate::app::Tone::Fired, format!("message {number}"), app.now);
    }
    let told = |app: &App, w, h| shot(app, w, h).matches("◆ message").count();
    assert_eq!((told(&app, 80, 24), told(&app, 120, 40)), (2, 4));
    assert!(shot(&app, 80, 24).contains("message 3") && shot(&app, 80, 24).contains("message 4"), "the newest");
    press(&mut app, KeyCode::Down);
    assert_eq!(told(&app, 80, 24), 0, "gone with the next key");
}

#[test]
fn a_theme_changes_colours_and_nothing_else() {
    let mut app = fixture::app();
    let plain = shot(&app, 120, 40);
    for theme in [ThemeName::Dark, ThemeName::Light, ThemeName::ColorBlind, ThemeName::ColorBlindLight] {
        app.look.theme = theme;
        assert_eq!(shot(&app, 120, 40), plain, "{theme:?}");
    }
}

#[test]
fn a_changed_price_flashes_its_changed_digits_only() {
    let mut app = fixture::app();
    let mut ticker = fixture::ticker("BTC", "60419.5", "1.4");
    ticker.as_of = app.now;
    let event = bellwether_core::event::Event::Price(ticker);
    fixture::feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(2, event))]);
    let buffer = buffer(&app, 80, 24);
    let line: Vec<_> = (0..80).map(|x| &buffer[(x, 4)]).collect();
    let lit: String = line.iter().filter(|c| c.bg == ratatui::style::Color::Green).map(|c| c.symbol()).collect();
    assert_eq!(lit, "9.50");
    press(&mut app, KeyCode::Down);
}

#[test]
fn an_alert_that_is_true_already_can_be_told_to_wait() {
    let mut app = fixture::app();
    types(&mut app, "a> 60k once");
    assert!(shot(&app, 80, 24).contains("already true: Enter fires it at once, Ctrl-N"), "{}", shot(&app, 80, 24));
    let next = crossterm::event::KeyEvent::new(KeyCode::Char('n'), crossterm::event::KeyModifiers::CONTROL);
    fixture::feed(&mut app, [Message::Key(next)]);
    let shown = shot(&app, 80, 24);
    assert!(shown.contains("BTC crosses up 60000 once") && !shown.contains("already true"), "{shown}");
}

#[test]
fn an_indicator_is_shown_with_its_present_value() {
    let mut app = fixture::app();
    types(&mut app, "aBTC > sma(20, 1d) once");
    assert!(shot(&app, 120, 40).contains("sma(20, 1d) is now "), "{}", shot(&app, 120, 40));
    press(&mut app, KeyCode::Esc);
    types(&mut app, "aBTC > sma(500, 1d) once");
    assert!(shot(&app, 120, 40).contains("it needs 500 closed bars"), "{}", shot(&app, 120, 40));
}

#[test]
fn the_past_of_an_alert_stands_below_what_it_means() {
    let mut app = fixture::app();
    types(&mut app, "a> 61k each via desktop");
    let summary = BacktestSummary {
        count: 4,
        longest_quiet: Span::from_seconds(9 * 86_400),
        from: Some(app.now.minus(Span::from_seconds(30 * 86_400))),
        to: Some(app.now),
        ..BacktestSummary::default()
    };
    let past = BacktestAnswer { summary, alerts: Vec::new(), firings: Vec::new(), omitted: 0 };
    let reply = Reply::Past("BTC > 61k each via desktop".to_owned(), Ok(past));
    fixture::feed(&mut app, [Message::Reply(Box::new(reply))]);
    let shown = shot(&app, 80, 24);
    assert!(shown.contains("│ last 30 days: 4 times, longest quiet 9d 0h "), "{shown}");
    types(&mut app, " ");
    assert!(shot(&app, 80, 24).contains("last 30 days"), "the same alert, one space more");
    press(&mut app, KeyCode::Backspace);
    press(&mut app, KeyCode::Backspace);
    assert!(!shot(&app, 80, 24).contains("last 30 days"), "another line");
}
