//! What the user does and what comes of it, without a terminal and without a daemon.

use bellwether_core::{
    alert::{AlertId, AlertState, UserId},
    backtest::{BacktestAnswer, BacktestSummary},
    event::Event,
    protocol::{Problem, ServerFrame},
    time::Span,
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{
    Action, App, Effect, Hit, Link, Message, Overlay, Pane, Reply, Screen, Sort, Target, Understanding,
    fixture::{self, alert, answer, feed, press, server, symbol, ticker, types},
    update,
};
use crate::client::{ApiError, stream::StreamMessage};

fn event(seq: u64, event: Event) -> Message {
    server(ServerFrame::from_event(seq, event))
}

fn lost(app: &App) -> Message {
    let retry_at = app.now.plus(Span::from_seconds(4));
    Message::Server(Box::new(StreamMessage::Lost { reason: "nobody listens there".to_owned(), retry_at }))
}

fn toasts(app: &App) -> Vec<&str> {
    app.toasts.iter().map(|t| t.text.as_str()).collect()
}

fn line(app: &App) -> &super::Entry {
    match &app.overlay {
        Some(Overlay::Entry(entry)) => entry,
        other => panic!("no alert line: {other:?}"),
    }
}

#[test]
fn an_alert_is_written_saved_and_selected() {
    let mut app = fixture::app();
    types(&mut app, "a");
    assert_eq!(line(&app).line.text(), "BTC ", "the instrument stands there already");
    types(&mut app, "> 61k once");
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(effects, [Effect::Create("BTC > 61k once".to_owned())]);
    assert!(line(&app).saving);
    assert_eq!(press(&mut app, KeyCode::Enter), [], "one Enter, one alert");
    types(&mut app, "x");
    assert_eq!(line(&app).line.text(), "BTC > 61k once", "what is being saved stands still");
    let row = alert(31, "BTC > 61k once", AlertState::Armed);
    feed(&mut app, [event(2, Event::AlertPut(row.clone())), Message::Reply(Box::new(Reply::Saved(Ok(answer(row)))))]);
    assert!(app.overlay.is_none());
    assert_eq!(app.target_alert(), Some(AlertId(31)));
}

#[test]
fn a_line_with_its_own_instrument_takes_the_place_of_the_proposed_one() {
    let mut app = fixture::app();
    types(&mut app, "abtc crosses 84.5k");
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(effects, [Effect::Create("btc crosses 84.5k".to_owned())]);
}

#[test]
fn a_refusal_and_a_lost_daemon_keep_the_line() {
    let mut app = fixture::app();
    types(&mut app, "a> 61k once");
    press(&mut app, KeyCode::Enter);
    let problem = Problem { status: 422, detail: "the same alert stands already".to_owned(), ..Problem::default() };
    feed(&mut app, [Message::Reply(Box::new(Reply::Saved(Err(ApiError::Problem(Box::new(problem))))))]);
    assert_eq!(line(&app).refusal.as_deref(), Some("the same alert stands already"));
    assert_eq!(line(&app).line.text(), "BTC > 61k once");
    press(&mut app, KeyCode::Enter);
    let gone = lost(&app);
    feed(&mut app, [gone]);
    assert!(!line(&app).saving && line(&app).refusal.is_some());
    assert_eq!(press(&mut app, KeyCode::Enter), [], "nobody is there to take it");
    assert_eq!(line(&app).line.text(), "BTC > 61k once");
    feed(&mut app, [fixture::connected()]);
    assert_eq!(press(&mut app, KeyCode::Enter), [Effect::Create("BTC > 61k once".to_owned())]);
}

#[test]
fn the_past_of_an_alert_is_asked_when_typing_rests_and_never_waited_for() {
    let mut app = fixture::app();
    types(&mut app, "a> 61");
    let rest = |app: &App, millis| Message::Frame(app.now.plus(Span::from_millis(millis)));
    let soon = rest(&app, 200);
    assert_eq!(update(&mut app, soon), []);
    types(&mut app, "k each");
    assert_eq!(app.next_change(app.now), Some(app.now.plus(Span::from_millis(300))), "the screen wakes up for it");
    let later = rest(&app, 300);
    assert_eq!(update(&mut app, later), [Effect::FetchPast("BTC > 61k each".to_owned())]);
    let later = rest(&app, 5_000);
    assert_eq!(update(&mut app, later), [], "once");
    let summary = BacktestSummary { count: 4, from: Some(app.now), to: Some(app.now), ..BacktestSummary::default() };
    let past = BacktestAnswer { summary, alerts: Vec::new(), firings: Vec::new(), omitted: 0 };
    let reply = |line: &str| Message::Reply(Box::new(Reply::Past(line.to_owned(), Ok(past.clone()))));
    feed(&mut app, [reply("BTC > 61k")]);
    assert_eq!(line(&app).past.words("BTC > 61k each"), None, "an answer about what stood there before");
    feed(&mut app, [reply("BTC > 61k each")]);
    assert!(line(&app).past.words("BTC > 61k each").is_some_and(|w| w.contains("4 times")));
    types(&mut app, " x");
    let later = rest(&app, 5_000);
    assert_eq!(update(&mut app, later), [], "nothing is asked about what is no alert");
    press(&mut app, KeyCode::Backspace);
    press(&mut app, KeyCode::Backspace);
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(effects, [Effect::Create("BTC > 61k each".to_owned())], "Enter waits for nothing");
    let refused = Err(ApiError::Unreachable { address: "there".to_owned(), reason: "gone".to_owned() });
    feed(&mut app, [Message::Reply(Box::new(Reply::Past("BTC > 61k each".to_owned(), refused)))]);
    assert!(line(&app).refusal.is_none() && toasts(&app).is_empty(), "a question that failed disturbs nobody");
}

#[test]
fn a_wrong_line_is_not_sent() {
    let mut app = fixture::app();
    types(&mut app, "aaccross 61k");
    assert!(matches!(line(&app).meaning, Understanding::Wrong(_)));
    assert_eq!(press(&mut app, KeyCode::Enter), []);
    press(&mut app, KeyCode::Esc);
    assert!(app.overlay.is_none());
}

#[test]
fn saving_with_a_test_tries_the_channels_of_the_alert_once_it_stands() {
    let control = |c| Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    for (via, tried) in [("", "desktop"), (" via email", "email")] {
        let mut app = fixture::app();
        types(&mut app, &format!("a> 61k once{via}"));
        let line = format!("BTC > 61k once{via}");
        assert_eq!(feed(&mut app, [control('s')]), [Effect::Create(line.clone())]);
        let saved = Message::Reply(Box::new(Reply::Saved(Ok(answer(alert(31, &line, AlertState::Armed))))));
        let effects = feed(&mut app, [saved]);
        assert_eq!(effects, [Effect::TestChannel(bellwether_core::condition::ChannelName::new(tried))]);
    }
}

#[test]
fn an_alert_edited_in_its_line_can_be_put_back() {
    let mut app = fixture::app();
    types(&mut app, "3e urgent");
    press(&mut app, KeyCode::Enter);
    let mut row = alert(9, "BTC < 58000 every 1h via desktop,email urgent", AlertState::Armed);
    row.alert.version = 2;
    feed(&mut app, [Message::Reply(Box::new(Reply::Saved(Ok(answer(row)))))]);
    let before = "BTC < 58000 every 1h via desktop,email".to_owned();
    assert_eq!(types(&mut app, "u"), [Effect::Edit(AlertId(9), 2, before)]);
}

#[test]
fn what_an_indicator_is_worth_is_asked_for_while_writing() {
    let mut app = fixture::app();
    let day = Span::from_seconds(86_400);
    let effects = types(&mut app, "aBTC > sma(20, 1d) once");
    assert!(effects.is_empty() || effects == [Effect::FetchCandles(symbol("BTC"), day, None)], "{effects:?}");
    let Understanding::Rule(rule) = line(&app).meaning.clone() else { panic!("no alert") };
    let closes: Vec<_> = fixture::walk(fixture::price("60412.5"), 288, day)
        .iter()
        .filter(|b| b.to <= app.now)
        .map(|b| b.close)
        .collect();
    let mean = closes[closes.len() - 20..].iter().map(|c| c.decimal()).sum::<rust_decimal::Decimal>()
        / rust_decimal::Decimal::from(20);
    let level = app.indicators_now(&rule)[0].level.expect("a level").decimal();
    assert!((level - mean).abs() < rust_decimal::Decimal::new(1, 4), "{level} is not {mean}");
}

#[test]
fn editing_names_the_version_that_was_seen() {
    let mut app = fixture::app();
    types(&mut app, "3e");
    assert_eq!(line(&app).line.text(), "BTC < 58000 every 1h via desktop,email");
    types(&mut app, " urgent");
    let effects = press(&mut app, KeyCode::Enter);
    let expected = Effect::Edit(AlertId(9), 1, "BTC < 58000 every 1h via desktop,email urgent".to_owned());
    assert_eq!(effects, [expected]);
}

#[test]
fn a_deleted_alert_can_be_brought_back_for_ten_seconds() {
    let mut app = fixture::app();
    assert_eq!(types(&mut app, "3d"), [Effect::Delete(AlertId(9))]);
    let gone = Event::AlertDeleted { id: AlertId(9), owner: UserId::OWNER, version: 2 };
    feed(&mut app, [event(2, gone), Message::Reply(Box::new(Reply::Deleted(AlertId(9), Ok(()))))]);
    assert!(app.board.alert(AlertId(9)).is_none() && !app.alert_ids().contains(&AlertId(9)));
    assert_eq!(types(&mut app, "u"), [Effect::Restore(AlertId(9))]);
    assert_eq!(types(&mut app, "u"), [], "once");
    types(&mut app, "d");
    let later = app.now.plus(Span::from_seconds(11));
    feed(&mut app, [Message::Frame(later)]);
    assert_eq!(types(&mut app, "u"), []);
}

#[test]
fn space_pauses_what_waits_and_resumes_what_does_not() {
    let mut app = fixture::app();
    assert_eq!(types(&mut app, "3 "), [Effect::Pause(AlertId(9), true)]);
    types(&mut app, "GG");
    assert_eq!(types(&mut app, " "), [Effect::Pause(AlertId(23), false)], "a done alert starts afresh");
}

#[test]
fn readonly_changes_nothing() {
    let mut app = fixture::app();
    app.readonly = true;
    for keys in ["a", "3e", "3d", "3 ", "5s", "u"] {
        let asks = |e: &Effect| matches!(e, Effect::FetchChannels | Effect::FetchStatus);
        assert!(types(&mut app, keys).iter().all(asks), "{keys}");
        assert!(app.overlay.is_none(), "{keys}");
    }
    assert!(toasts(&app).iter().any(|t| t.contains("--readonly")));
}

#[test]
fn missing_events_ask_for_a_fresh_picture() {
    let mut app = fixture::app();
    let before = app.board.clone();
    let effects = feed(&mut app, [event(5, Event::Price(ticker("BTC", "1", "0")))]);
    assert_eq!(effects, [Effect::Snapshot]);
    assert_eq!(app.board, before, "a gap changes nothing");
    assert_eq!(feed(&mut app, [event(6, Event::Price(ticker("BTC", "1", "0")))]), [], "it is asked for once");
    assert_eq!(feed(&mut app, [event(1, Event::Price(ticker("BTC", "1", "0")))]), [], "a repeat is skipped");
    assert_eq!(app.board, before);
    feed(&mut app, [fixture::snapshot_of(vec![ticker("BTC", "7", "0")], Vec::new(), Vec::new())]);
    feed(&mut app, [event(2, Event::Price(ticker("BTC", "8", "0")))]);
    assert_eq!(app.price(symbol("BTC")), Some(fixture::price("8")), "and life goes on");
}

#[test]
fn a_firing_is_told_once_and_counted_until_it_is_seen() {
    let mut app = fixture::app();
    app.look.bell = true;
    let firing = fixture::firing(17, 1, "BTC rose through 61,000");
    assert_eq!(feed(&mut app, [event(2, Event::Fired(firing.clone()))]), [Effect::Ring { bell: true, sound: None }]);
    assert_eq!(feed(&mut app, [event(3, Event::Fired(firing))]), []);
    assert_eq!((app.unseen, toasts(&app)), (1, vec!["a17 fired: BTC rose through 61,000"]));
    types(&mut app, "4");
    assert_eq!(app.unseen, 0);
    let later = app.now.plus(Span::from_seconds(11));
    feed(&mut app, [Message::Frame(later)]);
    assert!(app.toasts.is_empty());
}

#[test]
fn messages_go_with_the_next_key_but_not_while_an_overlay_hides_them() {
    for key in [KeyCode::Down, KeyCode::Char('3'), KeyCode::Char('ä'), KeyCode::F(9), KeyCode::Esc] {
        let mut app = fixture::app();
        app.screen = Screen::History;
        app.toasts.push(super::Tone::Fired, "a9 fired", app.now);
        press(&mut app, key);
        assert!(app.toasts.is_empty(), "{key:?}");
        assert!(key != KeyCode::Esc || app.screen == Screen::History, "Esc does only that");
    }
    let mut app = fixture::app();
    types(&mut app, "a");
    app.toasts.push(super::Tone::Fired, "a9 fired", app.now);
    types(&mut app, "> 61k");
    assert_eq!(toasts(&app), ["a9 fired"]);
    press(&mut app, KeyCode::Esc);
    assert_eq!(toasts(&app), ["a9 fired"], "it comes into sight now");
    types(&mut app, "w");
    assert!(app.toasts.is_empty(), "the key that opens an overlay is one of the screen's");
}

#[test]
fn rows_stay_until_asked_and_rest_after_the_cursor_moved() {
    let mut app = fixture::app();
    let mine = app.rows.clone();
    feed(&mut app, [event(2, Event::Price(ticker("ETH", "2711.04", "9.9")))]);
    assert_eq!(app.rows, mine);
    types(&mut app, "oc");
    assert_eq!((app.sort, app.rows[0]), (Sort::Change, symbol("ETH")));
    assert_eq!(app.selected(), Some(symbol("BTC")), "the cursor follows the instrument");
    types(&mut app, "j");
    feed(&mut app, [event(3, Event::Price(ticker("ETH", "2711.04", "-9.9")))]);
    let at = |app: &App, s| app.now.plus(Span::from_seconds(s));
    let soon = at(&app, 4);
    feed(&mut app, [Message::Frame(soon)]);
    assert_eq!(app.rows[0], symbol("ETH"), "not within five seconds of a move");
    let then = at(&app, 2);
    feed(&mut app, [Message::Frame(then)]);
    assert_ne!(app.rows[0], symbol("ETH"));
}

#[test]
fn a_held_picture_stands_still_while_the_board_goes_on() {
    let mut app = fixture::app();
    types(&mut app, "p");
    feed(&mut app, [event(2, Event::Price(ticker("BTC", "70000", "9")))]);
    assert_eq!(app.price(symbol("BTC")), Some(fixture::price("60412.5")));
    types(&mut app, "p");
    assert_eq!(app.price(symbol("BTC")), Some(fixture::price("70000")));
}

#[test]
fn a_held_chart_stands_still_and_is_fetched_when_it_is_let_go() {
    let mut app = fixture::app();
    let close = |app: &App| app.bars().and_then(|b| b.items.last().map(|bar| bar.close));
    let before = close(&app);
    types(&mut app, "p");
    feed(&mut app, [event(2, Event::Price(ticker("BTC", "70000", "9")))]);
    assert_eq!(close(&app), before);
    let effects = types(&mut app, "p");
    assert!(
        effects.iter().any(|e| matches!(e, Effect::FetchCandles(s, _, None) if *s == symbol("BTC"))),
        "{effects:?}"
    );
}

#[test]
fn refreshing_is_not_done_more_often_than_is_good() {
    let mut app = fixture::app();
    assert!(types(&mut app, "r").contains(&Effect::Snapshot));
    assert_eq!(types(&mut app, "r"), []);
    assert!(toasts(&app).iter().any(|t| t.contains("again in 10 s")), "{:?}", toasts(&app));
    let later = app.now.plus(Span::from_seconds(11));
    feed(&mut app, [Message::Frame(later)]);
    assert!(types(&mut app, "r").contains(&Effect::Snapshot));
}

#[test]
fn finding_goes_to_the_instrument_or_the_alert() {
    let mut app = fixture::app();
    types(&mut app, "/doge");
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.selected(), Some(symbol("DOGE")));
    types(&mut app, "/a21");
    press(&mut app, KeyCode::Enter);
    assert_eq!((app.selected(), app.target_alert()), (Some(symbol("ETH")), Some(AlertId(21))));
    assert_eq!(app.pane, Pane::Alerts);
}

