//! The frame around the screens: palette, filter, lists, order, settings, holdings, adding what providers know.

use bellwether_core::{
    config::{
        Dashboard,
        dashboard::{Column, Theme},
    },
    instrument::{FeedId, Instrument},
    protocol::{AddedInstrument, Listing, SearchAnswer},
    time::Span,
};
use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{
    Action, App, Context, Effect, Found, Hit, Message, Overlay, Reply, Screen, Sort, Target,
    fixture::{self, feed, press, symbol, ticker, types},
    palette::Command,
};
use crate::rescue::Rescued;

fn toasts(app: &App) -> Vec<&str> {
    app.toasts.iter().map(|t| t.text.as_str()).collect()
}

fn rows(app: &App) -> Vec<String> {
    app.rows.iter().map(ToString::to_string).collect()
}

/// The settings that were asked to be saved last.
fn saved(effects: &[Effect]) -> &Dashboard {
    let settings = effects.iter().rev().find_map(|e| match e {
        Effect::SaveSettings(settings) => Some(settings),
        _ => None,
    });
    settings.unwrap_or_else(|| panic!("nothing is saved: {effects:?}"))
}

#[test]
fn the_palette_finds_what_can_be_done_and_where_to_go() {
    let mut app = fixture::app();
    types(&mut app, ":send a test");
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.screen, Screen::Health, "the screen on which it means something");
    types(&mut app, ":gold");
    press(&mut app, KeyCode::Enter);
    assert_eq!((app.screen, app.selected()), (Screen::Watch, Some(symbol("GOLD"))));
    types(&mut app, ":a21");
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.target_alert().map(|id| id.0), Some(21));
    types(&mut app, ":dashboard.theme");
    press(&mut app, KeyCode::Enter);
    assert!(matches!(app.overlay, Some(Overlay::Settings(_))));
    press(&mut app, KeyCode::Esc);
    app.readonly = true;
    types(&mut app, ":new alert");
    let Some(Overlay::Palette(palette)) = &app.overlay else { panic!("no palette") };
    assert!(!palette.results.contains(&Command::Do(Context::Watch, Action::NewAlert)), "it would change something");
}

#[test]
fn the_right_button_opens_a_menu_of_what_can_be_done_there() {
    let mut app = fixture::app();
    app.seen(vec![Hit { columns: 0..40, rows: 3..4, target: Target::Row(symbol("SOL")) }], 8, None);
    let click = |kind, row| Message::Mouse(MouseEvent { kind, column: 5, row, modifiers: KeyModifiers::NONE });
    feed(&mut app, [click(MouseEventKind::Down(MouseButton::Right), 3)]);
    assert_eq!(app.selected(), Some(symbol("SOL")));
    let Some(Overlay::Palette(palette)) = &app.overlay else { panic!("no menu") };
    assert!(palette.results.iter().all(|c| matches!(c, Command::Do(Context::Watch, _))), "{:?}", palette.results);
    feed(&mut app, [click(MouseEventKind::Down(MouseButton::Right), 3)]);
    assert!(app.overlay.is_none());
}

#[test]
fn a_stale_mark_leads_to_its_feed() {
    let mut app = fixture::app();
    app.seen(vec![Hit { columns: 0..40, rows: 3..4, target: Target::Feed(FeedId::Yahoo) }], 8, None);
    let kind = MouseEventKind::Down(MouseButton::Left);
    feed(&mut app, [Message::Mouse(MouseEvent { kind, column: 5, row: 3, modifiers: KeyModifiers::NONE })]);
    assert_eq!((app.screen, app.feed), (Screen::Health, Some(FeedId::Yahoo)));
    types(&mut app, "15");
    assert_eq!(app.feed, None);
}

#[test]
fn a_filter_is_in_force_while_it_is_written_and_escape_takes_it_back() {
    let mut app = fixture::app();
    let all = rows(&app);
    types(&mut app, "f> 2000");
    assert_eq!(rows(&app), ["BTC", "ETH", "GOLD"]);
    press(&mut app, KeyCode::Esc);
    assert_eq!(rows(&app), all);
    types(&mut app, "fstocks");
    press(&mut app, KeyCode::Enter);
    assert!(app.overlay.is_none());
    types(&mut app, "f");
    press(&mut app, KeyCode::Enter);
    assert_eq!(rows(&app), ["AAPL", "MSFT", "NVDA"], "the filter in force stands in the line");
    types(&mut app, "f crosses 5");
    press(&mut app, KeyCode::Enter);
    let Some(Overlay::Prompt(prompt)) = &app.overlay else { panic!("a filter that cannot be meant was taken") };
    assert!(prompt.trouble.is_some());
    press(&mut app, KeyCode::Esc);
    types(&mut app, "F");
    assert_eq!(rows(&app), all);
}

