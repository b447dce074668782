//! What an alert means, in plain English and in levels: the echo that lets its author see whether he was understood.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::{
    catalog::Catalog,
    condition::{
        self, Anchor, ChannelName, Comparison, Condition, Crossing, Family, Hysteresis, Join, Operand, PriceRange,
        Repeat, Rule, SessionScope, Sign, Term,
    },
    firing::TermLevels,
    indicator::{Indicator, Measure},
    instrument::Symbol,
    parse::percent_level,
    price::{MAX_SCALE, Price},
    text,
    time::Span,
};

/// The most characters of an instrument's name in a sentence.
const SHOWN_NAME: usize = 40;

/// The whole rule in words: "When Bitcoin (BTC) rises through 61,000.00 USD, coming from below. Once. By desktop and e-mail."
pub fn in_words(rule: &Rule, catalog: &Catalog) -> String {
    let joint = if rule.join == Join::And { " and " } else { " or " };
    let terms: Vec<String> = rule.terms.iter().map(|t| term_in_words(t, rule.repeat, catalog)).collect();
    let edge = rule.terms.iter().any(|t| t.condition.family() == Family::Edge);
    let hold = match rule.hold {
        None => String::new(),
        Some(span) if edge => format!(", and it stays there for {}", span_in_words(span)),
        Some(span) => format!(", and that holds for {}", span_in_words(span)),
    };
    let mut out = format!("When {}{hold}.", terms.join(joint));
    let mut say = |sentence: &str| {
        out.push(' ');
        out.push_str(sentence);
    };
    let level = rule.terms.iter().all(|t| t.condition.family() == Family::Level);
    say(&match rule.repeat {
        Repeat::Once => "Once.".to_owned(),
        Repeat::Each { cooldown } if cooldown.is_zero() => "Every time.".to_owned(),
        Repeat::Every(span) if level => format!("At once, and again every {} while it stays so.", one_or_many(span)),
        Repeat::Each { cooldown: span } | Repeat::Every(span) => format!("Every time, at most once {}.", per(span)),
    });
    let priced = rule.terms.iter().all(|t| !matches!(t.operand, Operand::Indicator(..)));
    let gone = if priced { "the price" } else { "the value" };
    match rule.hysteresis {
        None => {}
        Some(Hysteresis::Percent(percent)) => {
            say(&format!("It is over only when {gone} has gone back by {} %.", percent.normalize()));
        }
        Some(Hysteresis::Absolute(distance)) => {
            let operand = rule.terms.first().map(|t| t.operand);
            let distance = operand.map_or_else(|| distance.to_string(), |o| price_in_words(distance, o, catalog));
            say(&format!("It is over only when {gone} has gone back by {distance}."));
        }
    }
    if rule.session == SessionScope::Extended {
        say("Before and after regular trading hours too.");
    }
    if let Some(until) = rule.until {
        say(&format!("Until {} UTC.", until.to_jiff().strftime("%Y-%m-%d %H:%M:%S")));
    }
    say(&channels_in_words(&rule.via));
    if rule.urgent {
        say("Urgent.");
    }
    if let Some(note) = &rule.note {
        say(&format!("Note: \"{}\"", text::sanitize(note)));
    }
    out
}

/// How a rule stands to the present prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The rule in words, as [`in_words`] gives them.
    pub words: String,
    /// How far the price is from the nearest level that would fire; for one term with a level, where a price is known.
    pub distance: Option<Distance>,
    /// Whether a level condition is true already, so that it fires at once; for one term, where a price is known.
    pub already_true: Option<bool>,
}

/// The way from the last price to a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    /// Level minus last price.
    pub absolute: Price,
    /// The same in per cent of the last price, to two places.
    pub percent: Decimal,
    /// The level.
    pub level: Price,
}

/// Puts a rule beside the last prices. What its indicators are worth is not known here.
pub fn preview(rule: &Rule, catalog: &Catalog, last: &dyn Fn(Symbol) -> Option<Price>) -> Preview {
    preview_at(rule, catalog, last, &[])
}

