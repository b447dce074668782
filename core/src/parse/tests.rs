//! The language as a whole: the worked examples, the sentences of its errors, and completion.

use jiff::tz::TimeZone;

use super::*;
use crate::{
    condition::Operand,
    instrument::{Instrument, Symbol},
    time::Span,
};

/// The worked examples that the evaluator's tests read too.
const CASES: &str = include_str!("../../../tests/data/alert-cases.json");
/// Those of indicators.
const INDICATOR_CASES: &str = include_str!("../../tests/indicator_cases.json");

/// A catalogue, channels and a present to read lines in.
pub(super) struct World {
    pub(super) catalog: Catalog,
    channels: Vec<ChannelName>,
    timezone: TimeZone,
}

impl World {
    /// The registry in the header of the worked examples.
    pub(super) fn of_cases() -> Self {
        let cases: serde_json::Value = serde_json::from_str(CASES).unwrap();
        let header = &cases["header"];
        let nonpositive = header["parse_context"]["allow_nonpositive"].as_array().unwrap();
        let mut catalog = Catalog::default();
        for (currency, names) in header["registry"].as_object().unwrap() {
            for name in names.as_array().unwrap() {
                let mut instrument = Instrument::unlisted(name.as_str().unwrap().parse().unwrap());
                instrument.currency.clone_from(currency);
                instrument.allow_nonpositive = nonpositive.contains(name);
                catalog.add(instrument);
            }
        }
        let channels = ["desktop", "email", "sms", "webhook:home"].map(ChannelName::new).to_vec();
        Self { catalog, channels, timezone: TimeZone::UTC }
    }

    /// The same with names that need care: quotes, slashes, aliases.
    pub(super) fn with_odd_names() -> Self {
        let mut world = Self::of_cases();
        let mut index = Instrument::unlisted("S&P 500".parse().unwrap());
        index.aliases.push("SPX".to_owned());
        world.catalog.add(index);
        let mut ratio = Instrument::unlisted("ETH/BTC@kraken".parse().unwrap());
        ratio.currency = "BTC".to_owned();
        world.catalog.add(ratio);
        let mut pair = Instrument::unlisted("SOL/ETH".parse().unwrap());
        pair.currency = "ETH".to_owned();
        world.catalog.add(pair);
        world.catalog.add(Instrument { aliases: vec!["SOLANA".to_owned()], ..Instrument::unlisted(symbol("SOL")) });
        world
    }

