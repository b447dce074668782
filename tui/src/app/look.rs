//! How the dashboard is to look: what the user's settings say, and what the variables of his terminal say over them.

pub use bellwether_core::config::dashboard::{Graphs, Theme as ThemeName};
use bellwether_core::config::{Dashboard, dashboard::UpColor};

/// How the dashboard is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the user")]
pub struct Look {
    /// The colour scheme.
    pub theme: ThemeName,
    /// Whether a rise has the colour of falls, and a fall that of rises.
    pub up_is_red: bool,
    /// No colour at all (`NO_COLOR`): bold, dim and reverse remain.
    pub no_color: bool,
    /// Nothing but ASCII characters.
    pub ascii: bool,
    /// What small pictures are made of.
    pub graphs: Graphs,
    /// Whether changed digits flash.
    pub animations: bool,
    /// Whether the terminal's bell rings when an alert fires.
    pub bell: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self::new(&Dashboard::default(), &Variables::default())
    }
}

/// What variables say about the look; each that is set is stronger than the setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `BELLWETHER_THEME`.
    pub theme: Option<ThemeName>,
    /// `NO_COLOR`.
    pub no_color: bool,
    /// `BELLWETHER_ASCII`.
    pub ascii: Option<bool>,
    /// `BELLWETHER_ANIMATIONS`.
    pub animations: Option<bool>,
    /// `BELLWETHER_BELL`.
    pub bell: Option<bool>,
}

impl Variables {
    /// What `NO_COLOR`, `BELLWETHER_THEME` (a theme's name), `BELLWETHER_ASCII`, `BELLWETHER_BELL` and `BELLWETHER_ANIMATIONS=0`
    /// ask for. `get` looks a variable up.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let on = |name: &str| get(name).filter(|v| !v.is_empty()).map(|v| v != "0" && v != "false");
        let named = get("BELLWETHER_THEME").unwrap_or_default();
        Self {
            theme: ThemeName::ALL.iter().copied().find(|theme| theme.as_str() == named),
            // Any value but the empty one switches colour off (no-color.org).
            no_color: get("NO_COLOR").is_some_and(|v| !v.is_empty()),
            ascii: on("BELLWETHER_ASCII"),
            animations: on("BELLWETHER_ANIMATIONS"),
            bell: on("BELLWETHER_BELL"),
        }
    }
}

impl Look {
    /// The look that settings and variables ask for together.
    pub fn new(settings: &Dashboard, variables: &Variables) -> Self {
        Self {
            theme: variables.theme.unwrap_or(settings.theme),
            up_is_red: settings.up_color == UpColor::Red,
            no_color: variables.no_color,
            ascii: variables.ascii.unwrap_or(settings.ascii),
            graphs: settings.graphs,
            animations: variables.animations.unwrap_or(settings.animations),
            bell: variables.bell.unwrap_or(settings.bell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_stronger_than_settings() {
        let settings = Dashboard { theme: ThemeName::Light, animations: false, bell: true, ..Dashboard::default() };
        let look = Look::new(&settings, &Variables::read(|_| None));
        assert_eq!((look.theme, look.animations, look.no_color, look.bell), (ThemeName::Light, false, false, true));
        let variables = Variables::read(|name| match name {
            "NO_COLOR" | "BELLWETHER_ASCII" | "BELLWETHER_ANIMATIONS" => Some("1".to_owned()),
            "BELLWETHER_THEME" => Some("colorblind".to_owned()),
            "BELLWETHER_BELL" => Some("0".to_owned()),
            _ => None,
        });
        let look = Look::new(&settings, &variables);
        assert!(look.no_color && look.ascii && look.animations && !look.bell);
        assert_eq!(look.theme, ThemeName::ColorBlind);
    }
}
