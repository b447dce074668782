//! Tab completion: what may stand at the cursor. The grammar itself says what may follow; here the word begun there narrows it.

use std::ops::Range;

use super::{ParseContext, characters, grammar::Reader, operand::spelled, words};
use crate::{
    condition::{ChannelName, MAX_LINE},
    instrument::Instrument,
};

/// The most proposals at one place.
const MOST: usize = 12;

/// One proposal: what would stand in the line instead of what stands at `replace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The bytes of the line to be replaced.
    pub replace: Range<usize>,
    /// What to put there.
    pub text: String,
}

/// What the grammar takes at a place.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    /// The name of an instrument.
    Operand,
    /// One of these words.
    Words(&'static [&'static str]),
    /// An option, these having been given.
    Options(Vec<&'static str>),
    /// A channel, these having been named.
    Channels(Vec<ChannelName>),
}

/// Proposals for the word at byte `cursor` of the line, best first, at most twelve.
pub fn completions(line: &str, cursor: usize, context: &ParseContext<'_>) -> Vec<Completion> {
    let cursor = line.floor_char_boundary(cursor);
    let (before, after) = line.split_at(cursor);
    let start = before.trim_end_matches(in_word).len();
    let end = cursor + (after.len() - after.trim_start_matches(in_word).len());
    let (prefix, begun) = before.split_at(start);
    if line.len() > MAX_LINE || characters::check(prefix).is_err() || in_quotes(before) {
        return Vec::new();
    }
    let mut reader = Reader::new(prefix, context);
    // Whether the line is right so far does not matter: what it could go on with has been noted on the way.
    drop(reader.alert());
    let mut found: Vec<Completion> = Vec::new();
    for offer in &reader.offers {
        let (from, proposals) = offer.proposals(begun, context);
        for text in proposals {
            let completion = Completion { replace: start + from..end, text };
            if !found.contains(&completion) && line[completion.replace.clone()] != completion.text {
                found.push(completion);
            }
        }
    }
    found.truncate(MOST);
    found
}

/// Whether a character can be part of a word being completed: a name, a keyword or a channel.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "^._=@:/-".contains(c)
}

fn in_quotes(text: &str) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

impl Offer {
    /// The texts that go on from `begun`, and how many bytes of it they leave alone.
    fn proposals(&self, begun: &str, context: &ParseContext<'_>) -> (usize, Vec<String>) {
        let continuing = |words: &[&str]| -> Vec<String> {
            words.iter().filter(|w| continues(w, begun)).map(|w| (*w).to_owned()).collect()
        };
        match self {
            Self::Operand => operands(begun, context),
            Self::Words(words) => (0, continuing(words)),
            Self::Options(seen) => {
                let repeats = ["once", "each", "every"];
                let repeated = seen.iter().any(|s| repeats.contains(s));
                let open = |word: &&str| match *word {
                    "cooldown" => seen.contains(&"each") && !seen.contains(word),
                    word if repeats.contains(&word) => !repeated,
                    word => !seen.contains(&word),
                };
                let words: Vec<&str> = words::OPTIONS.iter().copied().filter(open).collect();
                (0, continuing(&words))
            }
            Self::Channels(seen) => {
                let open = context.channels.iter().filter(|c| !seen.contains(c)).map(ChannelName::as_str);
                (0, continuing(&open.collect::<Vec<_>>()))
            }
        }
    }
}

fn continues(word: &str, begun: &str) -> bool {
    word.get(..begun.len()).is_some_and(|head| head.eq_ignore_ascii_case(begun))
}

/// Names that go on from `begun`; behind a slash, the other leg of a ratio.
fn operands(begun: &str, context: &ParseContext<'_>) -> (usize, Vec<String>) {
    let whole = named(begun, context, |_| true);
    let Some((over, under)) = begun.rsplit_once('/').filter(|_| whole.is_empty()) else {
        return (0, whole);
    };
    let Ok(over_leg) = context.catalog.resolve(over) else {
        return (0, Vec::new());
    };
    let fits = |i: &Instrument| i.currency == over_leg.currency && i.symbol != over_leg.symbol;
    (over.len() + 1, named(under, context, fits))
}

fn named(begun: &str, context: &ParseContext<'_>, fits: impl Fn(&Instrument) -> bool) -> Vec<String> {
    let rank = |i: &Instrument| {
        if continues(i.symbol.as_str(), begun) {
            return Some((0, i.symbol.as_str().len()));
        }
        if i.aliases.iter().any(|a| continues(a, begun)) {
            return Some((1, 0));
        }
        i.name.split_whitespace().any(|w| continues(w, begun)).then_some((2, 0))
    };
    let mut found: Vec<_> =
        context.catalog.instruments().iter().filter(|i| fits(i)).filter_map(|i| Some((rank(i)?, i))).collect();
    if !begun.is_empty() {
        found.sort_by_key(|(rank, _)| *rank);
    }
    found.into_iter().take(MOST).map(|(_, i)| spelled(i.symbol)).collect()
}