    pub(super) fn context(&self) -> ParseContext<'_> {
        ParseContext { catalog: &self.catalog, now: now(), timezone: &self.timezone, channels: &self.channels }
    }

    fn canonical(&self, line: &str) -> String {
        match parse(line, &self.context()) {
            Ok(rule) => rule.to_string(),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    fn error(&self, line: &str) -> ParseError {
        match parse(line, &self.context()) {
            Ok(rule) => panic!("{line} was taken as {rule}"),
            Err(error) => error,
        }
    }
}

pub(super) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

pub(super) fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

#[test]
fn the_worked_examples_hold() {
    for file in [CASES, INDICATOR_CASES] {
        the_examples_of_a_file_hold(file);
    }
}

fn the_examples_of_a_file_hold(file: &str) {
    let cases: serde_json::Value = serde_json::from_str(file).unwrap();
    let parsed = cases["parse"].as_array().unwrap();
    let alerts = cases["cases"].as_array().unwrap();
    assert!(parsed.len() > 15 && alerts.len() > 20);
    for case in parsed {
        let mut world = World::of_cases();
        if let Some(zone) = case["tz"].as_str() {
            world.timezone = TimeZone::get(zone).unwrap();
        }
        let line = case["text"].as_str().unwrap();
        if let Some(code) = case["error"].as_str() {
            let error = world.error(line);
            assert_eq!(error.code.to_string(), code, "{line}: {error}");
        } else {
            let canonical = case["canonical"].as_str().unwrap();
            assert_eq!(world.canonical(line), canonical, "{line}");
            assert_eq!(world.canonical(canonical), canonical, "{line}");
        }
    }
    // Some alerts of the tapes have an `until` that has long passed for the examples above.
    let mut world = World::of_cases();
    world.channels.push(ChannelName::new("webhook"));
    let context = ParseContext { now: "2025-12-31T00:00:00Z".parse().unwrap(), ..world.context() };
    for case in alerts {
        let line = case["alert"].as_str().unwrap();
        assert!(parse(line, &context).is_ok(), "{line}: {:?}", parse(line, &context));
    }
}

#[test]
fn every_spelling_has_one_canonical_form() {
    let world = World::with_odd_names();
    for (line, canonical) in [
        ("btc ABOVE 60k", "BTC > 60000 once"),
        ("BTC over 60k", "BTC > 60000 once"),
        ("BTC under 60k", "BTC < 60000 once"),
        ("BTC<=1.50", "BTC <= 1.5 once"),
        ("BTC crosses over 60k", "BTC crosses up 60000 once"),
        ("BTC crosses under 60k", "BTC crosses down 60000 once"),
        ("BTC hits 60k", "BTC crosses 60000 once"),
        ("BTC reaches 60k", "BTC crosses 60000 once"),
        ("BTC touches 60k", "BTC crosses 60000 once"),
        ("BTC inside $60k..$70k", "BTC in 60000..70000 once"),
        ("BTC in 60k usd .. 70k USD", "BTC in 60000..70000 once"),
        ("BTC outside 60k..70k", "BTC outside 60000..70000 once"),
        ("FOR > 5 for 5s", "FOR > 5 once for 5s"),
        ("in in 5..6", "IN in 5..6 once"),
        ("BTC@KRAKEN > 5", "BTC@kraken > 5 once"),
        ("BTC +/-3% in 4h", "BTC ±3% in 4h once"),
        ("BTC + 1k % from now", "BTC +1000% from now once"),
        ("BTC +5% from low", "BTC +5% from low once"),
        ("BTC ±5% from 100 hysteresis 1", "BTC ±5% from 100 once hysteresis 1"),
        ("\"s&p 500\" < 5000", "\"S&P 500\" < 5000 once"),
        ("spx / btc < 0.1", "\"S&P 500\"/BTC < 0.1 once"),
        ("\"S&P 500\"/\"BTC\" < 0.1", "\"S&P 500\"/BTC < 0.1 once"),
        ("ETH / BTC < 0.05", "ETH/BTC < 0.05 once"),
        ("BTC / USDT > 5", "BTC/USDT > 5 once"),
        ("BTC/USDT > 5 USDT", "BTC/USDT > 5 once"),
        ("solana/eth > 0.1", "SOL/ETH > 0.1 once"),
        ("WTI in -10..5", "WTI in -10..5 once"),
        ("WTI < -37.63", "WTI < -37.63 once"),
        ("VOD.L in £0.7..£0.8 hysteresis 0.01 GBP", "VOD.L in 70..80 once hysteresis 1"),
        ("BTC > 5 cooldown 10m each", "BTC > 5 each cooldown 10m"),
        ("BTC > 5 note \"a \\\"b\\\" \\\\ c\\d\"", "BTC > 5 once note \"a \\\"b\\\" \\\\ c\\\\d\""),
        ("BTC > 5 note \"\"", "BTC > 5 once"),
        ("BTC > 5 note \"x\u{1b}[2J\u{202e}y\u{200b}z 👩‍🚀\"", "BTC > 5 once note \"x\u{fffd}[2J\u{fffd}y\u{fffd}z 👩‍🚀\""),
        ("BTC > 5 via Email,EMAIL,WebHook:Home", "BTC > 5 once via email,webhook:home"),
        ("BTC > 5 session regular", "BTC > 5 once"),
        (" BTC\t>\t5 \r\n", "BTC > 5 once"),
        ("BTC > 5 urgent until 2027-01-01T10:00+01:00", "BTC > 5 once until 2027-01-01T09:00:00Z urgent"),
        ("BTC > 5 and ETH > 5 and SOL crosses 5", "BTC > 5 and ETH > 5 and SOL crosses 5 once"),
        ("BTC -5% in 1h or ETH -5% in 1h", "BTC -5% in 1h or ETH -5% in 1h once"),
        ("BTC > SMA(200,1d)", "BTC > sma(200, 1d) once"),
        ("BTC rsi ( 14 , 60m ) below 30", "BTC rsi(14, 1h) < 30 once"),
        ("eth crosses above ema(50, 4h) each", "ETH crosses up ema(50, 4h) each"),
        ("BTC sma(50, 1d) crosses up sma(200, 24h)", "BTC sma(50, 1d) crosses up sma(200, 1d) once"),
        ("BTC < bb_lower(20, 2.50, 1h)", "BTC < bb_lower(20, 2.5, 1h) once"),
        ("BTC rsi(14,1h) outside 30..70", "BTC rsi(14, 1h) outside 30..70 once"),
        ("BTC rsi(14,1h) > rsi(14,1d)", "BTC rsi(14, 1h) > rsi(14, 1d) once"),
        ("BTC rsi(14,1h) >= 100 or BTC rsi(14,1h) <= 0", "BTC rsi(14, 1h) >= 100 or BTC rsi(14, 1h) <= 0 once"),
        ("BTC Volume > 20k", "BTC volume > 20000 once"),
        ("BTC sma(20, 1d) exits $60k..$70k", "BTC sma(20, 1d) exits 60000..70000 once"),
        ("VOD.L sma(20, 1d) > £0.7", "VOD.L sma(20, 1d) > 70 once"),
        ("\"s&p 500\" ema(3, 1m) < 5000", "\"S&P 500\" ema(3, 1m) < 5000 once"),
        ("for sma(3, 1m) crosses ema(5, 1m) for 5m", "FOR sma(3, 1m) crosses ema(5, 1m) once for 5m"),
        ("BTC > sma(20, 1h) hysteresis 50", "BTC > sma(20, 1h) once hysteresis 50"),
        ("WTI sma(5, 1d) < -5", "WTI sma(5, 1d) < -5 once"),
    ] {
        assert_eq!(world.canonical(line), canonical, "{line}");
        assert_eq!(world.canonical(canonical), canonical, "{canonical}");
    }
}

/// Line, code, the words pointed at, a part of the sentence, the suggestion.
type Complaint = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>);

