//! What an alert says: terms, how they combine, and the options. The exact meaning of each stands in `docs/alerts.md`.
//!
//! These are the parsed forms. [`crate::parse`] makes them from text; `Display` prints the one canonical form, and
//! parsing that again gives the same value.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    indicator::{Indicator, Measure},
    instrument::Symbol,
    price::Price,
    time::{Span, Timestamp},
};

/// The most terms one alert may have.
pub const MAX_TERMS: usize = 8;
/// The most bytes an alert line may have.
pub const MAX_LINE: usize = 1_000;
/// The most characters a note may have.
pub const MAX_NOTE: usize = 500;

/// A whole alert line, understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rule {
    /// One to eight terms.
    pub terms: Vec<Term>,
    /// How several terms combine.
    #[serde(default)]
    pub join: Join,
    /// How often it may fire.
    #[serde(default)]
    pub repeat: Repeat,
    /// `for D`: how long the condition must have held, as observed.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Span>,
    /// How far back the price must go before the condition counts as over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hysteresis: Option<Hysteresis>,
    /// Which trading sessions exist for it.
    #[serde(default)]
    pub session: SessionScope,
    /// Observations at or after this instant do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Where firings go; empty means the user's default channels.
    #[serde(default)]
    pub via: Vec<ChannelName>,
    /// Passes quiet hours and grouping.
    #[serde(default)]
    pub urgent: bool,
    /// Free text carried to every message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One condition on one operand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Term {
    /// What is looked at.
    pub operand: Operand,
    /// What is asked of it.
    pub condition: Condition,
}

impl Term {
    /// Whether an indicator stands on either side.
    pub const fn names_indicator(&self) -> bool {
        matches!(self.operand, Operand::Indicator(..)) || self.condition.level_indicator().is_some()
    }
}

/// What a term looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operand {
    /// The price of one instrument.
    Price(Symbol),
    /// The first one's price divided by the second's; both in one currency.
    Ratio(Symbol, Symbol),
    /// What is computed from what one instrument did.
    Indicator(Symbol, Indicator),
}

impl Operand {
    /// Its instruments: one, or numerator and denominator.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> + use<> {
        let (first, second) = match *self {
            Self::Price(symbol) | Self::Indicator(symbol, _) => (symbol, None),
            Self::Ratio(over, under) => (over, Some(under)),
        };
        std::iter::once(first).chain(second)
    }

    /// Its instrument, where it has one only.
    pub const fn symbol(&self) -> Option<Symbol> {
        match *self {
            Self::Price(symbol) | Self::Indicator(symbol, _) => Some(symbol),
            Self::Ratio(..) => None,
        }
    }

    /// What its value is a number of; none for a ratio, which is a bare number.
    pub const fn measure(&self) -> Option<Measure> {
        match self {
            Self::Price(_) => Some(Measure::Price),
            Self::Ratio(..) => None,
            Self::Indicator(_, indicator) => Some(indicator.measure()),
        }
    }
}

/// What a value is compared with: a price that stands in the alert, or what an indicator of the same instrument is now.
///
/// On the wire one string: `"60000"` or `"sma(200, 1d)"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// A fixed one.
    Price(Price),
    /// One that moves when a bar closes.
    Indicator(Indicator),
}

impl Level {
    /// The price that stands in the alert.
    pub const fn price(self) -> Option<Price> {
        match self {
            Self::Price(price) => Some(price),
            Self::Indicator(_) => None,
        }
    }

    /// The indicator.
    pub const fn indicator(self) -> Option<Indicator> {
        match self {
            Self::Price(_) => None,
            Self::Indicator(indicator) => Some(indicator),
        }
    }
}

impl From<Price> for Level {
    fn from(price: Price) -> Self {
        Self::Price(price)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Price(price) => price.fmt(f),
            Self::Indicator(indicator) => indicator.fmt(f),
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A string with either, or a whole number.
impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number in a string, or an indicator such as \"sma(200, 1d)\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Level, E> {
                if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    return text.parse().map(Level::Indicator).map_err(E::custom);
                }
                text.parse().map(Level::Price).map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Level, E> {
                Ok(Level::Price(Price::new(value.into())))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Level, E> {
                Ok(Level::Price(Price::new(value.into())))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The closed bars that a rule wants to know of an instrument when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryNeed {
    /// The instrument.
    pub symbol: Symbol,
    /// The length of a bar.
    pub bar: Span,
    /// How many of the last closed ones.
    pub bars: usize,
}

/// A comparison with a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Comparison {
    /// `>`
    #[serde(rename = ">")]
    Above,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `<`
    #[serde(rename = "<")]
    Below,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
}

/// Which way a level is crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Crossing {
    /// From below.
    Up,
    /// From above.
    Down,
    /// Either way.
    Either,
}

/// The sign of a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Sign {
    /// `+`
    #[serde(rename = "+")]
    Plus,
    /// `-`
    #[serde(rename = "-")]
    Minus,
    /// `±`
    #[serde(rename = "±")]
    Either,
}

