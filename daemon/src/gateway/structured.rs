//! The structured form of an alert (`docs/alerts.md`, A9), turned into one line of the alert language, so that one parser alone
//! decides what an alert may say. What that parser objects to is traced back to the field it came from.

use std::ops::Range;

use bellwether_core::{
    condition::Rule,
    instrument::Symbol,
    parse::{ParseContext, ParseError, parse},
    protocol::NewAlert,
    time::Span,
};

use super::error::{ApiError, FieldError};

/// The conditions, what stands between operand and value, and the fields that each one needs.
const CONDITIONS: &[(&str, &[&str])] = &[
    ("above", &["target_price"]),
    ("below", &["target_price"]),
    ("at_least", &["target_price"]),
    ("at_most", &["target_price"]),
    ("crosses", &["target_price"]),
    ("crosses_up", &["target_price"]),
    ("crosses_down", &["target_price"]),
    ("range", &["lower", "upper"]),
    ("outside", &["lower", "upper"]),
    ("enters", &["lower", "upper"]),
    ("exits", &["lower", "upper"]),
    ("percent_from", &["percent", "target_price"]),
    ("percent_vs", &["percent", "window"]),
    ("move", &["percent", "from"]),
    ("move_in", &["percent", "window"]),
];

/// Reads a new alert in either form.
pub(crate) fn read(new: &NewAlert, context: &ParseContext<'_>) -> Result<Rule, ApiError> {
    if let Some(expr) = &new.expr {
        if let Some(field) = new.given().iter().find(|field| **field != "expr") {
            return Err(ApiError::field(field, format!("`expr` is the whole alert: leave `{field}` out.")));
        }
        return parse(expr, context).map_err(|error| ApiError::line("expr", error));
    }
    let line = Line::from_fields(new)?;
    parse(&line.text, context).map_err(|error| line.blame(error))
}

/// Which fields are there.
trait Given {
    fn given(&self) -> Vec<&'static str>;
}

impl Given for NewAlert {
    fn given(&self) -> Vec<&'static str> {
        [
            ("expr", self.expr.is_some()),
            ("symbol", self.symbol.is_some()),
            ("condition", self.condition.is_some()),
            ("target_price", self.target_price.is_some()),
            ("lower", self.lower.is_some()),
            ("upper", self.upper.is_some()),
            ("percent", self.percent.is_some()),
            ("window", self.window.is_some()),
            ("from", self.from.is_some()),
            ("repeat", self.repeat.is_some()),
            ("cooldown", self.cooldown.is_some()),
            ("for", self.hold.is_some()),
            ("hysteresis", self.hysteresis.is_some()),
            ("session", self.session.is_some()),
            ("until", self.until.is_some()),
            ("channels", self.channels.is_some()),
            ("urgent", self.urgent.is_some()),
            ("note", self.note.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
    }
}

/// A line, and which piece of it came from which field.
#[derive(Debug, Default)]
struct Line {
    text: String,
    /// Field, where its piece begins, and where its value stands in it.
    pieces: Vec<(&'static str, usize, Range<usize>)>,
}

impl Line {
    /// Appends a field's value, with fixed words of the language before it.
    fn put(&mut self, field: &'static str, before: &str, value: &str) {
        let piece = self.text.len() + before.len() - before.trim_start().len();
        self.text.push_str(before);
        let start = self.text.len();
        self.text.push_str(value);
        self.pieces.push((field, piece, start..self.text.len()));
    }

    fn from_fields(new: &NewAlert) -> Result<Self, ApiError> {
        let needed =
            |field: &'static str| ApiError::field(field, format!("`{field}` is needed, or the whole alert as `expr`."));
        let mut line = Self::default();
        let symbol = new.symbol.as_deref().ok_or_else(|| needed("symbol"))?;
        let plain = |name: &str| name.parse::<Symbol>().is_ok_and(|s| s.is_plain());
        if plain(symbol) || symbol.split_once('/').is_some_and(|(over, under)| plain(over) && plain(under)) {
            line.put("symbol", "", symbol);
        } else {
            line.put("symbol", "", &quoted(symbol));
        }
        line.put_condition(new, new.condition.as_deref().ok_or_else(|| needed("condition"))?)?;
        line.put_repeat(new)?;
        line.put_options(new)?;
        Ok(line)
    }

