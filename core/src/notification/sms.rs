//! Text messages: what a segment holds, and how a text is made to fit three of them.
//!
//! A message in the GSM 7-bit alphabet (3GPP TS 23.038) has 160 places, or 153 a segment when there are several; one character
//! outside of it turns the whole message into UCS-2 with 70, or 67 a segment, and so doubles the price.

use unicode_segmentation::UnicodeSegmentation;

/// The most segments of one message.
const SEGMENTS: usize = 3;
/// Places of a segment of several: GSM 7-bit, and UCS-2.
const GSM_SEGMENT: usize = 153;
const UCS2_SEGMENT: usize = 67;

/// The basic alphabet without ASCII letters and digits; each takes one place.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// The extension table; each takes two places.
const EXTENDED: &str = "^{}\\[~]|€";

/// The stable part (text and key), and the whole message with its late mark, which together fit three segments.
pub(super) fn fit(text: &str, key: &str, late: Option<&str>) -> (String, String) {
    // The room of a late mark is kept free also where there is none, so that the stable part does not depend on it.
    const LATE_ROOM: usize = 48;
    let text = plain(text);
    let key = format!(" [{}]", plain(key));
    let late = late.map(|late| format!(" {}", plain(late)));
    let room = capacity(&text).saturating_sub(places(&key, is_gsm(&text)) + LATE_ROOM);
    let core = format!("{}{key}", cut_at_word(&text, room));
    let whole = format!("{core}{}", late.unwrap_or_default());
    (core, whole)
}

/// How many places three segments have for this text.
fn capacity(text: &str) -> usize {
    SEGMENTS * if is_gsm(text) { GSM_SEGMENT } else { UCS2_SEGMENT }
}

fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| gsm_places(c).is_some())
}

fn gsm_places(c: char) -> Option<usize> {
    if c.is_ascii_alphanumeric() || BASIC.contains(c) {
        Some(1)
    } else if EXTENDED.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// How many places the text takes, in GSM 7-bit or in UCS-2.
fn places(text: &str, gsm: bool) -> usize {
    text.chars().map(|c| if gsm { gsm_places(c).unwrap_or(2) } else { c.len_utf16() }).sum()
}

/// Typographic signs as the GSM alphabet has them, and lines as sentences, so that none of them doubles the price.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}' | '\u{2032}' | '`' | '´' => out.push('\''),
            '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' | '\u{2033}' | '«' | '»' => out.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '·' | '•' => out.push('-'),
            '…' => out.push_str("..."),
            '→' | '⇒' => out.push_str("->"),
            '←' | '⇐' => out.push_str("<-"),
            '↑' => out.push_str("up"),
            '↓' => out.push_str("down"),
            '≥' => out.push_str(">="),
            '≤' => out.push_str("<="),
            '±' => out.push_str("+/-"),
            '×' => out.push('x'),
            '\n' | '\r' | '\t' | '\u{A0}' | '\u{2009}' | '\u{202F}' => out.push(' '),
            '\u{FFFD}' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// The text within `room` places, cut after a word and ended by `...` where it is longer.
fn cut_at_word(text: &str, room: usize) -> String {
    const MARK: &str = "...";
    let gsm = is_gsm(text);
    if places(text, gsm) <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(MARK.len());
    let mut taken = 0;
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        taken += places(grapheme, gsm);
        if taken > room {
            break;
        }
        end = at + grapheme.len();
    }
    let kept = &text[..end];
    // A word that is cut goes, unless it is so long that little would remain.
    let whole = match kept.rfind(' ') {
        Some(space) if !text[end..].starts_with(' ') && space * 2 > end => &kept[..space],
        _ => kept,
    };
    format!("{}{MARK}", whole.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> usize {
        let gsm = is_gsm(text);
        let (single, several) = if gsm { (160, GSM_SEGMENT) } else { (70, UCS2_SEGMENT) };
        let places = places(text, gsm);
        if places <= single { 1 } else { places.div_ceil(several) }
    }

    #[test]
    fn one_curly_quote_does_not_double_the_price() {
        let (_, sms) = fit("BTC “above” 60,000 — it’s → up…", "d1", None);
        assert_eq!(sms, "BTC \"above\" 60,000 - it's -> up... [d1]");
        assert!(is_gsm(&sms));
        assert_eq!(segments(&sms), 1);
    }

    #[test]
    fn three_thousand_characters_become_three_segments_cut_at_a_word() {
        let (core, sms) = fit(&"lorem ipsum ".repeat(250), "d9223372036854775807", None);
        assert_eq!(core, sms);
        assert_eq!(segments(&sms), 3);
        assert!(sms.ends_with("lorem... [d9223372036854775807]") || sms.ends_with("ipsum... [d9223372036854775807]"));
        let (_, emoji) = fit(&"🚀 to the moon ".repeat(200), "d1", Some("Late: fired 11-22 14:03, sent 11-22 14:09"));
        assert!(segments(&emoji) <= 3, "{emoji}");
        assert!(emoji.ends_with("... [d1] Late: fired 11-22 14:03, sent 11-22 14:09"), "{emoji}");
        let (_, endless) = fit(&"x".repeat(3_000), "d1", None);
        assert!(segments(&endless) == 3 && endless.contains("x... [d1]"));
    }

    #[test]
    fn lateness_does_not_change_the_part_that_is_recognised() {
        let text = "word ".repeat(200);
        let (core, _) = fit(&text, "d7", None);
        let (late_core, late) = fit(&text, "d7", Some("Late: fired 11-22 14:03, sent 11-23 14:09"));
        assert_eq!(core, late_core);
        assert!(late.starts_with(&core) && segments(&late) <= 3);
    }
}
