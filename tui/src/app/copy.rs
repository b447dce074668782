//! What `y` copies: the thing under the cursor, as one line that can be pasted where bellwether or a person reads it.

use super::{App, Effect, Overlay, Pane, Screen, Tone};

/// The thing under the cursor as text; none where there is nothing to copy.
fn text(app: &App) -> Option<String> {
    if let Some(Overlay::Explain(id)) = app.overlay {
        return app.picture().alert(id).map(|row| row.alert.rule.to_string());
    }
    let alert = || app.target_alert().and_then(|id| app.picture().alert(id)).map(|row| row.alert.rule.to_string());
    let price = || {
        let symbol = app.subject()?;
        Some(format!("{symbol} {}", app.price(symbol)?))
    };
    match (app.screen, app.pane) {
        (Screen::Watch, Pane::Alerts) | (Screen::Alerts, _) => alert(),
        (Screen::Watch, Pane::Table) => price(),
        (Screen::Chart, _) => {
            let bar = app.subject().zip(app.cross_bar());
            let values = bar.map(|(s, b)| format!("{s} {} {} {} {} {}", b.from, b.open, b.high, b.low, b.close));
            values.or_else(price)
        }
        (Screen::History, _) => {
            let id = app.event_id()?;
            let firing = app.picture().firings().find(|firing| firing.id == id)?;
            Some(format!("{} {} {}", firing.time, firing.id, firing.reason()))
        }
        (Screen::Health, _) => {
            let names: Vec<_> = app.channels.iter().map(|c| c.name.clone()).collect();
            let name = app.channel.of(&names)?;
            let channel = app.channels.iter().find(|channel| channel.name == name)?;
            Some(format!("{} {}", channel.name, channel.status))
        }
    }
}

/// Copies the thing under the cursor.
pub(super) fn copy(app: &mut App) -> Vec<Effect> {
    let Some(text) = text(app) else {
        app.toasts.push(Tone::Info, "there is nothing to copy here", app.now);
        return Vec::new();
    };
    // Nobody else's words may give orders to the program they are pasted into.
    let text = bellwether_core::text::sanitize(&text);
    app.toasts.push(Tone::Info, format!("copied: {text}"), app.now);
    vec![Effect::Copy(text)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture::{self, types};

    #[test]
    fn what_is_under_the_cursor_is_copied() {
        for (keys, expected) in [
            ("y", "BTC 60412.5"),
            ("3y", "BTC < 58000 every 1h via desktop,email"),
            ("3wy", "BTC < 58000 every 1h via desktop,email"),
            ("2y", "BTC 60412.5"),
            ("5y", "desktop the notification service of this session"),
        ] {
            let mut app = fixture::app();
            let effects = types(&mut app, keys);
            assert!(effects.contains(&Effect::Copy(expected.to_owned())), "{keys}: {effects:?}");
        }
        let mut app = fixture::app();
        let effects = types(&mut app, "4y");
        let [Effect::Copy(line)] = &effects[..] else { panic!("{effects:?}") };
        assert!(line.contains("a18.1.4 BTC rose above 60,000"), "{line}");
        let mut app = fixture::empty();
        assert_eq!(types(&mut app, "3y"), []);
    }
}