#[test]
fn charts_are_fetched_when_looked_at_and_only_once() {
    let mut app = fixture::empty();
    let effects = feed(&mut app, [fixture::connected()]);
    assert_eq!(effects, [Effect::FetchInstruments, Effect::FetchChannels], "nothing to draw a chart of yet");
    let prices = vec![ticker("BTC", "1", "0"), ticker("ETH", "2", "0")];
    let effects = feed(&mut app, [fixture::snapshot_of(prices, Vec::new(), Vec::new())]);
    let five = super::INTERVALS[1];
    assert_eq!(effects, [Effect::FetchSparklines, Effect::FetchCandles(symbol("BTC"), five, None)]);
    assert_eq!(types(&mut app, "j"), [Effect::FetchCandles(symbol("ETH"), five, None)]);
    assert_eq!(types(&mut app, "k"), []);
    let effects = types(&mut app, "t");
    assert!(effects.contains(&Effect::FetchCandles(symbol("BTC"), super::INTERVALS[3], None)), "{effects:?}");
    let remembered = |effect: &Effect| matches!(effect, Effect::SaveSettings(s) if s.chart_range.as_str() == "1W");
    assert!(effects.iter().any(remembered), "{effects:?}");
}

#[test]
fn a_chart_is_as_it_was_left_and_follows_the_file() {
    let mut app = fixture::app();
    types(&mut app, "2ttcciv");
    let left = app.settings.clone();
    let mut next = fixture::app();
    next.configure(left.clone(), super::Variables::default());
    let shown = |app: &App| (app.chart.range().name, app.chart.style, app.chart.studies, app.chart.volume);
    assert_eq!(shown(&next), shown(&app));
    assert_eq!((next.chart.range().name, next.chart.volume), ("1M", false));
    let file = bellwether_core::config::Dashboard { chart_volume: true, chart_compare: "ETH".to_owned(), ..left };
    feed(&mut next, [Message::Settings(Box::new(Ok(file)))]);
    assert_eq!((next.chart.volume, next.chart.compare), (true, Some(symbol("ETH"))));
    assert_eq!(next.chart.range().name, "1M", "what the file did not change stays");
}

