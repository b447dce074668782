//! How the dashboard is to look: what the user and his terminal ask for.

/// The colour schemes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// The terminal's own sixteen colours.
    #[default]
    Terminal,
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// Blue and orange instead of green and red, on a dark background.
    ColorBlind,
    /// Blue and orange on a light background.
    ColorBlindLight,
}

/// How the dashboard is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches of the user")]
pub struct Look {
    /// The colour scheme.
    pub theme: ThemeName,
    /// No colour at all (`NO_COLOR`): bold, dim and reverse remain.
    pub no_color: bool,
    /// Nothing but ASCII characters.
    pub ascii: bool,
    /// Whether changed digits flash.
    pub animations: bool,
    /// Whether the terminal's bell rings when an alert fires.
    pub bell: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { theme: ThemeName::Terminal, no_color: false, ascii: false, animations: true, bell: false }
    }
}

impl Look {
    /// The look that variables ask for: `NO_COLOR`, and `BELLWETHER_THEME` (`dark`, `light`, `colorblind`, `colorblind-light`),
    /// `BELLWETHER_ASCII`, `BELLWETHER_BELL`, `BELLWETHER_ANIMATIONS=0`. `get` looks a variable up.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let on = |name: &str| get(name).is_some_and(|v| !v.is_empty() && v != "0" && v != "false");
        let theme = match get("BELLWETHER_THEME").unwrap_or_default().as_str() {
            "dark" => ThemeName::Dark,
            "light" => ThemeName::Light,
            "colorblind" => ThemeName::ColorBlind,
            "colorblind-light" => ThemeName::ColorBlindLight,
            _ => ThemeName::Terminal,
        };
        Self {
            theme,
            // Any value but the empty one switches colour off (no-color.org).
            no_color: get("NO_COLOR").is_some_and(|v| !v.is_empty()),
            ascii: on("BELLWETHER_ASCII"),
            animations: get("BELLWETHER_ANIMATIONS").is_none() || on("BELLWETHER_ANIMATIONS"),
            bell: on("BELLWETHER_BELL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_choose_the_look() {
        assert_eq!(Look::from_variables(|_| None), Look::default());
        let look = Look::from_variables(|name| match name {
            "NO_COLOR" | "BELLWETHER_ASCII" => Some("1".to_owned()),
            "BELLWETHER_THEME" => Some("colorblind".to_owned()),
            "BELLWETHER_ANIMATIONS" => Some("0".to_owned()),
            _ => None,
        });
        assert!(look.no_color && look.ascii && !look.animations && !look.bell);
        assert_eq!(look.theme, ThemeName::ColorBlind);
    }
}
