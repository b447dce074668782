//! Colours by role. Meaning is never in colour alone: every role comes with a sign or a word beside it.

use ratatui::style::{Color, Modifier, Style};

use crate::app::{Look, ThemeName};

/// A style for each role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// The whole screen.
    pub(super) base: Style,
    pub(super) strong: Style,
    pub(super) dim: Style,
    pub(super) accent: Style,
    pub(super) up: Style,
    pub(super) down: Style,
    /// Digits that have just changed.
    pub(super) flash_up: Style,
    pub(super) flash_down: Style,
    /// Digits that changed a moment ago.
    pub(super) fade_up: Style,
    pub(super) fade_down: Style,
    pub(super) selected: Style,
    /// The name in the selected row.
    pub(super) cursor: Style,
    /// What is less important than its colour says.
    pub(super) quiet: Style,
    /// A short message.
    pub(super) toast: Style,
    pub(super) border: Style,
    pub(super) border_focus: Style,
    pub(super) warn: Style,
    pub(super) trouble: Style,
    pub(super) fired: Style,
    pub(super) level: Style,
    pub(super) tag: Style,
    pub(super) tab: Style,
    pub(super) key: Style,
    /// The ground of a range's band in the chart; none where there is no ground colour that suits.
    pub(super) band: Option<Style>,
    /// The ground of bars outside regular hours.
    pub(super) shade: Option<Style>,
    pub(super) ascii: bool,
}

/// The colours that a scheme is made of.
struct Palette {
    ground: Option<(Color, Color)>,
    dim: Option<Color>,
    accent: Color,
    up: Color,
    down: Color,
    warn: Color,
    level: Color,
    selected: Option<Color>,
    /// The grounds of a band, and of hours outside the regular ones.
    grounds: Option<(Color, Color)>,
    /// Text on a coloured ground.
    ink: Color,
}

const fn rgb(hex: u32) -> Color {
    let [_, r, g, b] = hex.to_be_bytes();
    Color::Rgb(r, g, b)
}

const DARK_GROUND: (Color, Color) = (rgb(0x00D5_DBE3), rgb(0x000F_1419));
const LIGHT_GROUND: (Color, Color) = (rgb(0x0020_2730), rgb(0x00FB_FBF8));

fn palette(name: ThemeName) -> Palette {
    let dark = Palette {
        ground: Some(DARK_GROUND),
        dim: Some(rgb(0x0084_92A3)),
        accent: rgb(0x006F_B7F0),
        up: rgb(0x004F_C98B),
        down: rgb(0x00F2_7A7E),
        warn: rgb(0x00E5_B567),
        level: rgb(0x00C6_9CF4),
        selected: Some(rgb(0x001F_2A37)),
        grounds: Some((rgb(0x0020_1C33), rgb(0x0018_1F27))),
        ink: rgb(0x000F_1419),
    };
    let light = Palette {
        ground: Some(LIGHT_GROUND),
        dim: Some(rgb(0x005C_6773)),
        accent: rgb(0x0006_5DB0),
        up: rgb(0x0005_6F3B),
        down: rgb(0x00B0_2A30),
        warn: rgb(0x0085_5500),
        level: rgb(0x0071_3FB0),
        selected: Some(rgb(0x00ED_F2F7)),
        grounds: Some((rgb(0x00F3_EEFA), rgb(0x00F2_F2EE))),
        ink: rgb(0x00FB_FBF8),
    };
    match name {
        ThemeName::Terminal => Palette {
            ground: None,
            dim: None,
            accent: Color::Cyan,
            up: Color::Green,
            down: Color::Red,
            warn: Color::Yellow,
            level: Color::Magenta,
            selected: None,
            grounds: None,
            ink: Color::Black,
        },
        ThemeName::Dark => dark,
        ThemeName::Light => light,
        ThemeName::ColorBlind => {
            Palette { up: rgb(0x0056_B4E9), down: rgb(0x00E6_9F00), warn: rgb(0x00F0_E442), ..dark }
        }
        ThemeName::ColorBlindLight => {
            Palette { up: rgb(0x0000_6CA8), down: rgb(0x00B3_4D00), accent: rgb(0x0020_2730), ..light }
        }
    }
}

