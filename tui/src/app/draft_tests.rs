//! Lines of alerts set and moved on the chart: what the user does, and what is asked of the daemon.

use bellwether_core::alert::AlertState;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rust_decimal::Decimal;

use super::{
    draft::{Draft, End, tick_size},
    *,
};
use crate::app::fixture::{self, alert, answer, feed, press, price, symbol, types};

fn draft(app: &App) -> &Draft {
    match &app.overlay {
        Some(Overlay::Level(draft)) => draft,
        other => panic!("no line in the hand: {other:?}"),
    }
}

fn on_chart() -> App {
    let mut app = fixture::app();
    app.screen = Screen::Chart;
    app
}

fn shift(app: &mut App, code: KeyCode) -> Vec<Effect> {
    feed(app, [Message::Key(KeyEvent::new(code, KeyModifiers::SHIFT))])
}

#[test]
fn ticks_fit_the_size_of_the_price() {
    for (at, tick) in [
        ("60412.5", "1"),
        ("2711.04", "0.1"),
        ("231.2", "0.01"),
        ("1.0437", "0.0001"),
        ("0.12034", "0.00001"),
        ("0.00001734", "0.000000001"),
        ("0", "0.01"),
    ] {
        let tick: Decimal = tick.parse().expect(tick);
        assert_eq!(tick_size(price(at)), tick, "{at}");
    }
}

#[test]
fn a_line_above_the_price_fires_on_the_way_up_and_below_it_on_the_way_down() {
    let mut app = on_chart();
    types(&mut app, "A");
    assert_eq!(draft(&app).line(), "BTC crosses up 61017 once");
    types(&mut app, "58k");
    assert_eq!(draft(&app).line(), "BTC crosses down 58000 once");
    assert_eq!(press(&mut app, KeyCode::Enter), [Effect::Create("BTC crosses down 58000 once".to_owned())]);
    let row = alert(31, "BTC crosses down 58000 once", AlertState::Armed);
    feed(&mut app, [Message::Reply(Box::new(Reply::Saved(Ok(answer(row)))))]);
    assert!(app.overlay.is_none());
}

#[test]
fn tab_picks_the_nearest_line_and_keys_move_it_by_ticks() {
    let mut app = on_chart();
    press(&mut app, KeyCode::Tab);
    assert_eq!((draft(&app).alert(), draft(&app).level), (Some(AlertId(18)), price("60000")));
    press(&mut app, KeyCode::Tab);
    assert_eq!(draft(&app).alert(), Some(AlertId(9)), "downward");
    press(&mut app, KeyCode::BackTab);
    press(&mut app, KeyCode::BackTab);
    assert_eq!(draft(&app).alert(), Some(AlertId(17)));
    press(&mut app, KeyCode::Up);
    assert_eq!(draft(&app).level, price("61001"));
    shift(&mut app, KeyCode::Down);
    assert_eq!(draft(&app).level, price("60991"));
    press(&mut app, KeyCode::PageUp);
    assert_eq!(draft(&app).level, price("61601"), "one per cent, on a tick");
    let line = draft(&app).line();
    assert_eq!(line, "BTC crosses up 61601 each via desktop note \"take some off the table\"");
    press(&mut app, KeyCode::Tab);
    assert_eq!(draft(&app).alert(), Some(AlertId(17)), "what was moved is not lost by going on");
    assert_eq!(press(&mut app, KeyCode::Enter), [Effect::Edit(AlertId(17), 1, line)]);
    press(&mut app, KeyCode::Up);
    assert_eq!(draft(&app).level, price("61601"), "what is being saved stands still");
}

#[test]
fn a_moved_line_goes_back_under_its_own_number() {
    let mut app = on_chart();
    press(&mut app, KeyCode::Tab);
    press(&mut app, KeyCode::PageUp);
    assert!(matches!(press(&mut app, KeyCode::Enter)[..], [Effect::Edit(AlertId(18), 1, _)]));
    let mut row = alert(18, "BTC > 60600 every 1h", AlertState::Armed);
    row.alert.version = 2;
    feed(&mut app, [Message::Reply(Box::new(Reply::Saved(Ok(answer(row)))))]);
    assert_eq!(types(&mut app, "u"), [Effect::Edit(AlertId(18), 2, "BTC > 60000 every 1h".to_owned())]);
    assert_eq!(types(&mut app, "u"), [], "once");
}

#[test]
fn escape_leaves_everything_as_it_was_and_enter_without_a_move_too() {
    let mut app = on_chart();
    press(&mut app, KeyCode::Tab);
    shift(&mut app, KeyCode::Up);
    assert_eq!(press(&mut app, KeyCode::Esc), []);
    assert!(app.overlay.is_none());
    press(&mut app, KeyCode::Tab);
    assert_eq!(draft(&app).level, price("60000"));
    assert_eq!(press(&mut app, KeyCode::Enter), []);
    assert!(app.overlay.is_none());
}

#[test]
fn the_ends_of_a_range_are_moved_apart_from_each_other() {
    let mut app = on_chart();
    app.watch.put(symbol("AAPL"));
    press(&mut app, KeyCode::Tab);
    let first = draft(&app).place.end;
    press(&mut app, KeyCode::Tab);
    let second = draft(&app).place.end;
    assert_eq!([first, second], [End::Upper, End::Lower]);
    types(&mut app, "250");
    assert!(draft(&app).refusal.is_some());
    assert_eq!(press(&mut app, KeyCode::Enter), [], "and it is not saved so");
    for _ in 0..3 {
        press(&mut app, KeyCode::Backspace);
    }
    types(&mut app, "225.5");
    assert_eq!(draft(&app).line(), "AAPL exits 225.5..240 each");
}

#[test]
fn a_wrong_price_is_refused_in_words_and_readonly_holds_nothing() {
    let mut app = on_chart();
    types(&mut app, "A");
    types(&mut app, "0");
    assert!(draft(&app).refusal.is_some());
    types(&mut app, "..,k");
    assert!(draft(&app).refusal.is_some());
    assert_eq!(press(&mut app, KeyCode::Enter), []);
    press(&mut app, KeyCode::Esc);
    app.readonly = true;
    types(&mut app, "A");
    press(&mut app, KeyCode::Tab);
    assert!(app.overlay.is_none());
}

#[test]
fn the_line_goes_on_in_words_with_e() {
    let mut app = on_chart();
    types(&mut app, "Ae");
    let Some(Overlay::Entry(entry)) = &app.overlay else { panic!("no alert line") };
    assert_eq!(entry.line.text(), "BTC crosses up 61017 once");
}
