//! The filter of the table: the conditions of the alert language (`docs/alerts.md`, A2) without an instrument, asked of every row,
//! and words for what rows have in common.
//!
//! A row's own figures answer: its last price, its change in 24 hours, the 24 hours of its small picture. What asks for the moment in
//! which something happens (`crosses`), or for figures that no row has (indicators), is refused with what to write instead.

use bellwether_core::{
    condition::{Anchor, Comparison, Condition, Level, Operand, Sign},
    event::Ticker,
    instrument::{AssetClass, Symbol},
    parse,
    price::Price,
    time::Span,
};
use rust_decimal::Decimal;

use super::{App, Freshness};

/// What the picture of a row spans.
const DAY: Span = Span::from_seconds(86_400);
/// The kinds of instruments, as one says them.
const KINDS: [(&str, AssetClass); 13] = [
    ("crypto", AssetClass::Crypto),
    ("coin", AssetClass::Crypto),
    ("coins", AssetClass::Crypto),
    ("stock", AssetClass::Stock),
    ("stocks", AssetClass::Stock),
    ("etf", AssetClass::Etf),
    ("etfs", AssetClass::Etf),
    ("index", AssetClass::Index),
    ("indices", AssetClass::Index),
    ("commodity", AssetClass::Commodity),
    ("commodities", AssetClass::Commodity),
    ("fx", AssetClass::Fx),
    ("currencies", AssetClass::Fx),
];

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asks {
    Kind(AssetClass),
    /// Has an alert.
    Alerts,
    /// Is held.
    Held,
    Live,
    Stale,
    /// Quoted in this currency.
    Currency(String),
    Price(Condition),
}

/// What rows are asked, and how the questions combine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    text: String,
    asks: Vec<Asks>,
    any: bool,
}

impl Filter {
    /// Reads a filter: conditions and words, joined by `and` (or nothing) or by `or`. The error says what to write.
    pub(crate) fn read(text: &str, app: &App) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let joins = |join: &str| words.iter().any(|w| w.eq_ignore_ascii_case(join));
        if joins("and") && joins("or") {
            return Err("a filter joins its parts either with `and` or with `or`".to_owned());
        }
        let mut asks = Vec::new();
        let mut part = Vec::new();
        for word in words {
            if word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") {
                finish(&mut part, &mut asks, app)?;
            } else if let Some(known) = named(word) {
                finish(&mut part, &mut asks, app)?;
                asks.push(known);
            } else if part.is_empty() && app.catalog.instruments().iter().any(|i| i.currency == word) {
                asks.push(Asks::Currency(word.to_owned()));
            } else {
                part.push(word);
            }
        }
        finish(&mut part, &mut asks, app)?;
        if asks.is_empty() {
            return Err("say which rows are to stay, such as `+2% in 24h`, `> 100`, `crypto` or `alerts`".to_owned());
        }
        let any = text.split_whitespace().any(|w| w.eq_ignore_ascii_case("or"));
        Ok(Self { text: text.trim().to_owned(), asks, any })
    }

    /// What was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the row stays.
    pub(crate) fn keeps(&self, app: &App, symbol: Symbol) -> bool {
        let yes = |ask: &Asks| holds(ask, app, symbol);
        if self.any { self.asks.iter().any(yes) } else { self.asks.iter().all(yes) }
    }
}

/// A word that is a question by itself.
fn named(word: &str) -> Option<Asks> {
    let lower = word.to_lowercase();
    let kind = KINDS.iter().find(|(name, _)| *name == lower).map(|(_, class)| Asks::Kind(*class));
    kind.or(match lower.as_str() {
        "alert" | "alerts" => Some(Asks::Alerts),
        "held" | "holdings" => Some(Asks::Held),
        "live" => Some(Asks::Live),
        "stale" => Some(Asks::Stale),
        _ => None,
    })
}

