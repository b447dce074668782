//! Keeping an alert quiet: for a while (snooze), or for as long as what it told of lasts (acknowledge).

use bellwether_core::{
    alert::{AlertId, AlertState},
    time::{Span, Timestamp},
};

use super::{Action, App, Effect, Overlay, Tone, hours};

/// The hour at which a new day begins for whoever is not to be disturbed before.
const MORNING: i8 = 8;
/// The most alerts that are acknowledged at once: as many requests.
const MOST_AT_ONCE: usize = 50;

/// A choice of how long an alert stays silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The key's action.
    pub(crate) action: Action,
    pub(crate) words: String,
    /// Until when; none where that choice does not exist for this alert.
    pub(crate) until: Option<Timestamp>,
}

/// The choices for an alert, as they are now.
pub(crate) fn choices(app: &App, id: AlertId) -> Vec<Choice> {
    let after = |seconds| Some(app.now.plus(Span::from_seconds(seconds)));
    let instrument = app.board.alert(id).and_then(|row| app.instrument(row.alert.rule.symbol()));
    let opens = instrument.and_then(|instrument| hours::next_open(instrument, app.now));
    let until_open = match (instrument, opens) {
        (Some(instrument), None) if instrument.session == "24x7" => {
            format!("until open: {} never closes", instrument.symbol)
        }
        (Some(instrument), None) => format!("until open: the hours of {} are not known", instrument.symbol),
        _ => "until its market opens".to_owned(),
    };
    let choice = |action, words: &str, until| Choice { action, words: words.to_owned(), until };
    let mut all = vec![
        choice(Action::Snooze15m, "15 minutes", after(15 * 60)),
        choice(Action::Snooze1h, "1 hour", after(3_600)),
        choice(Action::SnoozeOpen, &until_open, opens),
        choice(Action::SnoozeTomorrow, "until tomorrow morning", tomorrow(app)),
    ];
    if app.board.alert(id).is_some_and(|row| row.state == AlertState::Snoozed) {
        all.push(choice(Action::SnoozeEnd, "no longer: wake it now", Some(app.now)));
    }
    all
}

/// Tomorrow at eight, in the user's zone.
fn tomorrow(app: &App) -> Option<Timestamp> {
    let today = app.now.to_jiff().to_zoned(app.zone.clone());
    let morning = today.date().tomorrow().ok()?.at(MORNING, 0, 0, 0).to_zoned(app.zone.clone()).ok()?;
    Some(Timestamp::from(morning.timestamp()))
}

/// Asks for how long the alert that keys mean now is to be silent.
pub(super) fn ask(app: &mut App, id: AlertId) {
    if app.board.alert(id).is_some() {
        app.overlay = Some(Overlay::Snooze(id));
    }
}

/// A choice was made, or none.
pub(super) fn act(app: &mut App, id: AlertId, action: Action) -> Vec<Effect> {
    if action == Action::Back {
        app.overlay = None;
        return Vec::new();
    }
    let Some(choice) = choices(app, id).into_iter().find(|choice| choice.action == action) else { return Vec::new() };
    let Some(until) = choice.until else {
        app.toasts.push(Tone::Info, choice.words, app.now);
        return Vec::new();
    };
    app.overlay = None;
    vec![Effect::Snooze(id, until)]
}

/// Says that the firing of the running episode was seen.
pub(super) fn acknowledge(app: &mut App, id: AlertId) -> Vec<Effect> {
    if app.board.alert(id).is_none() {
        app.toasts.push(Tone::Info, format!("{id} is gone"), app.now);
        return Vec::new();
    }
    vec![Effect::Acknowledge(vec![id])]
}

/// The same of every alert that has fired and is not at its end, or of which a message still waits.
pub(super) fn acknowledge_all(app: &mut App) -> Vec<Effect> {
    let waiting: std::collections::BTreeSet<AlertId> =
        app.board.deliveries().filter(|d| !d.state.is_final()).map(|d| d.firing.alert).collect();
    let ids: Vec<AlertId> = app
        .board
        .alerts()
        .filter(|row| matches!(row.state, AlertState::Fired | AlertState::Cooling) || waiting.contains(&row.alert.id))
        .map(|row| row.alert.id)
        .take(MOST_AT_ONCE)
        .collect();
    if ids.is_empty() {
        app.toasts.push(Tone::Info, "no firing waits to be acknowledged", app.now);
        return Vec::new();
    }
    vec![Effect::Acknowledge(ids)]
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;
    use crate::app::fixture::{self, press, types};

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn an_alert_is_silent_for_a_while_until_tomorrow_or_until_its_market_opens() {
        let a9 = AlertId(9);
        for (key, until) in
            [("1", "2026-11-22T14:17:11Z"), ("2", "2026-11-22T15:02:11Z"), ("4", "2026-11-23T08:00:00Z")]
        {
            let mut app = fixture::app();
            types(&mut app, "3z");
            assert_eq!(app.overlay_snoozes(), Some(a9));
            assert_eq!(types(&mut app, key), [Effect::Snooze(a9, at(until))], "{key}");
            assert_eq!(app.overlay_snoozes(), None);
        }
        let mut app = fixture::app();
        types(&mut app, "3z3");
        assert!(app.toasts.iter().any(|t| t.text.contains("never closes")));
        press(&mut app, KeyCode::Esc);
        types(&mut app, "Gz");
        let monday = at("2026-11-23T14:30:00Z");
        assert_eq!(types(&mut app, "3"), [Effect::Snooze(AlertId(23), monday)], "a Sunday: New York opens on Monday");
    }

    #[test]
    fn one_firing_is_acknowledged_or_all() {
        let mut app = fixture::app();
        assert_eq!(types(&mut app, "3jjx"), [Effect::Acknowledge(vec![AlertId(18)])]);
        assert_eq!(types(&mut app, "X"), [Effect::Acknowledge(vec![AlertId(18)])], "the only one that cools");
        assert_eq!(types(&mut app, "4x"), [Effect::Acknowledge(vec![AlertId(18)])], "in History too");
        app.readonly = true;
        assert_eq!(types(&mut app, "xX"), []);
        types(&mut app, "3z");
        assert_eq!(app.overlay_snoozes(), None);
    }
}