/// Puts a rule beside the last prices and what its indicators are worth, one entry a term, as the evaluator tells it; of a rule
/// without indicators there need be none.
pub fn preview_at(
    rule: &Rule,
    catalog: &Catalog,
    last: &dyn Fn(Symbol) -> Option<Price>,
    indicators: &[TermLevels],
) -> Preview {
    let words = in_words(rule, catalog);
    let [term] = &rule.terms[..] else {
        return Preview { words, distance: None, already_true: None };
    };
    let known = indicators.first().copied().unwrap_or_default();
    let current = match term.operand {
        Operand::Price(symbol) => last(symbol),
        Operand::Indicator(..) => known.value,
        Operand::Ratio(over, under) => last(over).zip(last(under)).and_then(|(over, under)| {
            let ratio = over.decimal().checked_div(under.decimal())?;
            Some(Price::new(ratio.round_dp(MAX_SCALE)))
        }),
    };
    let Some(current) = current else {
        return Preview { words, distance: None, already_true: None };
    };
    let condition = settled(&term.condition, known.level);
    let already_true = is_true(&condition, current);
    let levels = condition_levels(&condition);
    let inside = matches!(term.condition, Condition::In(_)) && already_true == Some(true);
    let distance = levels
        .into_iter()
        .filter(|_| !inside)
        .filter_map(|(level, _)| distance(current, level))
        .min_by_key(|d| d.absolute.decimal().abs());
    Preview { words, distance, already_true }
}

/// A price level of a rule, to be drawn into its instrument's chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The instrument.
    pub symbol: Symbol,
    /// The price.
    pub price: Price,
    /// What is there.
    pub kind: LevelKind,
}

/// What happens at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LevelKind {
    /// It fires above, or on the way up.
    Up,
    /// It fires below, or on the way down.
    Down,
    /// It fires on the way up and on the way down.
    Either,
    /// The lower end of a range.
    Lower,
    /// The upper end of a range.
    Upper,
}

/// The fixed price levels of a rule, in the order of its terms. Ratios, moves and what is asked of an indicator have none.
pub fn levels(rule: &Rule) -> Vec<Level> {
    levels_at(rule, &[])
}

/// The same, and where the indicators stand now that a price is compared with: one entry a term, as the evaluator tells it.
pub fn levels_at(rule: &Rule, indicators: &[TermLevels]) -> Vec<Level> {
    let of_term = |(place, term): (usize, &Term)| match term.operand {
        Operand::Ratio(..) | Operand::Indicator(..) => Vec::new(),
        Operand::Price(symbol) => {
            let condition = settled(&term.condition, indicators.get(place).and_then(|known| known.level));
            condition_levels(&condition).into_iter().map(|(price, kind)| Level { symbol, price, kind }).collect()
        }
    };
    rule.terms.iter().enumerate().flat_map(of_term).collect()
}

/// The condition with the level that its indicator has now, where it has one and that is known.
fn settled(condition: &Condition, level: Option<Price>) -> Condition {
    match (condition.level_indicator(), level) {
        (Some(_), Some(level)) => condition.at(level),
        _ => condition.clone(),
    }
}

fn condition_levels(condition: &Condition) -> Vec<(Price, LevelKind)> {
    match *condition {
        Condition::Compare { cmp, level: condition::Level::Price(level) } => match cmp {
            Comparison::Above | Comparison::AtLeast => vec![(level, LevelKind::Up)],
            Comparison::Below | Comparison::AtMost => vec![(level, LevelKind::Down)],
        },
        Condition::Crosses { direction, level: condition::Level::Price(level) } => match direction {
            Crossing::Up => vec![(level, LevelKind::Up)],
            Crossing::Down => vec![(level, LevelKind::Down)],
            Crossing::Either => vec![(level, LevelKind::Either)],
        },
        Condition::In(range) | Condition::Outside(range) | Condition::Enters(range) | Condition::Exits(range) => {
            vec![(range.lower, LevelKind::Lower), (range.upper, LevelKind::Upper)]
        }
        Condition::PercentFrom { sign, percent, reference } => {
            let level = |sign, kind| percent_level(reference, sign, percent).map(|level| (level, kind));
            let down = (sign != Sign::Plus).then(|| level(Sign::Minus, LevelKind::Down)).flatten();
            let up = (sign != Sign::Minus).then(|| level(Sign::Plus, LevelKind::Up)).flatten();
            down.into_iter().chain(up).collect()
        }
        Condition::Compare { .. }
        | Condition::Crosses { .. }
        | Condition::PercentVs { .. }
        | Condition::Move { .. }
        | Condition::MoveIn { .. } => Vec::new(),
    }
}