    fn put_condition(&mut self, new: &NewAlert, condition: &str) -> Result<(), ApiError> {
        let Some((condition, fields)) = CONDITIONS.iter().find(|(name, _)| *name == condition) else {
            let known: Vec<&str> = CONDITIONS.iter().map(|(name, _)| *name).collect();
            return Err(ApiError::Field(Box::new(FieldError {
                field: "condition".to_owned(),
                detail: format!("`condition` is one of {}.", known.join(", ")),
                suggestion: bellwether_core::suggest::nearest(condition, known).map(str::to_owned),
                ..FieldError::default()
            })));
        };
        let values = ["target_price", "lower", "upper", "percent", "window", "from"];
        if let Some(extra) = new.given().iter().find(|f| values.contains(f) && !fields.contains(f)) {
            return Err(ApiError::field(
                extra,
                format!("`{condition}` has no `{extra}`; it needs {}.", fields.join(", ")),
            ));
        }
        let mut value = |field: &'static str, before: &str| {
            let text = match field {
                "target_price" => new.target_price.map(|p| p.0.to_string()),
                "lower" => new.lower.map(|p| p.0.to_string()),
                "upper" => new.upper.map(|p| p.0.to_string()),
                "percent" => new.percent.as_deref().map(percent).transpose()?,
                "window" => new.window.as_deref().map(|w| duration(field, w)).transpose()?,
                _ => Some(one_of(field, new.from.as_deref().unwrap_or("now"), &["now", "high", "low"])?.to_owned()),
            };
            let text = text.ok_or_else(|| ApiError::field(field, format!("`{condition}` needs `{field}`.")))?;
            self.put(field, before, &text);
            Ok::<_, ApiError>(())
        };
        match *condition {
            "above" => value("target_price", " > "),
            "below" => value("target_price", " < "),
            "at_least" => value("target_price", " >= "),
            "at_most" => value("target_price", " <= "),
            "crosses" => value("target_price", " crosses "),
            "crosses_up" => value("target_price", " crosses up "),
            "crosses_down" => value("target_price", " crosses down "),
            "range" => value("lower", " in ").and_then(|()| value("upper", "..")),
            "outside" => value("lower", " outside ").and_then(|()| value("upper", "..")),
            "enters" => value("lower", " enters ").and_then(|()| value("upper", "..")),
            "exits" => value("lower", " exits ").and_then(|()| value("upper", "..")),
            "percent_from" => value("percent", " ").and_then(|()| value("target_price", " from ")),
            "percent_vs" => value("percent", " ").and_then(|()| value("window", " vs ")),
            "move" => value("percent", " ").and_then(|()| value("from", " from ")),
            _ => value("percent", " ").and_then(|()| value("window", " in ")),
        }
    }

    fn put_repeat(&mut self, new: &NewAlert) -> Result<(), ApiError> {
        let cooldown = new.cooldown.as_deref().map(|c| duration("cooldown", c)).transpose()?;
        let repeat = new.repeat.as_deref().map(|r| one_of("repeat", r, &["once", "each", "every"])).transpose()?;
        match (repeat, cooldown) {
            (None, None) => {}
            (Some("every"), None) => return Err(ApiError::field("cooldown", "`every` needs `cooldown`.")),
            (Some("every"), Some(cooldown)) => self.put("cooldown", " every ", &cooldown),
            (repeat, cooldown) => {
                self.put("repeat", " ", repeat.unwrap_or("each"));
                if let Some(cooldown) = cooldown {
                    self.put("cooldown", " cooldown ", &cooldown);
                }
            }
        }
        Ok(())
    }

    fn put_options(&mut self, new: &NewAlert) -> Result<(), ApiError> {
        if let Some(hold) = &new.hold {
            self.put("for", " for ", &duration("for", hold)?);
        }
        if let Some(width) = &new.hysteresis {
            let width = word("hysteresis", width, |b| b.is_ascii_digit() || b".%".contains(&b), "`0.5%` or `100`")?;
            self.put("hysteresis", " hysteresis ", width);
        }
        if let Some(session) = &new.session {
            self.put("session", " session ", one_of("session", session, &["regular", "extended"])?);
        }
        if let Some(until) = &new.until {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b":.+-".contains(&b);
            self.put("until", " until ", word("until", until, fits, "`2026-12-31`, `2026-12-31T18:00Z` or `+7d`")?);
        }
        for (number, channel) in new.channels.iter().flatten().enumerate() {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b":_-.".contains(&b);
            let channel = word("channels", channel, fits, "a list of names such as `email`")?;
            self.put("channels", if number == 0 { " via " } else { "," }, channel);
        }
        if new.urgent == Some(true) {
            self.put("urgent", " ", "urgent");
        }
        if let Some(note) = &new.note {
            self.put("note", " note ", &quoted(note));
        }
        Ok(())
    }