#[test]
fn a_lost_daemon_leaves_everything_browsable() {
    let mut app = fixture::app();
    let gone = lost(&app);
    feed(&mut app, [gone]);
    assert!(matches!(app.link, Link::Lost { .. }));
    types(&mut app, "j3jjw");
    assert!(matches!(app.overlay, Some(Overlay::Explain(AlertId(18)))));
    press(&mut app, KeyCode::Esc);
    assert_eq!(types(&mut app, "r"), [Effect::Reconnect]);
    assert_eq!(app.counts().0, 0, "no price is live");
    feed(&mut app, [fixture::connected()]);
    assert_eq!(toasts(&app), ["the daemon is back"]);
}

#[test]
fn escape_goes_back_and_never_quits() {
    let mut app = fixture::app();
    types(&mut app, "4");
    for _ in 0..5 {
        assert_eq!(press(&mut app, KeyCode::Esc), []);
    }
    assert_eq!(app.screen, Screen::Watch);
    assert_eq!(types(&mut app, "q"), [Effect::Quit]);
    types(&mut app, "a");
    assert_eq!(types(&mut app, "q"), [], "in the alert line q is a letter");
    let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(feed(&mut app, [Message::Key(quit)]), [Effect::Quit]);
}

#[test]
fn the_mouse_selects_what_was_drawn_there() {
    let mut app = fixture::app();
    let hit = |rows, target| Hit { columns: 0..40, rows, target };
    let hits = vec![
        hit(0..10, Target::Pane(Pane::Table)),
        hit(3..4, Target::Row(symbol("SOL"))),
        hit(9..10, Target::Hint(Action::Help)),
    ];
    app.seen(hits, 8, None);
    let mouse = |kind, row| Message::Mouse(MouseEvent { kind, column: 5, row, modifiers: KeyModifiers::NONE });
    let left = MouseEventKind::Down(MouseButton::Left);
    feed(&mut app, [mouse(left, 3)]);
    assert_eq!(app.selected(), Some(symbol("SOL")));
    feed(&mut app, [mouse(MouseEventKind::ScrollUp, 5)]);
    assert_eq!(app.selected(), Some(symbol("BTC")));
    feed(&mut app, [mouse(left, 30), mouse(left, 9)]);
    assert!(matches!(app.overlay, Some(Overlay::Help { .. })));
}

#[test]
fn a_pasted_megabyte_is_cut_with_a_notice_and_goes_nowhere_else() {
    let mut app = fixture::app();
    let paste = || Message::Paste("q".repeat(1 << 20));
    assert_eq!(feed(&mut app, [paste()]), [], "a paste is no key");
    types(&mut app, "a");
    feed(&mut app, [paste()]);
    assert!(line(&app).was_cut && line(&app).line.text().len() <= 1_000);
}