#[test]
fn a_filter_follows_the_prices_and_going_somewhere_opens_it() {
    let mut app = fixture::app();
    types(&mut app, "f> 2000");
    press(&mut app, KeyCode::Enter);
    let event = bellwether_core::event::Event::Price(ticker("SOL", "2001", "0"));
    feed(&mut app, [fixture::server(bellwether_core::protocol::ServerFrame::from_event(2, event))]);
    assert_eq!(app.rows.len(), 3, "not at once");
    let later = app.now.plus(Span::from_seconds(6));
    feed(&mut app, [Message::Frame(later)]);
    assert_eq!(rows(&app), ["BTC", "ETH", "SOL", "GOLD"]);
    types(&mut app, "/aapl");
    press(&mut app, KeyCode::Enter);
    assert_eq!((app.selected(), app.filter.is_none()), (Some(symbol("AAPL")), true));
}

#[test]
fn a_letter_chooses_the_order() {
    let mut app = fixture::app();
    for (key, sort, first) in
        [('s', Sort::Symbol, "AAPL"), ('p', Sort::Price, "BTC"), ('c', Sort::Change, "SOL"), ('a', Sort::Alert, "BTC")]
    {
        types(&mut app, &format!("o{key}"));
        assert_eq!((app.sort, app.rows[0].as_str()), (sort, first));
        assert!(app.overlay.is_none());
    }
    types(&mut app, "oor");
    assert!(app.reversed && app.overlay.is_none());
    types(&mut app, "omO");
    assert_eq!(app.sort, Sort::Mine);
}

#[test]
fn rows_move_in_the_users_own_order_and_stay_there() {
    let mut app = fixture::app();
    let effects = types(&mut app, "J");
    assert_eq!(rows(&app)[..3], ["ETH", "BTC", "SOL"]);
    assert_eq!(app.selected(), Some(symbol("BTC")), "the cursor follows");
    assert_eq!(saved(&effects).order, [symbol("ETH"), symbol("BTC")], "what was never moved is not written down");
    types(&mut app, "KK");
    assert_eq!(rows(&app)[0], "BTC");
    types(&mut app, "ocJ");
    assert!(toasts(&app)[0].contains("o m"), "{:?}", toasts(&app));
}

#[test]
fn lists_are_made_filled_and_gone_through() {
    let mut app = fixture::app();
    assert_eq!(types(&mut app, "]"), []);
    types(&mut app, "Wtech");
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(saved(&effects).watchlists["tech"], [symbol("BTC")]);
    assert_eq!(rows(&app), ["BTC"]);
    types(&mut app, "+nvda");
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(saved(&effects).watchlists["tech"], [symbol("BTC"), symbol("NVDA")]);
    types(&mut app, "gJ");
    assert_eq!(rows(&app), ["NVDA", "BTC"]);
    types(&mut app, "-");
    assert_eq!(rows(&app), ["NVDA"]);
    types(&mut app, "]");
    assert_eq!((app.list.as_str(), app.rows.len()), ("all", 12));
    types(&mut app, "-");
    assert!(toasts(&app)[0].contains("W makes a list"), "{:?}", toasts(&app));
    types(&mut app, "[");
    assert_eq!(app.list, "tech");
    types(&mut app, "/eth");
    press(&mut app, KeyCode::Enter);
    assert_eq!((app.list.as_str(), app.selected()), ("all", Some(symbol("ETH"))), "it is shown where it is");
}

#[test]
fn settings_are_seen_at_once_saved_with_enter_and_undone_with_escape() {
    let mut app = fixture::app();
    types(&mut app, ",l");
    assert_eq!(app.look.theme, Theme::Dark);
    assert_eq!(press(&mut app, KeyCode::Esc), []);
    assert_eq!(app.look.theme, Theme::Terminal);
    types(&mut app, ",h");
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(saved(&effects).theme, Theme::ColorBlindLight);
    types(&mut app, ":column age");
    press(&mut app, KeyCode::Enter);
    types(&mut app, "K");
    types(&mut app, "h");
    let effects = press(&mut app, KeyCode::Enter);
    assert!(!saved(&effects).columns.contains(&Column::Age));
    app.readonly = true;
    types(&mut app, ",l");
    assert_eq!(press(&mut app, KeyCode::Enter), [], "seen, not saved");
}