/// Whether a level condition is true at this price; none for edges, moves, and what depends on earlier prices.
fn is_true(condition: &Condition, price: Price) -> Option<bool> {
    let within = |range: PriceRange| range.lower <= price && price <= range.upper;
    match *condition {
        Condition::Compare { cmp, level: condition::Level::Price(level) } => Some(match cmp {
            Comparison::Above => price > level,
            Comparison::AtLeast => price >= level,
            Comparison::Below => price < level,
            Comparison::AtMost => price <= level,
        }),
        Condition::In(range) => Some(within(range)),
        Condition::Outside(range) => Some(!within(range)),
        Condition::PercentFrom { sign, percent, reference } => {
            let up = percent_level(reference, Sign::Plus, percent)?;
            let down = percent_level(reference, Sign::Minus, percent)?;
            Some((sign != Sign::Minus && price >= up) || (sign != Sign::Plus && price <= down))
        }
        _ => None,
    }
}

fn distance(from: Price, level: Price) -> Option<Distance> {
    let absolute = level.decimal().checked_sub(from.decimal())?;
    let percent = absolute.checked_div(from.decimal())?.checked_mul(Decimal::ONE_HUNDRED)?;
    let percent = percent.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    Some(Distance { absolute: Price::new(absolute), percent, level })
}

fn term_in_words(term: &Term, repeat: Repeat, catalog: &Catalog) -> String {
    let price = |p: Price| price_in_words(p, term.operand, catalog);
    let at = |level: condition::Level| match level {
        condition::Level::Price(level) => price(level),
        condition::Level::Indicator(indicator) => format!("its {}", indicator_in_words(indicator)),
    };
    let ends = |r: &PriceRange| (price(r.lower), price(r.upper));
    let said = match &term.condition {
        Condition::Compare { cmp, level } => {
            let place = match cmp {
                Comparison::Above => "above",
                Comparison::AtLeast => "at or above",
                Comparison::Below => "below",
                Comparison::AtMost => "at or below",
            };
            format!("is {place} {}", at(*level))
        }
        Condition::In(range) => {
            let (lower, upper) = ends(range);
            format!("is between {lower} and {upper}")
        }
        Condition::Outside(range) => {
            let (lower, upper) = ends(range);
            format!("is below {lower} or above {upper}")
        }
        Condition::PercentFrom { sign, percent, reference } => {
            let place = place_in_words(*sign);
            let levels: Vec<String> = condition_levels(&term.condition).iter().map(|(l, _)| price(*l)).collect();
            let levels = levels.join(" or ");
            format!("is {} % or more {place} {}, which is {levels}", percent.normalize(), price(*reference))
        }
        Condition::PercentVs { sign, percent, ago } => {
            let (place, ago) = (place_in_words(*sign), span_in_words(*ago));
            format!("is {} % or more {place} its price of {ago} before", percent.normalize())
        }
        Condition::Crosses { direction, level } => match direction {
            Crossing::Up => format!("rises through {}, coming from below", at(*level)),
            Crossing::Down => format!("falls through {}, coming from above", at(*level)),
            Crossing::Either => format!("crosses {} from below or above", at(*level)),
        },
        Condition::Enters(range) => {
            let (lower, upper) = ends(range);
            format!("comes from outside into the range from {lower} to {upper}")
        }
        Condition::Exits(range) => {
            let (lower, upper) = ends(range);
            format!("leaves the range from {lower} to {upper}")
        }
        Condition::Move { sign, percent, anchor } => {
            let since = if repeat == Repeat::Once { "from now on" } else { "from now on, later since the last firing" };
            match anchor {
                Anchor::Now => format!("{} by {} %, measured {since}", moves_in_words(*sign), percent.normalize()),
                Anchor::High => format!("falls {} % below its highest price {since}", percent.normalize()),
                Anchor::Low => format!("rises {} % above its lowest price {since}", percent.normalize()),
            }
        }
        Condition::MoveIn { sign, percent, window } => {
            format!("{} by {} % within {}", moves_in_words(*sign), percent.normalize(), span_in_words(*window))
        }
    };
    format!("{} {said}", operand_in_words(term.operand, catalog))
}