/// Two prices, the lower first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceRange {
    /// The lower bound, included.
    pub lower: Price,
    /// The upper bound, included.
    pub upper: Price,
}

/// The reference of a trailing percentage, taken while the alert lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Anchor {
    /// The price at activation, later the last firing price.
    Now,
    /// The highest price since activation or the last firing.
    High,
    /// The lowest price since activation or the last firing.
    Low,
}

/// What a term asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Condition {
    /// Level: `> 60000`, `> sma(200, 1d)`.
    Compare {
        /// The comparison.
        cmp: Comparison,
        /// The level.
        level: Level,
    },
    /// Level: `in 180..190`, bounds included.
    In(PriceRange),
    /// Level: `outside 180..190`, bounds excluded.
    Outside(PriceRange),
    /// Level: `+10% from 58000`.
    PercentFrom {
        /// Up, down or either.
        sign: Sign,
        /// How many per cent.
        percent: Decimal,
        /// The fixed reference.
        reference: Price,
    },
    /// Level: `+5% vs 1d`.
    PercentVs {
        /// Up, down or either.
        sign: Sign,
        /// How many per cent.
        percent: Decimal,
        /// How long ago the reference lies.
        ago: Span,
    },
    /// Edge: `crosses up 60000`, `crosses up ema(50, 4h)`.
    Crosses {
        /// Which way.
        direction: Crossing,
        /// The level.
        level: Level,
    },
    /// Edge: `enters 180..190`.
    Enters(PriceRange),
    /// Edge: `exits 180..190`.
    Exits(PriceRange),
    /// Move: `-5% from high`, `+10% from now`.
    Move {
        /// Up, down or either.
        sign: Sign,
        /// How many per cent.
        percent: Decimal,
        /// What it is measured from.
        anchor: Anchor,
    },
    /// Move: `-5% in 1h`.
    MoveIn {
        /// Up, down or either.
        sign: Sign,
        /// How many per cent.
        percent: Decimal,
        /// The length of the window.
        window: Span,
    },
}

/// The three kinds of condition: where the price is, that it gets there, how far it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// True or false of a price.
    Level,
    /// Happens between two prices.
    Edge,
    /// A distance travelled; every firing starts a new measurement.
    Move,
}

impl Condition {
    /// Which of the three kinds it is.
    pub const fn family(&self) -> Family {
        match self {
            Self::Compare { .. }
            | Self::In(_)
            | Self::Outside(_)
            | Self::PercentFrom { .. }
            | Self::PercentVs { .. } => Family::Level,
            Self::Crosses { .. } | Self::Enters(_) | Self::Exits(_) => Family::Edge,
            Self::Move { .. } | Self::MoveIn { .. } => Family::Move,
        }
    }

    /// What the value is compared with, for a comparison or a crossing.
    pub const fn level(&self) -> Option<Level> {
        match self {
            Self::Compare { level, .. } | Self::Crosses { level, .. } => Some(*level),
            _ => None,
        }
    }

    /// The indicator that the value is compared with.
    pub const fn level_indicator(&self) -> Option<Indicator> {
        match self {
            Self::Compare { level: Level::Indicator(indicator), .. }
            | Self::Crosses { level: Level::Indicator(indicator), .. } => Some(*indicator),
            _ => None,
        }
    }

    /// The same with this price as its level.
    #[must_use]
    pub(crate) fn at(&self, price: Price) -> Self {
        let level = Level::Price(price);
        match *self {
            Self::Compare { cmp, .. } => Self::Compare { cmp, level },
            Self::Crosses { direction, .. } => Self::Crosses { direction, level },
            ref other => other.clone(),
        }
    }

    /// Its name in the structured form of the API and in metrics.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Compare { cmp, .. } => match cmp {
                Comparison::Above => "above",
                Comparison::AtLeast => "at_least",
                Comparison::Below => "below",
                Comparison::AtMost => "at_most",
            },
            Self::In(_) => "range",
            Self::Outside(_) => "outside",
            Self::PercentFrom { .. } => "percent_from",
            Self::PercentVs { .. } => "percent_vs",
            Self::Crosses { direction, .. } => match direction {
                Crossing::Up => "crosses_up",
                Crossing::Down => "crosses_down",
                Crossing::Either => "crosses",
            },
            Self::Enters(_) => "enters",
            Self::Exits(_) => "exits",
            Self::Move { .. } => "move",
            Self::MoveIn { .. } => "move_in",
        }
    }
}

