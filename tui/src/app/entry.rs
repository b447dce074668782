//! Writing an alert in one line: the text, what it means so far, and what became of it.

use bellwether_core::{
    alert::AlertId,
    condition::{Comparison, Condition, Crossing, MAX_LINE, Repeat, Rule},
    parse::{self, Completion, ParseContext, ParseError},
};

use super::{
    Action, Line, Sheet,
    line::Taken,
    past::Past,
    sheet::{self},
};

/// What Enter will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Make a new alert.
    Create,
    /// Change this one, which stands at that version.
    Edit(AlertId, u32),
}

/// What the text means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Understanding {
    /// There is nothing to understand yet.
    Empty,
    /// It is an alert.
    Rule(Box<Rule>),
    /// It is none.
    Wrong(ParseError),
}

/// An alert being written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) purpose: Purpose,
    pub(crate) line: Line,
    pub(crate) meaning: Understanding,
    /// What stood there before anything was typed, as long as nobody has touched it.
    prefill: Option<String>,
    /// Proposals of Tab, and which one stands in the line.
    pub(crate) proposals: Vec<Completion>,
    pub(crate) proposal: Option<usize>,
    /// What Enter led to: the daemon's refusal, or that it cannot be reached.
    pub(crate) refusal: Option<String>,
    /// Its channels are tried once it is saved.
    pub(crate) tests: bool,
    /// The same as a form, while it is written so.
    pub(crate) sheet: Option<Sheet>,
    /// The daemon has been asked and has not answered yet.
    pub(crate) saving: bool,
    /// A paste did not fit.
    pub(crate) was_cut: bool,
    /// What it would have done.
    pub(crate) past: Past,
}

impl Entry {
    pub(crate) fn new(purpose: Purpose, text: impl Into<String>, context: &ParseContext<'_>) -> Self {
        let mut entry = Self {
            purpose,
            line: Line::new(text),
            meaning: Understanding::Empty,
            prefill: None,
            proposals: Vec::new(),
            proposal: None,
            refusal: None,
            tests: false,
            sheet: None,
            saving: false,
            was_cut: false,
            past: Past::default(),
        };
        entry.understand(context);
        entry
    }

    /// A new alert for which an instrument is proposed: it gives way to a line that names its own.
    pub(crate) fn proposing(prefill: String, context: &ParseContext<'_>) -> Self {
        Self { prefill: Some(prefill.clone()), ..Self::new(Purpose::Create, prefill, context) }
    }

    /// The cursor moved or something was deleted: a prefill that was reached by that is the user's own text from now on.
    pub(crate) fn edited(&mut self) {
        let (text, cursor) = (self.line.text(), self.line.cursor());
        self.prefill =
            self.prefill.take().filter(|prefill| text.starts_with(prefill.as_str()) && cursor >= prefill.len());
    }

    /// Drops the untouched prefill if the first word typed behind it is an operand itself.
    fn give_way(&mut self, context: &ParseContext<'_>) {
        let Some(prefill) = &self.prefill else { return };
        let Some(typed) = self.line.text().strip_prefix(prefill.as_str()) else { return };
        let start = prefill.len() + typed.len() - typed.trim_start().len();
        if own_operand(self.line.text(), start, context) {
            self.line.drop_front(start);
            self.prefill = None;
        }
    }

    /// The text has changed: reads it anew.
    pub(crate) fn understand(&mut self, context: &ParseContext<'_>) {
        self.proposal = None;
        self.refusal = None;
        self.was_cut = false;
        self.proposals = parse::completions(self.line.text(), self.line.cursor(), context);
        self.read(context);
    }

    fn read(&mut self, context: &ParseContext<'_>) {
        self.past.changed(context.now);
        let text = self.line.text().trim_end();
        self.meaning = if text.is_empty() {
            Understanding::Empty
        } else {
            match parse::parse(text, context) {
                Ok(rule) => Understanding::Rule(Box::new(rule)),
                Err(error) => Understanding::Wrong(error),
            }
        };
    }

    /// The text, if it is an alert.
    pub(crate) fn alert(&self) -> Option<&str> {
        matches!(self.meaning, Understanding::Rule(_)).then(|| self.line.text().trim_end())
    }

    /// Puts text at the cursor.
    pub(crate) fn insert(&mut self, text: &str, context: &ParseContext<'_>) {
        if let Some(sheet) = &mut self.sheet {
            sheet.insert(text);
            return self.take_form(context);
        }
        let taken = self.line.insert(text, MAX_LINE);
        self.give_way(context);
        self.understand(context);
        self.was_cut = taken == Taken::Cut;
    }