const fn place_in_words(sign: Sign) -> &'static str {
    match sign {
        Sign::Plus => "above",
        Sign::Minus => "below",
        Sign::Either => "away from",
    }
}

const fn moves_in_words(sign: Sign) -> &'static str {
    match sign {
        Sign::Plus => "rises",
        Sign::Minus => "falls",
        Sign::Either => "rises or falls",
    }
}

fn operand_in_words(operand: Operand, catalog: &Catalog) -> String {
    match operand {
        Operand::Ratio(over, under) => format!("{over} divided by {under}"),
        Operand::Indicator(symbol, indicator) => {
            format!("the {} of {}", indicator_in_words(indicator), operand_in_words(Operand::Price(symbol), catalog))
        }
        Operand::Price(symbol) => match catalog.get(symbol) {
            Some(instrument) if !instrument.name.eq_ignore_ascii_case(symbol.as_str()) => {
                let name = text::sanitize(&instrument.name);
                format!("{} ({symbol})", text::cut(&name, SHOWN_NAME))
            }
            _ => symbol.to_string(),
        },
    }
}

/// "simple moving average of 200 bars of 1 day".
fn indicator_in_words(indicator: Indicator) -> String {
    let Some(bars) = indicator.bars() else { return "volume of the day".to_owned() };
    let (count, length) = (bars.count, span_in_words(bars.length));
    match indicator {
        Indicator::Sma(_) => format!("simple moving average of {count} bars of {length}"),
        Indicator::Ema(_) => format!("exponential moving average of {count} bars of {length}"),
        Indicator::Rsi(_) => format!("relative strength index of {count} bars of {length}"),
        Indicator::BbUpper(_, width) => {
            format!("upper Bollinger band ({} deviations, {count} bars of {length})", width.normalize())
        }
        Indicator::BbLower(_, width) => {
            format!("lower Bollinger band ({} deviations, {count} bars of {length})", width.normalize())
        }
        Indicator::Volume => "volume of the day".to_owned(),
    }
}

/// A price with all its digits, grouped, and its currency.
fn price_in_words(price: Price, operand: Operand, catalog: &Catalog) -> String {
    let places = price.decimal().normalize().scale();
    let priced = matches!(operand, Operand::Ratio(..)) || operand.measure() == Some(Measure::Price);
    let digits = if priced { price.grouped(places.max(2)) } else { price.to_string() };
    let currency = match (operand.symbol(), operand.measure()) {
        (Some(symbol), Some(Measure::Price)) => catalog.get(symbol).map(|i| i.currency.as_str()),
        _ => None,
    };
    currency.map_or_else(|| digits.clone(), |c| format!("{digits} {c}"))
}