fn check_complaints(complaints: &[Complaint]) {
    let world = World::with_odd_names();
    for &(line, code, pointed, said, suggestion) in complaints {
        let error = world.error(line);
        assert_eq!(error.code.as_str(), code, "{line}: {error}");
        assert_eq!(&line[error.span.clone()], pointed, "{line}: {error}");
        assert!(error.message.contains(said), "{line}: {error}");
        assert_eq!(error.suggestion.as_deref(), suggestion, "{line}: {error}");
        assert!(error.message.ends_with(['.', '?']), "{line}: {error}");
    }
}

#[test]
fn what_is_not_of_the_grammar_is_told_what_to_write() {
    check_complaints(&[
        ("", "E_SYNTAX", "", "Write an alert such as BTC > 60k", None),
        ("   ", "E_SYNTAX", "", "Write an alert", None),
        ("BTC", "E_SYNTAX", "", "Write a condition after BTC", None),
        ("BTC >", "E_SYNTAX", "", "Write a price such as 60k", None),
        ("BTC > 60k and", "E_SYNTAX", "", "Write the name of an instrument", None),
        ("BTC > 60k and < 70k", "E_SYNTAX", "<", "before the condition, in every term", None),
        ("(BTC > 60k)", "E_SYNTAX", "(BTC", "Parentheses are not used", None),
        ("S&P 500 < 5000", "E_SYNTAX", "S&P", "into quotes", None),
        ("BTC accross 60k", "E_SYNTAX", "accross", "did you mean crosses?", Some("crosses")),
        ("BTC between 1..2", "E_SYNTAX", "between", "did you mean in?", Some("in")),
        ("BTC => 60k", "E_SYNTAX", "=>", "Write >= instead", Some(">=")),
        ("BTC =< 60k", "E_SYNTAX", "=<", "Write <= instead", Some("<=")),
        ("BTC >> 60k", "E_SYNTAX", ">>", "one of >, >=, <, <=", None),
        ("BTC ≥ 60k", "E_SYNTAX", "≥", "U+2265", Some(">=")),
        ("BTC > ６0k", "E_SYNTAX", "６", "U+FF16 is not a plain digit: write 6", Some("6")),
        ("BTC 60k", "E_SYNTAX", "60k", "before the number", None),
        ("BTC 5%", "E_SYNTAX", "5%", "+ or - before the percentage", None),
        ("SOL-5% in 1h", "E_SYNTAX", "SOL-5", "Put a space", Some("SOL -5")),
        ("SOL+5% in 1h", "E_SYNTAX", "SOL", "Put a space", Some("SOL ")),
        ("BTC is above 60k", "E_SYNTAX", "is", "Leave is out", Some("")),
        ("SOL -5 in 1h", "E_SYNTAX", "", "Write % after the number", Some("%")),
        ("BTC rises 60k", "E_SYNTAX", "", "rises above 60k", Some("above")),
        ("BTC in 60k-70k", "E_SYNTAX", "-", "Write .. between", Some("..")),
        ("BTC in 60k to 70k", "E_SYNTAX", "to", "Write .. between", Some("..")),
        ("BTC > NaN", "E_SYNTAX", "NaN", "Write a price", None),
        ("BTC > 0x10", "E_SYNTAX", "0x10", "plain decimal digits", None),
        ("BTC > 1e400", "E_SYNTAX", "1e400", "Exponents are not read", None),
        ("BTC > 60k sometimes", "E_SYNTAX", "sometimes", "one of once, each", None),
        ("BTC > 60k untill +7d", "E_SYNTAX", "untill", "did you mean until?", Some("until")),
        ("BTC > 60k email", "E_SYNTAX", "email", "Write via before", None),
        ("BTC > 60k via desktop email", "E_SYNTAX", "email", "a comma before", None),
        ("BTC > 60k via", "E_SYNTAX", "", "name of a channel", None),
        ("BTC > 60k every", "E_SYNTAX", "", "Write a duration", None),
        ("BTC > 60k every day", "E_SYNTAX", "day", "Write 1d instead", Some("1d")),
        ("BTC > 60k every 15", "E_SYNTAX", "15", "needs a unit", None),
        ("BTC > 60k each 5m", "E_SYNTAX", "5m", "each cooldown 10m", None),
        ("BTC > 60k session late", "E_SYNTAX", "late", "session regular or session extended", None),
        ("BTC > 60k note sell half", "E_SYNTAX", "sell half", "in double quotes", None),
        ("BTC > 60k note \"sell", "E_SYNTAX", "\"sell", "Close the quotes", None),
        ("BTC > 60k \"sell\"", "E_SYNTAX", "", "Write note before", Some("note ")),
        ("\"BTC > 60k", "E_SYNTAX", "\"BTC > 60k", "Close the quotes", None),
        ("BTC > 60k < 70k", "E_SYNTAX", "<", "Join conditions", None),
        ("BTC > 60k until tomorrow", "E_SYNTAX", "tomorrow", "Write a date such as", None),
        ("BTC > 60k hysteresis", "E_SYNTAX", "", "percentage or a price", None),
    ]);
}