#[test]
fn the_dashboard_follows_the_file_and_keeps_its_settings_when_that_is_wrong() {
    let mut app = fixture::app();
    let settings = Dashboard { theme: Theme::Light, hints: false, ..Dashboard::default() };
    feed(&mut app, [Message::Settings(Box::new(Ok(settings)))]);
    assert_eq!(app.look.theme, Theme::Light);
    feed(&mut app, [Message::Settings(Box::new(Err("config.toml:2:9: unknown variant".to_owned())))]);
    assert_eq!(app.look.theme, Theme::Light);
    assert!(toasts(&app).iter().any(|t| t.contains("config.toml:2:9")), "{:?}", toasts(&app));
}

#[test]
fn a_holding_is_written_and_taken_back() {
    let mut app = fixture::app();
    types(&mut app, "H0.5 at 60000");
    let effects = press(&mut app, KeyCode::Enter);
    assert_eq!(saved(&effects).holdings[&symbol("BTC")].quantity.to_string(), "0.5");
    assert_eq!(app.total().map(|t| t.value.to_string()), Some("30206.25".to_owned()));
    types(&mut app, "H");
    press(&mut app, KeyCode::End);
    for _ in 0..12 {
        press(&mut app, KeyCode::Backspace);
    }
    types(&mut app, "0");
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.total(), None);
}

#[test]
fn what_nobody_here_is_called_is_asked_of_the_providers_and_added() {
    let mut app = fixture::app();
    types(&mut app, "/rddt");
    assert_eq!(press(&mut app, KeyCode::Enter), [Effect::Search("rddt".to_owned())]);
    assert_eq!(press(&mut app, KeyCode::Enter), [], "once is enough");
    let listing = Listing {
        ticker: "rddt".to_owned(),
        name: "Reddit".to_owned(),
        class: None,
        exchange: Some("NYSE".to_owned()),
        currency: None,
        feed: FeedId::Yahoo,
        code: "RDDT".to_owned(),
        rank: None,
        known: None,
    };
    let answer = SearchAnswer { items: vec![listing], troubles: vec!["coingecko: busy".to_owned()] };
    feed(&mut app, [Message::Reply(Box::new(Reply::Searched("rddt".to_owned(), Ok(answer))))]);
    let Some(Overlay::Find(find)) = &app.overlay else { panic!("no search") };
    assert_eq!((find.chosen(), find.trouble.as_deref()), (Some(Found::Listing(0)), Some("coingecko: busy")));
    let effects = press(&mut app, KeyCode::Enter);
    let [Effect::AddInstrument(wanted)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((wanted.symbol.as_str(), wanted.code.as_str()), ("RDDT", "RDDT"));
    let added = AddedInstrument { instrument: Instrument::unlisted(symbol("RDDT")), price: None };
    let effects = feed(&mut app, [Message::Reply(Box::new(Reply::Added(Ok(added))))]);
    assert!(effects.contains(&Effect::FetchInstruments) && app.overlay.is_none());
}

#[test]
fn a_daemon_that_is_gone_is_started_from_here() {
    let mut app = fixture::app();
    assert_eq!(types(&mut app, "S"), [], "it runs");
    let lost = crate::client::stream::StreamMessage::Lost { reason: "gone".to_owned(), retry_at: app.now };
    feed(&mut app, [Message::Server(Box::new(lost))]);
    assert_eq!(types(&mut app, "S"), [Effect::StartDaemon]);
    let started = Message::Reply(Box::new(Reply::Started(Ok(()))));
    assert_eq!(feed(&mut app, [started]), [Effect::Reconnect]);
}

#[test]
fn a_daemon_that_died_is_started_again_and_that_is_said() {
    let mut app = fixture::app();
    let lost = |app: &App| {
        let reason = "gone".to_owned();
        Message::Server(Box::new(crate::client::stream::StreamMessage::Lost { reason, retry_at: app.now }))
    };
    let rescued = |done| Message::Reply(Box::new(Reply::Rescued(done)));
    let gone = lost(&app);
    assert_eq!(feed(&mut app, [gone]), [Effect::Rescue]);
    assert_eq!(feed(&mut app, [rescued(None)]), [], "it was told to stop, or others look after it");
    assert!(app.toasts.is_empty());
    let again = Rescued::Again { times: 2, words: "the disk is full".to_owned() };
    assert_eq!(feed(&mut app, [rescued(Some(again))]), [Effect::Reconnect]);
    let said = app.toasts.iter().next().expect("it is said").text.clone();
    assert!(said.contains("started again (2 of 3") && said.ends_with("the disk is full"), "{said}");
    feed(&mut app, [rescued(Some(Rescued::GivenUp { words: "the disk is full".to_owned() }))]);
    assert_eq!(app.fallen.as_deref(), Some("the disk is full"));
    feed(&mut app, [fixture::connected()]);
    assert_eq!(app.fallen, None, "it is back");
}