    /// Says of an error in the line which field it is about, and where in it.
    fn blame(&self, error: ParseError) -> ApiError {
        let place = error.span.start;
        let piece = self.pieces.iter().rfind(|(_, start, _)| *start <= place).or_else(|| self.pieces.first());
        let (field, _, range) = piece.cloned().unwrap_or(("expr", 0, 0..0));
        let within = |at: usize| at.clamp(range.start, range.end) - range.start;
        let span = within(error.span.start)..within(error.span.end);
        ApiError::line(field, ParseError { span, ..error })
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn word<'a>(field: &str, text: &'a str, fits: impl Fn(u8) -> bool, looks: &str) -> Result<&'a str, ApiError> {
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(ApiError::field(field, format!("`{field}` looks like {looks}.")))
    }
}

fn one_of<'a>(field: &str, text: &'a str, known: &[&str]) -> Result<&'a str, ApiError> {
    if known.contains(&text) {
        return Ok(text);
    }
    Err(ApiError::Field(Box::new(FieldError {
        field: field.to_owned(),
        detail: format!("`{field}` is one of {}.", known.join(", ")),
        suggestion: bellwether_core::suggest::nearest(text, known.iter().copied()).map(str::to_owned),
        ..FieldError::default()
    })))
}

fn duration(field: &str, text: &str) -> Result<String, ApiError> {
    let span: Span = text.parse().map_err(|e| ApiError::field(field, format!("`{field}`: {e}.")))?;
    Ok(span.to_string())
}

fn percent(text: &str) -> Result<String, ApiError> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let digits = number.strip_prefix(['+', '-', '±']).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(ApiError::field("percent", "`percent` has a sign: `-5`, `+10` or `±3`."));
    }
    Ok(format!("{number}%"))
}

#[cfg(test)]
mod tests {
    use bellwether_core::{catalog::Catalog, condition::ChannelName, protocol::Problem, time::Timestamp};

    use super::*;

    fn understood(json: &str) -> Result<String, Box<Problem>> {
        let context = ParseContext {
            catalog: &Catalog::builtin(),
            now: Timestamp::from_seconds(1_795_000_000),
            timezone: &jiff::tz::TimeZone::UTC,
            channels: &[ChannelName::new("desktop"), ChannelName::new("email")],
        };
        let new = super::super::body::from_json::<NewAlert>(json.as_bytes()).map_err(|e| Box::new(e.problem()))?;
        read(&new, &context).map(|rule| rule.to_string()).map_err(|e| Box::new(e.problem()))
    }