#[test]
fn values_outside_their_limits_are_told_the_limits() {
    check_complaints(&[
        ("BTC > 0", "E_VALUE", "0", "greater than 0", None),
        ("BTC > -5", "E_VALUE", "-5", "28 digits and 18 after the point", None),
        ("WTI > 0 hysteresis -1", "E_VALUE", "hysteresis -1", "greater than 0", None),
        (
            "BTC > 1111111111111111111111111111111111111111",
            "E_VALUE",
            "1111111111111111111111111111111111111111",
            "28",
            None,
        ),
        ("BTC > 0.1234567890123456789", "E_VALUE", "0.1234567890123456789", "18 after the point", None),
        ("BTC in 70k..60k", "E_VALUE", "70k..60k", "write 60000..70000", Some("60000..70000")),
        ("BTC in 60k..60k", "E_VALUE", "60k..60k", "write crosses 60000", None),
        ("BTC -100% in 1h", "E_VALUE", "100%", "below 100%", None),
        ("BTC ±100%", "E_VALUE", "100%", "below 100%", None),
        ("BTC +10001%", "E_VALUE", "10001%", "at most 10000%", None),
        ("BTC +0%", "E_VALUE", "0%", "above 0%", None),
        ("WTI +5% from -5", "E_VALUE", "+5% from -5", "greater than 0", None),
        (
            "BTC +0.1% from 1234567890123456789.123456789",
            "E_VALUE",
            "+0.1% from 1234567890123456789.123456789",
            "28",
            None,
        ),
        ("BTC > 1234567890123456789.123456789 hysteresis 0.1%", "E_VALUE", "hysteresis 0.1%", "28 digits", None),
        ("BTC > 60k each cooldown 99999999999d", "E_VALUE", "99999999999d", "at most 3650d", None),
        ("BTC > 60k for 0s", "E_VALUE", "0s", "longer than 0", None),
        ("BTC > 60k until 2020-01-01", "E_VALUE", "2020-01-01", "in the future", None),
        ("BTC > 60k until 2027-02-31", "E_VALUE", "2027-02-31", "no such date", None),
    ]);
    let world = World::of_cases();
    let long = format!("BTC > 5 note \"{}\"", "x".repeat(501));
    assert_eq!(world.error(&long).code, ErrorCode::Value);
    assert!(parse(&long.replace("xx\"", "x\""), &world.context()).is_ok());
    // A line that grows over the limit when it is written out could not be read again.
    let grows = format!("BTC > 5 note \"{}\"", "\u{1}".repeat(400));
    assert_eq!(world.error(&grows).code, ErrorCode::Value);
}

