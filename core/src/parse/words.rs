//! The words of the language, and what people write instead of them.

use crate::suggest;

/// Words that begin a condition.
pub(super) const CONDITIONS: &[&str] = &[
    "crosses", "above", "below", "rises", "falls", "enters", "exits", "in", "outside", "over", "under", "hits",
    "reaches", "touches", "inside", "leaves",
];

/// What may also stand behind an instrument: what is computed from what it did.
pub(super) const INDICATORS: &[&str] = &["sma(", "ema(", "rsi(", "bb_upper(", "bb_lower(", "volume"];

/// Indicators that a price can be compared with.
pub(super) const LEVELS: &[&str] = &["sma(", "ema(", "bb_upper(", "bb_lower("];

/// The usual lengths of a bar.
pub(super) const BARS: &[&str] = &["1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"];

/// Words that join two terms.
pub(super) const JOINS: &[&str] = &["and", "or"];

/// Words that begin an option.
pub(super) const OPTIONS: &[&str] =
    &["once", "each", "every", "cooldown", "for", "hysteresis", "session", "until", "via", "urgent", "note"];

/// Words that may follow a percentage.
pub(super) const AFTER_PERCENT: &[&str] = &["from", "in", "vs"];

/// What a trailing percentage can be measured from, beside a price.
pub(super) const ANCHORS: &[&str] = &["now", "high", "low"];

/// The sessions.
pub(super) const SESSIONS: &[&str] = &["regular", "extended"];

/// What people write for a condition, with the word or mark that means it.
const CONDITION_HABITS: &[(&str, &str)] = &[
    ("across", "crosses"),
    ("cross", "crosses"),
    ("crossing", "crosses"),
    ("crossed", "crosses"),
    ("at", "crosses"),
    ("equals", "crosses"),
    ("hit", "hits"),
    ("reach", "reaches"),
    ("touch", "touches"),
    ("rise", "rises"),
    ("fall", "falls"),
    ("drops", "falls"),
    ("drop", "falls"),
    ("breaks", "crosses"),
    ("up", "crosses up"),
    ("down", "crosses down"),
    ("exceeds", ">"),
    ("greater", ">"),
    ("more", ">"),
    ("gt", ">"),
    ("gte", ">="),
    ("ge", ">="),
    ("less", "<"),
    ("lower", "<"),
    ("lt", "<"),
    ("lte", "<="),
    ("le", "<="),
    ("enter", "enters"),
    ("exit", "exits"),
    ("leave", "leaves"),
    ("between", "in"),
    ("within", "in"),
    ("range", "in"),
    ("out", "outside"),
];

/// What people write for an option or a join, with the word that means it.
const OPTION_HABITS: &[(&str, &str)] = &[
    ("repeat", "each"),
    ("always", "each"),
    ("till", "until"),
    ("expires", "until"),
    ("before", "until"),
    ("by", "via"),
    ("with", "via"),
    ("notify", "via"),
    ("channel", "via"),
    ("channels", "via"),
    ("message", "note"),
    ("text", "note"),
    ("hyst", "hysteresis"),
    ("wait", "for"),
    ("since", "from"),
    ("than", "vs"),
    ("versus", "vs"),
    ("within", "in"),
    ("xor", "or"),
    ("plus", "and"),
];

/// The condition word that `word` was probably meant to be.
pub(super) fn nearest_condition(word: &str) -> Option<&'static str> {
    nearest(word, CONDITIONS.iter().copied(), CONDITION_HABITS)
}

/// The word that may follow a term which `word` was probably meant to be; `percent` tells that a percentage stands before it.
pub(super) fn nearest_option(word: &str, percent: bool) -> Option<&'static str> {
    // A percentage is mostly followed by what it is measured from; "form" is nearer to "for" only by the alphabet.
    let measured = percent.then(|| nearest(word, AFTER_PERCENT.iter().copied(), &[])).flatten();
    let known = JOINS.iter().chain(OPTIONS).copied();
    let found = measured.or_else(|| nearest(word, known, OPTION_HABITS));
    found.filter(|found| percent || !AFTER_PERCENT.contains(found))
}

fn nearest(
    word: &str,
    known: impl Iterator<Item = &'static str> + Clone,
    habits: &'static [(&'static str, &'static str)],
) -> Option<&'static str> {
    let habit = |wanted: &str| habits.iter().find(|(w, _)| w.eq_ignore_ascii_case(wanted)).map(|(_, meant)| *meant);
    // A mistyped word of the language is likelier than a mistyped habit; two letters are too few to guess from.
    habit(word)
        .or_else(|| suggest::nearest(word, known.filter(|w| w.len() > 2)))
        .or_else(|| suggest::nearest(word, habits.iter().map(|(w, _)| *w).filter(|w| w.len() > 3)).and_then(habit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_habits_find_the_word() {
        for (written, meant) in [
            ("accross", Some("crosses")),
            ("crosess", Some("crosses")),
            ("abvoe", Some("above")),
            ("entres", Some("enters")),
            ("between", Some("in")),
            ("exceeds", Some(">")),
            ("zebra", None),
        ] {
            assert_eq!(nearest_condition(written), meant, "{written}");
        }
        for (written, meant) in [
            ("hysterisis", Some("hysteresis")),
            ("untill", Some("until")),
            ("onec", Some("once")),
            ("coldown", Some("cooldown")),
            ("within", None),
            ("sometimes", None),
        ] {
            assert_eq!(nearest_option(written, false), meant, "{written}");
        }
        assert_eq!(nearest_option("within", true), Some("in"));
        assert_eq!(nearest_option("form", true), Some("from"));
    }
}
