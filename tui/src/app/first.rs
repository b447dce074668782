//! The three hints of the first run. Each goes when its key has been used, all of them with Esc, and they never come again.

use super::{Action, App, Effect, settings};

/// The hints: the action whose key is shown, and what it is good for.
pub(crate) const HINTS: [(Action, &str); 3] = [
    (Action::NewAlert, "write an alert: > 61k via desktop"),
    (Action::Palette, "everything that can be done"),
    (Action::Help, "every key"),
];

/// The hints that are still to be shown.
pub(crate) fn left(app: &App) -> impl Iterator<Item = (Action, &'static str)> {
    HINTS.into_iter().enumerate().filter(|(i, _)| app.settings.hints && !app.tried[*i]).map(|(_, hint)| hint)
}

/// Takes note that an action was used. When it was the last one, that is saved.
pub(super) fn used(app: &mut App, action: Action) -> Vec<Effect> {
    if !app.settings.hints {
        return Vec::new();
    }
    if let Some(known) = HINTS.iter().position(|(hint, _)| *hint == action) {
        app.tried[known] = true;
    }
    if action == Action::Back && app.overlay.is_none() {
        app.tried = [true; HINTS.len()];
    }
    if app.tried.iter().all(|tried| *tried) { settings::change(app, |s| s.hints = false) } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;
    use crate::app::fixture::{self, press, types};

    #[test]
    fn hints_go_one_by_one_or_all_at_once_and_for_good() {
        let mut app = fixture::app();
        app.settings.hints = true;
        assert_eq!(left(&app).count(), 3);
        types(&mut app, "a");
        press(&mut app, KeyCode::Esc);
        types(&mut app, ":");
        press(&mut app, KeyCode::Esc);
        assert_eq!(left(&app).map(|(action, _)| action).collect::<Vec<_>>(), [Action::Help]);
        let effects = types(&mut app, "?");
        assert!(matches!(&effects[..], [Effect::SaveSettings(settings)] if !settings.hints), "{effects:?}");
        let mut app = fixture::app();
        app.settings.hints = true;
        press(&mut app, KeyCode::Esc);
        assert!(!app.settings.hints && left(&app).count() == 0);
    }
}