/// How several terms combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Join {
    /// All of them.
    #[default]
    And,
    /// Any of them.
    Or,
}

/// How often an alert may fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Repeat {
    /// One firing, then the alert is done.
    #[default]
    Once,
    /// One firing per episode, event or distance, at least the cooldown apart.
    Each {
        /// The cooldown; zero where none was given.
        cooldown: Span,
    },
    /// Again while true, at least this long apart.
    Every(Span),
}

/// How far back the price must go before a condition counts as over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Hysteresis {
    /// Per cent of the level.
    Percent(Decimal),
    /// In the quote currency.
    Absolute(Price),
}

/// Which trading sessions exist for an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SessionScope {
    /// Pre- and post-market observations do not exist.
    #[default]
    Regular,
    /// They count.
    Extended,
}

/// The name of a configured channel: `desktop`, `email`, `sms`, or `webhook:NAME` (`webhook` alone is the one called `default`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelName(String);

impl ChannelName {
    /// The channel of this name, lower-cased.
    pub fn new(name: &str) -> Self {
        Self(name.to_lowercase())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of channel: what stands before the colon.
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(kind, _)| kind)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Rule {
    /// Every instrument it looks at, each once, in order of first mention.
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut symbols = Vec::new();
        for symbol in self.terms.iter().flat_map(|t| t.operand.symbols()) {
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        symbols
    }

    /// The instrument it is listed under: the first one.
    ///
    /// # Panics
    /// When it has no term, which the parser never makes.
    pub fn symbol(&self) -> Symbol {
        self.symbols()[0]
    }

    /// The indicators that its terms look at, or compare with, each with its instrument.
    pub fn indicators(&self) -> impl Iterator<Item = (Symbol, Indicator)> {
        self.terms.iter().flat_map(|term| {
            let left = match term.operand {
                Operand::Indicator(symbol, indicator) => Some((symbol, indicator)),
                Operand::Price(_) | Operand::Ratio(..) => None,
            };
            let right = term.operand.symbol().zip(term.condition.level_indicator());
            left.into_iter().chain(right)
        })
    }

    /// How much of the past its indicators need before they have a value of their whole length: per instrument and length of
    /// bar, the most.
    pub fn history_needed(&self) -> Vec<HistoryNeed> {
        let mut needs: Vec<HistoryNeed> = Vec::new();
        for (symbol, indicator) in self.indicators() {
            let Some(bars) = indicator.bars() else { continue };
            let need = HistoryNeed { symbol, bar: bars.length, bars: indicator.window() };
            match needs.iter_mut().find(|n| n.symbol == symbol && n.bar == need.bar) {
                Some(known) => known.bars = known.bars.max(need.bars),
                None => needs.push(need),
            }
        }
        needs
    }

    /// The word that names its condition in the API and in metrics: the term's own, or `and` / `or`.
    pub fn keyword(&self) -> &'static str {
        match (&self.terms[..], self.join) {
            ([one], _) => one.condition.keyword(),
            (_, Join::And) => "and",
            (_, Join::Or) => "or",
        }
    }

    /// Whether editing this rule into `other` starts the alert afresh (B13): whether anything that is evaluated differs.
    pub fn evaluates_like(&self, other: &Self) -> bool {
        self.terms == other.terms
            && self.join == other.join
            && self.repeat == other.repeat
            && self.hold == other.hold
            && self.hysteresis == other.hysteresis
            && self.session == other.session
    }

    /// The terms alone, canonically: `BTC > 60000`.
    pub fn condition_text(&self) -> String {
        let joint = match self.join {
            Join::And => " and ",
            Join::Or => " or ",
        };
        self.terms.iter().map(ToString::to_string).collect::<Vec<_>>().join(joint)
    }
}

impl Comparison {
    /// The sign.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Either => "±",
        })
    }
}