#[test]
fn options_and_terms_that_do_not_go_together_are_refused() {
    check_complaints(&[
        ("BTC > 60k once each", "E_OPTION", "each", "leave once or each out", None),
        ("BTC > 60k urgent urgent", "E_OPTION", "urgent", "stands twice", None),
        ("BTC > 60k cooldown 5m", "E_OPTION", "cooldown 5m", "write each cooldown 5m", None),
        ("BTC > 60k once cooldown 5m", "E_OPTION", "cooldown 5m", "write each cooldown 5m", None),
        ("BTC > 60k every 15m cooldown 1h", "E_OPTION", "cooldown 1h", "every has its own distance", None),
        ("BTC > 60k via pigeon", "E_OPTION", "pigeon", "one of desktop, email", None),
        ("BTC > 60k via desktop, emial", "E_OPTION", "emial", "did you mean email?", Some("email")),
        ("SOL -5% in 1h hysteresis 1%", "E_OPTION", "hysteresis 1%", "leave hysteresis out", None),
        ("SOL -5% vs 1h hysteresis 1%", "E_OPTION", "hysteresis 1%", "leave hysteresis out", None),
        ("BTC > 5 and ETH > 5 hysteresis 1", "E_OPTION", "hysteresis 1", "a percentage", None),
        ("BTC outside 60..70 hysteresis 10%", "E_OPTION", "hysteresis 10%", "never be over", None),
        ("BTC exits 60..70 hysteresis 6", "E_OPTION", "hysteresis 6", "never be over", None),
        ("BTC ±1% from 100 hysteresis 2", "E_OPTION", "hysteresis 2", "never be over", None),
        ("BTC +5% from high", "E_OPTION", "+5% from high", "write -", None),
        ("BTC ±5% from low", "E_OPTION", "±5% from low", "write +", None),
        ("BTC > 1 and ETH > 1 or SOL > 1", "E_COMBINE", "or", "either with and or with or", None),
        ("BTC crosses 1 and ETH exits 1..2", "E_COMBINE", "exits 1..2", "keep one of", None),
        ("BTC > 1 or ETH crosses 1", "E_COMBINE", "crosses 1", "make two alerts", None),
        ("BTC crosses 1 or ETH crosses 1 for 5m", "E_COMBINE", "for 5m", "leave for out", None),
        ("ETH/BTC -5% in 1h", "E_COMBINE", "-5% in 1h", "no history", None),
        ("ETH/BTC -5% vs 1h", "E_COMBINE", "-5% vs 1h", "no history", None),
    ]);
    let world = World::of_cases();
    let nine = ["BTC > 5"; 9].join(" and ");
    assert_eq!(world.error(&nine).code, ErrorCode::Combine);
    assert!(parse(&nine[12..], &world.context()).is_ok());
    for line in ["BTC outside 60..70 hysteresis 5", "ETH/BTC -5%", "BTC crosses 1 for 5m", "BTC > 1 or ETH > 1 for 5m"]
    {
        assert!(parse(line, &world.context()).is_ok(), "{line}");
    }
}

