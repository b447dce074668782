//! The alert lines of a backtest over a file, where every name is taken as it comes.

use jiff::tz::TimeZone;

use crate::{
    catalog::{Catalog, LookupError},
    condition::{ChannelName, Rule},
    instrument::{Instrument, Symbol},
    parse::{ErrorCode, ParseContext, ParseError, parse},
    time::{Span, Timestamp},
};

/// Which line was not understood, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BadAlert {
    /// Its position, counted from 0.
    pub position: usize,
    /// What is wrong with it.
    #[source]
    pub error: ParseError,
}

/// Reads alert lines as of `now`. A name that `catalog` lacks becomes an instrument of it, quoted in US dollars; nothing is sent, so
/// a webhook may have any name.
///
/// # Errors
/// The first line that is none.
pub fn read_alerts(
    lines: &[String],
    catalog: &mut Catalog,
    now: Timestamp,
    timezone: &TimeZone,
) -> Result<Vec<Rule>, BadAlert> {
    let mut channels: Vec<ChannelName> = ["desktop", "email", "sms", "webhook"].map(ChannelName::new).into();
    let mut rules = Vec::with_capacity(lines.len());
    for (position, line) in lines.iter().enumerate() {
        rules.push(loop {
            let context = ParseContext { catalog, now, timezone, channels: &channels };
            match parse(line, &context) {
                Ok(rule) => break rule,
                Err(error) if learn(line, &error, catalog, &mut channels) => {}
                Err(error) => return Err(BadAlert { position, error }),
            }
        });
    }
    Ok(rules)
}

/// Takes up the name that an error is about; false where it is about something else, or the name is no name.
fn learn(line: &str, error: &ParseError, catalog: &mut Catalog, channels: &mut Vec<ChannelName>) -> bool {
    let name = line.get(error.span.clone()).unwrap_or_default().trim_matches('"').trim();
    match error.code {
        ErrorCode::Symbol if matches!(catalog.resolve(name), Err(LookupError::Unknown { .. })) => {
            let Ok(symbol) = name.parse::<Symbol>() else { return false };
            catalog.add(Instrument::unlisted(symbol));
            true
        }
        ErrorCode::Option if name.len() > "webhook:".len() && name.to_ascii_lowercase().starts_with("webhook:") => {
            let channel = ChannelName::new(name);
            let is_new = !channels.contains(&channel);
            channels.push(channel);
            is_new
        }
        _ => false,
    }
}

/// The instruments that these alerts look at: as the catalogue has them, but stale after `stale_after` and without quarantine,
/// since a file holds what is wanted in it.
pub fn watched(rules: &[Rule], catalog: &Catalog, stale_after: Span) -> Vec<Instrument> {
    let mut symbols: Vec<Symbol> = rules.iter().flat_map(Rule::symbols).collect();
    symbols.sort_unstable();
    symbols.dedup();
    let instrument = |symbol| {
        let known = catalog.get(symbol).cloned().unwrap_or_else(|| Instrument::unlisted(symbol));
        Instrument { stale_after, outlier_pct: None, ..known }
    };
    symbols.into_iter().map(instrument).collect()
}
