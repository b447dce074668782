//! Text from outside made fit to be shown: no control characters, nothing invisible, nothing too long.
//!
//! A name or note may come from anybody; a terminal obeys escape sequences, and a bidirectional override makes one
//! line read as another. Every place that shows foreign text goes through here.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

/// What stands for a character that must not be shown.
pub const REPLACEMENT: char = '\u{FFFD}';

/// The text with every control, bidirectional and zero-width character replaced by U+FFFD, one for one.
///
/// Joiners and variation selectors inside an emoji stay. Doing it twice changes nothing more.
pub fn sanitize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = Before::Other;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next_is_emoji = rest.peek().is_some_and(|&n| is_emoji(n));
        let shown = if !is_hidden(c) || before.keeps(c, next_is_emoji) { c } else { REPLACEMENT };
        before = before.after(shown);
        out.push(shown);
    }
    out
}

/// At most `max_graphemes` characters as people count them, the last one `…` where something was left out.
pub fn cut(text: &str, max_graphemes: usize) -> Cow<'_, str> {
    if text.len() <= max_graphemes {
        return Cow::Borrowed(text);
    }
    let mut starts = text.grapheme_indices(true).map(|(at, _)| at);
    let Some(keep) = max_graphemes.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let end = starts.nth(keep).unwrap_or(text.len());
    match starts.next() {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// Whether a character is invisible or moves others about: controls, bidirectional marks, zero-width and format
/// characters, line and paragraph separators.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{8E2}'
            | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether a character is drawn as a picture, or can be.
const fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{A9}' | '\u{AE}' | '\u{203C}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{21FF}'
        | '\u{2300}'..='\u{23FF}' | '\u{24C2}' | '\u{25A0}'..='\u{27BF}' | '\u{2934}' | '\u{2935}'
        | '\u{2B00}'..='\u{2BFF}' | '\u{3030}' | '\u{303D}' | '\u{3297}' | '\u{3299}' | '\u{1F000}'..='\u{1FAFF}')
}

/// What has just been shown, as far as it decides about the next character.
#[derive(Clone, Copy)]
enum Before {
    /// An emoji that may be joined, varied or tagged.
    Emoji,
    /// The black flag, or a tag behind it.
    Flag,
    /// A digit, `#` or `*`, which a variation selector makes a keycap.
    Key,
    /// Anything else.
    Other,
}

impl Before {
    /// Whether `c`, which is invisible, belongs to the emoji that has been shown.
    const fn keeps(self, c: char, next_is_emoji: bool) -> bool {
        match self {
            Self::Emoji => matches!(c, '\u{FE0E}' | '\u{FE0F}') || (c == '\u{200D}' && next_is_emoji),
            Self::Flag => {
                matches!(c, '\u{FE0E}' | '\u{FE0F}' | '\u{E0020}'..='\u{E007F}') || (c == '\u{200D}' && next_is_emoji)
            }
            Self::Key => matches!(c, '\u{FE0E}' | '\u{FE0F}'),
            Self::Other => false,
        }
    }

    const fn after(self, shown: char) -> Self {
        match (self, shown) {
            (_, '\u{1F3F4}') | (Self::Flag, '\u{E0020}'..='\u{E007E}') => Self::Flag,
            (Self::Emoji | Self::Flag, '\u{FE0F}') => Self::Emoji,
            (_, c) if is_emoji(c) => Self::Emoji,
            (_, '0'..='9' | '#' | '*') => Self::Key,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terminals_get_no_orders_and_eyes_no_tricks() {
        for (text, shown) in [
            ("sell half", "sell half"),
            ("Müller 東京 ₿", "Müller 東京 ₿"),
            ("\u{1b}]52;c;AAAA\u{7}", "\u{FFFD}]52;c;AAAA\u{FFFD}"),
            ("a\u{9b}2J", "a\u{FFFD}2J"),
            ("a\r\nb\tc\0", "a\u{FFFD}\u{FFFD}b\u{FFFD}c\u{FFFD}"),
            ("pay\u{202E}cba", "pay\u{FFFD}cba"),
            ("B\u{200B}T\u{FEFF}C", "B\u{FFFD}T\u{FFFD}C"),
            ("\u{200D}\u{200D}\u{200D}", "\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("\u{2028}x\u{E0041}", "\u{FFFD}x\u{FFFD}"),
        ] {
            assert_eq!(sanitize(text), shown);
        }
    }

    #[test]
    fn emoji_stay_whole() {
        for emoji in ["👨‍👩‍👧", "❤️‍🔥", "👩🏽‍🚀", "1️⃣", "☎️", "🏴\u{E0067}\u{E0062}\u{E007F}", "🏳️‍🌈"]
        {
            assert_eq!(sanitize(emoji), emoji, "{emoji}");
        }
        assert_eq!(sanitize("🚀\u{200D}x"), "🚀\u{FFFD}x");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("Bitcoin", 7), "Bitcoin");
        assert_eq!(cut("Bitcoin", 4), "Bit…");
        assert_eq!(cut("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", 3), "👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧");
        assert_eq!(cut("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", 2), "👨‍👩‍👧…");
        assert_eq!(cut("ab", 1), "…");
        assert_eq!(cut("ab", 0), "");
        assert_eq!(cut("", 0), "");
    }

    proptest! {
        #[test]
        fn sanitising_twice_is_sanitising_once(text in ".{0,40}", odd in prop::collection::vec(
            prop::sample::select(vec!['\u{200D}', '\u{FE0F}', '🚀', '🏴', '\u{E0067}', '\u{E007F}', '1', 'a', '\u{202E}']), 0..20)) {
            let text: String = text.chars().chain(odd).collect();
            let once = sanitize(&text);
            prop_assert_eq!(once.chars().count(), text.chars().count());
            prop_assert_eq!(&sanitize(&once), &once);
        }

        #[test]
        fn what_is_cut_is_short_enough(text in ".{0,40}", max in 0_usize..20) {
            prop_assert!(cut(&text, max).graphemes(true).count() <= max.max(1));
        }
    }
}