#[test]
fn an_indicator_that_is_not_one_is_told_what_to_write() {
    check_complaints(&[
        ("BTC > smaa(20, 1d)", "E_SYNTAX", "smaa", "did you mean sma?", Some("sma")),
        ("BTC > ma(20, 1d)", "E_SYNTAX", "ma", "did you mean sma?", Some("sma")),
        ("BTC macd(12, 1d) > 1", "E_SYNTAX", "macd", "there are sma, ema", None),
        ("BTC bb_uper(20, 2, 1h) > 5", "E_SYNTAX", "bb_uper", "did you mean bb_upper?", Some("bb_upper")),
        ("BTC > sma", "E_SYNTAX", "sma", "sma(200, 1d)", Some("sma(200, 1d)")),
        ("BTC rsi < 30", "E_SYNTAX", "rsi", "rsi(14, 1h)", Some("rsi(14, 1h)")),
        ("BTC volum > 30", "E_SYNTAX", "volum", "did you mean volume?", Some("volume")),
        ("BTC > sma()", "E_SYNTAX", "", "number of bars first", None),
        ("BTC > sma(1d, 200)", "E_SYNTAX", "1d", "number of bars comes first", None),
        ("BTC > sma(200)", "E_SYNTAX", "", "comma", Some(",")),
        ("BTC > sma(200, 1d", "E_SYNTAX", "", "Close the parenthesis", Some(")")),
        ("BTC > sma(200, 2, 1d)", "E_SYNTAX", "2", "needs a unit", None),
        ("BTC > sma(200, 1d, 2)", "E_SYNTAX", ",", "Close the parenthesis", Some(")")),
        ("BTC > bb_upper(20, 1d)", "E_SYNTAX", "1d", "standard deviations second", None),
        ("BTC > bb_upper(20, , 1d)", "E_SYNTAX", "", "standard deviations second", None),
        ("BTC > sma(0, 1d)", "E_VALUE", "0", "from 1 to 500", None),
        ("BTC > sma(501, 1d)", "E_VALUE", "501", "from 1 to 500", None),
        ("BTC > sma(99999999, 1d)", "E_VALUE", "99999999", "from 1 to 500", None),
        ("BTC rsi(1, 1d) > 5", "E_VALUE", "1", "from 2 to 500", None),
        ("BTC > bb_lower(20, 0, 1d)", "E_VALUE", "0", "above 0 and at most 10", None),
        ("BTC > bb_lower(20, 11, 1d)", "E_VALUE", "11", "above 0 and at most 10", None),
        ("BTC > sma(20, 7m)", "E_VALUE", "7m", "divides a day", None),
        ("BTC > sma(20, 30s)", "E_VALUE", "30s", "A bar is 1m", None),
        ("BTC > sma(20, 1w)", "E_VALUE", "1w", "A bar is 1m", None),
        ("BTC rsi(14, 1h) > 101", "E_VALUE", "101", "from 0 to 100", None),
        ("BTC rsi(14, 1h) in -5..30", "E_VALUE", "-5..30", "from 0 to 100", None),
        ("BTC rsi(14, 1h) > 30 USD", "E_CURRENCY", "USD", "has no currency", Some("")),
        ("BTC volume > $5", "E_CURRENCY", "$", "has no currency", Some("")),
        ("BTC sma(20, 1d) > 60k EUR", "E_CURRENCY", "EUR", "quoted in USD", None),
        ("ETH/BTC sma(20, 1d) > 5", "E_COMBINE", "sma(20, 1d)", "no bars of its own", None),
        ("ETH/BTC > sma(20, 1d)", "E_COMBINE", "sma(20, 1d)", "no bars of its own", None),
        ("BTC > rsi(14, 1h)", "E_COMBINE", "rsi(14, 1h)", "is no price", None),
        ("BTC rsi(14, 1h) > sma(20, 1d)", "E_COMBINE", "sma(20, 1d)", "another rsi", None),
        ("BTC sma(20, 1d) > rsi(14, 1h)", "E_COMBINE", "rsi(14, 1h)", "is no price", None),
        ("BTC > volume", "E_COMBINE", "volume", "stands on the left", None),
        ("BTC volume crosses 20k", "E_COMBINE", "crosses 20k", "crosses nothing", None),
        ("BTC volume > sma(20, 1d)", "E_COMBINE", "sma(20, 1d)", "with a number", None),
        ("BTC sma(20, 1d) -5%", "E_COMBINE", "-5%", "measured on prices", None),
        ("BTC sma(20, 1d) +5% vs 1d", "E_COMBINE", "+5% vs 1d", "measured on prices", None),
        ("BTC rsi(14, 1h) > 30 and BTC > 5 hysteresis 1", "E_OPTION", "hysteresis 1", "a percentage", None),
    ]);
}

