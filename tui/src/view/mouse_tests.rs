//! The mouse on screens as they are drawn: what is under the pointer does what it says.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::{Terminal, backend::TestBackend};

use super::draw;
use crate::app::{
    App, Effect, Message, Overlay, Screen, Target,
    fixture::{self, press, types},
};

fn look(app: &mut App) {
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a buffer");
    let mut drawn = None;
    terminal.draw(|frame| drawn = Some(draw(app, frame))).expect("drawn");
    let drawn = drawn.expect("drawn");
    app.seen(drawn.hits, drawn.page, drawn.plot);
}

/// Where something of this kind was drawn: a column and a line within it.
fn place(app: &App, wanted: impl Fn(&Target) -> bool) -> (u16, u16) {
    let hit = app.hits.iter().rfind(|hit| wanted(&hit.target)).expect("it is on the screen");
    (hit.columns.start, hit.rows.start)
}

fn mouse(app: &mut App, kind: MouseEventKind, (column, row): (u16, u16)) -> Vec<Effect> {
    let effects = fixture::feed(app, [Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })]);
    look(app);
    effects
}

const LEFT: MouseEventKind = MouseEventKind::Down(MouseButton::Left);
const DRAG: MouseEventKind = MouseEventKind::Drag(MouseButton::Left);

fn opened(keys: &str) -> App {
    let mut app = fixture::app();
    types(&mut app, keys);
    look(&mut app);
    // The second look has the values that the first one asked for.
    look(&mut app);
    app
}

#[test]
fn headings_sort_and_turn_the_order_round() {
    let mut app = opened("");
    let heading = place(&app, |target| *target == Target::Sort(crate::app::Sort::Price));
    mouse(&mut app, LEFT, heading);
    let highest = app.rows[0];
    assert_eq!((app.sort, app.reversed), (crate::app::Sort::Price, false));
    mouse(&mut app, LEFT, heading);
    assert!(app.reversed && app.rows.last() == Some(&highest));
}

#[test]
fn ranges_above_the_chart_are_chosen_by_a_click() {
    let mut app = opened("2");
    let week = place(&app, |target| *target == Target::Range(3));
    let effects = mouse(&mut app, LEFT, week);
    assert_eq!(app.chart.range().name, "1W");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::SaveSettings(_))), "{effects:?}");
}

#[test]
fn a_level_is_taken_by_its_tag_moved_with_the_button_held_and_saved_with_enter() {
    let mut app = opened("2");
    let tag = place(&app, |target| matches!(target, Target::Tag(id) if id.0 == 17));
    let aim = app.chart.plot.price_at(tag.1 - 3).expect("a price");
    mouse(&mut app, LEFT, tag);
    assert!(matches!(app.overlay, Some(Overlay::Level(_))), "in the hand");
    mouse(&mut app, DRAG, (tag.0, tag.1 - 3));
    let effects = press(&mut app, KeyCode::Enter);
    let [Effect::Edit(id, _, line)] = &effects[..] else { panic!("{effects:?}") };
    let level: f64 = line.rsplit(' ').find_map(|word| word.parse().ok()).expect("a level");
    let aim: f64 = aim.to_string().parse().expect("a number");
    assert_eq!(id.0, 17);
    assert!((level - aim).abs() <= 1.0, "{line} and not {aim}");
}

#[test]
fn a_stale_mark_opens_health_at_its_feed() {
    let mut app = opened("");
    let stale = place(&app, |target| matches!(target, Target::Feed(_)));
    mouse(&mut app, LEFT, stale);
    assert!(app.screen == Screen::Health && app.feed.is_some());
}

#[test]
fn the_right_button_opens_a_menu_and_closes_it() {
    let mut app = opened("");
    let row = place(&app, |target| *target == Target::Row(fixture::symbol("SOL")));
    mouse(&mut app, MouseEventKind::Down(MouseButton::Right), row);
    assert!(matches!(app.overlay, Some(Overlay::Palette(_))));
    assert_eq!(app.selected(), Some(fixture::symbol("SOL")), "of what was under the pointer");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Right), row);
    assert!(app.overlay.is_none());
}

#[test]
fn a_second_click_on_a_row_opens_it_and_m_gives_the_mouse_back() {
    let mut app = opened("");
    let row = place(&app, |target| *target == Target::Row(fixture::symbol("ETH")));
    mouse(&mut app, LEFT, row);
    assert_eq!(app.screen, Screen::Watch);
    mouse(&mut app, LEFT, row);
    assert_eq!((app.screen, app.subject()), (Screen::Chart, Some(fixture::symbol("ETH"))));
    assert_eq!(types(&mut app, "M"), [Effect::Mouse(false)]);
    assert_eq!(types(&mut app, "M"), [Effect::Mouse(true)]);
}

#[test]
fn a_reader_is_offered_nothing_that_changes_anything() {
    let mut app = opened("");
    app.readonly = true;
    for screen in ["1", "2", "3", "4", "5"] {
        types(&mut app, screen);
        look(&mut app);
        let hints = app.hits.iter().filter_map(|hit| match hit.target {
            Target::Hint(action) => Some(action),
            _ => None,
        });
        let writes = |action: &crate::app::Action| {
            crate::app::keymap::KEYMAP.iter().any(|binding| binding.action == *action && binding.writes)
        };
        assert_eq!(hints.filter(writes).collect::<Vec<_>>(), [], "on screen {screen}");
    }
    types(&mut app, "2");
    look(&mut app);
    let tag = place(&app, |target| matches!(target, Target::Tag(_)));
    mouse(&mut app, LEFT, tag);
    assert!(app.overlay.is_none(), "no line is taken into the hand");
    assert_eq!(types(&mut app, "3dzX "), [], "and no key changes anything");
}