    /// Goes on as a form, or back to the line. A line that no form can hold stays one.
    pub(super) fn as_form(&mut self, context: &ParseContext<'_>) {
        if self.sheet.take().is_some() {
            self.line.end();
            return self.understand(context);
        }
        let sheet = match &self.meaning {
            Understanding::Rule(rule) => Sheet::of(rule).filter(|sheet| sheet::is_faithful(sheet, rule, context)),
            Understanding::Empty => Some(Sheet::empty("")),
            // An instrument and nothing else yet.
            Understanding::Wrong(_) => {
                let word = self.line.text().trim();
                context.catalog.resolve(word).is_ok().then(|| Sheet::empty(word))
            }
        };
        if sheet.is_none() {
            self.refusal = Some("no form holds this: it is written as a line".to_owned());
        }
        self.sheet = sheet;
    }

    /// A key in the form.
    pub(super) fn in_form(&mut self, action: Action, context: &ParseContext<'_>) {
        let Some(sheet) = &mut self.sheet else { return };
        if !sheet.act(action)
            && let Some(line) = sheet.line_mut()
        {
            super::keys::edit(line, action);
        }
        self.take_form(context);
    }

    /// The form has changed: the line says what it says.
    fn take_form(&mut self, context: &ParseContext<'_>) {
        let Some(sheet) = &self.sheet else { return };
        self.prefill = None;
        self.line = Line::new(sheet.line());
        self.understand(context);
    }

    /// Makes of a condition that is true already the one that waits for the next time.
    pub(super) fn wait_for_next(&mut self, context: &ParseContext<'_>) {
        let Understanding::Rule(rule) = &self.meaning else { return };
        let Some(next) = next_time(rule) else { return };
        self.prefill = None;
        self.line = Line::new(next.to_string());
        self.understand(context);
    }

    /// Puts the next (or previous) proposal in its place.
    pub(crate) fn complete(&mut self, forward: bool, context: &ParseContext<'_>) {
        let count = self.proposals.len();
        if count == 0 {
            return;
        }
        let next = match (self.proposal, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => (at + 1) % count,
            (Some(at), false) => (at + count - 1) % count,
        };
        // The first proposal replaces what was typed, the next ones replace the proposal before.
        let typed = self.proposals[next].replace.clone();
        let range = match self.proposal {
            None => typed,
            Some(at) => typed.start..typed.start + self.proposals[at].text.len(),
        };
        let text = self.proposals[next].text.clone();
        self.line.replace(range, &text);
        self.read(context);
        self.refusal = None;
        self.proposal = Some(next);
        if count == 1 {
            // Nothing to choose from: the word is done.
            if self.line.cursor() == self.line.text().len() && !text.ends_with(' ') {
                self.line.insert(" ", MAX_LINE);
            }
            self.understand(context);
        }
    }
}

/// The rule that fires when its condition becomes true the next time, instead of at once; none where that is the same.
pub(crate) fn next_time(rule: &Rule) -> Option<Rule> {
    let mut next = rule.clone();
    for term in &mut next.terms {
        term.condition = match term.condition.clone() {
            Condition::Compare { cmp: Comparison::Above | Comparison::AtLeast, level } => {
                Condition::Crosses { direction: Crossing::Up, level }
            }
            Condition::Compare { cmp: Comparison::Below | Comparison::AtMost, level } => {
                Condition::Crosses { direction: Crossing::Down, level }
            }
            Condition::In(range) => Condition::Enters(range),
            Condition::Outside(range) => Condition::Exits(range),
            _ => return None,
        };
    }
    // An event does not last: what was to be repeated while it is true is told each time, as far apart.
    if let Repeat::Every(span) = next.repeat {
        next.repeat = Repeat::Each { cooldown: span };
    }
    Some(next)
}

/// Whether the word at byte `start` is finished and names what an alert looks at: in quotes, a ratio, or a name of the
/// catalogue. A word that goes on with what stands before it, such as `crosses`, is none, whatever the catalogue calls so.
fn own_operand(line: &str, start: usize, context: &ParseContext<'_>) -> bool {
    let rest = &line[start..];
    if let Some(quoted) = rest.strip_prefix('"') {
        return quoted.split_once('"').is_some_and(|(_, behind)| behind.starts_with([' ', '<', '>', '/']));
    }
    let Some(end) = rest.find([' ', '<', '>']) else { return false };
    let word = &rest[..end];
    // A slash in front makes a ratio of what stands before it.
    if word.contains('/') {
        return !word.starts_with('/');
    }
    let refused = || parse::parse(&line[..start + end], context).is_err_and(|error| error.span.start <= start);
    context.catalog.resolve(word).is_ok() && refused()
}