#[test]
fn a_rule_says_how_much_of_the_past_its_indicators_need() {
    let world = World::of_cases();
    let needs = |line: &str| {
        let rule = parse(line, &world.context()).unwrap();
        rule.history_needed().iter().map(|n| format!("{} {}x{}", n.symbol, n.bars, n.bar)).collect::<Vec<_>>()
    };
    assert!(needs("BTC > 5 and BTC volume > 5").is_empty());
    assert_eq!(needs("BTC sma(50, 1d) crosses up sma(200, 1d)"), ["BTC 200x1d"]);
    assert_eq!(
        needs("BTC rsi(14, 1h) < 30 and ETH > ema(50, 4h) and BTC < bb_lower(20, 2, 1h)"),
        ["BTC 141x1h", "ETH 250x4h"]
    );
}

#[test]
fn names_and_currencies_are_never_guessed() {
    check_complaints(&[
        ("FOO > 1", "E_SYMBOL", "FOO", "did you mean FOR?", Some("FOR")),
        ("\u{412}TC > 60k", "E_SYMBOL", "\u{412}", "U+0412 is not a Latin B", Some("B")),
        ("BTC > 60\u{43a}", "E_SYMBOL", "\u{43a}", "U+043A is not a Latin k", Some("k")),
        ("BTC \u{202e}> 60k", "E_SYMBOL", "\u{202e}", "U+202E is an invisible", Some("")),
        ("\"B\u{1b}TC\" > 60k", "E_SYMBOL", "\u{1b}", "U+001B is an invisible", Some("")),
        ("\"\u{412}TC\" > 60k", "E_SYMBOL", "\u{412}", "U+0412 is not", Some("B")),
        ("ETH/QWXYZQ > 1", "E_SYMBOL", "QWXYZQ", "No instrument is called QWXYZQ", None),
        ("ETH/BTC/SOL > 1", "E_SYMBOL", "ETH/BTC/SOL", "A ratio has two names", None),
        ("BTC/VOD.L > 1", "E_CURRENCY", "BTC/VOD.L", "one currency", None),
        ("BTC > 60k USDT", "E_CURRENCY", "USDT", "quoted in USD, not in USDT", None),
        ("BTC > 60k EUR", "E_CURRENCY", "EUR", "quoted in USD", None),
        ("BTC > €60k", "E_CURRENCY", "€", "quoted in USD", None),
        ("BTC/USDT > $60k", "E_CURRENCY", "$", "quoted in USDT, not in USD", None),
        ("ETH/BTC > 0.05 BTC", "E_CURRENCY", "BTC", "ETH/BTC has no currency", Some("")),
    ]);
    let mut world = World::with_odd_names();
    let other = Instrument { aliases: vec!["SPX".to_owned()], ..Instrument::unlisted(symbol("SPXL")) };
    world.catalog.add(other);
    let error = world.error("spx > 5");
    assert_eq!(error.code, ErrorCode::Symbol);
    assert!(error.message.contains("write one of \"S&P 500\", SPXL"), "{error}");
}

#[test]
fn a_huge_line_is_refused_before_it_is_read() {
    let world = World::of_cases();
    for line in
        ["é".repeat(500_000), "BTC > 5 and ".repeat(10_000), "\"\\".repeat(500_000), format!(" {}", "é".repeat(500))]
    {
        let error = world.error(&line);
        assert_eq!((error.code, error.span.end), (ErrorCode::Value, line.len()));
        assert!(line.get(error.span.clone()).is_some());
        assert!(error.render(&line).len() < 1_000);
    }
}

