//! Terms and how they join (`docs/alerts.md`, A1). Words are read from left to right; an error is the first one met.

use std::ops::Range;

use super::{
    ParseContext,
    check::{Places, TermPlaces},
    complete::Offer,
    cursor::Cursor,
    error::{ErrorCode, ParseError},
    number::{self, Unit},
    operand, when, words,
};
use crate::{
    condition::{
        Anchor, Comparison, Condition, Crossing, Join, Level, MAX_TERMS, Operand, PriceRange, Repeat, Rule,
        SessionScope, Sign, Term,
    },
    indicator::Measure,
    price::Price,
};

/// A rule and where each part of it was written.
pub(super) struct Read {
    pub(super) rule: Rule,
    pub(super) places: Places,
}

/// Reads one line. What could follow where the line ends is kept in `offers`, for completion.
pub(super) struct Reader<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) context: &'a ParseContext<'a>,
    pub(super) offers: Vec<Offer>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(line: &'a str, context: &'a ParseContext<'a>) -> Self {
        Self { cursor: Cursor::new(line), context, offers: Vec::new() }
    }

    /// Notes what may follow if the line ends here.
    pub(super) fn offer(&mut self, offer: Offer) {
        if self.cursor.at_end() {
            self.offers.push(offer);
        }
    }

    /// alert = expr { option }
    pub(super) fn alert(&mut self) -> Result<Read, ParseError> {
        self.offer(Offer::Operand);
        if self.cursor.at_end() {
            let at = self.cursor.at();
            return Err(syntax(at..at, "Write an alert such as BTC > 60k."));
        }
        let mut rule = Rule {
            terms: Vec::new(),
            join: Join::And,
            repeat: Repeat::Once,
            hold: None,
            hysteresis: None,
            session: SessionScope::Regular,
            until: None,
            via: Vec::new(),
            urgent: false,
            note: None,
        };
        let mut places = Places::default();
        let mut join = None;
        loop {
            let (term, place) = self.term()?;
            rule.terms.push(term);
            places.terms.push(place);
            self.offer(Offer::Words(words::JOINS));
            let Some((next, place)) = self.join() else { break };
            if *join.get_or_insert(next) != next {
                let message = "One alert joins its terms either with and or with or: make two alerts.";
                return Err(ParseError::new(ErrorCode::Combine, place, message));
            }
            if rule.terms.len() == MAX_TERMS {
                let message = format!("An alert has at most {MAX_TERMS} terms: make two alerts.");
                return Err(ParseError::new(ErrorCode::Combine, place, message));
            }
            self.offer(Offer::Operand);
        }
        rule.join = join.unwrap_or_default();
        self.options(&mut rule, &mut places)?;
        places.line = 0..self.cursor.since(0).end;
        Ok(Read { rule, places })
    }

    fn join(&mut self) -> Option<(Join, Range<usize>)> {
        let start = self.cursor.skip_spaces();
        let join = [Join::And, Join::Or][self.cursor.eat_word(words::JOINS)?];
        Some((join, start..self.cursor.at()))
    }

    /// term = operand condition
    fn term(&mut self) -> Result<(Term, TermPlaces), ParseError> {
        let start = self.cursor.skip_spaces();
        let operand = operand::operand(&mut self.cursor, self.context)?;
        let named = self.cursor.since(start);
        self.offer(Offer::Words(words::CONDITIONS));
        self.offer(Offer::Words(words::INDICATORS));
        let operand = self.with_indicator(operand)?;
        let operand_place = self.cursor.since(start);
        if operand_place != named {
            self.offer(Offer::Words(words::CONDITIONS));
        }
        let at = self.cursor.skip_spaces();
        let (condition, value) = self.condition(operand)?;
        let places = TermPlaces { operand: operand_place, condition: self.cursor.since(at), value };
        Ok((Term { operand, condition }, places))
    }

    /// The operand with the indicator that may stand behind its name.
    fn with_indicator(&mut self, operand: Operand) -> Result<Operand, ParseError> {
        let Some((indicator, place)) = self.indicator()? else { return Ok(operand) };
        match operand {
            Operand::Price(symbol) => Ok(Operand::Indicator(symbol, indicator)),
            Operand::Ratio(..) | Operand::Indicator(..) => {
                let message = format!("A ratio has no bars of its own: write {} of one instrument.", indicator.word());
                Err(ParseError::new(ErrorCode::Combine, place, message))
            }
        }
    }

    /// level = price | indicator
    fn level(&mut self, operand: Operand) -> Result<(Level, Range<usize>), ParseError> {
        if matches!(operand.measure(), Some(Measure::Price)) {
            self.offer(Offer::Words(words::LEVELS));
        }
        if let Some((indicator, place)) = self.indicator()? {
            return Ok((Level::Indicator(indicator), place));
        }
        self.price(operand).map(|(price, place)| (Level::Price(price), place))
    }

    /// The condition, and where its number or range stands.
    fn condition(&mut self, operand: Operand) -> Result<(Condition, Range<usize>), ParseError> {
        if let Some(cmp) = self.comparison()? {
            let (level, place) = self.level(operand)?;
            return Ok((Condition::Compare { cmp, level }, place));
        }
        if let Some(sign) = self.sign() {
            return self.percent(operand, sign);
        }
        if let Some(direction) = self.crossing()? {
            let (level, place) = self.level(operand)?;
            return Ok((Condition::Crosses { direction, level }, place));
        }
        let ranges = ["in", "inside", "outside", "enters", "exits", "leaves"];
        if let Some(which) = self.cursor.eat_word(&ranges) {
            let (range, place) = self.range(operand)?;
            let condition = match which {
                0 | 1 => Condition::In(range),
                2 => Condition::Outside(range),
                3 => Condition::Enters(range),
                _ => Condition::Exits(range),
            };
            return Ok((condition, place));
        }
        Err(self.no_condition(operand))
    }

    fn comparison(&mut self) -> Result<Option<Comparison>, ParseError> {
        let start = self.cursor.skip_spaces();
        let swapped =
            [("=>", ">="), ("=<", "<="), ("<>", "outside"), ("==", "crosses"), ("=", "crosses"), ("!=", "outside")];
        for (written, meant) in swapped {
            if self.cursor.eat(written) {
                return Err(syntax(start..self.cursor.at(), format!("Write {meant} instead.")).suggest(meant));
            }
        }
        let marks = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ];
        if let Some((_, cmp)) = marks.into_iter().find(|(mark, _)| self.cursor.eat(mark)) {
            if let Some(mark @ ('>' | '<' | '=')) = self.cursor.peek() {
                let end = self.cursor.at() + mark.len_utf8();
                return Err(syntax(start..end, "Write one of >, >=, <, <= here."));
            }
            return Ok(Some(cmp));
        }
        Ok(self
            .cursor
            .eat_word(&["above", "over", "below", "under"])
            .map(|which| if which < 2 { Comparison::Above } else { Comparison::Below }))
    }

    fn sign(&mut self) -> Option<Sign> {
        let marks =
            [("±", Sign::Either), ("+-", Sign::Either), ("+/-", Sign::Either), ("+", Sign::Plus), ("-", Sign::Minus)];
        marks.into_iter().find(|(mark, _)| self.cursor.eat(mark)).map(|(_, sign)| sign)
    }

    fn crossing(&mut self) -> Result<Option<Crossing>, ParseError> {
        const ABOVE: &[&str] = &["above", "over"];
        if self.cursor.eat_word(&["crosses", "hits", "reaches", "touches"]).is_some() {
            self.offer(Offer::Words(&["up", "down", "above", "below"]));
            let way = self.cursor.eat_word(&["up", "above", "over", "down", "below", "under"]);
            return Ok(Some(match way {
                None => Crossing::Either,
                Some(0..3) => Crossing::Up,
                Some(_) => Crossing::Down,
            }));
        }
        for (verb, ways, word, direction) in
            [("rises", ABOVE, "above", Crossing::Up), ("falls", &["below", "under"][..], "below", Crossing::Down)]
        {
            if self.cursor.eat_word(&[verb]).is_some() {
                self.offer(Offer::Words(if direction == Crossing::Up { &["above"] } else { &["below"] }));
                if self.cursor.eat_word(ways).is_some() {
                    return Ok(Some(direction));
                }
                let at = self.cursor.skip_spaces();
                return Err(syntax(at..at, format!("Write {word} after {verb}: {verb} {word} 60k.")).suggest(word));
            }
        }
        Ok(None)
    }

    /// price ".." price, in either order: which one is higher is judged later.
    fn range(&mut self, operand: Operand) -> Result<(PriceRange, Range<usize>), ParseError> {
        let (lower, first) = self.price(operand)?;
        let at = self.cursor.skip_spaces();
        if !self.cursor.eat("..") {
            let found = self.cursor.offender();
            let span = if found.text.starts_with('-') {
                at..at + 1
            } else if ["to", "and"].iter().any(|w| found.text.eq_ignore_ascii_case(w)) {
                found.span
            } else {
                at..at
            };
            let error = syntax(span, "Write .. between the two ends of the range: 60k..70k.");
            return Err(error.suggest(".."));
        }
        let (upper, second) = self.price(operand)?;
        Ok((PriceRange { lower, upper }, first.start..second.end))
    }

    /// What follows a sign: PERCENT and what it is measured from.
    fn percent(&mut self, operand: Operand, sign: Sign) -> Result<(Condition, Range<usize>), ParseError> {
        let (percent, place) = number::percent(&mut self.cursor)?;
        self.offer(Offer::Words(words::AFTER_PERCENT));
        let condition = match self.cursor.eat_word(words::AFTER_PERCENT) {
            None => Condition::Move { sign, percent, anchor: Anchor::Now },
            Some(0) => {
                self.offer(Offer::Words(words::ANCHORS));
                match self.cursor.eat_word(words::ANCHORS) {
                    Some(which) => {
                        let anchor = [Anchor::Now, Anchor::High, Anchor::Low][which];
                        Condition::Move { sign, percent, anchor }
                    }
                    None => Condition::PercentFrom { sign, percent, reference: self.price(operand)?.0 },
                }
            }
            Some(1) => Condition::MoveIn { sign, percent, window: when::duration(&mut self.cursor)?.0 },
            Some(_) => Condition::PercentVs { sign, percent, ago: when::duration(&mut self.cursor)?.0 },
        };
        Ok((condition, place))
    }

    /// A price in what the operand is quoted in.
    pub(super) fn price(&mut self, operand: Operand) -> Result<(Price, Range<usize>), ParseError> {
        let catalog = self.context.catalog;
        let currency = match (operand.symbol(), operand.measure()) {
            (Some(symbol), Some(Measure::Price)) => catalog.get(symbol).map(|i| i.currency.as_str()),
            _ => None,
        };
        let known = |word: &str| catalog.instruments().iter().any(|i| i.currency.eq_ignore_ascii_case(word));
        number::price(&mut self.cursor, &Unit { name: &operand.to_string(), currency, known: &known })
    }

    fn no_condition(&mut self, operand: Operand) -> ParseError {
        let found = self.cursor.offender();
        let say = "Write a condition here: >, <, crosses, in, outside, enters, exits, or a percentage such as -5%.";
        if found.text.is_empty() {
            return syntax(found.span, format!("Write a condition after {operand}, such as > 60k or crosses 60k."));
        }
        if ["is", "goes", "price"].iter().any(|w| w.eq_ignore_ascii_case(found.text)) {
            return syntax(found.span, format!("Leave {} out: BTC above 60k.", found.text)).suggest("");
        }
        let meant = words::nearest_condition(found.text);
        let indicator = super::indicator::nearest(found.text).filter(|_| matches!(operand, Operand::Price(_)));
        if let (None, Some(meant)) = (meant, indicator) {
            let message = format!("{} is not a word of the language: did you mean {meant}?", found.text);
            return syntax(found.span, message).suggest(meant);
        }
        if let Some(meant) = meant {
            let message = format!("{} is not a word of the language: did you mean {meant}?", found.text);
            return syntax(found.span, message).suggest(meant);
        }
        if found.text.starts_with(|c: char| c.is_ascii_digit() || "$€£".contains(c)) {
            let message = if found.text.ends_with('%') {
                "Write + or - before the percentage: +5% or -5%."
            } else {
                "Write what the price must do before the number: > 60k, < 60k or crosses 60k."
            };
            return syntax(found.span, message);
        }
        syntax(found.span, say)
    }
}

pub(super) fn syntax(span: Range<usize>, message: impl Into<String>) -> ParseError {
    ParseError::new(ErrorCode::Syntax, span, message)
}