impl Theme {
    pub(super) fn new(look: Look) -> Self {
        if look.no_color {
            return Self::plain(look.ascii);
        }
        let mut p = palette(look.theme);
        // What is in trouble keeps the colour of trouble.
        let bad = p.down;
        if look.up_is_red {
            std::mem::swap(&mut p.up, &mut p.down);
        }
        let fg = |color| Style::new().fg(color);
        let bold = Modifier::BOLD;
        Self {
            base: p.ground.map_or(Style::new(), |(fg, bg)| Style::new().fg(fg).bg(bg)),
            strong: Style::new().add_modifier(bold),
            dim: p.dim.map_or(Style::new().add_modifier(Modifier::DIM), fg),
            accent: fg(p.accent).add_modifier(bold),
            up: fg(p.up),
            down: fg(p.down),
            flash_up: Style::new().fg(p.ink).bg(p.up).add_modifier(bold),
            flash_down: Style::new().fg(p.ink).bg(p.down).add_modifier(bold),
            fade_up: fg(p.up).add_modifier(bold),
            fade_down: fg(p.down).add_modifier(bold),
            // The terminal's own grey may be anything: there the row is bold and its name inverse.
            selected: p.selected.map_or(Style::new().add_modifier(bold), |bg| Style::new().bg(bg)),
            cursor: Style::new().fg(p.ink).bg(p.accent).add_modifier(bold),
            quiet: Style::new().add_modifier(Modifier::DIM),
            toast: p.selected.map_or(Style::new().add_modifier(Modifier::REVERSED), |bg| Style::new().bg(bg)),
            border: p.dim.map_or(Style::new().fg(Color::DarkGray), fg),
            border_focus: fg(p.accent),
            warn: fg(p.warn),
            trouble: fg(bad).add_modifier(bold),
            fired: Style::new().fg(p.ink).bg(p.warn).add_modifier(bold),
            level: fg(p.level),
            tag: Style::new().fg(p.ink).bg(p.level),
            tab: Style::new().fg(p.ink).bg(p.accent).add_modifier(bold),
            key: fg(p.accent),
            band: p.grounds.map(|(band, _)| Style::new().bg(band)),
            shade: p.grounds.map(|(_, shade)| Style::new().bg(shade)),
            ascii: look.ascii,
        }
    }

    /// No colour: bold, dim, reverse and underline remain.
    fn plain(ascii: bool) -> Self {
        let plain = Style::new();
        let with = |m: Modifier| Style::new().add_modifier(m);
        Self {
            base: plain,
            strong: with(Modifier::BOLD),
            dim: with(Modifier::DIM),
            accent: with(Modifier::BOLD),
            up: plain,
            down: plain,
            flash_up: with(Modifier::REVERSED),
            flash_down: with(Modifier::REVERSED),
            fade_up: with(Modifier::UNDERLINED),
            fade_down: with(Modifier::UNDERLINED),
            selected: with(Modifier::BOLD),
            cursor: with(Modifier::REVERSED),
            quiet: with(Modifier::DIM),
            toast: with(Modifier::REVERSED),
            border: with(Modifier::DIM),
            border_focus: with(Modifier::BOLD),
            warn: with(Modifier::BOLD),
            trouble: with(Modifier::BOLD),
            fired: with(Modifier::REVERSED),
            level: plain,
            tag: with(Modifier::REVERSED),
            tab: with(Modifier::REVERSED),
            key: with(Modifier::BOLD),
            band: None,
            shade: None,
            ascii,
        }
    }

    /// The style of a change by its sign.
    pub(super) fn change(&self, positive: Option<bool>) -> Style {
        match positive {
            Some(true) => self.up,
            Some(false) => self.down,
            None => self.dim,
        }
    }
}

/// The ASCII character that stands for one of ours, and `?` for anybody else's.
pub(super) const fn in_ascii(c: char) -> &'static str {
    match c {
        '─' | '╌' | '—' | '━' | '┈' | '▄' | '▀' => "-",
        '│' | '┊' | '▏' | '╷' | '╵' | '├' | '┤' => "|",
        '╭' | '╮' | '╰' | '╯' | '▆' | '┼' => "+",
        '▲' | '↑' => "^",
        '▼' | '↓' => "v",
        '●' | '•' | '\u{2800}'..='\u{28ff}' => "*",
        '◐' | '○' => "o",
        '◆' | '█' => "#",
        '▶' | '▸' | '→' => ">",
        '←' => "<",
        '…' | '±' => "~",
        '·' | '▂' | '░' => ".",
        '✓' => "y",
        '✗' => "x",
        '▁' => "_",
        '▃' => ":",
        '▅' => "=",
        '▇' => "%",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color) -> f64 {
        let Color::Rgb(r, g, b) = color else { panic!("{color:?} has no known luminance") };
        let part = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.03928 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    }

    fn contrast(a: Color, b: Color) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_colour_can_be_read_on_its_ground() {
        for name in [ThemeName::Dark, ThemeName::Light, ThemeName::ColorBlind, ThemeName::ColorBlindLight] {
            let p = palette(name);
            let (text, ground) = p.ground.expect("these have a ground");
            let colours = [text, p.dim.expect("a dim colour"), p.accent, p.up, p.down, p.warn, p.level];
            for colour in colours {
                let (band, shade) = p.grounds.expect("these have them");
                for ground in [ground, p.selected.expect("these have one"), band, shade] {
                    let ratio = contrast(colour, ground);
                    assert!(ratio >= 4.5, "{name:?}: {colour:?} on {ground:?} has only {ratio:.2}");
                }
            }
            for ground in [p.up, p.down, p.warn, p.level, p.accent] {
                assert!(contrast(p.ink, ground) >= 4.5, "{name:?}: ink on {ground:?}");
            }
        }
    }
}