/// The units of a duration in words, largest first, with their seconds.
const UNITS: [(&str, i64); 5] = [("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];

/// "1 hour 30 minutes".
fn span_in_words(span: Span) -> String {
    let mut rest = span.as_seconds();
    let mut parts = Vec::new();
    for (unit, length) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

/// "hour", "15 minutes": what follows "every".
fn one_or_many(span: Span) -> String {
    match UNITS.iter().find(|(_, length)| span.as_seconds() == *length) {
        Some((unit, _)) => (*unit).to_owned(),
        None => span_in_words(span),
    }
}

/// "an hour", "in 15 minutes": what follows "once".
fn per(span: Span) -> String {
    match UNITS.iter().find(|(_, length)| span.as_seconds() == *length) {
        Some(("hour", _)) => "an hour".to_owned(),
        Some((unit, _)) => format!("a {unit}"),
        None => format!("in {}", span_in_words(span)),
    }
}

fn channels_in_words(via: &[ChannelName]) -> String {
    let names: Vec<String> = via
        .iter()
        .map(|channel| match channel.as_str() {
            "email" => "e-mail".to_owned(),
            "sms" => "SMS".to_owned(),
            name => name.replacen(':', " ", 1),
        })
        .collect();
    match &names[..] {
        [] => "By the usual channels.".to_owned(),
        [one] => format!("By {one}."),
        [first @ .., last] => format!("By {} and {last}.", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::parse::{ParseContext, parse};

    fn rule(line: &str) -> Rule {
        let channels = ["desktop", "email", "sms", "webhook:home"].map(ChannelName::new);
        let catalog = Catalog::builtin();
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        let context = ParseContext { catalog: &catalog, now, timezone: &TimeZone::UTC, channels: &channels };
        parse(line, &context).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn every_condition_is_echoed_in_words() {
        let catalog = Catalog::builtin();
        for (line, words) in [
            (
                "btc crosses up 61k via desktop,email each cooldown 1h",
                "When Bitcoin (BTC) rises through 61,000.00 USD, coming from below. Every time, at most once an hour. \
                 By desktop and e-mail.",
            ),
            (
                "BTC > 60k every 15m for 30s hysteresis 0.5%",
                "When Bitcoin (BTC) is above 60,000.00 USD, and that holds for 30 seconds. At once, and again every \
                 15 minutes while it stays so. It is over only when the price has gone back by 0.5 %. By the usual channels.",
            ),
            (
                "BTC in 60k..70k or ETH outside 3k..4k each via sms,desktop,webhook:home urgent",
                "When Bitcoin (BTC) is between 60,000.00 USD and 70,000.00 USD or Ethereum (ETH) is below 3,000.00 USD \
                 or above 4,000.00 USD. Every time. By SMS, desktop and webhook home. Urgent.",
            ),
            (
                "SOL -5.5% in 90m every 20m note \"x\"",
                "When Solana (SOL) falls by 5.5 % within 1 hour 30 minutes. Every time, at most once in 20 minutes. \
                 By the usual channels. Note: \"x\"",
            ),
            (
                "BTC +-10% from 58000 until 2026-12-31",
                "When Bitcoin (BTC) is 10 % or more away from 58,000.00 USD, which is 52,200.00 USD or 63,800.00 USD. \
                 Once. Until 2027-01-01 00:00:00 UTC. By the usual channels.",
            ),
            (
                "ETH/BTC < 0.05123 session extended",
                "When ETH divided by BTC is below 0.05123. Once. Before and after regular trading hours too. \
                 By the usual channels.",
            ),
            (
                "DOGE crosses 0.123456 for 2m",
                "When Dogecoin (DOGE) crosses 0.123456 USD from below or above, and it stays there for 2 minutes. Once. \
                 By the usual channels.",
            ),
            (
                "BTC -5% from high each",
                "When Bitcoin (BTC) falls 5 % below its highest price from now on, later since the last firing. \
                 Every time. By the usual channels.",
            ),
            (
                "BTC +5% vs 1d",
                "When Bitcoin (BTC) is 5 % or more above its price of 1 day before. Once. By the usual channels.",
            ),
            (
                "BTC > sma(200, 1d)",
                "When Bitcoin (BTC) is above its simple moving average of 200 bars of 1 day. Once. By the usual channels.",
            ),
            (
                "BTC sma(50, 1d) crosses up ema(200, 4h) hysteresis 100",
                "When the simple moving average of 50 bars of 1 day of Bitcoin (BTC) rises through its exponential moving \
                 average of 200 bars of 4 hours, coming from below. Once. It is over only when the value has gone back by \
                 100.00 USD. By the usual channels.",
            ),
            (
                "BTC rsi(14, 1h) outside 30..70 or BTC < bb_lower(20, 2, 1h) or BTC volume > 20k",
                "When the relative strength index of 14 bars of 1 hour of Bitcoin (BTC) is below 30 or above 70 or Bitcoin \
                 (BTC) is below its lower Bollinger band (2 deviations, 20 bars of 1 hour) or the volume of the day of \
                 Bitcoin (BTC) is above 20000. Once. By the usual channels.",
            ),
            (
                "BTC enters 60k..70k hysteresis 200",
                "When Bitcoin (BTC) comes from outside into the range from 60,000.00 USD to 70,000.00 USD. Once. It is \
                 over only when the price has gone back by 200.00 USD. By the usual channels.",
            ),
        ] {
            assert_eq!(in_words(&rule(line), &catalog), words, "{line}");
        }
    }

    #[test]
    fn the_preview_tells_the_way_to_the_nearest_level() {
        let catalog = Catalog::builtin();
        let last = |symbol: Symbol| match symbol.as_str() {
            "BTC" => "60412.5".parse().ok(),
            "ETH" => "3020.625".parse().ok(),
            _ => None,
        };
        for (line, distance, already_true) in [
            ("BTC crosses up 61k", Some(("587.5", "0.97", "61000")), None),
            ("BTC crosses down 60k", Some(("-412.5", "-0.68", "60000")), None),
            ("BTC > 60k", Some(("-412.5", "-0.68", "60000")), Some(true)),
            ("BTC < 60k", Some(("-412.5", "-0.68", "60000")), Some(false)),
            ("BTC in 60k..61k", None, Some(true)),
            ("BTC in 61k..62k", Some(("587.5", "0.97", "61000")), Some(false)),
            ("BTC exits 60k..61k", Some(("-412.5", "-0.68", "60000")), None),
            ("BTC +-1% from 60412.5", Some(("-604.125", "-1", "59808.375")), Some(false)),
            ("ETH/BTC > 0.06", Some(("0.01", "20", "0.06")), Some(false)),
            ("BTC -5%", None, None),
            ("SOL > 100", None, None),
            ("BTC > 60k and ETH > 4k", None, None),
        ] {
            let preview = preview(&rule(line), &catalog, &last);
            assert_eq!(preview.already_true, already_true, "{line}");
            let distance = distance.map(|(absolute, percent, level)| Distance {
                absolute: absolute.parse().unwrap(),
                percent: percent.parse().unwrap(),
                level: level.parse().unwrap(),
            });
            assert_eq!(preview.distance, distance, "{line}");
        }
    }

    #[test]
    fn where_an_indicator_stands_is_a_level_as_soon_as_it_is_known() {
        let catalog = Catalog::builtin();
        let price = |text: &str| text.parse::<Price>().ok();
        let last = |_| price("60000");
        let rule_ = rule("BTC > sma(20, 1d)");
        let known = [TermLevels { value: None, level: price("61500") }];
        assert_eq!(preview(&rule_, &catalog, &last).distance, None);
        let seen = preview_at(&rule_, &catalog, &last, &known);
        assert_eq!((seen.distance.map(|d| d.absolute), seen.already_true), (price("1500"), Some(false)));
        assert_eq!((levels(&rule_), levels_at(&rule_, &known).len()), (Vec::new(), 1));
        let rule_ = rule("BTC rsi(14, 1h) < 30");
        let known = [TermLevels { value: price("28.5"), level: None }];
        let seen = preview_at(&rule_, &catalog, &last, &known);
        assert_eq!((seen.distance.map(|d| d.absolute), seen.already_true), (price("1.5"), Some(true)));
        assert_eq!(levels_at(&rule_, &known), Vec::new());
    }

    #[test]
    fn levels_are_where_the_chart_draws_them() {
        let drawn = |line: &str| {
            let of_level = |l: &Level| format!("{} {} {:?}", l.symbol, l.price, l.kind);
            levels(&rule(line)).iter().map(of_level).collect::<Vec<_>>()
        };
        assert_eq!(drawn("BTC > 60k and ETH crosses 4k"), ["BTC 60000 Up", "ETH 4000 Either"]);
        assert_eq!(drawn("BTC enters 60k..70k"), ["BTC 60000 Lower", "BTC 70000 Upper"]);
        assert_eq!(drawn("BTC -7% from 60000"), ["BTC 55800 Down"]);
        assert_eq!(drawn("BTC +-10% from 100"), ["BTC 90 Down", "BTC 110 Up"]);
        assert!(drawn("ETH/BTC < 0.05").is_empty() && drawn("BTC -5% in 1h").is_empty());
    }
}