#[test]
fn a_structured_rule_is_judged_like_a_line() {
    let world = World::with_odd_names();
    let good = parse("BTC > 60k via email note \"x\" until +7d", &world.context()).unwrap();
    let judged = |change: &dyn Fn(&mut Rule)| {
        let mut rule = good.clone();
        change(&mut rule);
        validate(&rule, &world.context()).map_err(|e| {
            assert!(rule.to_string().get(e.span).is_some());
            e.code
        })
    };
    assert_eq!(judged(&|_| ()), Ok(()));
    assert_eq!(judged(&|r| r.terms.clear()), Err(ErrorCode::Syntax));
    assert_eq!(judged(&|r| r.terms = vec![r.terms[0].clone(); 9]), Err(ErrorCode::Combine));
    assert_eq!(judged(&|r| r.terms[0].operand = Operand::Price(symbol("btc"))), Err(ErrorCode::Symbol));
    assert_eq!(judged(&|r| r.terms[0].operand = Operand::Ratio(symbol("SOL"), symbol("ETH"))), Err(ErrorCode::Symbol));
    assert_eq!(
        judged(&|r| r.terms[0].operand = Operand::Ratio(symbol("BTC"), symbol("VOD.L"))),
        Err(ErrorCode::Currency)
    );
    assert_eq!(judged(&|r| r.until = Some(now())), Err(ErrorCode::Value));
    assert_eq!(judged(&|r| r.hold = Some(Span::ZERO)), Err(ErrorCode::Value));
    assert_eq!(judged(&|r| r.hold = Some(Span::from_millis(1_500))), Err(ErrorCode::Value));
    assert_eq!(judged(&|r| r.via.push(ChannelName::new("pigeon"))), Err(ErrorCode::Option));
    assert_eq!(judged(&|r| r.via.push(ChannelName::new("email"))), Err(ErrorCode::Option));
    assert_eq!(judged(&|r| r.note = Some("a\nb".to_owned())), Err(ErrorCode::Value));
    let mut untidy = good.clone();
    untidy.until = Some(Timestamp::from_micros(now().as_micros() + 1_500_000));
    untidy.via.push(ChannelName::new("email"));
    untidy.note = Some("a\nb".to_owned());
    assert_eq!(validate(&tidy(untidy), &world.context()), Ok(()));
}

#[test]
fn tab_proposes_what_may_follow() {
    let world = World::with_odd_names();
    let proposed = |line: &str| {
        let (before, after) = line.split_once('|').unwrap();
        let line = format!("{before}{after}");
        completions(&line, before.len(), &world.context())
            .into_iter()
            .map(|c| format!("{}{}{}", &line[..c.replace.start], c.text, &line[c.replace.end..]))
            .collect::<Vec<_>>()
    };
    for (line, first) in [
        ("et|", Some("ETH")),
        ("s&p|", None),
        ("sp|", Some("\"S&P 500\"")),
        ("BTC/U| > 5", Some("BTC/USDT > 5")),
        ("eth/b|", Some("ETH/BTC@kraken")),
        ("eth/s|", Some("eth/SOL")),
        ("BTC cro|", Some("BTC crosses")),
        ("BTC CRO|ss 5", Some("BTC crosses 5")),
        ("BTC crosses d|", Some("BTC crosses down")),
        ("BTC > 60k a|", Some("BTC > 60k and")),
        ("BTC > 60k and s|", Some("BTC > 60k and SOL")),
        ("BTC > 60k each c|", Some("BTC > 60k each cooldown")),
        ("BTC > 60k once e|", None),
        ("BTC -5% f|", Some("BTC -5% from")),
        ("BTC -5% from h|", Some("BTC -5% from high")),
        ("BTC > 60k session e|", Some("BTC > 60k session extended")),
        ("BTC > 60k via desktop,|", Some("BTC > 60k via desktop,email")),
        ("BTC > 60k via webhook:|", Some("BTC > 60k via webhook:home")),
        ("BTC > 60k note \"B|", None),
        ("BTC > |", Some("BTC > sma(")),
        ("BTC crosses up e|", Some("BTC crosses up ema(")),
        ("BTC rs|", Some("BTC rsi(")),
        ("BTC vol|", Some("BTC volume")),
        ("BTC rsi(14, 1h) cr|", Some("BTC rsi(14, 1h) crosses")),
        ("BTC rsi(14, 1h) > |", None),
        ("BTC rsi(14, 1|", Some("BTC rsi(14, 1m")),
        ("ETH/BTC > |", None),
        ("QQQ > 5 o|", None),
    ] {
        assert_eq!(proposed(line).first().map(String::as_str), first, "{line}");
    }
    assert_eq!(proposed("|").len(), 12);
    assert_eq!(proposed("BTC > 5 |").len(), 12);
    assert_eq!(completions("é", 2, &world.context()), []);
    assert!(completions("BTC", 999, &world.context()).iter().all(|c| c.text.starts_with("BTC")));
}