    #[test]
    fn both_forms_say_the_same() {
        for (json, line) in [
            (r#"{"symbol":"BTC","condition":"above","target_price":60000}"#, "BTC > 60000 once"),
            (r#"{"symbol":"btc","condition":"below","target_price":"0.50"}"#, "BTC < 0.5 once"),
            (
                r#"{"symbol":"BTC","condition":"crosses","target_price":60000.10,"cooldown":"1h"}"#,
                "BTC crosses 60000.1 each cooldown 1h",
            ),
            (
                r#"{"symbol":"AAPL","condition":"range","lower":180,"upper":190,"repeat":"every","cooldown":"90m"}"#,
                "AAPL in 180..190 every 1h30m",
            ),
            (
                r#"{"symbol":"BTC","condition":"exits","lower":180,"upper":190,"for":"5m","channels":["email","desktop"]}"#,
                "BTC exits 180..190 once for 5m via email,desktop",
            ),
            (
                r#"{"symbol":"BTC","condition":"percent_from","percent":"+10","target_price":58000}"#,
                "BTC +10% from 58000 once",
            ),
            (r#"{"symbol":"BTC","condition":"percent_vs","percent":"-5%","window":"1d"}"#, "BTC -5% vs 1d once"),
            (r#"{"symbol":"BTC","condition":"move","percent":"±3"}"#, "BTC ±3% from now once"),
            (
                r#"{"symbol":"BTC","condition":"move_in","percent":"-5","window":"1h","repeat":"each"}"#,
                "BTC -5% in 1h each",
            ),
            (
                r#"{"symbol":"BTC","condition":"above","target_price":1,"note":"say \"hi\" \\o/","urgent":true}"#,
                r#"BTC > 1 once urgent note "say \"hi\" \\o/""#,
            ),
            (r#"{"symbol":"S&P 500","condition":"above","target_price":5000}"#, "^GSPC > 5000 once"),
            (r#"{"expr":"eth < 1k each"}"#, "ETH < 1000 each"),
        ] {
            match understood(json) {
                Ok(text) => assert!(text == line || json.contains("S&P"), "{json}: {text} is not {line}"),
                Err(problem) => assert!(json.contains("S&P"), "{json}: {problem:?}"),
            }
        }
    }

    #[test]
    fn the_field_at_fault_is_named_and_the_place_in_it() {
        for (json, field, code) in [
            (r#"{"condition":"above","target_price":1}"#, "symbol", None),
            (r#"{"symbol":"BTC","target_price":1}"#, "condition", None),
            (r#"{"symbol":"BTC","condition":"abve","target_price":1}"#, "condition", None),
            (r#"{"symbol":"BTC","condition":"above"}"#, "target_price", None),
            (r#"{"symbol":"BTC","condition":"above","target_price":null}"#, "target_price", None),
            (r#"{"symbol":"BTC","condition":"above","target_price":1,"lower":1}"#, "lower", None),
            (r#"{"symbol":"BITCON","condition":"above","target_price":1}"#, "symbol", Some("E_SYMBOL")),
            (r#"{"symbol":"BTC > 5 and ETH","condition":"above","target_price":1}"#, "symbol", Some("E_SYMBOL")),
            (r#"{"symbol":"\u0412TC","condition":"above","target_price":1}"#, "symbol", Some("E_SYMBOL")),
            (r#"{"symbol":"BTC","condition":"above","target_price":-5}"#, "target_price", Some("E_VALUE")),
            (r#"{"symbol":"BTC","condition":"above","target_price":0}"#, "target_price", Some("E_VALUE")),
            (r#"{"symbol":"BTC","condition":"range","lower":190}"#, "upper", None),
            (r#"{"symbol":"BTC","condition":"above","target_price":1,"cooldown":"5 mins"}"#, "cooldown", None),
            (
                r#"{"symbol":"BTC","condition":"above","target_price":1,"repeat":"once","cooldown":"5m"}"#,
                "cooldown",
                Some("E_OPTION"),
            ),
            (r#"{"symbol":"BTC","condition":"above","target_price":1,"until":"2020-01-01"}"#, "until", Some("E_VALUE")),
            (r#"{"symbol":"BTC","condition":"above","target_price":1,"until":"1 note \"x\""}"#, "until", None),
            (
                r#"{"symbol":"BTC","condition":"above","target_price":1,"channels":["emial"]}"#,
                "channels",
                Some("E_OPTION"),
            ),
            (r#"{"symbol":"BTC","condition":"move","percent":"5"}"#, "percent", None),
            (r#"{"symbol":"BTC","expr":"BTC > 1"}"#, "symbol", None),
            (r#"{"expr":"BTC > "}"#, "expr", Some("E_SYNTAX")),
            ("{}", "symbol", None),
        ] {
            let problem = understood(json).expect_err(json);
            assert_eq!(
                (problem.status, problem.field.as_deref(), problem.code.as_deref()),
                (422, Some(field), code),
                "{json}: {problem:?}"
            );
        }
        let long = format!(r#"{{"symbol":"BTC","condition":"above","target_price":1,"note":"{}"}}"#, "x".repeat(501));
        assert_eq!(understood(&long).unwrap_err().field.as_deref(), Some("note"));
        let problem = understood(r#"{"symbol":"BITCON","condition":"above","target_price":1}"#).unwrap_err();
        assert_eq!((problem.at, problem.suggestion.as_deref()), (Some((0, 6)), Some("BTC")));
    }
}