#[cfg(test)]
mod tests {
    use bellwether_core::{catalog::Catalog, condition::ChannelName, time::Timestamp};
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn tab_completes_and_steps_through_proposals() {
        let (catalog, channels) = (Catalog::builtin(), [ChannelName::new("desktop"), ChannelName::new("email")]);
        let now = Timestamp::from_seconds(1_795_000_000);
        let context = ParseContext { catalog: &catalog, now, timezone: &TimeZone::UTC, channels: &channels };
        let mut entry = Entry::new(Purpose::Create, "BTC > 61k via de", &context);
        entry.complete(true, &context);
        assert_eq!(entry.line.text().trim_end(), "BTC > 61k via desktop");
        assert!(matches!(entry.meaning, Understanding::Rule(_)), "{:?}", entry.meaning);
        let mut entry = Entry::new(Purpose::Create, "BTC > 61k ", &context);
        let first = entry.proposals.first().map(|p| p.text.clone());
        entry.complete(true, &context);
        let once = entry.line.text().to_owned();
        assert_eq!(Some(once.trim_start_matches("BTC > 61k ").trim_end()), first.as_deref());
        entry.complete(true, &context);
        assert_ne!(entry.line.text(), once);
        entry.complete(false, &context);
        assert_eq!(entry.line.text(), once);
    }

    #[test]
    fn a_proposed_instrument_gives_way_to_one_that_is_typed() {
        let catalog = Catalog::builtin();
        let context =
            ParseContext { catalog: &catalog, now: Timestamp::default(), timezone: &TimeZone::UTC, channels: &[] };
        let typed = |text: &str| {
            let mut entry = Entry::proposing("BTC ".to_owned(), &context);
            for c in text.chars() {
                entry.insert(c.encode_utf8(&mut [0; 4]), &context);
            }
            let mut pasted = Entry::proposing("BTC ".to_owned(), &context);
            pasted.insert(text, &context);
            assert_eq!(entry.line, pasted.line, "typed or pasted");
            assert_eq!(entry.line.cursor(), entry.line.text().len());
            entry.line.text().to_owned()
        };
        for own in ["btc crosses 84.5k", "eth > 3k", "ETH>3k", "btc/eth > 20", "btc / eth > 20", "\"BTC\" > 61k"] {
            assert_eq!(typed(own), own);
            assert_eq!(typed(&format!(" {own}")), own, "after a blank");
        }
        for more in [
            "> 61k",
            "crosses up 61k",
            "in 58k..61k",
            "+5% from now",
            "btc",
            "btcc crosses 1",
            "/ eth > 20",
            "/eth > 20",
        ] {
            assert_eq!(typed(more), format!("BTC {more}"));
        }
        let mut entry = Entry::proposing("BTC ".to_owned(), &context);
        entry.line.home();
        entry.edited();
        entry.line.end();
        entry.insert("btc ", &context);
        assert_eq!(entry.line.text(), "BTC btc ", "what was touched stays");
        let mut entry = Entry::new(Purpose::Create, "BTC ", &context);
        entry.insert("btc ", &context);
        assert_eq!(entry.line.text(), "BTC btc ", "what was not proposed stays");
    }

    #[test]
    fn what_is_true_already_can_wait_for_the_next_time() {
        let catalog = Catalog::builtin();
        let context =
            ParseContext { catalog: &catalog, now: Timestamp::default(), timezone: &TimeZone::UTC, channels: &[] };
        for (line, next) in [
            ("BTC > 50k once", "BTC crosses up 50000 once"),
            ("BTC <= 50k every 1h note \"x\"", "BTC crosses down 50000 each cooldown 1h note \"x\""),
            ("BTC in 1..2 each", "BTC enters 1..2 each"),
            ("BTC outside 1..2 each", "BTC exits 1..2 each"),
            ("BTC crosses 5 each", "BTC crosses 5 each"),
        ] {
            let mut entry = Entry::new(Purpose::Create, line, &context);
            entry.wait_for_next(&context);
            assert_eq!(entry.line.text(), next);
            assert!(entry.alert().is_some(), "{next}");
        }
    }

    #[test]
    fn an_error_points_at_the_word() {
        let catalog = Catalog::builtin();
        let context =
            ParseContext { catalog: &catalog, now: Timestamp::default(), timezone: &TimeZone::UTC, channels: &[] };
        let mut entry = Entry::new(Purpose::Create, "BTC accross 61k", &context);
        let Understanding::Wrong(error) = &entry.meaning else { panic!("{:?}", entry.meaning) };
        assert_eq!(&entry.line.text()[error.span.clone()], "accross");
        entry.insert(&"x".repeat(1 << 20), &context);
        assert!(entry.was_cut && entry.line.text().len() <= MAX_LINE);
    }
}