/// Reads the words gathered so far as a condition.
fn finish(part: &mut Vec<&str>, asks: &mut Vec<Asks>, app: &App) -> Result<(), String> {
    if part.is_empty() {
        return Ok(());
    }
    let text = part.join(" ");
    part.clear();
    // The conditions of the language begin with an instrument: any will do, its name is not looked at again.
    let Some(stand_in) = app.catalog.instruments().iter().find(|i| i.symbol.is_plain()) else {
        return Err("no instrument is known yet".to_owned());
    };
    let line = format!("{} {text} once", stand_in.symbol);
    let rule = parse::parse(&line, &app.parse_context()).map_err(|error| {
        if text.starts_with(|c: char| c.is_alphabetic()) {
            let word = text.split(' ').next().unwrap_or(&text);
            let known = KINDS.iter().map(|(name, _)| *name).chain(["alerts", "held", "live", "stale"]);
            return match bellwether_core::suggest::nearest(&word.to_lowercase(), known) {
                Some(near) => format!("`{word}` says nothing about rows; did you mean `{near}`?"),
                None => error.message,
            };
        }
        error.message
    })?;
    for term in rule.terms {
        if !matches!(term.operand, Operand::Price(_)) || term.condition.level_indicator().is_some() {
            return Err("the table does not know indicators: ask for prices and percentages".to_owned());
        }
        match term.condition {
            Condition::Crosses { .. } | Condition::Enters(_) | Condition::Exits(_) => {
                return Err("rows are asked where they are, not when they get there: write > or < or in".to_owned());
            }
            Condition::Move { anchor: Anchor::Now, .. } => {
                return Err("`from now` has no beginning here: write `in 1h`, `from high` or `from 60000`".to_owned());
            }
            Condition::MoveIn { window: span, .. } | Condition::PercentVs { ago: span, .. } if span > DAY => {
                return Err("rows know the last 24 hours: write `in 24h` or less".to_owned());
            }
            condition => asks.push(Asks::Price(condition)),
        }
    }
    Ok(())
}

fn holds(ask: &Asks, app: &App, symbol: Symbol) -> bool {
    match ask {
        Asks::Kind(class) => app.instrument(symbol).is_some_and(|i| i.class == *class),
        Asks::Currency(code) => app.instrument(symbol).is_some_and(|i| i.currency == *code),
        Asks::Alerts => !app.alerts_of(symbol).is_empty(),
        Asks::Held => app.settings.holdings.contains_key(&symbol),
        Asks::Live => app.ticker(symbol).is_some_and(|t| app.freshness(t) == Freshness::Live),
        Asks::Stale => {
            let old = |f| matches!(f, Freshness::Stale | Freshness::Closed);
            app.ticker(symbol).is_none_or(|t| old(app.freshness(t)))
        }
        Asks::Price(condition) => {
            app.ticker(symbol).is_some_and(|ticker| meets(condition, ticker, app.market.spark(symbol)))
        }
    }
}

/// Whether the row's figures meet the condition. Where they are not known, it does not.
fn meets(condition: &Condition, ticker: &Ticker, day: &[Price]) -> bool {
    let price = ticker.price;
    match *condition {
        Condition::Compare { cmp, level: Level::Price(level) } => match cmp {
            Comparison::Above => price > level,
            Comparison::AtLeast => price >= level,
            Comparison::Below => price < level,
            Comparison::AtMost => price <= level,
        },
        Condition::In(range) => (range.lower..=range.upper).contains(&price),
        Condition::Outside(range) => price < range.lower || price > range.upper,
        Condition::PercentFrom { sign, percent, reference } => moved(sign, percent, change(reference, price)),
        // What the column says, so that the filter and the table never disagree.
        Condition::MoveIn { sign, percent, window: DAY } | Condition::PercentVs { sign, percent, ago: DAY } => {
            moved(sign, percent, ticker.change_24h_pct.map(Price::decimal))
        }
        Condition::PercentVs { sign, percent, ago } => {
            moved(sign, percent, part(day, ago).first().and_then(|then| change(*then, price)))
        }
        Condition::MoveIn { sign, percent, window } => {
            let seen = part(day, window);
            let (low, high) = (seen.iter().min(), seen.iter().max());
            let up = moved(Sign::Plus, percent, low.and_then(|low| change(*low, price)));
            let down = moved(Sign::Minus, percent, high.and_then(|high| change(*high, price)));
            match sign {
                Sign::Plus => up,
                Sign::Minus => down,
                Sign::Either => up || down,
            }
        }
        Condition::Move { sign, percent, anchor } => {
            let from = match anchor {
                Anchor::High => ticker.high,
                Anchor::Low => ticker.low,
                Anchor::Now => None,
            };
            moved(sign, percent, from.and_then(|from| change(from, price)))
        }
        Condition::Compare { .. } | Condition::Crosses { .. } | Condition::Enters(_) | Condition::Exits(_) => false,
    }
}