impl fmt::Display for PriceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.lower, self.upper)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |f: &mut fmt::Formatter<'_>, symbol: &Symbol| {
            let parts_plain = || symbol.as_str().split('/').all(|p| p.parse::<Symbol>().is_ok_and(|s| s.is_plain()));
            if symbol.is_plain() || (symbol.as_str().matches('/').count() == 1 && parts_plain()) {
                write!(f, "{symbol}")
            } else {
                write!(f, "\"{symbol}\"")
            }
        };
        match self {
            Self::Price(symbol) => name(f, symbol),
            Self::Ratio(over, under) => {
                name(f, over)?;
                f.write_str("/")?;
                name(f, under)
            }
            Self::Indicator(symbol, indicator) => {
                name(f, symbol)?;
                write!(f, " {indicator}")
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { cmp, level } => write!(f, "{cmp} {level}"),
            Self::In(range) => write!(f, "in {range}"),
            Self::Outside(range) => write!(f, "outside {range}"),
            Self::PercentFrom { sign, percent, reference } => {
                write!(f, "{sign}{}% from {reference}", percent.normalize())
            }
            Self::PercentVs { sign, percent, ago } => write!(f, "{sign}{}% vs {ago}", percent.normalize()),
            Self::Crosses { direction, level } => match direction {
                Crossing::Up => write!(f, "crosses up {level}"),
                Crossing::Down => write!(f, "crosses down {level}"),
                Crossing::Either => write!(f, "crosses {level}"),
            },
            Self::Enters(range) => write!(f, "enters {range}"),
            Self::Exits(range) => write!(f, "exits {range}"),
            Self::Move { sign, percent, anchor } => {
                let anchor = match anchor {
                    Anchor::Now => "now",
                    Anchor::High => "high",
                    Anchor::Low => "low",
                };
                write!(f, "{sign}{}% from {anchor}", percent.normalize())
            }
            Self::MoveIn { sign, percent, window } => write!(f, "{sign}{}% in {window}", percent.normalize()),
        }
    }
}

impl Condition {
    /// Appends the canonical form; what `Display` prints, without its machinery where it is needed most.
    pub(crate) fn push_to(&self, out: &mut String) {
        let range = |out: &mut String, word: &str, range: &PriceRange| {
            out.push_str(word);
            range.lower.push_to(out);
            out.push_str("..");
            range.upper.push_to(out);
        };
        match self {
            Self::Compare { cmp, level: Level::Price(level) } => {
                out.push_str(cmp.as_str());
                out.push(' ');
                level.push_to(out);
            }
            Self::Crosses { direction, level: Level::Price(level) } => {
                out.push_str(match direction {
                    Crossing::Up => "crosses up ",
                    Crossing::Down => "crosses down ",
                    Crossing::Either => "crosses ",
                });
                level.push_to(out);
            }
            Self::In(bounds) => range(out, "in ", bounds),
            Self::Outside(bounds) => range(out, "outside ", bounds),
            Self::Enters(bounds) => range(out, "enters ", bounds),
            Self::Exits(bounds) => range(out, "exits ", bounds),
            Self::Compare { .. }
            | Self::Crosses { .. }
            | Self::PercentFrom { .. }
            | Self::PercentVs { .. }
            | Self::Move { .. }
            | Self::MoveIn { .. } => {
                // Writing to a string cannot fail.
                let _written = fmt::Write::write_fmt(out, format_args!("{self}"));
            }
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operand, self.condition)
    }
}

/// The canonical form (A7): terms, repeat, `cooldown`, `for`, `hysteresis`, `session`, `until`, `via`, `urgent`, `note`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.condition_text())?;
        match self.repeat {
            Repeat::Once => f.write_str(" once")?,
            Repeat::Each { cooldown } if cooldown.is_zero() => f.write_str(" each")?,
            Repeat::Each { cooldown } => write!(f, " each cooldown {cooldown}")?,
            Repeat::Every(span) => write!(f, " every {span}")?,
        }
        if let Some(hold) = self.hold {
            write!(f, " for {hold}")?;
        }
        match self.hysteresis {
            None => {}
            Some(Hysteresis::Percent(percent)) => write!(f, " hysteresis {}%", percent.normalize())?,
            Some(Hysteresis::Absolute(price)) => write!(f, " hysteresis {price}")?,
        }
        if self.session == SessionScope::Extended {
            f.write_str(" session extended")?;
        }
        if let Some(until) = self.until {
            write!(f, " until {:.0}", Timestamp::from_seconds(until.as_seconds()).to_jiff())?;
        }
        if !self.via.is_empty() {
            let names: Vec<&str> = self.via.iter().map(ChannelName::as_str).collect();
            write!(f, " via {}", names.join(","))?;
        }
        if self.urgent {
            f.write_str(" urgent")?;
        }
        if let Some(note) = &self.note {
            write!(f, " note \"{}\"", note.replace('\\', "\\\\").replace('"', "\\\""))?;
        }
        Ok(())
    }
}