/// The last points of a day's picture that cover `span`.
fn part(day: &[Price], span: Span) -> &[Price] {
    let share = i128::from(span.as_micros()) * i128::try_from(day.len()).unwrap_or(0);
    let count = usize::try_from((share + i128::from(DAY.as_micros()) - 1) / i128::from(DAY.as_micros())).unwrap_or(0);
    &day[day.len().saturating_sub(count)..]
}

/// The way between two prices in per cent of the first.
fn change(from: Price, to: Price) -> Option<Decimal> {
    let way = to.decimal().checked_sub(from.decimal())?;
    way.checked_div(from.decimal().abs())?.checked_mul(Decimal::ONE_HUNDRED)
}

fn moved(sign: Sign, percent: Decimal, change: Option<Decimal>) -> bool {
    change.is_some_and(|change| match sign {
        Sign::Plus => change >= percent,
        Sign::Minus => change <= -percent,
        Sign::Either => change.abs() >= percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture;

    fn kept(text: &str) -> Vec<String> {
        let app = fixture::app();
        let filter = Filter::read(text, &app).unwrap_or_else(|e| panic!("{text}: {e}"));
        app.rows.iter().filter(|s| filter.keeps(&app, **s)).map(ToString::to_string).collect()
    }

    #[test]
    fn rows_are_kept_by_conditions_and_by_words() {
        assert_eq!(kept("> 2000"), ["BTC", "ETH", "GOLD"]);
        assert_eq!(kept("+2% in 24h"), ["SOL", "NVDA"]);
        assert_eq!(kept("-1% vs 1d or > 60k"), ["BTC", "XRP", "SHIB"]);
        assert_eq!(kept("in 100..300"), ["SOL", "AAPL", "NVDA"]);
        assert_eq!(kept("stocks and > 200"), ["AAPL", "MSFT"]);
        assert_eq!(kept("stocks > 200"), kept("stocks and > 200"), "`and` may be left out");
        assert_eq!(kept("alerts crypto"), ["BTC", "ETH", "SOL"]);
        assert_eq!(kept("+10% from 2500 fx"), Vec::<String>::new());
        assert_eq!(kept("stale stocks"), ["MSFT", "NVDA"]);
        assert_eq!(kept("-2% from high crypto").len(), 0, "all of them stand near their high");
    }

    #[test]
    fn what_cannot_be_asked_of_a_row_says_what_to_write() {
        let app = fixture::app();
        let said = |text: &str| Filter::read(text, &app).expect_err(text);
        assert!(said("crosses up 60k").contains("write > or <"));
        assert!(said("> sma(20, 1d)").contains("indicators"));
        assert!(said("+5% from now").contains("in 1h"));
        assert!(said("+5% in 3d").contains("24 hours"));
        assert!(said("> 1 and < 2 or > 3").contains("either"));
        assert!(said("stokcs").contains("did you mean `stocks`?"));
        assert!(said(" ").contains("such as"));
        assert!(!said("> ").is_empty() && !said("+2% in").is_empty());
    }

    #[test]
    fn a_window_takes_the_end_of_the_day() {
        let day: Vec<Price> = (1..=48).map(|n| Price::new(n.into())).collect();
        assert_eq!(part(&day, Span::from_seconds(3_600)).len(), 2);
        assert_eq!(part(&day, Span::from_seconds(60)), [Price::new(48.into())]);
        assert_eq!(part(&[], DAY).len(), 0);
    }
}
